//! Tells copies of one agent apart: two machines that run with one and the same key.
//!
//! A second login wins: as a rule it is the same machine, back before its old connection was found dead. A copy looks the
//! same at first. But a process that was replaced is over then, or stays away; where it comes back while another one
//! lives, both live. Then the one that is there stays, and the other is sent away for longer: they do not take turns.
//!
//! What is remembered is bounded, for each agent and for all; forgetting costs one more login that wins.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

use crate::id::{AgentId, InstanceId};
use crate::limit;
use crate::time::{BootTime, HubTime};

/// A process of an agent that was replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Replaced {
    /// The process.
    pub instance: InstanceId,
    /// Where it came from last.
    pub address: SocketAddr,
    /// How often it was refused since; none: it may well be gone.
    pub refusals: u64,
    /// When it was refused or replaced last.
    pub at: HubTime,
    noted: BootTime,
}

/// Those of all agents.
#[derive(Debug, Default)]
pub(super) struct Clones(HashMap<AgentId, VecDeque<Replaced>>);

impl Clones {
    /// A login replaces this process.
    pub(super) fn replaced(
        &mut self,
        agent: AgentId,
        instance: InstanceId,
        address: SocketAddr,
        now: BootTime,
        at: HubTime,
    ) {
        if self.0.len() >= limit::CLONE_AGENTS_MAX && !self.0.contains_key(&agent) {
            self.make_room(now);
        }
        let known = self.0.entry(agent).or_default();
        known.retain(|one| one.instance != instance && now.since(one.noted) < limit::CLONE_MEMORY);
        if known.len() >= limit::CLONES_PER_AGENT {
            known.pop_front();
        }
        known.push_back(Replaced { instance, address, refusals: 0, at, noted: now });
    }

    /// Whether this process was replaced before, which is noted as a refusal: another one lives.
    pub(super) fn refuses(
        &mut self,
        agent: AgentId,
        instance: InstanceId,
        address: SocketAddr,
        now: BootTime,
        at: HubTime,
    ) -> bool {
        let known = self.0.get_mut(&agent).into_iter().flatten();
        let mut fresh = known.filter(|one| now.since(one.noted) < limit::CLONE_MEMORY);
        let Some(one) = fresh.find(|one| one.instance == instance) else { return false };
        one.refusals = one.refusals.saturating_add(1);
        (one.address, one.at, one.noted) = (address, at, now);
        true
    }

    /// This process is the one that is there now.
    pub(super) fn welcome(&mut self, agent: AgentId, instance: InstanceId) {
        if let Some(known) = self.0.get_mut(&agent) {
            known.retain(|one| one.instance != instance);
            if known.is_empty() {
                self.0.remove(&agent);
            }
        }
    }

    /// Those that came back while another one was there.
    pub(super) fn seen(&self, agent: AgentId) -> Vec<Replaced> {
        self.0.get(&agent).into_iter().flatten().filter(|one| one.refusals > 0).cloned().collect()
    }

    /// Forgets agents whose copies are long quiet, or the one that is quiet longest.
    fn make_room(&mut self, now: BootTime) {
        let last = |known: &VecDeque<Replaced>| known.iter().map(|one| one.noted).max().unwrap_or_default();
        self.0.retain(|_, known| now.since(last(known)) < limit::CLONE_MEMORY);
        if self.0.len() >= limit::CLONE_AGENTS_MAX
            && let Some(agent) = self.0.iter().min_by_key(|(_, known)| last(known)).map(|(agent, _)| *agent)
        {
            self.0.remove(&agent);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const AGENT: AgentId = AgentId::from_bytes([1; 16]);

    fn at(seconds: u64) -> BootTime {
        BootTime(Duration::from_secs(seconds))
    }

    fn instance(number: u8) -> InstanceId {
        InstanceId::from_bytes([number; 16])
    }

    fn from(port: u16) -> SocketAddr {
        ([192, 0, 2, 1], port).into()
    }

    fn replaced(clones: &mut Clones, number: u8, now: u64) {
        clones.replaced(AGENT, instance(number), from(number.into()), at(now), HubTime(now));
    }

    fn refuses(clones: &mut Clones, number: u8, now: u64) -> bool {
        clones.refuses(AGENT, instance(number), from(100), at(now), HubTime(now))
    }

    #[test]
    fn one_that_was_replaced_is_told_from_one_that_was_not() {
        let mut clones = Clones::default();
        assert!(!refuses(&mut clones, 1, 0));
        replaced(&mut clones, 1, 0);
        assert_eq!(clones.seen(AGENT), [], "it may be gone");
        assert!(!refuses(&mut clones, 2, 1));
        assert!(refuses(&mut clones, 1, 60) && refuses(&mut clones, 1, 360));
        let seen = clones.seen(AGENT);
        assert_eq!(seen.len(), 1);
        assert_eq!((seen[0].instance, seen[0].address, seen[0].refusals), (instance(1), from(100), 2));
        assert_eq!(seen[0].at, HubTime(360));
    }

    #[test]
    fn one_that_is_let_in_again_counts_no_more() {
        let mut clones = Clones::default();
        replaced(&mut clones, 1, 0);
        clones.welcome(AGENT, instance(1));
        assert!(!refuses(&mut clones, 1, 1));
        assert!(clones.0.is_empty());
    }

    #[test]
    fn what_is_long_quiet_is_forgotten_and_what_comes_back_is_not() {
        let mut clones = Clones::default();
        let memory = limit::CLONE_MEMORY.as_secs();
        replaced(&mut clones, 1, 0);
        replaced(&mut clones, 2, 0);
        assert!(refuses(&mut clones, 2, memory - 1));
        assert!(!refuses(&mut clones, 1, memory));
        assert!(refuses(&mut clones, 2, memory));
    }

    #[test]
    fn however_many_there_are_memory_is_bounded() {
        let mut clones = Clones::default();
        let most = u8::try_from(limit::CLONES_PER_AGENT).unwrap();
        for number in 0..=most {
            replaced(&mut clones, number, 0);
        }
        assert!(!refuses(&mut clones, 0, 1), "the oldest went");
        assert!(refuses(&mut clones, 1, 1) && refuses(&mut clones, most, 1));
        for number in 0..limit::CLONE_AGENTS_MAX as u128 + 10 {
            let agent = AgentId::from_bytes(number.to_be_bytes());
            clones.replaced(agent, instance(1), from(1), at(10), HubTime(10));
        }
        assert_eq!(clones.0.len(), limit::CLONE_AGENTS_MAX);
        assert!(clones.seen(AGENT).is_empty(), "the quietest went first");
    }
}
