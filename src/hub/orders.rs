//! When to look for what waits for an agent: offers and cancels.
//!
//! Looked for at the registration, when the doorbell rings, when an answer or a result made room, and on a slow timer.
//! A lost doorbell costs latency, never a job; an offer without an answer is made again on the timer only, and not before it has
//! arrived and been there for as long as an answer may take: on a slow line that is minutes. What sessions ended with before it
//! arrived ([`super::stranded`]) waits for everything else.
//!
//! A value: whoever has it reads the store and feeds the session.

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use crate::limit;
use crate::session::Carried;
use crate::time::BootTime;

use super::store::{Answered, Fact, Ingest};

/// What pieces that were stored tell of the agent's jobs.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Heard {
    /// Jobs it has accepted: their offers are answered.
    accepted: u32,
    /// Jobs that are over: there is room for as many.
    finished: u32,
}

impl Heard {
    pub(crate) fn of(piece: &Ingest) -> Self {
        let mut heard = Self::default();
        for fact in piece.facts() {
            match fact {
                Fact::Accepted { .. } => heard.accepted = heard.accepted.saturating_add(1),
                Fact::Result(_) => heard.finished = heard.finished.saturating_add(1),
                Fact::Running(_) | Fact::Progress(_) | Fact::Output { .. } | Fact::Artifact { .. } => {}
            }
        }
        heard
    }
}

/// What is being looked through at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Pass {
    #[default]
    Idle,
    /// Cancels, then offers that were not answered, then new ones.
    All { after: Option<i64> },
    /// New offers, then new cancels.
    New,
}

/// How many jobs the agent may have room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Room {
    #[default]
    Unknown,
    /// It said it had none; this many of its jobs have ended since.
    Freed(u32),
}

/// What waits for the agent.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    pass: Pass,
    room: Room,
    timer: Option<BootTime>,
    /// Cancels that were sent since the timer.
    cancelled: HashSet<i64>,
    /// Offers that go when nothing else is to be given, with their sizes: the smallest first.
    held_back: BTreeSet<(usize, i64)>,
}

impl Orders {
    /// The agent registered: everything open is looked through.
    pub(crate) fn begin(&mut self) {
        *self = Self { pass: Pass::All { after: None }, ..Self::default() };
    }

    pub(crate) fn ring(&mut self) {
        if self.pass == Pass::Idle {
            self.pass = Pass::New;
        }
    }

    /// Whether something is to be given as soon as the session takes it.
    pub(crate) fn waiting(&self) -> bool {
        self.pass != Pass::Idle
    }

    /// What is to be looked through now.
    pub(crate) fn pass(&self) -> Pass {
        self.pass
    }

    /// Offers that were not answered were made again, up to the one with this number; `None`: there are no more.
    pub(crate) fn repeated(&mut self, last: Option<i64>) {
        self.pass = last.map_or(Pass::New, |number| Pass::All { after: Some(number) });
    }

    /// The offer with this number, of so many bytes, goes when nothing else is to be given.
    pub(crate) fn hold_back(&mut self, number: i64, bytes: usize) {
        self.held_back.insert((bytes, number));
    }

    /// Nothing else is to be given: the next offer that was held back.
    pub(crate) fn take_held_back(&mut self) -> Option<i64> {
        self.held_back.pop_first().map(|(_, number)| number)
    }

    /// Whether the cancel with this number is to be sent now.
    pub(crate) fn cancels(&mut self, number: i64) -> bool {
        self.cancelled.insert(number)
    }

    pub(crate) fn deadline(&self) -> Option<BootTime> {
        self.timer
    }

    pub(crate) fn handle_timeout(&mut self, now: BootTime, carried: Carried) {
        if self.timer.is_none_or(|at| at > now) {
            return;
        }
        let again = match carried {
            Carried::OnTheWay => now.after(limit::JOB_OFFER_INTERVAL),
            // What the line took for an offer it may take for its answer.
            Carried::Arrived { at, took } => at.after(took.max(limit::JOB_OFFER_INTERVAL)),
        };
        if again <= now {
            return self.begin();
        }
        self.timer = Some(again.min(now.after(limit::JOB_OFFER_INTERVAL)));
        self.ring();
    }

    /// Pieces were stored that say this.
    pub(crate) fn note(&mut self, heard: Heard) {
        if let Room::Freed(count) = &mut self.room {
            *count = count.saturating_add(heard.finished);
        }
        if heard.accepted > 0 || heard.finished > 0 {
            self.ring();
        }
    }

    /// What an answer that came without a record means.
    pub(crate) fn answered(&mut self, answered: Answered) {
        match answered {
            Answered::Taken => self.ring(),
            Answered::NoRoom => self.room = Room::Freed(0),
        }
    }

    /// How many jobs may be offered now.
    pub(crate) fn offers_max(&self) -> u32 {
        match self.room {
            Room::Unknown => limit::JOB_OFFERS_UNANSWERED,
            Room::Freed(count) => count.min(limit::JOB_OFFERS_UNANSWERED),
        }
    }

    /// So many new ones were offered.
    pub(crate) fn offered(&mut self, count: usize) {
        if let Room::Freed(left) = &mut self.room {
            *left = left.saturating_sub(u32::try_from(count).unwrap_or(u32::MAX));
        }
    }

    /// Nothing more is to be found at present; `next` is how long it is until a job may be offered that may not yet.
    pub(crate) fn finish(&mut self, now: BootTime, next: Option<Duration>) {
        let timer = self.timer.unwrap_or_else(|| now.after(limit::JOB_OFFER_INTERVAL));
        let next = next.map_or(timer, |next| now.after(next));
        self.timer = Some(timer.min(next));
        self.pass = Pass::Idle;
    }
}
