//! How fast each agent's bytes come: a bucket of one second that empties at the rate. Whoever fills it is not read from
//! until there is room again. One message may be larger than the bucket; then the pause is longer.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::time::Duration;

use crate::hub::store::AgentRef;
use crate::limit;
use crate::time::BootTime;

pub(in crate::hub) struct Flows {
    rate: NonZeroU64,
    /// When each bucket is empty; an agent that is not here has an empty one.
    empty_at: HashMap<AgentRef, BootTime>,
}

impl Flows {
    /// `rate`: bytes a second.
    pub(in crate::hub) fn new(rate: NonZeroU64) -> Self {
        Self { rate, empty_at: HashMap::new() }
    }

    pub(in crate::hub) fn note(&mut self, agent: AgentRef, bytes: usize, now: BootTime) {
        let nanos = u128::try_from(bytes).unwrap_or(u128::MAX).saturating_mul(1_000_000_000);
        let nanos = nanos / u128::from(self.rate.get());
        let takes = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let from = self.empty_at.get(&agent).copied().unwrap_or(now).max(now);
        self.empty_at.insert(agent, from.after(takes));
    }

    pub(in crate::hub) fn slowed_until(&mut self, agent: AgentRef, now: BootTime) -> Option<BootTime> {
        let left = self.empty_at.get(&agent)?.since(now);
        if left.is_zero() {
            self.empty_at.remove(&agent);
        }
        let beyond = left.saturating_sub(limit::QUOTA_BURST);
        (!beyond.is_zero()).then(|| now.after(beyond))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGENT: AgentRef = AgentRef(1);

    fn at(millis: u64) -> BootTime {
        BootTime(Duration::from_millis(millis))
    }

    #[test]
    fn an_agent_within_its_rate_is_never_slowed() {
        let mut flows = Flows::new(NonZeroU64::new(100_000).unwrap());
        for second in 0..100 {
            flows.note(AGENT, 100_000, at(second * 1000));
            assert_eq!(flows.slowed_until(AGENT, at(second * 1000)), None, "{second}");
        }
    }

    #[test]
    fn whoever_sends_as_fast_as_it_is_read_comes_to_the_rate() {
        let mut flows = Flows::new(NonZeroU64::new(100_000).unwrap());
        let (mut now, mut bytes) = (at(0), 0);
        while now < at(60_000) {
            flows.note(AGENT, 32_000, now);
            bytes += 32_000;
            if let Some(until) = flows.slowed_until(AGENT, now) {
                assert!(until > now);
                now = until;
                assert_eq!(flows.slowed_until(AGENT, now), None);
            }
        }
        let expected = 60 * 100_000;
        assert!((expected..=expected + 200_000).contains(&bytes), "{bytes} in a minute");
    }

    #[test]
    fn another_agent_is_not_touched_and_one_that_rests_is_forgotten() {
        let mut flows = Flows::new(NonZeroU64::new(1000).unwrap());
        flows.note(AGENT, 5000, at(0));
        assert_eq!(flows.slowed_until(AGENT, at(0)), Some(at(4000)));
        assert_eq!(flows.slowed_until(AgentRef(2), at(0)), None);
        assert_eq!(flows.slowed_until(AGENT, at(4000)), None);
        assert_eq!(flows.slowed_until(AGENT, at(5000)), None);
        assert!(flows.empty_at.is_empty());
    }

    #[test]
    fn a_message_of_the_full_size_keeps_no_agent_waiting_for_longer_than_a_session_may_be_silent() {
        let mut flows = Flows::new(NonZeroU64::new(limit::QUOTA_RATE_MIN).unwrap());
        flows.note(AGENT, limit::MESSAGE_BYTES_MAX, at(0));
        assert!(flows.slowed_until(AGENT, at(0)).unwrap().0 < limit::IDLE_TIMEOUT / 2);
    }
}
