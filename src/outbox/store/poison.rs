//! The end of writing: after a failed write, flush or sync nothing durable is possible until the process restarts.
//!
//! What was durable before stays on disk and readable, but for the database that failed: it may refuse until the restart.
//! Databases in an unknown state are left as they are, for closing one would write.

use std::io;

use crate::id::Lane;
use crate::outbox::StoreError;
#[cfg(test)]
use crate::sim::mutant::{self, Mutant};

use super::core::Core;
use super::generation::Generation;
use super::thread::Store;

impl Store {
    /// Refuses everything from now on.
    pub(super) fn poison(&mut self, reason: &str) {
        if self.poisoned.is_some() {
            return;
        }
        tracing::error!(reason, path = %self.dir.display(), "the outbox is degraded until a restart");
        self.poisoned = Some(reason.to_owned());
        if let Err(error) = self.seal(&Lane::ALL) {
            tracing::warn!(%error, "records that are refused from now on may still arrive after the restart");
        }
    }

    /// Says durably that what lies above the lanes' watermarks was refused, and of the core what no commit was settled for.
    pub(super) fn seal(&mut self, lanes: &[Lane]) -> io::Result<()> {
        self.write_seal(lanes).or_else(|error| {
            // Space is all that can be done about it.
            tracing::debug!(%error, "a seal is written once more");
            self.give_up_ballast();
            self.write_seal(lanes)
        })
    }

    fn write_seal(&mut self, lanes: &[Lane]) -> io::Result<()> {
        #[cfg(test)]
        if mutant::active(Mutant::NoSeal) {
            return Ok(());
        }
        for lane in lanes {
            let (epoch, upto) = (self.ledger.current(*lane).epoch, self.ledger.next(*lane) - 1);
            self.mark.seal_lane(*lane, epoch, upto)?;
            if *lane == Lane::Control
                && let Some(core) = &self.core
            {
                self.mark.seal_core(core.durable())?;
            }
        }
        self.mark.sync()
    }

    /// Refuses changes of a poisoned store.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        self.poisoned.clone().map_or(Ok(()), |reason| Err(StoreError::Degraded { reason }))
    }

    /// Leaves every database behind.
    pub(super) fn abandon(&mut self) {
        for lane in Lane::ALL {
            self.writers.of_mut(lane).take().into_iter().for_each(Generation::abandon);
        }
        self.core.take().into_iter().for_each(Core::abandon);
    }
}
