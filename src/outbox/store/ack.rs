//! Acks: cursors move, and what is covered whole goes.
//!
//! A cursor's row is written lazily, but before its generation is removed: a start after a crash may find an older one,
//! never one that is missing.

use crate::id::{Lane, StreamId};
use crate::outbox::StoreError;
use crate::outbox::name::GenerationName;
use crate::wire::message::StreamMark;

use super::host::Fault;
use super::thread::Store;
use super::{core, gap};

impl Store {
    /// Removes a lane's newest generation, all of which is acked.
    pub(super) fn remove_drained(&mut self, lane: Lane) -> Result<(), Fault> {
        *self.drained_since.of_mut(lane) = None;
        let id = self.ledger.current(lane);
        if self.ledger.stream(id).is_none_or(|stream| stream.unacked() > 0) {
            return Ok(());
        }
        let Some(writer) = self.writers.of_mut(lane).take() else { return Ok(()) };
        writer.close()?;
        self.remove_covered(id)
    }

    /// Takes acks in. Cursors are written lazily; what is covered whole goes.
    pub(super) fn ack(&mut self, marks: &[StreamMark]) -> Result<(), StoreError> {
        self.check()?;
        for mark in marks {
            self.ack_one(*mark)?;
        }
        let states = self.ledger.current_states();
        // An ack is no news for whoever waits for durable records.
        self.durable.send_if_modified(|shown| {
            *shown = states;
            false
        });
        Ok(())
    }

    fn ack_one(&mut self, mark: StreamMark) -> Result<(), StoreError> {
        if let Some(next) =
            self.ledger.stream(mark.stream).map(|held| held.next).filter(|next| mark.acked >= *next)
        {
            return Err(StoreError::AckBeyond { stream: mark.stream, acked: mark.acked, next });
        }
        let gaps = self.ledger.take_gaps(mark);
        if let Some(core) = &mut self.core {
            gap::put_rows_later(core, &gaps);
        }
        // One that is not held any more was acked whole.
        let Some(stream) = self.ledger.stream_mut(mark.stream) else { return Ok(()) };
        if mark.acked > stream.acked {
            (stream.acked, stream.acked_crc) = (mark.acked, mark.acked_crc);
            if let Some(core) = &mut self.core {
                core.put_later(
                    &core::cursor_key(mark.stream),
                    &core::cursor_value(mark.acked, mark.acked_crc),
                );
            }
        } else if gaps.is_empty() {
            return Ok(());
        }
        match self.release_reservations(&mark).and_then(|()| self.remove_covered(mark.stream)) {
            Err(fault @ Fault::Broken(_)) => Err(self.fail(fault)),
            // The ack counts all the same; on a full disk its space comes back when that can be written down.
            result => {
                self.note(result);
                Ok(())
            }
        }
    }

    /// Removes the spans of a stream that are acked whole: cursor first, then the folder or the rows.
    pub(super) fn remove_covered(&mut self, id: StreamId) -> Result<(), Fault> {
        let Some(stream) = self.ledger.stream(id) else { return Ok(()) };
        let drained = stream.unacked() == 0;
        let written =
            self.writers.of(id.lane).as_ref().map(|writer| writer.name).filter(|name| name.stream == id);
        let mut covered = stream.covered();
        covered.retain(|first| written.is_none_or(|name| name.first != *first));
        if drained && written.is_some() && self.drained_since.of(id.lane).is_none() {
            *self.drained_since.of_mut(id.lane) = Some(self.host.now());
        }
        if id.lane == Lane::Control {
            if let Some(core) = &mut self.core {
                covered.iter().for_each(|first| core.remove_later(&core::control_key(id, *first)));
            }
        } else if !covered.is_empty() {
            self.commit_core(None)?;
            for first in &covered {
                self.remove_generation(GenerationName { stream: id, first: *first })?;
            }
        }
        if let Some(stream) = self.ledger.stream_mut(id) {
            stream.spans.retain(|first, _| !covered.contains(first));
        }
        if !covered.is_empty() {
            self.room_made();
        }
        if self.ledger.forget_if_done(id)
            && let Some(core) = &mut self.core
        {
            core.remove_later(&core::next_key(id));
            core.remove_later(&core::cursor_key(id));
        }
        // Rows that only speak of removed things may wait, but not for ever: the mark's sync takes them along.
        self.mark.touch();
        Ok(())
    }
}
