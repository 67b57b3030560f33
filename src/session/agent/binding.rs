//! What the session's keys are bound to, as the Challenge names it.
//!
//! A hub that itself ends TLS says so, and the keys of both ends then depend on what only the two ends of that TLS
//! connection know. Where somebody between ends TLS and makes another towards the hub, they know two different things: the
//! Challenge, whose key is bound to nothing, verifies, and the first frame after it does not. Nothing else can make it so,
//! since every other part of the session keys is under the Challenge's MAC.

use crate::wire::error::{ErrorCode, WireError};
use crate::wire::message::ChannelBinding;

use super::{AgentSession, Link};

/// The binding that the hub announced, by what this end of the connection knows.
///
/// # Errors
/// The hub ends TLS, and this connection has none.
pub(super) fn resolve(exporter: Option<[u8; 32]>, announced: ChannelBinding) -> Result<[u8; 32], WireError> {
    match (announced, exporter) {
        // Over TLS as well: what ends it stands in front of the hub.
        (ChannelBinding::None, _) => Ok([0; 32]),
        (ChannelBinding::TlsExporter, Some(exporter)) => Ok(exporter),
        (ChannelBinding::TlsExporter, None) => Err(WireError::new(
            ErrorCode::ChannelBinding,
            "the hub binds the session to its TLS connection, and this end has none: something between makes it",
        )),
    }
}

impl Link {
    /// Whether a MAC that does not verify now means that the two ends have different connections.
    const fn is_unproven(&self) -> bool {
        matches!(self.binding, ChannelBinding::TlsExporter) && !self.inbound.agreed()
    }

    /// Names the reason of a first frame that does not verify.
    pub(super) fn explain(&self, error: WireError) -> WireError {
        match error.code {
            ErrorCode::BadMac if self.is_unproven() => WireError::new(
                ErrorCode::ChannelBinding,
                "the hub's Challenge verifies and its first frame under the session's keys does not",
            ),
            _other => error,
        }
    }
}

impl AgentSession {
    /// What the hub's `bad_mac` means at this point.
    #[must_use]
    pub fn explain_refusal(&self, error: ErrorCode) -> ErrorCode {
        match (error, &self.link) {
            (ErrorCode::BadMac, Some(link)) if link.is_unproven() => ErrorCode::ChannelBinding,
            (other, _) => other,
        }
    }
}
