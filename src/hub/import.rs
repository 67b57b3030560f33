//! Taking a bundle in: spooled to the hub's disk, verified whole, then stored in one transaction of the writer.
//!
//! Nothing is believed before the last frame was verified: the first pass over the spooled file does only that. The
//! second pass hands pieces to the writer, which moves marks by the same compare-and-set as for sessions. What lies at or
//! below a mark is passed over, so a bundle that comes twice has no effect the second time.

mod error;
mod feed;
mod spool;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::sync::Arc;

use crate::hub::store::{AgentRow, Credential, Denied, Store};
use crate::id::{AgentName, BundleId};
use crate::obs::clock;
use crate::outbox::bundle::{Acks, BundleError, Header};
use crate::time::HubTime;
use crate::wire::identity::BoundKey;
use crate::wire::message::StreamMark;

pub use error::ImportError;
pub use spool::Spool;

use feed::{Counts, feed};
use spool::Pass;

/// What became of a bundle.
#[derive(Debug)]
pub struct Imported {
    /// Whose it is.
    pub agent: AgentName,
    /// Which bundle.
    pub bundle: BundleId,
    /// Records that are stored now and were not before.
    pub records: u64,
    /// Gaps likewise.
    pub gaps: u64,
    /// Numbers that were there before.
    pub known: u64,
    /// What the hub has of each stream of the bundle.
    pub marks: Vec<StreamMark>,
    /// The file for the way back.
    pub acks: Vec<u8>,
}

/// Takes a spooled bundle in.
///
/// # Errors
/// See [`ImportError`]; then nothing has changed.
pub async fn import(store: &Store, spool: Spool) -> Result<Imported, ImportError> {
    let (header, file) = blocking(move || spool.header()).await?;
    let credential = credential(store, &header).await?;
    let Credential { agent, mac_root, identity, .. } = credential;
    let (agent, root) = (Arc::new(agent), mac_root.clone());
    let file = blocking(move || verify(file, &root, identity)).await?;
    let streams = header.ranges.iter().map(|range| range.stream).collect();
    let import = store.import(Arc::clone(&agent), streams).await?;
    let marks = import.marks.await;
    let (fed, outcome) = match marks {
        Ok(marks) => {
            let (header, agent, pieces) = (header.clone(), Arc::clone(&agent), import.pieces);
            let root = mac_root.clone();
            let fed = blocking(move || {
                let pass = Pass::unlocked(file, &root, identity)?;
                feed(pass, &header, &agent, &marks, &pieces, HubTime(clock::wall_now().0))
            })
            .await;
            (Some(fed), import.outcome.await)
        }
        Err(_) => (None, import.outcome.await),
    };
    finish(header, &agent, &mac_root, fed, outcome)
}

/// The source's own error says more than the writer's, which only saw that no more came.
fn finish(
    header: Header,
    agent: &AgentRow,
    root: &crate::wire::key::MacRoot,
    fed: Option<Result<Counts, ImportError>>,
    outcome: Result<
        Result<Vec<StreamMark>, crate::hub::store::StoreError>,
        tokio::sync::oneshot::error::RecvError,
    >,
) -> Result<Imported, ImportError> {
    use crate::hub::store::StoreError;
    let outcome = outcome.unwrap_or(Err(StoreError::Closed));
    let counts = match fed {
        Some(Err(error @ ImportError::Store(_))) => {
            return Err(outcome.err().map_or(error, ImportError::Store));
        }
        Some(Err(error)) => return Err(error),
        Some(Ok(counts)) => counts,
        None => Counts::default(),
    };
    let marks = outcome?;
    let Header { hub_id, agent_id, bundle, key_id, .. } = header;
    let acks = Acks { hub_id, agent_id, bundle, key_id, marks: marks.clone() }.encode(root);
    let Counts { records, gaps, known } = counts;
    Ok(Imported { agent: agent.name.clone(), bundle, records, gaps, known, marks, acks })
}

async fn credential(store: &Store, header: &Header) -> Result<Credential, ImportError> {
    if header.hub_id != store.hub_id() {
        return Err(ImportError::OtherHub { found: header.hub_id, own: store.hub_id() });
    }
    let found = store.credential_of(header.agent_id, &header.key_id).await?;
    found.map_err(|denied| match denied {
        Denied::UnknownAgent => ImportError::UnknownAgent(header.agent_id),
        Denied::KeyUnknown | Denied::Unauthorized => ImportError::UnknownKey(header.key_id.clone()),
        Denied::Revoked => ImportError::Revoked(header.agent_id),
    })
}

/// The first pass: everything is read and verified, nothing is used.
fn verify(
    file: File,
    root: &crate::wire::key::MacRoot,
    identity: Option<BoundKey>,
) -> Result<File, ImportError> {
    let mut pass = Pass::unlocked(file, root, identity)?;
    while pass.next()?.is_some() {}
    Ok(pass.into_file())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ImportError> + Send + 'static,
) -> Result<T, ImportError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(ImportError::Spool(std::io::Error::other(error))),
    }
}

impl From<BundleError> for ImportError {
    fn from(error: BundleError) -> Self {
        Self::Bundle(error)
    }
}
