//! The outbox on disk: a handle for tasks, and one OS thread that owns every file.
//!
//! The handle sends requests through a bounded inbox and waits for answers; a request that was taken is carried out
//! even where its future is dropped. Dropping the last handle stops the thread without waiting for it; [`Outbox::close`]
//! waits and reports.

mod ack;
mod ballast;
mod buffer;
mod carve;
mod committer;
mod core;
mod database;
mod drain;
mod evict;
mod figures;
mod format;
mod full;
mod gap;
mod generation;
pub(crate) mod host;
mod inbox;
#[cfg(test)]
pub(crate) mod inline;
mod job;
mod key_check;
mod key_file;
mod lock;
mod mark;
mod options;
mod poison;
mod quarantine;
mod reader;
mod recover;
mod rescue;
mod roll;
mod room;
mod spans;
#[cfg(test)]
mod tests;
mod thread;
mod verify;
mod wait;
mod watch;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::id::{AgentId, Lane};
use crate::wire::message::StreamState;

use super::admit::Encoded;
use super::job::{JobChange, JobRows};
use super::ledger::PerLane;
use super::policy::{LanePolicy, OnFull};
use super::stat::{Verifiable, Verified};
use super::{AppendError, Appended, NewRecord, OpenError, Range, Stat, StoreError, admit};
use host::{Host, System};
use inbox::Inbox;
pub use options::Options;
use thread::Store;
use watch::Watch;

/// A handle on an open outbox; clones share it.
#[derive(Clone)]
pub struct Outbox {
    handle: Arc<Handle>,
}

struct Handle {
    inbox: Arc<Inbox>,
    durable: tokio::sync::watch::Receiver<[StreamState; 3]>,
    room: tokio::sync::watch::Receiver<u64>,
    lanes: PerLane<LanePolicy>,
    watch: Arc<Watch>,
    /// The figures that were asked for last.
    stat: Mutex<Stat>,
}

impl Store {
    /// A handle on this store; the last one that is dropped closes its inbox.
    fn handle(&self, inbox: Arc<Inbox>) -> Handle {
        let (durable, room) = (self.durable.subscribe(), self.room.subscribe());
        let watch = Arc::clone(&self.watch);
        Handle { inbox, durable, room, lanes: self.rules.lanes, watch, stat: Mutex::default() }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.inbox.close(None);
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("durable", &*self.handle.durable.borrow()).finish()
    }
}

/// Ends what still waits when the thread ends, however it does.
struct Guard(Arc<Inbox>, Arc<Watch>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.1.end();
        self.0.abort();
    }
}

impl Outbox {
    /// Opens or makes the outbox in `dir` and draws each lane's epoch. Blocks until that is durable.
    ///
    /// # Errors
    /// The folder is in use, another agent's, of a newer format, damaged, cannot be written, or is encrypted with another key.
    pub fn open(dir: &Path, options: Options) -> Result<Self, OpenError> {
        Self::open_on(Arc::new(System), dir, options)
    }

    /// As [`Self::open`], on another machine.
    pub(crate) fn open_on(host: Arc<dyn Host>, dir: &Path, options: Options) -> Result<Self, OpenError> {
        let (sender, opened) = std::sync::mpsc::sync_channel(1);
        let (inbox, watch) = (Arc::new(Inbox::new()), Arc::new(Watch::new()));
        let guard = Guard(inbox, Arc::clone(&watch));
        let (folder, machine) = (dir.to_owned(), Arc::clone(&host));
        let work = move || match Store::open(machine, folder, &options, Arc::clone(&guard.1)) {
            Ok(store) => {
                let _ = sender.send(Ok(store.handle(Arc::clone(&guard.0))));
                store.run(&guard.0);
            }
            Err(error) => {
                let _ = sender.send(Err(error));
            }
        };
        let io = |source| OpenError::Io { action: "start the thread of", path: dir.to_owned(), source };
        let start = |name: &str| std::thread::Builder::new().name(name.to_owned());
        start("outbox").spawn(work).map_err(io)?;
        let handle = opened.recv().map_err(|_| OpenError::Store(StoreError::Closed))??;
        start("outbox-watch").spawn(move || watch.stand(&*host)).map_err(io)?;
        Ok(Self { handle: Arc::new(handle) })
    }

    /// Waits for an answer of the thread, as long as that does not hang. An answer that is there counts all the same.
    async fn answered<T>(&self, answer: impl Future<Output = T>) -> Result<T, String> {
        tokio::select! {
            biased;
            answer = answer => Ok(answer),
            reason = self.handle.watch.hang() => Err(reason),
        }
    }

    async fn queue(
        &self,
        lane: Lane,
        encoded: Encoded,
        job: Option<JobChange>,
    ) -> Result<Appended, AppendError> {
        let queued = async {
            let answer = self.handle.inbox.append(lane, encoded, job).await?;
            answer.await.map_err(|_| AppendError::Closed)?
        };
        self.answered(queued).await.unwrap_or_else(|reason| Err(AppendError::Degraded { reason }))
    }

