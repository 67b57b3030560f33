//! Records of a lane that is not durable at once: numbered and answered, committed soon after.
//!
//! They wait here, at most `limit::BUFFER_BYTES` of them and for `limit::BUFFER_DELAY`, and are neither read nor sent
//! before their commit. A commit of control takes them along: a result is never durable before its output.

use crate::id::{Lane, RecordId};
use crate::limit;
use crate::outbox::admit::Encoded;
use crate::outbox::{AppendError, Appended};
use crate::time::BootTime;

use super::committer::{Answer, Reply};
use super::inbox::Append;
use super::thread::Store;

/// The only lane that may be buffered.
const LANE: Lane = Lane::Logs;

/// What waits for its commit.
#[derive(Debug, Default)]
pub(super) struct Buffered {
    encoded: Encoded,
    /// Since when the first of them waits, or when their commit was tried last.
    since: Option<BootTime>,
    /// Why the disk did not take them.
    refused: Option<String>,
}

impl Buffered {
    /// Bytes of a lane that wait.
    pub(super) fn bytes(&self, lane: Lane) -> u64 {
        if lane == LANE { self.encoded.bytes.len() as u64 } else { 0 }
    }

    /// Why nothing more may wait.
    pub(super) fn refusal(&self, lane: Lane) -> Option<AppendError> {
        let detail = self.refused.clone().filter(|_| lane == LANE)?;
        Some(AppendError::DiskFull { detail })
    }

    fn is_full(&self) -> bool {
        self.encoded.bytes.len() >= limit::BUFFER_BYTES
    }

    /// When they are to be committed.
    pub(super) fn due(&self) -> Option<BootTime> {
        let wait = if self.refused.is_some() { limit::BUFFER_RETRY } else { limit::BUFFER_DELAY };
        self.since.map(|since| since.after(wait))
    }
}

impl Store {
    /// Numbers and answers appends that have room.
    pub(super) fn buffer(&mut self, appends: Vec<Append>, answers: &mut Vec<(Reply, Answer)>) {
        let stream = self.ledger.current(LANE);
        for append in appends {
            let first = self.ledger.next(LANE).saturating_add(self.buffered.encoded.units.len() as u64);
            let last = first.saturating_add(append.encoded.units.len() as u64).saturating_sub(1);
            let id = |seq| RecordId { stream, seq };
            let appended = Appended { first: id(first), last: id(last), count: append.encoded.given };
            self.buffered.since.get_or_insert(self.host.now());
            self.buffered.encoded.append(append.encoded);
            answers.push((append.reply, Ok(appended)));
            if self.buffered.is_full() {
                self.commit_buffered();
            }
        }
    }

    /// Commits what waits, where its time has come.
    pub(super) fn tend_buffered(&mut self, now: BootTime) {
        if self.buffered.due().is_some_and(|due| due <= now) {
            self.commit_buffered();
        }
    }

    /// Commits what waits. What a full disk does not take goes on waiting; what a degraded store does not take is lost.
    pub(super) fn commit_buffered(&mut self) {
        if self.buffered.since.is_none() {
            return;
        }
        let encoded = std::mem::take(&mut self.buffered.encoded);
        let (stream, first) = (self.ledger.current(LANE), self.ledger.next(LANE));
        let bytes = encoded.bytes.len() as u64;
        let committed = match self.poisoned.clone() {
            Some(reason) => Err(AppendError::Degraded { reason }),
            None => self.commit_units(stream, first, encoded.iter(), bytes),
        };
        let lost = encoded.units.len();
        self.buffered = match committed {
            Ok(()) => Buffered::default(),
            Err(AppendError::DiskFull { detail }) => {
                tracing::warn!(%detail, records = lost, "buffered records wait for room on the disk");
                Buffered { encoded, since: Some(self.host.now()), refused: Some(detail) }
            }
            Err(error) => {
                tracing::error!(%error, records = lost, "buffered records are lost");
                Buffered::default()
            }
        };
        self.durable.send_replace(self.ledger.current_states());
    }
}
