//! What the link to the hub is like.

use serde::{Deserialize, Serialize};

/// The link, as `agent status` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// Registered.
    Connected,
    /// Between two attempts, or in one.
    Reconnecting,
    /// No link is wanted, or the agent is stopped.
    #[default]
    Disconnected,
    /// No usable key.
    NoIdentity,
    /// The hub says that the agent was revoked.
    Revoked,
    /// The outbox takes nothing more until a restart.
    Degraded,
}

impl LinkState {
    /// What the link itself can be; that the outbox is degraded is another matter.
    pub const OF_THE_LINK: [Self; 5] =
        [Self::Connected, Self::Reconnecting, Self::Disconnected, Self::NoIdentity, Self::Revoked];

    /// The name in JSON and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Reconnecting => "reconnecting",
            Self::Disconnected => "disconnected",
            Self::NoIdentity => "no_identity",
            Self::Revoked => "revoked",
            Self::Degraded => "degraded",
        }
    }
}
