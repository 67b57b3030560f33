//! Reading everything again without changing anything: files raw, the core through its database.
//!
//! Nothing found here is declared or set aside: that is done when reading reaches it, or at the next start.

use std::sync::Arc;

use crate::id::{Lane, StreamId};
use crate::outbox::block::{self, Header};
use crate::outbox::cipher::Cipher;
use crate::outbox::name::GenerationName;
use crate::outbox::{Problem, StoreError, Verifiable, Verified};
use crate::wire::batch;

use super::carve::{Carved, Visited};
use super::host::Scan;
use super::thread::Store;

/// Problems of one part that are told; more of them say nothing new.
const PROBLEMS_MAX: usize = 1000;

impl Store {
    pub(super) fn verifiable(&self) -> Vec<Verifiable> {
        let spans = self.ledger.streams().filter(|(stream, _)| stream.lane != Lane::Control);
        let names = spans.flat_map(|(stream, held)| {
            held.spans
                .keys()
                .map(move |first| Verifiable::Generation(GenerationName { stream, first: *first }))
        });
        std::iter::once(Verifiable::Core).chain(names).collect()
    }

    pub(super) fn verify(&mut self, part: Verifiable) -> Result<Verified, StoreError> {
        match part {
            Verifiable::Core => self.verify_core(),
            Verifiable::Generation(name) => self.verify_generation(name),
        }
    }

    fn verify_generation(&self, name: GenerationName) -> Result<Verified, StoreError> {
        let mut found = Verified { part: name.to_string(), ..Verified::default() };
        let held = self.ledger.stream(name.stream).filter(|held| held.spans.contains_key(&name.first));
        // Acked and removed since it was listed.
        let Some(held) = held else { return Ok(found) };
        let (from, end) = (name.first.max(held.acked.saturating_add(1)), held.end_of(name.first));
        let folder = self.folder(name);
        let unreadable = |error: std::io::Error| StoreError::Unreadable {
            path: self.folder(name),
            detail: error.to_string(),
        };
        let mut carved = Carved::open(&*self.host, &folder, name, end).map_err(unreadable)?;
        let mut next = from;
        while next < end {
            let cipher = self.cipher.clone();
            let mut reached = next;
            let visited = carved
                .visit(&*self.host, next, |header, body| {
                    reached = header.end();
                    found.block(header, body, cipher.as_ref());
                    Scan::Next
                })
                .map_err(unreadable)?;
            next = match visited {
                Visited::Sound => reached,
                Visited::Missing { to } => {
                    self.note_missing(&mut found, name.stream, next, to.min(end.saturating_sub(1)));
                    to.saturating_add(1)
                }
            };
        }
        Ok(found)
    }

    /// What no sound block holds and no gap explains.
    fn note_missing(&self, found: &mut Verified, stream: StreamId, from: u64, to: u64) {
        let mut next = from;
        while next <= to {
            if let Some(gap) = self.ledger.gap_at(stream, next) {
                next = gap.to.saturating_add(1);
                continue;
            }
            let last = self.ledger.end_of_run(stream, next).saturating_sub(1).min(to).max(next);
            found.problem(stream, next, last, "no sound block holds it".to_owned());
            next = last.saturating_add(1);
        }
    }

    fn verify_core(&mut self) -> Result<Verified, StoreError> {
        let mut found = Verified { part: "core".to_owned(), ..Verified::default() };
        let streams = self.ledger.streams().filter(|(stream, _)| stream.lane == Lane::Control);
        let unacked = streams.map(|(stream, held)| {
            let from = held.acked.saturating_add(1);
            (stream, held.begin_of(from), from, held.next)
        });
        let streams: Vec<_> = unacked.collect();
        let cipher = self.cipher.clone();
        let core = self.core.as_mut().ok_or(StoreError::Closed)?;
        if let Err(fault) = core.visit(&[], |_, _| Ok(())) {
            found.problems.push(Problem { problem: fault.to_string(), ..Problem::nowhere() });
        }
        let mut missing = Vec::new();
        for (stream, first, from, end) in streams {
            let mut next = from;
            let visited = core.visit_control(stream, first, from, |header, body| {
                if header.first > next {
                    missing.push((stream, next, header.first.saturating_sub(1)));
                }
                next = header.end();
                found.block(header, body, cipher.as_ref());
                Scan::Next
            });
            if visited.is_ok() && next < end {
                missing.push((stream, next, end.saturating_sub(1)));
            }
            if let Err(fault) = visited {
                found.problem(stream, next, end.saturating_sub(1).max(next), fault.to_string());
            }
        }
        for (stream, from, to) in missing {
            self.note_missing(&mut found, stream, from, to);
        }
        Ok(found)
    }
}

impl Verified {
    /// Takes a block in whose checksum is right.
    fn block(&mut self, header: &Header, body: &[u8], cipher: Option<&Arc<Cipher>>) {
        let (stream, first, last) = (header.stream, header.first, header.end().saturating_sub(1));
        let count = usize::try_from(header.count).unwrap_or(usize::MAX);
        match block::open(header, body, cipher.map(Arc::as_ref)) {
            Ok(body) if batch::offset_of(&body, count) == Some(body.len()) => {
                self.blocks = self.blocks.saturating_add(1);
                self.records = self.records.saturating_add(header.count.into());
            }
            Ok(_) => self.problem(stream, first, last, "its block does not hold what it says".to_owned()),
            Err(error) => self.problem(stream, first, last, error.to_string()),
        }
    }

    fn problem(&mut self, stream: StreamId, from: u64, to: u64, problem: String) {
        if self.problems.len() < PROBLEMS_MAX {
            let (lane, epoch) = (stream.lane.name().to_owned(), stream.epoch.to_string());
            self.problems.push(Problem { lane, epoch, from, to, problem });
        }
    }
}

impl Problem {
    /// One that is not about a record.
    fn nowhere() -> Self {
        Self { lane: String::new(), epoch: String::new(), from: 0, to: 0, problem: String::new() }
    }
}
