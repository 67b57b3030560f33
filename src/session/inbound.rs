//! The receiving direction: size, MAC, decoding, clock, sequence, meaning, in this order.

use std::time::Duration;

use bytes::Bytes;

use crate::time::BootTime;
use crate::wire::envelope::{self, Header};
use crate::wire::error::{ErrorCode, WireError};
use crate::wire::mac::MacKey;
use crate::wire::message::Message;

use super::clock::HubClock;

#[derive(Debug)]
pub(super) struct Inbound {
    key: MacKey,
    clock: HubClock,
    seq_next: u64,
    agreed: bool,
    pub(super) bytes_max: usize,
}

impl Inbound {
    pub(super) fn new(key: MacKey, clock: HubClock, seq_next: u64, bytes_max: usize) -> Self {
        Self { key, clock, seq_next, agreed: false, bytes_max }
    }

    /// Whether a frame has verified: from then on the peer understands our Error envelopes.
    pub(super) const fn agreed(&self) -> bool {
        self.agreed
    }

    /// The frame's head and its message. It took so long to come.
    pub(super) fn open(
        &mut self,
        now: BootTime,
        took: Duration,
        frame: &Bytes,
    ) -> Result<(Header, Message), WireError> {
        let opened = envelope::open(frame, &self.key, self.bytes_max)?;
        self.agreed = true;
        self.clock.check(now, opened.header.sent_at).map_err(|off| off.judge(took, frame.len()))?;
        check_sequence(self.seq_next, opened.header.seq)?;
        self.seq_next = self.seq_next.saturating_add(1);
        let header = opened.header;
        Ok((header, opened.into_message()?))
    }
}

pub(super) fn check_sequence(expected: u64, found: u64) -> Result<(), WireError> {
    if found == expected {
        return Ok(());
    }
    Err(WireError::new(ErrorCode::BadSequence, format!("frame {found} came instead of {expected}")))
}
