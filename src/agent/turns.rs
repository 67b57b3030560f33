//! Whose turn it is, of several hubs.
//!
//! * After each failure it is the next one's turn, for as long as there are any. The delay between two attempts is the
//!   agent's pace, whoever is asked: a fleet that loses one hub does not storm another.
//! * A hub that wants to be left alone for a time (`retry_after`), or whose error no retry mends, is left out until then.
//!   That says nothing of the others. Where all are left out, the one that is due first is waited for.
//! * A session that was healthy and broke without a word is begun again at the same hub: its line was at fault.
//! * A copy of this agent is in the way of every hub: then the wait is for all.
//!
//! Nothing here reads a clock or a socket.

use std::time::Duration;

use crate::time::BootTime;
use crate::wire::error::{ErrorCode, Retry};

use super::pace::{Advice, Backlog, Pace};

/// How an attempt or a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    /// What it says about the next attempt there.
    pub(super) advice: Advice,
    /// The entry of the error table.
    pub(super) error: Option<ErrorCode>,
    /// How long the session was registered; zero where there was none.
    pub(super) lived: Duration,
}

/// Whose turn it is, of hubs that go by their numbers.
#[derive(Debug)]
pub(super) struct Turns {
    /// When each may be asked again; `None`: any time.
    not_before: Vec<Option<BootTime>>,
    present: usize,
}

impl Turns {
    /// The first hub's turn; of none there is none.
    pub(super) fn new(hubs: usize) -> Self {
        Self { not_before: vec![None; hubs.max(1)], present: 0 }
    }

    /// The number of the hub whose turn it is.
    pub(super) const fn present(&self) -> usize {
        self.present
    }

    /// It failed at `now`: passes the turn on, and says how long to wait before it is taken.
    pub(super) fn pass(&mut self, now: BootTime, end: &End, pace: &mut Pace, backlog: Backlog) -> Duration {
        let Advice { retry, retry_after } = end.advice;
        let everywhere = matches!(end.error, Some(ErrorCode::Replaced | ErrorCode::IdentityInUse));
        let delay = pace.delay(now, backlog, end.advice);
        if everywhere {
            return delay;
        }
        let plain = retry == Retry::Soon && retry_after.is_none();
        if let Some(place) = self.not_before.get_mut(self.present) {
            *place = (!plain).then(|| now.after(delay));
        }
        if plain && end.error.is_none() && end.lived >= pace.stable() {
            return delay;
        }
        let waits = |hub: usize| {
            let due = self.not_before.get(hub).copied().flatten();
            due.map_or(Duration::ZERO, |due| due.since(now))
        };
        let count = self.not_before.len();
        let in_turn = (1..=count).map(|step| self.present.saturating_add(step) % count.max(1));
        // The first of those that wait least: `min_by_key` keeps the earlier of two.
        let next = in_turn.min_by_key(|hub| waits(*hub)).unwrap_or_default();
        let wait = waits(next);
        let other = next != self.present;
        self.present = next;
        match (wait.is_zero(), other, plain) {
            // It waits for its own time, which holds the delay already.
            (false, _, _) => wait,
            (true, _, true) | (true, false, _) => delay,
            // What the last one asked for is not for this one.
            (true, true, false) => pace.delay(now, backlog, Advice::default()),
        }
    }
}

#[cfg(test)]
mod tests;
