//! The store without its thread, for a simulation that says when it works and on which machine. Test only.

use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::outbox::ledger::Ledger;
use crate::outbox::{OpenError, StoreError};

use super::host::Host;
use super::inbox::Inbox;
use super::thread::Store;
use super::watch::Watch;
use super::{Options, Outbox};

/// Turns after which an answer has come; one is usual.
const TURNS_MAX: usize = 1000;

/// The store behind a handle, worked by whoever holds this.
pub(crate) struct Inline {
    store: Store,
    inbox: Arc<Inbox>,
}

impl Drop for Inline {
    fn drop(&mut self) {
        self.inbox.abort();
    }
}

impl Outbox {
    /// Opens an outbox on a machine of the caller's.
    pub(crate) fn open_inline(
        host: Arc<dyn Host>,
        dir: &Path,
        options: &Options,
    ) -> Result<(Self, Inline), OpenError> {
        let watch = Arc::new(Watch::new());
        let store = Store::open(host, dir.to_owned(), options, Arc::clone(&watch))?;
        let inbox = Arc::new(Inbox::new());
        let handle = store.handle(Arc::clone(&inbox));
        Ok((Self { handle: Arc::new(handle) }, Inline { store, inbox }))
    }
}

impl Inline {
    /// What the thread would do now.
    pub(crate) fn turn(&mut self) {
        let work = self.inbox.take(Duration::ZERO);
        let closing = self.store.turn(work);
        assert!(closing.is_none(), "ended by `stop` only");
    }

    /// Carries out a call of the handle.
    pub(crate) fn wait<T>(&mut self, call: impl Future<Output = T>) -> T {
        let mut call = pin!(call);
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..TURNS_MAX {
            if let Poll::Ready(answer) = call.as_mut().poll(&mut context) {
                return answer;
            }
            self.turn();
        }
        panic!("the store does not answer");
    }

    /// A clean stop.
    pub(crate) fn stop(mut self) -> Result<(), StoreError> {
        self.store.stop()
    }

    /// What the store knows it holds.
    pub(crate) fn ledger(&self) -> &Ledger {
        &self.store.ledger
    }

    /// Why nothing more is accepted, where nothing is.
    pub(crate) fn poisoned(&self) -> Option<&str> {
        self.store.poisoned.as_deref()
    }
}
