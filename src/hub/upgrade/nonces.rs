//! The nonces of signed upgrades that were taken: each passes once.
//!
//! A nonce is remembered for twice as long as a timestamp may be off, so that what is forgotten is refused for its time.
//! It comes here only under a good signature: nobody can fill this with nonces of another agent. One agent's are bounded;
//! beyond, the oldest are forgotten, and from then on its timestamps have to be later than theirs. So neither does a busy
//! agent lock itself out for long, nor is anything taken twice.

use std::collections::{HashMap, VecDeque};

use crate::id::AgentId;
use crate::limit;
use crate::time::{BootTime, HubTime};
use crate::wire::signed_upgrade::UpgradeClaim;

/// What is to be said of a nonce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was never taken.
    Fresh,
    /// It was.
    Replayed,
    /// Its time lies before what is still remembered of this agent.
    Forgotten,
    /// Too many agents are remembered.
    Full,
}

/// All of them.
#[derive(Debug, Default)]
pub(in crate::hub) struct Nonces {
    agents: HashMap<AgentId, Taken>,
    /// When those that nobody asks for any more were looked for.
    swept: BootTime,
}

#[derive(Debug, Default)]
struct Taken {
    /// Oldest first.
    nonces: VecDeque<Nonce>,
    /// The latest timestamp that was forgotten for want of room.
    floor: Option<HubTime>,
    /// When the last one was taken.
    last: BootTime,
}

#[derive(Debug)]
struct Nonce {
    at: BootTime,
    timestamp: HubTime,
    nonce: [u8; 16],
}

impl Nonces {
    /// Takes a nonce whose signature is good and whose timestamp is in time.
    pub(super) fn take(&mut self, now: BootTime, claim: &UpgradeClaim) -> Verdict {
        self.sweep(now);
        if self.agents.len() >= limit::UPGRADE_NONCE_AGENTS_MAX && !self.agents.contains_key(&claim.agent_id)
        {
            return Verdict::Full;
        }
        self.agents.entry(claim.agent_id).or_default().take(now, claim)
    }

    /// Agents that have been quiet for as long as anything is remembered go.
    fn sweep(&mut self, now: BootTime) {
        if now.since(self.swept) >= limit::UPGRADE_NONCE_SWEEP {
            self.swept = now;
            self.agents.retain(|_, taken| now.since(taken.last) < limit::UPGRADE_NONCE_MEMORY);
        }
    }
}

impl Taken {
    fn take(&mut self, now: BootTime, claim: &UpgradeClaim) -> Verdict {
        if now.since(self.last) >= limit::UPGRADE_NONCE_MEMORY {
            *self = Self::default();
        }
        while self.nonces.front().is_some_and(|nonce| now.since(nonce.at) >= limit::UPGRADE_NONCE_MEMORY) {
            self.nonces.pop_front();
        }
        if self.nonces.iter().any(|taken| taken.nonce == claim.nonce) {
            return Verdict::Replayed;
        }
        if self.floor.is_some_and(|floor| claim.timestamp <= floor) {
            return Verdict::Forgotten;
        }
        if self.nonces.len() >= limit::UPGRADE_NONCES_PER_AGENT
            && let Some(oldest) = self.nonces.pop_front()
        {
            self.floor = Some(self.floor.map_or(oldest.timestamp, |floor| floor.max(oldest.timestamp)));
        }
        self.last = now;
        self.nonces.push_back(Nonce { at: now, timestamp: claim.timestamp, nonce: claim.nonce });
        Verdict::Fresh
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> BootTime {
        BootTime(Duration::from_secs(seconds))
    }

    fn claim(agent: u32, nonce: u64) -> UpgradeClaim {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&agent.to_be_bytes());
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&nonce.to_be_bytes());
        UpgradeClaim {
            url: String::new(),
            agent_id: AgentId::from_bytes(id),
            timestamp: HubTime(1_800_000_000_000 + nonce),
            nonce: bytes,
        }
    }

    #[test]
    fn a_nonce_passes_once_in_ten_minutes_and_for_its_agent_alone() {
        let mut nonces = Nonces::default();
        assert_eq!(nonces.take(at(1000), &claim(1, 1)), Verdict::Fresh);
        assert_eq!(nonces.take(at(1000), &claim(2, 1)), Verdict::Fresh);
        assert_eq!(nonces.take(at(1300), &claim(1, 2)), Verdict::Fresh);
        assert_eq!(nonces.take(at(1599), &claim(1, 1)), Verdict::Replayed);
        assert_eq!(nonces.take(at(1600), &claim(1, 1)), Verdict::Fresh, "its time is refused by now");
        assert_eq!(nonces.take(at(1600), &claim(1, 2)), Verdict::Replayed);
    }

    #[test]
    fn a_busy_agent_is_not_locked_out_and_nothing_it_sent_passes_again() {
        let mut nonces = Nonces::default();
        let per_agent = limit::UPGRADE_NONCES_PER_AGENT as u64;
        for nonce in 0..3 * per_agent {
            assert_eq!(nonces.take(at(1000), &claim(1, nonce)), Verdict::Fresh, "nonce {nonce}");
        }
        for nonce in 0..3 * per_agent {
            let again = nonces.take(at(1599), &claim(1, nonce));
            assert!(matches!(again, Verdict::Replayed | Verdict::Forgotten), "nonce {nonce}: {again:?}");
        }
        assert_eq!(nonces.agents[&claim(1, 0).agent_id].nonces.len() as u64, per_agent);
        assert_eq!(nonces.take(at(1599), &claim(2, 0)), Verdict::Fresh, "another agent pays nothing for it");
    }

    #[test]
    fn agents_that_went_quiet_are_forgotten_and_their_number_is_bounded() {
        let mut nonces = Nonces::default();
        let most = u32::try_from(limit::UPGRADE_NONCE_AGENTS_MAX).unwrap();
        for agent in 0..most {
            assert_eq!(nonces.take(at(1000), &claim(agent, 1)), Verdict::Fresh);
        }
        assert_eq!(nonces.take(at(1001), &claim(most, 1)), Verdict::Full);
        assert_eq!(nonces.take(at(1001), &claim(0, 2)), Verdict::Fresh, "one that is known still comes in");
        assert_eq!(nonces.take(at(1600), &claim(most, 1)), Verdict::Fresh);
        assert_eq!(nonces.agents.len(), 2);
    }
}
