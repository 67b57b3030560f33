//! What the line to an agent did not carry: offers and kept messages that were on their way when its sessions ended.
//!
//! Such a thing is sent again in the next session, which may have a better line: but after whatever is smaller, and not for ever.
//! It is refused for good when [`limit::STRANDED_LONG_MAX`] sessions ended after it had been under way for as long as a message
//! may be old, or [`limit::STRANDED_SESSIONS_MAX`] ended after [`limit::STRANDED_SESSION_MIN`] of it. So what does not pass costs a
//! line a bounded number of sessions. What lay behind something larger is not to blame: it is only remembered, and so is what a
//! session ended with that was no try.
//!
//! In memory: a hub that restarts begins to count anew.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::id::{JobId, MessageId};
use crate::limit;
use crate::session::Load;
use crate::time::BootTime;

use super::store::AgentRef;

/// What may be large and has to be sent again where a session ends before it arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cargo {
    /// The offer of this job.
    Offer(JobId),
    /// A message that the store keeps.
    Message(MessageId),
}

/// Why something is not sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error(
        "{bytes} bytes do not pass the agent's link: {sessions} sessions ended with them on the way, the last after {seconds} s, and a message older than {age} s is refused; it carries at most {rate} bytes/s, so that at most {passes} bytes pass at once: send less, and let the agent fetch the rest",
        age = limit::CLOCK_SKEW_MAX.as_secs(),
        rate = .bytes.checked_div(*.seconds).unwrap_or_default(),
        passes = .bytes.saturating_mul(limit::CLOCK_SKEW_MAX.as_secs()).checked_div(*.seconds).unwrap_or_default()
    )]
    Slow { bytes: u64, sessions: u32, seconds: u64 },
    #[error(
        "{bytes} bytes do not pass the agent's link: {sessions} sessions ended with them on the way, the last after {seconds} s; send less, and let the agent fetch the rest, or mend the link"
    )]
    Cut { bytes: u64, sessions: u32, seconds: u64 },
}

/// One thing that sessions ended with.
#[derive(Debug, Clone, Copy)]
struct Strand {
    cargo: Cargo,
    bytes: usize,
    /// So many sessions that tell of it.
    sessions: u32,
    /// So many of these after it had been on the way for `limit::CLOCK_SKEW_MAX`.
    long: u32,
}

/// What one agent's sessions ended with: at most [`limit::STRANDED_MAX`], the newest last.
#[derive(Debug, Default)]
pub(crate) struct Stranded(VecDeque<Strand>);

impl Stranded {
    /// The line carried so many bytes at once: what is no larger has all its chances again.
    pub(crate) fn carried(&mut self, bytes: usize) {
        self.0.retain(|strand| strand.bytes > bytes);
    }

    /// A session ended with this on the way. Says where it is not to be sent again.
    pub(crate) fn ended_with(&mut self, cargo: Cargo, load: Load, now: BootTime) -> Option<Refused> {
        let place = self.0.iter().position(|strand| strand.cargo == cargo);
        let known = place.and_then(|place| self.0.remove(place));
        let mut strand = known.unwrap_or(Strand { cargo, bytes: load.bytes, sessions: 0, long: 0 });
        let took = now.since(load.since);
        let was_tried = load.before <= load.bytes && took >= limit::STRANDED_SESSION_MIN;
        strand.sessions = strand.sessions.saturating_add(u32::from(was_tried));
        let was_long = was_tried && took >= limit::CLOCK_SKEW_MAX;
        strand.long = strand.long.saturating_add(u32::from(was_long));
        if self.0.len() >= limit::STRANDED_MAX {
            self.0.pop_front();
        }
        self.0.push_back(strand);
        let (bytes, sessions, seconds) = (strand.bytes as u64, strand.sessions, took.as_secs());
        if was_long && strand.long >= limit::STRANDED_LONG_MAX {
            return Some(Refused::Slow { bytes, sessions, seconds });
        }
        (sessions >= limit::STRANDED_SESSIONS_MAX).then_some(Refused::Cut { bytes, sessions, seconds })
    }

    /// Whether this waits for whatever is smaller: it, or something no larger, is what sessions ended with.
    pub(crate) fn holds_back(&self, cargo: Cargo, bytes: usize) -> bool {
        self.0.iter().any(|strand| strand.cargo == cargo || strand.bytes <= bytes)
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The same of all agents: only of those that there is something of.
#[derive(Debug, Default)]
pub(super) struct Strandings(Mutex<HashMap<AgentRef, Stranded>>);

impl Strandings {
    fn all(&self) -> MutexGuard<'_, HashMap<AgentRef, Stranded>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is known of an agent.
    pub(super) fn change<T>(&self, agent: AgentRef, change: impl FnOnce(&mut Stranded) -> T) -> T {
        let mut all = self.all();
        let mut stranded = all.remove(&agent).unwrap_or_default();
        let changed = change(&mut stranded);
        if !stranded.is_empty() {
            all.insert(agent, stranded);
        }
        changed
    }

    /// Whether this waits for whatever is smaller that goes to the same agent.
    pub(super) fn holds_back(&self, agent: AgentRef, cargo: Cargo, bytes: usize) -> bool {
        self.all().get(&agent).is_some_and(|stranded| stranded.holds_back(cargo, bytes))
    }
}