    /// Takes records in; returns once they are durable, or as the lane's [`Durability`](super::Durability) says. In a
    /// full lane its [`OnFull`] decides. All of one call are committed at once and numbered without a
    /// gap. Dropped after it was queued, the records may be durable all the same.
    ///
    /// # Errors
    /// A record or the call is too large, the lane or the disk is full, or the store is degraded or closed.
    pub async fn append(&self, lane: Lane, records: Vec<NewRecord>) -> Result<Appended, AppendError> {
        let encoded = admit::encode(lane, records)?;
        match self.handle.lanes.of(lane).on_full {
            OnFull::Refuse | OnFull::Evict => self.queue(lane, encoded, None).await,
            OnFull::Block => self.append_patiently(lane, encoded).await,
        }
    }

    /// Commits a change of the journal of jobs with the control records that tell of it. Not undone where the future is
    /// dropped after it was queued.
    ///
    /// # Errors
    /// As [`Outbox::append`]; `LaneFull` too where there is no room for a reservation.
    pub async fn change_job(&self, mut change: JobChange) -> Result<(), AppendError> {
        job::check(&change)?;
        let encoded = admit::encode_any(Lane::Control, std::mem::take(&mut change.records))?;
        self.queue(Lane::Control, encoded, Some(change)).await.map(|_numbers| ())
    }

    /// The journal as it was left.
    ///
    /// # Errors
    /// The core cannot be read.
    pub async fn jobs(&self) -> Result<JobRows, StoreError> {
        self.call(Store::jobs).await?
    }

    /// The current stream of each lane, in the order of [`Lane::ALL`]; changes when records become durable.
    pub fn durable(&self) -> tokio::sync::watch::Receiver<[StreamState; 3]> {
        self.handle.durable.clone()
    }

    async fn call<T: Send + 'static>(
        &self,
        request: impl FnOnce(&mut Store) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let request = move |store: &mut Store| {
            let _ = reply.send(request(store));
        };
        let asked = async {
            self.handle.inbox.request(Box::new(request)).await?;
            answer.await.map_err(|_| StoreError::Closed)
        };
        self.answered(asked).await.unwrap_or_else(|reason| Err(StoreError::Degraded { reason }))
    }

    /// Figures of the whole.
    ///
    /// # Errors
    /// The outbox is closed.
    pub async fn stat(&self) -> Result<Stat, StoreError> {
        let stat = self.call(Store::stat).await;
        let mut last = self.handle.stat.lock().unwrap_or_else(PoisonError::into_inner);
        match stat {
            Ok(stat) => *last = stat,
            // The thread hangs: what it said last, and that.
            Err(StoreError::Degraded { .. }) => last.degraded = true,
            Err(error) => return Err(error),
        }
        Ok(last.clone())
    }

    /// What is held, one contiguous range each.
    ///
    /// # Errors
    /// The outbox is closed.
    pub async fn ranges(&self) -> Result<Vec<Range>, StoreError> {
        self.call(|store| store.ranges()).await
    }

    /// What can be verified apart, see [`Self::verify`].
    ///
    /// # Errors
    /// The outbox is closed.
    pub async fn verifiable(&self) -> Result<Vec<Verifiable>, StoreError> {
        self.call(|store| store.verifiable()).await
    }

    /// Reads every unacked block of one part again, as it lies on disk. Changes nothing, declares nothing; what gaps say
    /// already is no damage.
    ///
    /// # Errors
    /// It cannot be read just now.
    pub async fn verify(&self, part: Verifiable) -> Result<Verified, StoreError> {
        self.call(move |store| store.verify(part)).await?
    }

    /// A small value kept under a name.
    ///
    /// # Errors
    /// The core cannot be read.
    pub async fn get(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        let name = name.to_owned();
        self.call(move |store| store.get(&name)).await?
    }

    /// Keeps a small value (at most 6 KiB) under a name (at most 64 bytes); durable when this returns. After an error and
    /// a crash it may be either value.
    ///
    /// # Errors
    /// Out of bounds, or the store is degraded.
    pub async fn put(&self, name: &str, value: Bytes) -> Result<(), StoreError> {
        let name = name.to_owned();
        self.call(move |store| store.put(&name, &value)).await?
    }

    /// Makes the outbox this agent's, once.
    ///
    /// # Errors
    /// It is another agent's, or cannot be written.
    pub async fn bind_agent(&self, agent: AgentId) -> Result<(), OpenError> {
        self.call(move |store| store.bind(agent)).await?
    }

    /// Finishes what is queued, syncs and releases the folder. Other handles get `closed` from now on.
    ///
    /// # Errors
    /// The store is degraded, or was closed before.
    pub async fn close(self) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        self.handle.inbox.close(Some(reply));
        let answered = self.answered(answer).await;
        let answered = answered.map_err(|reason| StoreError::Degraded { reason })?;
        answered.map_err(|_| StoreError::Closed)?
    }
}
