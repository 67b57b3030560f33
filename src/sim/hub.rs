//! The hub: the real sessions and the real intake around a model of its database.
//!
//! What the tasks of `hub/connection` do is mirrored here step by step: the second login wins, pieces that are at the
//! writer are committed before marks are read, nothing is acked before its commit.

mod connection;
mod mail;
mod orders;
mod store;

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use crate::hub::store::{Ingest, StoreError};
use crate::id::{JobId, StreamId};
use crate::time::BootTime;

use super::around::Around;
use super::cable::Cable;
use super::mutant::{self, Mutant};
use crate::wire::error::ErrorCode;
use crate::wire::relay::{Delivery, Relay, RelayOutcome};
use connection::Connection;
use mail::{Owed, Post};
pub(super) use store::{HubStore, Job};

/// What waits for the writer.
enum Work {
    Piece(Ingest),
    Marks(u64, Vec<StreamId>),
    Keep(Owed),
}

/// The hub's process and its database.
pub(super) struct Hub {
    pub(super) store: HubStore,
    queue: VecDeque<Work>,
    /// What a replaced login still hands over.
    late: VecDeque<Ingest>,
    connections: BTreeMap<u64, Connection>,
    post: Post,
    /// Who logged in last.
    current: Option<u64>,
    /// Commits fail.
    pub(super) full: bool,
    /// Nobody is let in before.
    pub(super) up_at: BootTime,
}

impl Hub {
    pub(super) fn new(now: BootTime) -> Self {
        Self {
            store: HubStore::default(),
            queue: VecDeque::new(),
            late: VecDeque::new(),
            connections: BTreeMap::new(),
            post: Post::default(),
            current: None,
            full: false,
            up_at: now,
        }
    }

    pub(super) fn is_up(&self, now: BootTime) -> bool {
        self.up_at <= now
    }

    /// An upgrade was answered.
    pub(super) fn accept(&mut self, line: u64, nonce: [u8; 32], around: &mut Around<'_>) {
        self.connections.insert(line, Connection::new(nonce, around));
    }

    pub(super) fn lines(&self) -> Vec<u64> {
        self.connections.keys().copied().collect()
    }

    /// One turn of a connection's task.
    pub(super) fn turn(&mut self, line: u64, cable: &mut Cable, around: &mut Around<'_>) {
        let Some(mut connection) = self.connections.remove(&line) else { return };
        if connection.turn(line, self, cable, around) {
            self.connections.insert(line, connection);
        } else {
            around.say(|| format!("hub leaves line {line}"));
            cable.down.close();
            connection.leave(&mut self.post, around);
            if self.current == Some(line) {
                self.current = None;
                self.post.close(&mut around.truth.relays);
            }
        }
    }

    /// The second login wins: the first hands nothing more to the writer.
    fn login(&mut self, line: u64, streams: Vec<StreamId>, around: &mut Around<'_>) {
        if let Some(first) = self.current.replace(line).and_then(|first| self.connections.get_mut(&first)) {
            let staged = first.replaced(around.now);
            // One that does not let go in time hands over what only the compare-and-set keeps out.
            if around.once_in(4) {
                self.late.extend(staged);
            }
        }
        self.post.close(&mut around.truth.relays);
        self.queue.push_back(Work::Marks(line, streams));
    }

    /// A message of the agent on this line, for the agent of its own name.
    fn relay(&mut self, line: u64, relay: Relay, around: &mut Around<'_>) {
        let owed = Owed { line, id: relay.id, payload: relay.payload.clone() };
        match relay.delivery {
            Delivery::Queued => {
                if mutant::active(Mutant::MessageSaidBeforeKept) {
                    self.post.answer(owed.clone(), RelayOutcome::Queued, &mut around.truth.relays);
                }
                self.queue.push_back(Work::Keep(owed));
            }
            Delivery::Now => self.post.route(self.current.is_some(), relay, owed, around),
        }
    }

    fn keep(&mut self, owed: Owed, around: &mut Around<'_>) {
        if self.full {
            let refused = RelayOutcome::refused(ErrorCode::Internal, "");
            return self.post.answer(owed, refused, &mut around.truth.relays);
        }
        self.store.keep(owed.payload.clone(), around);
        self.post.ring();
        if !mutant::active(Mutant::MessageSaidBeforeKept) {
            self.post.answer(owed, RelayOutcome::Queued, &mut around.truth.relays);
        }
    }

    fn hand_over(&mut self, piece: Ingest) {
        if mutant::active(Mutant::AckBeforeCommit) {
            let _ = piece.reply.try_send(Ok(piece.mark));
        }
        self.queue.push_back(Work::Piece(piece));
    }

    /// The writer takes some of what waits.
    pub(super) fn write(&mut self, around: &mut Around<'_>) {
        if around.once_in(3) {
            self.queue.extend(self.late.pop_front().map(Work::Piece));
        }
        for _ in 0..around.rng.usize(1..8) {
            match self.queue.pop_front() {
                None => return,
                Some(Work::Piece(piece)) => {
                    let reply = if self.full {
                        Err(Box::new(StoreError::CannotCommit("full".to_owned())))
                    } else {
                        self.store.commit(&piece, around)
                    };
                    if !mutant::active(Mutant::AckBeforeCommit) {
                        // A session that ended is not told.
                        let _ = piece.reply.try_send(reply);
                    }
                }
                Some(Work::Keep(owed)) => self.keep(owed, around),
                Some(Work::Marks(line, streams)) => {
                    let marks = self.store.marks(&streams);
                    if let Some(connection) = self.connections.get_mut(&line) {
                        connection.registered(marks, around);
                    }
                }
            }
        }
    }

    /// The process is killed; what is committed stays.
    pub(super) fn crash(&mut self, cables: &mut BTreeMap<u64, Cable>, around: &mut Around<'_>) {
        around.say(|| "the hub is killed".to_owned());
        self.queue.clear();
        self.late.clear();
        self.post.forget();
        for line in std::mem::take(&mut self.connections).into_keys() {
            if let Some(cable) = cables.get_mut(&line) {
                cable.down.close();
            }
        }
        self.current = None;
        self.store.forget_offers(around);
        self.up_at = around.now.after(std::time::Duration::from_millis(around.rng.u64(0..10_000)));
    }

    pub(super) fn submit(&mut self, job: JobId, spec: Bytes, around: &Around<'_>) {
        self.store.jobs.insert(job, Job::new(spec, around.hub_now()));
        self.ring();
    }

    pub(super) fn ring(&mut self) {
        for connection in self.connections.values_mut() {
            connection.orders.ring();
        }
    }
}
