//! What the hub shows, as it goes out: the API and the command line's direct access share it, and the OpenAPI document is made
//! of it.

mod agent;
pub mod app;
pub mod job;
mod record;
mod token;

pub use agent::{
    AgentLine, AgentPage, AgentView, Invited, Issued, Removed, Revoked, Rotating, agent, agent_line, invited,
    issued,
};
pub use record::{ImportView, RecordPage, import, page};
pub use token::{
    AuditEntry, AuditPage, NewTokenView, StreamToken, TokenLine, TokenList, TokenRevoked, audit_line,
    new_token, token_line, token_revoked,
};

/// A value as JSON. What is shown has nothing that cannot be.
pub fn json(shown: &impl serde::Serialize) -> serde_json::Value {
    serde_json::to_value(shown).unwrap_or_default()
}
