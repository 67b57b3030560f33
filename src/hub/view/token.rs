//! Operators' tokens, and the audit.

use serde::Serialize;

use crate::hub::store::{AuditRow, TokenRow};
use crate::hub::token::{ApiToken, Scope};
use crate::id::{TokenId, TokenName};

/// A token without its secret.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct TokenLine {
    name: String,
    id: String,
    scope: Scope,
    created_at_ms: i64,
    /// Who made it.
    created_by: String,
    /// Null: it has no end.
    expires_at_ms: Option<i64>,
}

/// All tokens that are not revoked, by name.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct TokenList {
    /// The tokens.
    pub tokens: Vec<TokenLine>,
}

/// A new token. Holds the secret itself.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct NewTokenView {
    #[serde(flatten)]
    line: TokenLine,
    /// What goes behind `Bearer `. A secret, shown once.
    token: String,
}

/// A token that was taken back.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct TokenRevoked {
    revoked: String,
    id: String,
}

/// One entry of the audit.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct AuditEntry {
    entry: i64,
    at_ms: i64,
    action: String,
    /// The agent's name at that time, or a token's.
    agent: String,
    detail: String,
    /// Who did it: `token:NAME`, `local` (a command in the hub's folder), `hub`; null in entries of versions before.
    actor: Option<String>,
}

/// A page of the audit, the oldest first.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct AuditPage {
    /// The entries.
    pub entries: Vec<AuditEntry>,
    /// Where the next page begins; null at the end.
    pub next: Option<String>,
}

/// A token as the list has it.
pub fn token_line(row: &TokenRow) -> TokenLine {
    TokenLine {
        name: row.name.to_string(),
        id: row.id.to_string(),
        scope: row.scope,
        created_at_ms: row.created_at,
        created_by: row.created_by.clone(),
        expires_at_ms: row.expires_at,
    }
}

/// A new token, and its text.
pub fn new_token(token: &ApiToken, row: &TokenRow) -> NewTokenView {
    NewTokenView { line: token_line(row), token: token.to_text().expose().clone() }
}

/// A token that was taken back.
pub fn token_revoked(name: &TokenName, id: TokenId) -> TokenRevoked {
    TokenRevoked { revoked: name.to_string(), id: id.to_string() }
}

/// One entry of the audit.
pub fn audit_line(row: &AuditRow) -> AuditEntry {
    AuditEntry {
        entry: row.entry,
        at_ms: row.at,
        action: row.action.clone(),
        agent: row.agent.clone(),
        detail: row.detail.clone(),
        actor: row.actor.clone(),
    }
}

/// A token for a live stream. Holds the secret itself.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct StreamToken {
    /// What the stream's first message shows. A secret.
    pub token: String,
    /// The one stream that it opens.
    pub topic: String,
    /// When its time is over, milliseconds since 1970.
    pub expires_ms: u64,
}
