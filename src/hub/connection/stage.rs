//! What one connection has on its way to the store's writer, and how much of it there may be.

use std::collections::VecDeque;

use tokio::sync::mpsc;

use crate::hub::counters::Counters;
use crate::hub::orders::Heard;
use crate::hub::store::{Ingest, IngestReply, Slot};
use crate::limit;

use super::line::Reading;

pub(super) struct Stage {
    /// Pieces the writer's queue had no room for yet.
    pending: VecDeque<Ingest>,
    /// Bytes of each piece at the writer, in its order.
    at_writer: VecDeque<(usize, Heard)>,
    at_writer_bytes: usize,
    reply: mpsc::Sender<IngestReply>,
}

impl Stage {
    /// A stage, and where the writer's answers arrive, each to be told with `answered`.
    pub(super) fn new() -> (Self, mpsc::Receiver<IngestReply>) {
        let (reply, replies) = mpsc::channel(limit::INGEST_PER_SESSION);
        let (pending, at_writer) = (VecDeque::new(), VecDeque::new());
        (Self { pending, at_writer, at_writer_bytes: 0, reply }, replies)
    }

    /// Where a piece's outcome goes.
    pub(super) fn reply(&self) -> mpsc::Sender<IngestReply> {
        self.reply.clone()
    }

    pub(super) fn push(&mut self, piece: Ingest) {
        self.pending.push_back(piece);
    }

    /// Nothing more goes to the writer.
    pub(super) fn clear(&mut self) {
        self.pending.clear();
    }

    /// Reading stops while the store has as much of this connection as `limit` allows.
    pub(super) fn reading(&self) -> Reading {
        let busy = !self.pending.is_empty()
            || self.at_writer.len() >= limit::INGEST_PER_SESSION
            || self.at_writer_bytes >= limit::INGEST_SESSION_BYTES;
        if busy { Reading::Paused } else { Reading::On }
    }

    pub(super) fn may_send(&self) -> bool {
        !self.pending.is_empty() && self.at_writer.len() < limit::INGEST_PER_SESSION
    }

    /// Gives the oldest piece to the writer.
    pub(super) fn send(&mut self, slot: Slot<'_>, counters: &Counters) {
        if let Some(piece) = self.pending.pop_front() {
            let bytes = piece.len();
            self.at_writer.push_back((bytes, Heard::of(&piece)));
            self.at_writer_bytes = self.at_writer_bytes.saturating_add(bytes);
            counters.records_in.add(piece.count());
            slot.send(piece);
        }
    }

    /// The writer answered the oldest piece; says what that tells of jobs.
    pub(super) fn answered(&mut self) -> Heard {
        let (bytes, heard) = self.at_writer.pop_front().unwrap_or_default();
        self.at_writer_bytes = self.at_writer_bytes.saturating_sub(bytes);
        heard
    }
}
