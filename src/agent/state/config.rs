//! Which of the hub's config snapshots the agent has, and which it did not take.

use serde::{Deserialize, Serialize};

/// A config snapshot that was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedConfig {
    /// Its version.
    pub version: u64,
    /// Why.
    pub reason: String,
}

/// What the agent had of the hub's configs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KnownConfig {
    /// The version it has, 0 where none.
    pub version: u64,
    /// The lowest that may come next, where they are signed.
    pub least: u64,
}

impl KnownConfig {
    /// It has this one.
    pub const fn held(version: u64) -> Self {
        let least = if version == 0 { 0 } else { version.saturating_add(1) };
        Self { version, least }
    }
}
