//! A second pair of eyes on the store's thread: a disk may keep it in one call for ever, and those who wait must hear of it.
//!
//! The thread says when it takes up work, when a piece of it is done and when it rests. [`Watch::look`], from a thread of
//! its own, finds a piece that takes longer than `limit::COMMIT_TIMEOUT`: from then on whoever waits or comes is told
//! `degraded`. When the call comes back after all, [`Watch::progress`] fails, so that nothing of it counts: what its
//! waiters were told stays true, and the store is poisoned.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::limit;
use crate::time::BootTime;

use super::host::{Fault, Host};

#[derive(Debug, Default)]
struct State {
    /// Since when the present piece of work lasts.
    began: Option<BootTime>,
    /// The first piece that took too long.
    late: Option<String>,
    ended: bool,
}

/// What both sides know.
#[derive(Debug)]
pub(super) struct Watch {
    state: Mutex<State>,
    wake: Condvar,
    /// Why nobody is answered at present.
    hangs: watch::Sender<Option<String>>,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self { state: Mutex::default(), wake: Condvar::new(), hangs: watch::Sender::new(None) }
    }

    // Nothing under this lock can panic half way, so a poisoned one is still sound.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread takes up work.
    pub(super) fn begin(&self, now: BootTime) {
        self.state().began = Some(now);
    }

    /// A piece of work is done and the next begins.
    ///
    /// # Errors
    /// It took too long, or one before it did: nothing of it counts.
    pub(super) fn progress(&self, now: BootTime) -> Result<(), Fault> {
        let mut state = self.state();
        if let Some(text) = state.began.and_then(|began| late(began, now)) {
            state.late.get_or_insert(text);
        }
        state.began = Some(now);
        self.answers();
        state.late.clone().map_or(Ok(()), |text| Err(Fault::Broken(text)))
    }

    /// The thread waits for work.
    pub(super) fn rest(&self) {
        self.state().began = None;
        self.answers();
    }

    fn answers(&self) {
        self.hangs.send_if_modified(|hangs| hangs.take().is_some());
    }

    /// Judges the piece of work that goes on.
    pub(super) fn look(&self, now: BootTime) {
        let mut state = self.state();
        let Some(text) = state.began.and_then(|began| late(began, now)) else { return };
        let text = state.late.get_or_insert(text).clone();
        self.hangs.send_if_modified(|hangs| {
            if hangs.is_some() {
                return false;
            }
            tracing::error!(
                reason = text,
                "the outbox's disk does not answer; nothing is taken until a restart"
            );
            *hangs = Some(text);
            true
        });
    }

    /// Looks now and then until [`Self::end`].
    pub(super) fn stand(&self, host: &dyn Host) {
        loop {
            let ended = |state: &mut State| !state.ended;
            let waited = self.wake.wait_timeout_while(self.state(), limit::COMMIT_LOOK_INTERVAL, ended);
            if waited.unwrap_or_else(PoisonError::into_inner).0.ended {
                return;
            }
            self.look(host.now());
        }
    }

    /// Nobody works any more.
    pub(super) fn end(&self) {
        let mut state = self.state();
        (state.ended, state.began) = (true, None);
        self.answers();
        drop(state);
        self.wake.notify_one();
    }

    /// Returns when the thread hangs, with the reason; never where it is gone.
    pub(super) async fn hang(&self) -> String {
        let mut hangs = self.hangs.subscribe();
        let found = hangs.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
        match found {
            Some(reason) => reason,
            None => std::future::pending().await,
        }
    }
}

fn late(began: BootTime, now: BootTime) -> Option<String> {
    let lasted = now.since(began);
    (lasted >= limit::COMMIT_TIMEOUT).then(|| {
        let most = limit::COMMIT_TIMEOUT.as_secs();
        format!("the disk took {} s for one step, {most} s are the most: check the disk", lasted.as_secs())
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> BootTime {
        BootTime(Duration::from_secs(seconds))
    }

    fn hangs(watch: &Watch) -> bool {
        watch.hangs.borrow().is_some()
    }

    #[test]
    fn work_in_time_is_nobodys_business() {
        let watch = Watch::new();
        watch.begin(at(100));
        watch.look(at(159));
        watch.progress(at(159)).unwrap();
        watch.look(at(218));
        assert!(!hangs(&watch));
        watch.rest();
        watch.look(at(10_000));
        assert!(!hangs(&watch), "a thread without work does not hang");
    }

    #[test]
    fn a_step_that_comes_back_too_late_does_not_count_and_none_after_it() {
        let watch = Watch::new();
        watch.begin(at(100));
        watch.look(at(160));
        assert!(hangs(&watch));
        assert!(watch.progress(at(161)).is_err());
        assert!(!hangs(&watch), "whoever waits is answered again");
        assert!(watch.progress(at(161)).is_err());
        watch.look(at(221));
        assert!(hangs(&watch), "the next one may hang as well");
    }

    #[test]
    fn a_late_step_that_nobody_saw_does_not_count_either() {
        let watch = Watch::new();
        watch.begin(at(100));
        assert!(watch.progress(at(160)).is_err());
    }
}
