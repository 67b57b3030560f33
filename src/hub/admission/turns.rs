//! When those are to come back who cannot be taken now: one after the other, so that they do not come back together.
//!
//! [`Turns`] is for refusals (`Retry-After`): each gets the turn after the last one given. [`Spread`] is for a hub that
//! goes: as many turns as it has sessions. Neither ever asks anybody to stay away for longer than a bound.

use std::time::Duration;

use crate::limit;
use crate::time::BootTime;

/// Turns of those who were refused.
#[derive(Debug, Default)]
pub(super) struct Turns {
    next: BootTime,
}

impl Turns {
    /// The wait of one more. `draw`: random; where the turns given reach too far ahead it chooses the wait.
    pub(super) fn take(&mut self, now: BootTime, draw: u32) -> Duration {
        let turn = self.next.max(now.after(limit::BUSY_RETRY_MIN));
        if turn > now.after(limit::BUSY_RETRY_MAX) {
            let range = limit::BUSY_RETRY_MAX.saturating_sub(limit::BUSY_RETRY_MIN);
            return limit::BUSY_RETRY_MIN.saturating_add(part(range, draw));
        }
        self.next = turn.after(each());
        turn.since(now)
    }
}

/// The turns of the agents of a hub that goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spread {
    each: Duration,
    whole: Duration,
}

impl Spread {
    /// For so many sessions.
    pub(super) fn of(sessions: usize) -> Self {
        let sessions = u32::try_from(sessions).unwrap_or(u32::MAX).max(1);
        let around = limit::RETURN_PAUSE.saturating_add(limit::RETURN_MARGIN);
        let range = each().saturating_mul(sessions).min(limit::RETRY_AFTER_MAX.saturating_sub(around));
        Self { each: range / sessions, whole: range.saturating_add(around) }
    }

    /// Within this they are all back, if the hub is.
    pub(super) const fn whole(self) -> Duration {
        self.whole
    }

    /// The wait of the session with this number; `draw`: random, a place within its turn.
    pub(super) fn wait(self, number: u32, draw: u32) -> Duration {
        let turn = self.each.saturating_mul(number).saturating_add(part(self.each, draw));
        let last = self.whole.saturating_sub(limit::RETURN_MARGIN);
        limit::RETURN_PAUSE.saturating_add(turn).min(last)
    }
}

/// One turn.
fn each() -> Duration {
    Duration::from_secs(1) / limit::RETURNS_PER_SECOND
}

/// `draw` of 2^32 parts of `range`.
fn part(range: Duration, draw: u32) -> Duration {
    let nanos = range.as_nanos().saturating_mul(u128::from(draw)) >> 32;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAWS: [u32; 3] = [0, 1 << 31, u32::MAX];

    fn at(secs: u64) -> BootTime {
        BootTime(Duration::from_secs(secs))
    }

    #[test]
    fn no_second_has_more_returns_than_the_rate() {
        let mut turns = Turns::default();
        let waits: Vec<_> = (0..2000).map(|_| turns.take(at(7), 0)).collect();
        assert_eq!(waits[0], limit::BUSY_RETRY_MIN);
        for second in 1..=21 {
            let second = Duration::from_secs(second);
            let within =
                waits.iter().filter(|wait| (second..second + Duration::from_secs(1)).contains(*wait));
            assert!(within.count() <= limit::RETURNS_PER_SECOND as usize);
        }
        assert_eq!(turns.take(at(60), 0), limit::BUSY_RETRY_MIN, "turns that are over are not waited for");
    }

    #[test]
    fn however_many_are_refused_nobody_waits_for_longer_than_the_bound() {
        let mut turns = Turns::default();
        for count in 0..100_000u32 {
            let wait = turns.take(at(0), count.wrapping_mul(2_654_435_761));
            assert!((limit::BUSY_RETRY_MIN..=limit::BUSY_RETRY_MAX).contains(&wait), "{wait:?}");
        }
        assert_eq!(turns.take(at(0), 0), limit::BUSY_RETRY_MIN);
        assert!(turns.take(at(0), u32::MAX) > limit::BUSY_RETRY_MAX - Duration::from_millis(1));
    }

    #[test]
    fn the_sessions_of_a_hub_that_goes_come_back_evenly_within_what_is_announced() {
        let spread = Spread::of(2000);
        assert_eq!(spread.whole(), Duration::from_secs(20) + limit::RETURN_PAUSE + limit::RETURN_MARGIN);
        for number in 0..2000 {
            let waits = DRAWS.map(|draw| spread.wait(number, draw));
            assert!(waits.is_sorted());
            assert!(waits[2] < spread.wait(number + 1, 0).max(waits[2] + Duration::from_nanos(1)));
            assert!(waits[0] >= limit::RETURN_PAUSE);
            assert!(waits[2] + limit::RETURN_MARGIN <= spread.whole(), "{number}");
        }
        let between = |number: u32| spread.wait(number + 100, 0) - spread.wait(number, 0);
        assert_eq!(between(0), Duration::from_secs(1), "a hundred a second");
        assert_eq!(between(1800), Duration::from_secs(1));
    }

    #[test]
    fn a_hub_with_one_agent_is_soon_back_and_one_with_millions_never_asks_for_more_than_agents_do() {
        let one = Spread::of(1);
        assert!(one.wait(0, u32::MAX) <= limit::RETURN_PAUSE + Duration::from_millis(10));
        assert_eq!(Spread::of(0), one);
        let many = Spread::of(50_000_000);
        assert_eq!(many.whole(), limit::RETRY_AFTER_MAX);
        assert!(many.wait(49_999_999, u32::MAX) <= limit::RETRY_AFTER_MAX - limit::RETURN_MARGIN);
        assert!(
            many.wait(u32::MAX, u32::MAX) <= limit::RETRY_AFTER_MAX - limit::RETURN_MARGIN,
            "beyond the last"
        );
    }
}
