//! A record of the simulation: its payload says which one it is, and nothing else has that payload.

use bytes::Bytes;

use crate::id::{Lane, RecordId};
use crate::outbox::{NewRecord, admit};
use crate::time::WallTime;
use crate::wire::message::RecordKind;

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Handed over; the agent has not answered, and may never.
    Pending,
    /// Reported durable.
    Reported,
    /// Refused.
    Refused,
}

/// A record that was handed over.
#[derive(Debug, Clone)]
pub(crate) struct Serial {
    pub(super) number: usize,
    pub(crate) lane: Lane,
    pub(super) bytes: usize,
    pub(super) recorded_at: WallTime,
    pub(super) state: State,
    /// Its first number, where it is known.
    pub(super) at: Option<RecordId>,
    /// The hub has stored it, at one time or another.
    pub(super) arrived: bool,
}

impl Serial {
    pub(crate) const fn new(lane: Lane, bytes: usize, recorded_at: WallTime) -> Self {
        Self { number: 0, lane, bytes, recorded_at, state: State::Pending, at: None, arrived: false }
    }

    fn payload(&self) -> Bytes {
        let mut payload = (self.number as u64).to_be_bytes().to_vec();
        payload.extend((0..self.bytes).map(|at| (at.wrapping_mul(31) ^ self.number).to_le_bytes()[0]));
        payload.into()
    }

    pub(super) fn record(&self) -> NewRecord {
        NewRecord {
            recorded_at: self.recorded_at,
            source: "s".to_owned(),
            kind: RecordKind::Opaque,
            payload: self.payload(),
            app: None,
        }
    }

    /// The payloads of its numbers.
    pub(super) fn parts(&self) -> Vec<Bytes> {
        let payload = self.payload();
        let longest = admit::part_bytes_max(self.lane);
        let part = |at: usize| payload.slice(at..payload.len().min(at + longest));
        (0..payload.len()).step_by(longest).map(part).collect()
    }
}

/// Which one a payload is of.
pub(super) fn of(payload: &[u8]) -> usize {
    let (head, _) = payload.split_first_chunk().expect("a payload begins with its number");
    usize::try_from(u64::from_be_bytes(*head)).expect("a number of ours")
}
