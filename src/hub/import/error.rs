//! Why a bundle is not taken in. Nothing has changed then.

use std::io;

use crate::hub::store::StoreError;
use crate::id::{AgentId, HubId, KeyId, StreamId};
use crate::limit;
use crate::outbox::bundle::BundleError;

/// See the module.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It is not a sound bundle.
    #[error(transparent)]
    Bundle(BundleError),
    /// It is for another hub.
    #[error("the bundle is for hub {found}, this is {own}: import it there")]
    OtherHub {
        /// Its hub.
        found: HubId,
        /// This one.
        own: HubId,
    },
    /// The hub does not know its agent.
    #[error(
        "the bundle is of agent {0}, which this hub does not know, or not any more; `outpost hub agent list` shows those it knows"
    )]
    UnknownAgent(AgentId),
    /// The hub does not know its key.
    #[error(
        "the bundle is made with key {0} of its agent, which this hub does not know: export it with the agent's present key"
    )]
    UnknownKey(KeyId),
    /// The agent was revoked.
    #[error("the bundle is of agent {0}, which is revoked: nothing of it is taken")]
    Revoked(AgentId),
    /// What comes before it is not here.
    #[error(
        "earlier bundle missing: {stream} begins with {first} in this bundle, and this hub has it up to {mark}; import the one before first"
    )]
    EarlierMissing {
        /// The stream.
        stream: StreamId,
        /// The bundle's first number.
        first: u64,
        /// The hub's mark.
        mark: u64,
    },
    /// The bundle has another record under a number that is stored here.
    #[error(
        "{stream} {seq} is another record in this bundle than the one this hub has: the agent's disk went back in time; connect the agent once, so that it begins a new epoch"
    )]
    RolledBack {
        /// The stream.
        stream: StreamId,
        /// The number.
        seq: u64,
    },
    /// Records that do not decode.
    #[error(
        "{stream} from {first}: {detail}; the bundle's MACs are right, so its agent stored them like this"
    )]
    Records {
        /// The stream.
        stream: StreamId,
        /// Number of the first.
        first: u64,
        /// What is wrong.
        detail: String,
    },
    /// Longer than a hub takes.
    #[error("the bundle has more than {max} bytes, the limit; export and import more often", max = limit::BUNDLE_BYTES_MAX)]
    TooLarge,
    /// The sender stopped sending.
    #[error("the bundle did not come to its end: {0}; send it again")]
    Sender(String),
    /// The spooled file cannot be written or read.
    #[error("the hub's copy of the bundle: {0}; see to the disk its folder is on, then import it again")]
    Spool(#[from] io::Error),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ImportError {
    /// Its name in an answer of the API, and the HTTP status.
    pub const fn code(&self) -> (u16, &'static str) {
        match self {
            Self::Bundle(BundleError::Newer { .. }) => (400, "newer_bundle"),
            Self::Bundle(BundleError::Mac { .. } | BundleError::Unsigned(_) | BundleError::Signature(_)) => {
                (403, "not_verified")
            }
            Self::Bundle(_) | Self::Records { .. } => (400, "bad_bundle"),
            Self::OtherHub { .. } => (403, "other_hub"),
            Self::UnknownAgent(_) | Self::Store(StoreError::NotWelcome) => (403, "unknown_agent"),
            Self::UnknownKey(_) => (403, "key_unknown"),
            Self::Revoked(_) | Self::Store(StoreError::Revoked) => (403, "revoked"),
            Self::EarlierMissing { .. } => (409, "earlier_bundle_missing"),
            Self::RolledBack { .. } => (409, "rolled_back"),
            Self::TooLarge => (413, "too_large"),
            Self::Sender(_) => (400, "cut_off"),
            Self::Spool(_) => (503, "storage_full"),
            Self::Store(_) => (503, "store"),
        }
    }
}
