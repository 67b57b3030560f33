//! Bundles at the agent: writing what waits, and taking the acks that come back. docs/bundle.md is the letter.
//!
//! Both work on an open outbox, whoever opened it: the running agent for its local socket, the command line for the folder
//! of a stopped one. Records stay in the outbox until they are acked.

mod ack;
mod export;
#[cfg(test)]
mod tests;

use crate::id::{RecordId, StreamId};
use crate::outbox::bundle::{AcksError, BundleError, PlanError};
use crate::outbox::{OpenError, StoreError};

use super::identity::IdentityError;

pub use ack::{Acked, ack};
pub use export::{Begun, Export, Exported};

/// Why no bundle could be written or no acks taken.
#[derive(Debug, thiserror::Error)]
pub enum BundleFailure {
    /// Bundles are made with the agent's key.
    #[error("a bundle needs the agent's key: {0}")]
    Identity(#[from] IdentityError),
    /// The outbox is another agent's.
    #[error(transparent)]
    Foreign(#[from] OpenError),
    /// The outbox cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Too much for one bundle.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The bundle cannot be written.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// A record went while the bundle was written.
    #[error("{0} is not in the outbox any more: it was acked while the bundle was written; export again")]
    Gone(RecordId),
    /// The ack file is of no use here.
    #[error(transparent)]
    Acks(#[from] AcksError),
    /// The hub has what this outbox never had.
    #[error(
        "the ack file has {stream} up to {acked}, of which this outbox only knows up to {last}, or another record under that number: this agent's disk went back in time; nothing was acked. Connect the agent once, so that it begins a new epoch"
    )]
    RolledBack {
        /// The stream.
        stream: StreamId,
        /// The hub's mark.
        acked: u64,
        /// The outbox's last number.
        last: u64,
    },
}

impl BundleFailure {
    /// Its name on the local socket.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Identity(_) => "no_identity",
            Self::Foreign(_) => "foreign",
            Self::Store(_) => "store",
            Self::Plan(_) | Self::Bundle(_) | Self::Gone(_) => "export",
            Self::Acks(_) => "bad_acks",
            Self::RolledBack { .. } => "rolled_back",
        }
    }
}
