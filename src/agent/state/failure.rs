//! Why a session or an attempt ended.

use serde::{Deserialize, Serialize};

use crate::time::WallTime;

/// Why the last session or attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastError {
    /// A name of the error table, or `link`, `identity`, `folder`.
    pub code: String,
    /// One line.
    pub text: String,
    /// Whether a MAC vouches for it: what came before the keys agreed does not bind anybody.
    pub verified: bool,
    /// When, by this machine's clock.
    pub at_ms: u64,
    /// The hub that was asked, where one was.
    #[serde(default)]
    pub hub: Option<String>,
}

impl LastError {
    /// An error noted now.
    pub fn new(code: impl Into<String>, text: impl Into<String>, verified: bool, at: WallTime) -> Self {
        Self { code: code.into(), text: text.into(), verified, at_ms: at.0, hub: None }
    }

    /// The same, of this hub.
    #[must_use]
    pub fn of(self, hub: &str) -> Self {
        Self { hub: Some(hub.to_owned()), ..self }
    }
}

/// Whether a failure is the one before again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Something new: worth a warning.
    New,
    /// The same again.
    Same,
}
