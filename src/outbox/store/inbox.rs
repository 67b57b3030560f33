//! What waits for the store's thread: appends by lane, bounded in number and bytes, and other requests.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::id::Lane;
use crate::limit;
use crate::outbox::admit::Encoded;
use crate::outbox::job::JobChange;
use crate::outbox::ledger::PerLane;
use crate::outbox::{AppendError, Appended, StoreError};

use super::thread::Store;

/// A semaphore's permit stands for this many queued bytes.
const PERMIT_BYTES: usize = 1024;
/// The least an append takes, so that at most `limit::COMMIT_QUEUE` of them wait.
const PERMITS_MIN: usize = PERMITS / limit::COMMIT_QUEUE;
const PERMITS: usize = limit::COMMIT_ROUND_BYTES / PERMIT_BYTES;
/// Bytes one lane brings into one round.
const LANE_ROUND_BYTES: usize = limit::COMMIT_ROUND_BYTES / 4;

/// One append on its way.
#[derive(Debug)]
pub(super) struct Append {
    pub(super) encoded: Encoded,
    /// Rows that are committed with the records; only in the control lane.
    pub(super) job: Option<JobChange>,
    pub(super) reply: oneshot::Sender<Result<Appended, AppendError>>,
    _permit: OwnedSemaphorePermit,
}

/// A request other than an append; it answers by itself.
pub(super) type Request = Box<dyn FnOnce(&mut Store) + Send>;

/// Answered when the store is closed.
pub(super) type CloseReply = oneshot::Sender<Result<(), StoreError>>;

#[derive(Default)]
struct State {
    appends: PerLane<VecDeque<Append>>,
    requests: VecDeque<(Request, OwnedSemaphorePermit)>,
    closed: bool,
    close_reply: Option<CloseReply>,
}

/// What the thread takes at once.
pub(super) struct Work {
    pub(super) appends: PerLane<Vec<Append>>,
    pub(super) requests: Vec<(Request, OwnedSemaphorePermit)>,
    pub(super) closed: bool,
    pub(super) close_reply: Option<CloseReply>,
}

/// The queue between tasks and the thread.
pub(super) struct Inbox {
    state: Mutex<State>,
    wake: Condvar,
    bytes: PerLane<Arc<Semaphore>>,
    requests: Arc<Semaphore>,
}

impl Inbox {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
            wake: Condvar::new(),
            bytes: PerLane::from_fn(|_| Arc::new(Semaphore::new(PERMITS))),
            requests: Arc::new(Semaphore::new(limit::COMMIT_QUEUE)),
        }
    }

    // Nothing under this lock can panic half way, so a poisoned one is still sound.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues an append as soon as there is room.
    pub(super) async fn append(
        &self,
        lane: Lane,
        encoded: Encoded,
        job: Option<JobChange>,
    ) -> Result<oneshot::Receiver<Result<Appended, AppendError>>, AppendError> {
        let rows = job.as_ref().map_or(0, |change| change.row.len() + change.spec.len());
        let permits = (encoded.bytes.len() + rows).div_ceil(PERMIT_BYTES).clamp(PERMITS_MIN, PERMITS);
        let permits = u32::try_from(permits).unwrap_or(u32::MAX);
        let acquired = Arc::clone(self.bytes.of(lane)).acquire_many_owned(permits).await;
        let permit = acquired.map_err(|_| AppendError::Closed)?;
        let (reply, answer) = oneshot::channel();
        let mut state = self.state();
        if state.closed {
            return Err(AppendError::Closed);
        }
        state.appends.of_mut(lane).push_back(Append { encoded, job, reply, _permit: permit });
        drop(state);
        self.wake.notify_one();
        Ok(answer)
    }

    /// Queues a request as soon as there is room.
    pub(super) async fn request(&self, request: Request) -> Result<(), StoreError> {
        let acquired = Arc::clone(&self.requests).acquire_owned().await;
        let permit = acquired.map_err(|_| StoreError::Closed)?;
        let mut state = self.state();
        if state.closed {
            return Err(StoreError::Closed);
        }
        state.requests.push_back((request, permit));
        drop(state);
        self.wake.notify_one();
        Ok(())
    }

    /// Lets nothing more in; what was queued before is still carried out.
    pub(super) fn close(&self, reply: Option<CloseReply>) {
        let mut state = self.state();
        if state.closed {
            return;
        }
        state.closed = true;
        state.close_reply = reply;
        drop(state);
        self.wake.notify_one();
    }

    /// Ends everything that still waits, when the thread is gone.
    pub(super) fn abort(&self) {
        let mut state = self.state();
        let appends = std::mem::take(&mut state.appends);
        let requests = std::mem::take(&mut state.requests);
        state.closed = true;
        drop(state);
        for lane in Lane::ALL {
            self.bytes.of(lane).close();
        }
        self.requests.close();
        drop((appends, requests));
    }

    /// Waits for work, at most for `patience`.
    pub(super) fn take(&self, patience: Duration) -> Work {
        let idle = |state: &mut State| {
            state.requests.is_empty()
                && !state.closed
                && Lane::ALL.into_iter().all(|lane| state.appends.of(lane).is_empty())
        };
        let waited = self.wake.wait_timeout_while(self.state(), patience, idle);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        let appends = PerLane::from_fn(|lane| take_round(state.appends.of_mut(lane)));
        let requests = state.requests.drain(..).collect();
        let empty = Lane::ALL.into_iter().all(|lane| state.appends.of(lane).is_empty());
        let closed = state.closed && empty;
        Work { appends, requests, closed, close_reply: if closed { state.close_reply.take() } else { None } }
    }
}

fn take_round(queue: &mut VecDeque<Append>) -> Vec<Append> {
    let mut bytes = 0usize;
    let fits = queue.iter().take_while(|append| {
        bytes = bytes.saturating_add(append.encoded.bytes.len());
        bytes <= LANE_ROUND_BYTES
    });
    let count = fits.count().max(1).min(queue.len());
    queue.drain(..count).collect()
}
