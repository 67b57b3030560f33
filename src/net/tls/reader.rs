//! Files that may lie on a disk that does not answer (an NFS server that is gone): they are read on a thread of its own, one
//! after the other, and nobody waits for longer than [`limit::TLS_READ_TIMEOUT`].
//!
//! A read that hangs cannot be stopped. It keeps its thread and its turn, so that however many want the files there is one
//! such thread. It is none of the runtime's, which would wait for it at its end.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard, oneshot};

use crate::limit;

/// Whose turn it is; clones share it.
#[derive(Debug, Clone)]
pub struct Reader {
    turn: Arc<Mutex<()>>,
    patience: Duration,
}

/// Why nothing was read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotRead {
    /// The disk is still at it.
    #[error("no answer within {} s: does the disk they lie on hang?", .0.as_secs())]
    Silent(Duration),
    /// There is no thread to do it.
    #[error("no thread could be begun for it: {0}")]
    Thread(String),
    /// It panicked.
    #[error("the read was cut off")]
    CutOff,
}

impl Default for Reader {
    fn default() -> Self {
        Self { turn: Arc::default(), patience: limit::TLS_READ_TIMEOUT }
    }
}

impl Reader {
    /// Does what reads files when its turn comes. Cancel safe: what was begun goes on, and is not begun again meanwhile.
    ///
    /// # Errors
    /// Where it takes too long, or cannot be done at all.
    pub async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NotRead> {
        let done = async {
            let turn = Arc::clone(&self.turn).lock_owned().await;
            let (sender, answer) = oneshot::channel();
            begin(turn, work, move |done| drop(sender.send(done)))?;
            answer.await.map_err(|_dropped| NotRead::CutOff)
        };
        let answered = tokio::time::timeout(self.patience, done).await;
        answered.unwrap_or(Err(NotRead::Silent(self.patience)))
    }

    /// The same for who may block.
    ///
    /// # Errors
    /// The same; where somebody else is at it, too.
    pub fn read_here<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NotRead> {
        let turn = Arc::clone(&self.turn).try_lock_owned();
        let turn = turn.map_err(|_taken| NotRead::Silent(Duration::ZERO))?;
        let (sender, answer) = sync_channel(1);
        begin(turn, work, move |done| drop(sender.send(done)))?;
        answer.recv_timeout(self.patience).map_err(|error| match error {
            std::sync::mpsc::RecvTimeoutError::Timeout => NotRead::Silent(self.patience),
            std::sync::mpsc::RecvTimeoutError::Disconnected => NotRead::CutOff,
        })
    }
}

/// The turn is over before its answer is there, also where the work panics.
fn begin<T: 'static>(
    turn: OwnedMutexGuard<()>,
    work: impl FnOnce() -> T + Send + 'static,
    answer: impl FnOnce(T) + Send + 'static,
) -> Result<(), NotRead> {
    let thread = std::thread::Builder::new().name("tls-files".to_owned());
    let begun = thread.spawn(move || {
        let done = {
            let _turn = turn;
            work()
        };
        answer(done);
    });
    begun.map(drop).map_err(|error: io::Error| NotRead::Thread(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A disk that answers when the other half is dropped, and counts who waits for it.
    fn disk(reads: &Arc<AtomicUsize>) -> (std::sync::mpsc::SyncSender<()>, impl FnOnce() + Send + use<>) {
        let (released, hangs) = sync_channel::<()>(1);
        let reads = Arc::clone(reads);
        (released, move || {
            reads.fetch_add(1, Ordering::Relaxed);
            let _released = hangs.recv();
        })
    }

    #[tokio::test]
    async fn however_many_want_files_of_a_disk_that_hangs_one_thread_waits_for_it_and_each_is_told() {
        let reader = Reader { patience: Duration::from_millis(50), ..Reader::default() };
        let reads = Arc::new(AtomicUsize::new(0));
        let (released, first) = disk(&reads);
        let mut waiting = tokio::task::JoinSet::new();
        let (own, silent) = (reader.clone(), Err(NotRead::Silent(reader.patience)));
        waiting.spawn(async move { own.read(first).await });
        while reads.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        let mut kept = Vec::new();
        for _ in 0..100 {
            let (own, (released, work)) = (reader.clone(), disk(&reads));
            kept.push(released);
            waiting.spawn(async move { own.read(work).await });
        }
        while let Some(answer) = waiting.join_next().await {
            assert_eq!(answer.unwrap(), silent);
        }
        assert_eq!(reads.load(Ordering::Relaxed), 1);
        assert_eq!(reader.read_here(|| ()), Err(NotRead::Silent(Duration::ZERO)), "it is taken");
        drop(released);
        let patient = Reader { patience: Duration::from_secs(20), ..reader };
        assert_eq!(patient.read(|| 7).await, Ok(7), "the disk answers again");
        assert_eq!(patient.read_here(|| 8), Ok(8));
        assert_eq!(reads.load(Ordering::Relaxed), 1, "who gave up reads no more");
    }

    #[tokio::test]
    async fn a_read_that_panics_leaves_the_turn_to_others() {
        let reader = Reader::default();
        let broken: fn() -> u8 = || panic!("a test's");
        assert_eq!(reader.read(broken).await, Err(NotRead::CutOff));
        assert_eq!(reader.read_here(broken), Err(NotRead::CutOff));
        assert_eq!(reader.read(|| 7).await, Ok(7));
    }

    #[test]
    fn a_start_does_not_wait_for_ever() {
        let reader = Reader { patience: Duration::from_millis(50), ..Reader::default() };
        let (released, work) = disk(&Arc::default());
        assert_eq!(reader.read_here(work), Err(NotRead::Silent(reader.patience)));
        drop(released);
    }
}
