//! A connection's wire: frames in order both ways, which may stall, change or be cut.

use std::collections::VecDeque;

use bytes::Bytes;
use fastrand::Rng;

use crate::time::BootTime;

/// Frames that one direction takes; then its sender waits.
const FRAMES_MAX: usize = 12;

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Lead {
    frames: VecDeque<Bytes>,
    /// Nothing is read before.
    stalled_until: BootTime,
    /// The sender sends nothing more.
    closed: bool,
    full_since: Option<BootTime>,
}

/// What a reader finds.
#[derive(Debug)]
pub(super) enum Found {
    Frame(Bytes),
    /// Nothing at present.
    Nothing,
    /// Nothing, and nothing will come.
    End,
}

impl Lead {
    pub(super) fn has_room(&mut self, now: BootTime) -> bool {
        let room = self.frames.len() < FRAMES_MAX;
        if room {
            self.full_since = None;
        } else {
            self.full_since.get_or_insert(now);
        }
        room
    }

    /// Since when it has had no room.
    pub(super) const fn full_since(&self) -> Option<BootTime> {
        self.full_since
    }

    pub(super) fn push(&mut self, frame: Bytes) {
        if !self.closed {
            self.frames.push_back(frame);
        }
    }

    pub(super) fn pop(&mut self, now: BootTime) -> Found {
        if now < self.stalled_until {
            return Found::Nothing;
        }
        match self.frames.pop_front() {
            Some(frame) => Found::Frame(frame),
            None if self.closed => Found::End,
            None => Found::Nothing,
        }
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    /// The end, and what was on its way is lost.
    pub(super) fn cut(&mut self) {
        self.frames.clear();
        (self.closed, self.stalled_until) = (true, BootTime::default());
    }

    pub(super) fn stall(&mut self, until: BootTime) {
        self.stalled_until = until;
    }

    /// Changes a bit of a frame on its way.
    pub(super) fn flip(&mut self, rng: &mut Rng) {
        let count = self.frames.len();
        if count == 0 {
            return;
        }
        let frame = &mut self.frames[rng.usize(0..count)];
        let mut bytes = frame.to_vec();
        if let Some(byte) = bytes.len().checked_sub(1).map(|last| rng.usize(0..=last)) {
            bytes[byte] ^= 1 << rng.u8(0..8);
        }
        *frame = bytes.into();
    }
}

/// Both directions.
#[derive(Debug, Default)]
pub(super) struct Cable {
    pub(super) up: Lead,
    pub(super) down: Lead,
}
