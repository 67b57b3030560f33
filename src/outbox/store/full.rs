//! A full disk: what is refused is sealed off, nothing else stops, and the store mends itself when there is room.
//!
//! A database that met a full disk stays broken until it is closed and opened again, and may hold a part of what was
//! refused. So before a refusal is returned the mark says durably what counts. A generation is closed, and the next begins
//! after the last number that counts: what lies behind it in the old one is never read. The core is opened again and what
//! its rows held before is put back; until that is done it takes nothing. Cursors move on in memory all the while.

use crate::id::{Lane, StreamId};
use crate::limit;
use crate::outbox::name::GenerationName;
use crate::outbox::{AppendError, StoreError};
use crate::time::BootTime;

use super::ballast::{self, Ballast};
use super::core::Core;
use super::generation;
use super::host::Fault;
use super::thread::Store;

impl Store {
    /// What whoever appended to a lane hears after a failure.
    pub(super) fn refuse(&mut self, lane: Lane, fault: Fault) -> AppendError {
        let detail = fault.to_string();
        self.drop_wanted();
        match fault {
            Fault::Full(_) => self.full(lane, &detail),
            Fault::Broken(_) => self.poison(&detail),
        }
        match self.poisoned.clone() {
            Some(reason) => AppendError::Degraded { reason },
            None => AppendError::DiskFull { detail },
        }
    }

    /// What any other caller hears after a failure.
    pub(super) fn fail(&mut self, fault: Fault) -> StoreError {
        let detail = fault.to_string();
        self.drop_wanted();
        self.note(Err(fault));
        match self.poisoned.clone() {
            Some(reason) => StoreError::Degraded { reason },
            None => StoreError::DiskFull { detail },
        }
    }

    /// Takes a failure in that nobody waits for, or that somebody else is told of.
    pub(super) fn note(&mut self, result: Result<(), Fault>) {
        match result {
            Ok(()) => {}
            Err(fault @ Fault::Full(_)) => self.full(Lane::Control, &fault.to_string()),
            Err(fault @ Fault::Broken(_)) => self.poison(&fault.to_string()),
        }
    }

    fn drop_wanted(&mut self) {
        if let Some(core) = &mut self.core {
            core.drop_wanted();
        }
    }

    /// The disk was too full for the last round of a lane; for whatever the core had to do, where it is control.
    fn full(&mut self, lane: Lane, detail: &str) {
        if self.poisoned.is_some() {
            return;
        }
        if self.short_since.is_none() {
            tracing::warn!(detail, path = %self.dir.display(), "the outbox's disk is full");
        }
        self.short_since = Some(self.host.now());
        let dirty = self.core.as_ref().is_some_and(Core::dirty);
        if lane == Lane::Control && !(dirty && self.core_is_due(self.host.now())) {
            // Nothing of what was refused was written, or it is sealed off already.
            self.give_up_ballast();
            return;
        }
        if let Err(error) = self.seal(&[lane]) {
            self.poison(&format!("a refusal could not be written down: {error}"));
            return;
        }
        self.give_up_ballast();
        if lane == Lane::Control {
            self.mend_core();
        } else {
            self.drop_writer(lane);
        }
    }

    pub(super) fn give_up_ballast(&mut self) {
        if self.ballast == Ballast::Held {
            self.ballast = ballast::give_up(&*self.host, &self.dir);
        }
        self.short_since.get_or_insert(self.host.now());
    }

    /// Closes a generation whose last blocks were refused.
    fn drop_writer(&mut self, lane: Lane) {
        let Some(writer) = self.writers.of_mut(lane).take() else { return };
        let name = writer.name;
        *self.drained_since.of_mut(lane) = None;
        let length = writer.length();
        if let Err(fault) = writer.close() {
            tracing::debug!(%fault, %name, "a generation closed after its failure");
        }
        if name.stream == self.ledger.current(lane) && name.first >= self.ledger.next(lane) {
            self.remove_refused(name);
        } else if let Ok(length) = length
            && let Some(span) =
                self.ledger.stream_mut(name.stream).and_then(|held| held.spans.get_mut(&name.first))
        {
            span.disk_bytes = length;
        }
    }

    /// Removes a generation nothing of which was accepted. Where that fails, the next of that name or the next start does.
    fn remove_refused(&self, name: GenerationName) {
        if let Err(fault) = generation::remove(&*self.host, &self.dir, name) {
            tracing::debug!(%fault, %name, "a generation of refused records stays for now");
        }
    }

    /// Whether the core, still dirty and sealed off since it was tried last, may be tried again.
    fn core_is_due(&self, now: BootTime) -> bool {
        self.core_tried.is_none_or(|tried| now.since(tried) >= limit::DISK_RETRY_INTERVAL)
    }

    /// Opens the core anew and undoes the commit that failed; later again where the disk is still too full.
    fn mend_core(&mut self) {
        let Some(core) = &mut self.core else { return };
        let restored = core.restore(&*self.host).and_then(|commit| {
            self.mark.write_core(commit)?;
            // A start must not find the core dirty below what is accepted from now on.
            self.mark.sync()?;
            self.watch.progress(self.host.now())?;
            core.settle();
            Ok(())
        });
        self.core_tried = restored.is_err().then(|| self.host.now());
        if let Err(fault @ Fault::Broken(_)) = restored {
            self.poison(&fault.to_string());
        }
    }

    /// After a full disk: what could not be done then is tried again.
    pub(super) fn mend(&mut self, now: BootTime) {
        let due = self.short_since.is_some_and(|since| now.since(since) >= limit::DISK_RETRY_INTERVAL);
        if !due || self.poisoned.is_some() {
            return;
        }
        self.short_since = Some(now);
        if self.core.as_ref().is_some_and(Core::dirty) {
            self.mend_core();
        }
        let streams: Vec<StreamId> = self.ledger.streams().map(|(id, _)| id).collect();
        for id in streams {
            if self.is_mended() {
                let result = self.remove_covered(id);
                self.note(result);
            }
        }
        if self.is_mended() && self.ballast == Ballast::Missing {
            match ballast::keep_with_room(&*self.host, &self.dir) {
                Ok(ballast) => self.ballast = ballast,
                Err(error) => tracing::warn!(%error, "the outbox's ballast cannot be made"),
            }
        }
        if self.is_mended() && self.ballast == Ballast::Held {
            self.short_since = None;
            tracing::info!(path = %self.dir.display(), "the outbox's disk has room again");
        }
    }

    fn is_mended(&self) -> bool {
        self.poisoned.is_none() && !self.core.as_ref().is_some_and(Core::dirty)
    }
}
