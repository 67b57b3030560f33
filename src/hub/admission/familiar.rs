//! Agents that registered here lately. Where their neighbours behind one address fail, they are let through all the
//! same: an id is 128 random bits that nobody guesses, and what it opens is one look at the credential.

use std::collections::{BTreeMap, HashMap};

use crate::id::AgentId;
use crate::limit;

#[derive(Debug, Default)]
pub(super) struct Familiar {
    last: u64,
    seen: HashMap<AgentId, u64>,
    by_age: BTreeMap<u64, AgentId>,
}

impl Familiar {
    /// It registered; who did so longest ago is forgotten beyond the bound.
    pub(super) fn note(&mut self, agent: AgentId) {
        self.last = self.last.saturating_add(1);
        if let Some(before) = self.seen.insert(agent, self.last) {
            self.by_age.remove(&before);
        }
        self.by_age.insert(self.last, agent);
        if self.by_age.len() > limit::FAMILIAR_MAX
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.seen.remove(&oldest);
        }
    }

    pub(super) fn contains(&self, agent: AgentId) -> bool {
        self.seen.contains_key(&agent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_remembered() {
        let agent = |number: u8| AgentId::from_bytes([number; 16]);
        let mut familiar = Familiar::default();
        let most = u8::try_from(limit::FAMILIAR_MAX).unwrap();
        for number in 0..most {
            familiar.note(agent(number));
        }
        familiar.note(agent(0));
        familiar.note(agent(most));
        assert!(familiar.contains(agent(0)) && familiar.contains(agent(most)));
        assert!(!familiar.contains(agent(1)), "the one that registered longest ago");
        assert_eq!((familiar.seen.len(), familiar.by_age.len()), (limit::FAMILIAR_MAX, limit::FAMILIAR_MAX));
    }
}
