//! Space of the disk that the core has before it needs it.
//!
//! sled is never let meet a full disk: it would have to be opened anew, and may hang before that. So a commit is refused
//! before it is tried where less is reserved than it may write.

use crate::limit;
use crate::outbox::store::host::Fault;

use super::Core;

/// The least that is looked for.
const SECTOR_BYTES: u64 = 4096;

/// How much space a commit may use up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::outbox::store) enum Need {
    /// It leaves what an opening on a full disk takes.
    Ordinary,
    /// It is the opening.
    Last,
}

impl Core {
    /// Sees to it that so many bytes of the disk are there for what is still to be written, whatever others do.
    ///
    /// # Errors
    /// `Full`: they are not.
    pub(in crate::outbox::store) fn provide(&mut self, bytes: u64) -> Result<(), Fault> {
        let length = self.length()?;
        if length.saturating_add(bytes) <= self.reserved {
            return Ok(());
        }
        let database = self.database()?;
        let mut result = Ok(());
        // With more than is asked for now it need not be asked for each time.
        for more in [limit::CORE_AHEAD_BYTES / 4, 0] {
            let reserved = length.saturating_add(bytes).saturating_add(more);
            result = database.reserve(reserved);
            if result.is_ok() {
                self.reserved = reserved;
                break;
            }
        }
        result
    }

    pub(super) fn provide_commit(&mut self, bytes: usize, need: Need) -> Result<(), Fault> {
        let written = (bytes as u64).saturating_mul(limit::CORE_AMPLIFICATION);
        let beside = match need {
            Need::Ordinary => limit::CORE_COMMIT_BYTES,
            Need::Last => limit::CORE_LAST_BYTES,
        };
        self.provide(written.saturating_add(beside))
    }

    /// Keeps it ahead of what is written as far as the disk lets it: what is left may still be enough.
    pub(super) fn keep_ahead(&mut self) -> Result<(), Fault> {
        match self.provide(limit::CORE_AHEAD_BYTES / 2) {
            Err(Fault::Full(_)) => Ok(()),
            other => other,
        }
    }

    /// Learns after an opening how much is still reserved, where there is no space for more.
    pub(super) fn find_ahead(&mut self) -> Result<(), Fault> {
        let mut bytes = limit::CORE_AHEAD_BYTES;
        while bytes >= SECTOR_BYTES {
            match self.provide(bytes) {
                Err(Fault::Full(_)) => bytes /= 2,
                other => return other,
            }
        }
        Ok(())
    }
}
