//! Handshakes in flight, from a good credential to the registration, and room for the sessions they become.
//!
//! * A bearer can be copied by whoever sees it, and opens handshakes, never a session. So each agent has few places of
//!   its own; one more drops the oldest of that agent, and nobody else's.
//! * An agent that is here already comes back though the hub is full: its old session goes for the new one.

use std::collections::{HashMap, VecDeque};

use crate::id::AgentId;

/// One handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket(u64);

/// Whether the agent has a session already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    Here,
    Away,
}

/// What there is no room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    Handshakes,
    Sessions,
}

/// `T` is what tells a handshake that it has to go.
pub(super) struct Handshakes<T> {
    bounds: Bounds,
    last: u64,
    by_agent: HashMap<AgentId, VecDeque<(Ticket, T)>>,
    count: usize,
    most: usize,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) all: usize,
    pub(super) each: usize,
    /// Sessions, handshakes included.
    pub(super) sessions: usize,
}

impl<T> Handshakes<T> {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { bounds, last: 0, by_agent: HashMap::new(), count: 0, most: 0 }
    }

    /// One more, while there are `sessions`; what comes back has to go for it.
    pub(super) fn begin(
        &mut self,
        agent: AgentId,
        presence: Presence,
        sessions: usize,
        notice: T,
    ) -> Result<(Ticket, Option<T>), Full> {
        let own = self.by_agent.get(&agent).map_or(0, VecDeque::len);
        let in_place_of_own = own >= self.bounds.each;
        if !in_place_of_own && self.count >= self.bounds.all {
            return Err(Full::Handshakes);
        }
        let one_more = presence == Presence::Away && own == 0;
        if one_more && sessions.saturating_add(self.count) >= self.bounds.sessions {
            return Err(Full::Sessions);
        }
        self.last = self.last.saturating_add(1);
        let ticket = Ticket(self.last);
        let own = self.by_agent.entry(agent).or_default();
        own.push_back((ticket, notice));
        let dropped = if in_place_of_own { own.pop_front().map(|(_, notice)| notice) } else { None };
        if dropped.is_none() {
            self.count = self.count.saturating_add(1);
        }
        self.most = self.most.max(self.count);
        Ok((ticket, dropped))
    }

    /// It is over, however it went.
    pub(super) fn end(&mut self, agent: AgentId, ticket: Ticket) {
        let Some(own) = self.by_agent.get_mut(&agent) else { return };
        let before = own.len();
        own.retain(|(known, _)| *known != ticket);
        self.count = self.count.saturating_sub(before.saturating_sub(own.len()));
        if own.is_empty() {
            self.by_agent.remove(&agent);
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.count
    }

    /// The most there were at once.
    pub(super) const fn most(&self) -> usize {
        self.most
    }

    pub(super) const fn bounds(&self) -> Bounds {
        self.bounds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(number: u8) -> AgentId {
        AgentId::from_bytes([number; 16])
    }

    fn handshakes(all: usize, each: usize, sessions: usize) -> Handshakes<u8> {
        Handshakes::new(Bounds { all, each, sessions })
    }

    #[test]
    fn no_more_begin_than_there_is_room_for_until_one_ends() {
        let mut handshakes = handshakes(2, 2, 100);
        let (first, _) = handshakes.begin(agent(1), Presence::Away, 0, 1).unwrap();
        handshakes.begin(agent(2), Presence::Away, 0, 2).unwrap();
        assert_eq!(handshakes.begin(agent(3), Presence::Away, 0, 3), Err(Full::Handshakes));
        assert_eq!(handshakes.begin(agent(3), Presence::Here, 0, 3), Err(Full::Handshakes));
        handshakes.end(agent(1), first);
        handshakes.end(agent(1), first);
        assert_eq!(handshakes.len(), 1, "ended once");
        assert!(handshakes.begin(agent(3), Presence::Away, 0, 3).is_ok());
        assert_eq!(handshakes.most(), 2);
    }

    #[test]
    fn a_copied_bearer_takes_no_more_than_its_agents_places() {
        let mut handshakes = handshakes(3, 2, 100);
        let (first, _) = handshakes.begin(agent(1), Presence::Away, 0, 1).unwrap();
        handshakes.begin(agent(1), Presence::Away, 0, 2).unwrap();
        let (_, dropped) = handshakes.begin(agent(1), Presence::Away, 0, 3).unwrap();
        assert_eq!((dropped, handshakes.len()), (Some(1), 2));
        handshakes.end(agent(1), first);
        assert_eq!(handshakes.len(), 2, "it was dropped before");
        assert!(handshakes.begin(agent(2), Presence::Away, 0, 4).is_ok());
        let (_, dropped) = handshakes.begin(agent(1), Presence::Away, 0, 5).unwrap();
        assert_eq!(dropped, Some(2), "its own, though all places are taken");
    }

    #[test]
    fn sessions_are_bounded_handshakes_included_and_who_is_here_comes_back() {
        let mut handshakes = handshakes(10, 2, 3);
        handshakes.begin(agent(1), Presence::Away, 2, 1).unwrap();
        assert_eq!(handshakes.begin(agent(2), Presence::Away, 2, 2), Err(Full::Sessions));
        assert!(handshakes.begin(agent(2), Presence::Here, 2, 2).is_ok());
        assert!(handshakes.begin(agent(1), Presence::Away, 2, 3).is_ok(), "its place is counted");
        assert_eq!(handshakes.begin(agent(3), Presence::Away, 3, 4), Err(Full::Sessions));
    }

    #[test]
    fn an_agent_that_is_through_is_forgotten() {
        let mut handshakes = handshakes(2, 2, 100);
        let (ticket, _) = handshakes.begin(agent(1), Presence::Away, 0, 1).unwrap();
        handshakes.end(agent(1), ticket);
        assert!(handshakes.by_agent.is_empty());
    }
}
