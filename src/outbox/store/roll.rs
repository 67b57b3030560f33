//! After `rolled_back`: the hub knows more of a stream than this disk does, so what is unacked gets new numbers.
//!
//! The report and the new epoch are durable first; then the unacked records are appended under it, piece by piece, and
//! the old cursor follows each piece. A crash between sends records twice, never not at all.

use crate::id::{Epoch, Lane, StreamId};
use crate::outbox::admit::Encoded;
use crate::outbox::{AppendError, Batch, Reading, StoreError};
use crate::time::WallTime;
use crate::wire::batch;
use crate::wire::message::{Gap, LossReport, StreamMark};

use super::core;
use super::thread::Store;

/// Bytes copied at once.
const PIECE_BYTES: usize = 512 * 1024;

impl Store {
    pub(super) fn roll_epoch(
        &mut self,
        stream: StreamId,
        report: LossReport,
        recorded_at: WallTime,
    ) -> Result<(), StoreError> {
        self.check()?;
        // What was numbered under the old epoch belongs there.
        self.commit_buffered();
        if let Some(AppendError::DiskFull { detail }) = self.buffered.refusal(stream.lane) {
            return Err(StoreError::DiskFull { detail });
        }
        let old = self.ledger.stream(stream).ok_or(StoreError::UnknownStream { stream })?;
        let (mut from, end) = (old.acked.saturating_add(1), old.next);
        self.begin_epoch(stream.lane)?;
        let mut encoded = Encoded::default();
        encoded.push(batch::loss_record(report, recorded_at));
        self.append_encoded(Lane::Control, &encoded)?;
        while from < end {
            from = match self.read(stream, from, PIECE_BYTES)? {
                Some(Reading::Records(piece)) => {
                    self.append_again(stream.lane, &piece, recorded_at)?;
                    from.saturating_add(u64::from(piece.count))
                }
                Some(Reading::Gap(gap)) => {
                    self.skip_lost(stream.lane, &Gap { from, ..gap })?;
                    gap.to.saturating_add(1)
                }
                None => break,
            };
            self.ack(&[StreamMark { stream, acked: from - 1, acked_crc: 0 }])?;
        }
        self.durably(|store| store.commit_core(None))?;
        self.durable.send_replace(self.ledger.current_states());
        Ok(())
    }

    /// Closes a lane's epoch and begins the next, durably.
    fn begin_epoch(&mut self, lane: Lane) -> Result<(), StoreError> {
        let old = self.ledger.current(lane);
        let random = self.host.random();
        let used_up = || StoreError::Invalid { detail: format!("lane {lane} has used up its epochs") };
        let epoch = Epoch::after(Some(old.epoch), random).ok_or_else(used_up)?;
        let next = self.ledger.next(lane);
        self.durably(|store| {
            store.retire_writer(lane)?;
            if let Some(core) = &mut store.core {
                core.put(&core::epoch_key(lane), &epoch.as_u64().to_be_bytes());
                core.put(&core::next_key(old), &core::closing_value(next));
            }
            store.commit_core(None)
        })?;
        // Its last generation may have been acked whole while it was the writer's.
        let acked = self.ledger.mark(old);
        self.ledger.begin_epoch(lane, epoch);
        if self.ledger.stream(old).is_some_and(|held| held.unacked() == 0) {
            self.ack(&[acked])?;
        }
        Ok(())
    }

    fn append_again(&mut self, lane: Lane, piece: &Batch, recorded_at: WallTime) -> Result<(), StoreError> {
        let mut encoded = Encoded::default();
        let mut rest: &[u8] = &piece.batch;
        while let Some((lying, after)) = batch::split_first(rest) {
            encoded.push_encoded(lying.encoded, recorded_at.0);
            rest = after;
        }
        self.append_encoded(lane, &encoded)
    }

    /// What was lost of the old epoch and not told yet is told of the new one, which skips as many numbers. A generation
    /// ends there: its blocks have no holes.
    fn skip_lost(&mut self, lane: Lane, lost: &Gap) -> Result<(), StoreError> {
        self.durably(|store| {
            store.retire_writer(lane)?;
            let stream = store.ledger.current(lane);
            let from = store.ledger.next(lane);
            let to = from.saturating_add(lost.to.saturating_sub(lost.from));
            if let Some(held) = store.ledger.stream_mut(stream) {
                held.next = to.saturating_add(1);
            }
            store.declare_again(Gap { stream, from, to, ..*lost }).map(|_change| ())
        })
    }

    pub(super) fn append_encoded(&mut self, lane: Lane, encoded: &Encoded) -> Result<(), StoreError> {
        let stream = self.ledger.current(lane);
        let first = self.ledger.next(lane);
        let bytes = encoded.bytes.len() as u64;
        self.commit_units(stream, first, encoded.iter(), bytes).map_err(|error| match error {
            AppendError::Degraded { reason } => StoreError::Degraded { reason },
            AppendError::DiskFull { detail } => StoreError::DiskFull { detail },
            other => StoreError::Invalid { detail: other.to_string() },
        })
    }
}
