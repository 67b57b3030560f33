//! A core with a row that cannot be read while it is open: the store goes on with what can be carved out of its file, and
//! with what the ledger knows. A core that cannot be read even then degrades the store: the next start looks again.

use crate::id::Lane;
use crate::outbox::StoreError;
use crate::wire::message::{LossReason, LossReport};

use super::core::{self, Core};
use super::host::Fault;
use super::thread::Store;

impl Store {
    /// Reads from the core; once more where it had to be carved. Without one that can be read nothing is known of its rows.
    pub(super) fn read_core<T>(
        &mut self,
        mut read: impl FnMut(&mut Core) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        let path = self.dir.join("core");
        let core = self.core.as_mut().ok_or(StoreError::Closed)?;
        let detail = match read(core) {
            Err(Fault::Broken(detail)) => detail,
            other => return other.map_err(|fault| fault.unreadable(path)),
        };
        self.rescue_core(&detail)?;
        let core = self.core.as_mut().ok_or(StoreError::Closed)?;
        read(core).map_err(|fault| self.fail(fault))
    }

    fn rescue_core(&mut self, detail: &str) -> Result<(), StoreError> {
        self.check()?;
        let (host, dir) = (&*self.host, &self.dir);
        tracing::error!(detail, path = %dir.display(), "the outbox's core cannot be read: its rows are carved out");
        let Some(core) = self.core.as_mut() else { return Err(StoreError::Closed) };
        if core.dirty() {
            return Err(self.fail(Fault::Broken(detail.to_owned())));
        }
        match core.rescue(host, dir) {
            Ok(false) => Ok(()),
            Ok(true) => {
                self.put_known();
                let stream = self.ledger.current(Lane::Control);
                let from = self.ledger.mark(stream).acked.saturating_add(1);
                let to = from.max(self.ledger.next(Lane::Control).saturating_sub(1));
                self.report_core_lost(LossReport { stream, from, to, reason: LossReason::CoreLost });
                Ok(())
            }
            Err(fault) => Err(self.fail(fault)),
        }
    }

    /// What the ledger knows goes into the next commit, whatever of it is still there.
    fn put_known(&mut self) {
        let Some(core) = &mut self.core else { return };
        for lane in Lane::ALL {
            let epoch = self.ledger.current(lane).epoch;
            core.put(&core::epoch_key(lane), &epoch.as_u64().to_be_bytes());
        }
        for (id, stream) in self.ledger.streams() {
            core.put_later(&core::cursor_key(id), &core::cursor_value(stream.acked, stream.acked_crc));
            if self.ledger.current(id.lane) != id {
                core.put(&core::next_key(id), &core::next_value(stream.next));
            }
        }
        for gap in self.ledger.gaps() {
            let (key, value) = core::gap_row(gap);
            core.put(&key, &value);
        }
    }
}
