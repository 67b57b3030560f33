//! How long the agent waits before it dials again. The only module that knows `backoff`.
//!
//! * While a backlog waits and the outage is young: short delays, so that a hub that was restarted gets its records
//!   at once. Then the long ones. Both with full jitter: a delay is drawn from zero to the present bound.
//! * Only a session that stayed healthy for `stable` ends the outage; one that fell at once goes on where it was.
//! * What the hub asks for (`retry_after`) is a floor. It gives each agent a turn of its own, so what comes on top is
//!   small: at most the first of the long delays, and the whole fleet is back within what the hub announced. The floor
//!   is bounded by [`limit::RETRY_AFTER_MAX`]: a hub must not be able to send an agent away for ever.
//! * An error that a retry does not mend waits near the greatest delay.
//!
//! Nothing here reads a clock.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff;

use crate::limit;
use crate::time::BootTime;
use crate::wire::error::Retry;

/// The `[reconnect]` section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// First bound of the long delays.
    pub min: Duration,
    /// Greatest bound of the long delays.
    pub max: Duration,
    /// First bound of the short delays; they grow to twice this.
    pub fast: Duration,
    /// How long an outage is young.
    pub fast_for: Duration,
    /// A session this old ends the outage.
    pub stable: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            min: limit::RECONNECT_MIN,
            max: limit::RECONNECT_MAX,
            fast: limit::RECONNECT_FAST,
            fast_for: limit::RECONNECT_FAST_FOR,
            stable: limit::RECONNECT_STABLE,
        }
    }
}

/// Whether records wait to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backlog {
    /// At least one.
    Waiting,
    /// None.
    Empty,
}

/// What the last attempt said about the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advice {
    /// Whether a retry helps.
    pub retry: Retry,
    /// The floor the hub asked for.
    pub retry_after: Option<Duration>,
}

impl Default for Advice {
    fn default() -> Self {
        Self { retry: Retry::Soon, retry_after: None }
    }
}

/// The delays of one agent.
pub struct Pace {
    settings: Settings,
    fast: ExponentialBackoff,
    slow: ExponentialBackoff,
    down_since: Option<BootTime>,
}

impl Pace {
    /// Delays that begin at the first step.
    pub fn new(settings: Settings) -> Self {
        let fast_max = settings.fast.saturating_mul(2);
        Self {
            settings,
            fast: full_jitter(settings.fast, fast_max),
            slow: full_jitter(settings.min, settings.max),
            down_since: None,
        }
    }

    /// The delays the hub asks for in its RegisterAck, within ours.
    pub fn hint(&mut self, min: Duration, max: Duration) {
        let max = max.clamp(self.settings.min, limit::RETRY_AFTER_MAX);
        self.settings.max = max;
        self.settings.min = min.clamp(self.settings.min, max);
        self.slow = full_jitter(self.settings.min, max);
    }

    /// A session this old ends the outage.
    pub(super) const fn stable(&self) -> Duration {
        self.settings.stable
    }

    /// A registered session ended that had lived for `lived`.
    pub fn session_ended(&mut self, lived: Duration) {
        if lived >= self.settings.stable {
            self.down_since = None;
            self.fast.reset();
            self.slow.reset();
        }
    }

    /// How long to wait before the next attempt.
    pub fn delay(&mut self, now: BootTime, backlog: Backlog, advice: Advice) -> Duration {
        let down_since = *self.down_since.get_or_insert(now);
        let young = now.since(down_since) < self.settings.fast_for;
        let delay = match (advice.retry, backlog) {
            (Retry::Capped, Backlog::Waiting | Backlog::Empty) => self.capped(),
            (Retry::Soon, Backlog::Waiting) if young => self.fast.next_backoff(),
            (Retry::Soon, Backlog::Waiting | Backlog::Empty) => self.slow.next_backoff(),
        };
        // `None` means "give up", which never happens without a max_elapsed_time.
        let delay = delay.unwrap_or(self.settings.max);
        match (advice.retry_after, advice.retry) {
            (None, Retry::Soon | Retry::Capped) => delay,
            (Some(floor), Retry::Soon) => {
                floor.min(limit::RETRY_AFTER_MAX).saturating_add(delay.min(self.settings.min))
            }
            (Some(floor), Retry::Capped) => floor.min(limit::RETRY_AFTER_MAX).saturating_add(delay),
        }
    }

    /// Half to all of the greatest delay.
    fn capped(&self) -> Option<Duration> {
        let mut draw = ExponentialBackoff {
            current_interval: self.settings.max.saturating_mul(3) / 4,
            randomization_factor: 1.0 / 3.0,
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        };
        draw.next_backoff()
    }
}

/// `backoff` draws from d(1 +- f): with f = 1 and d = X/2 that is zero to X.
fn full_jitter(first: Duration, max: Duration) -> ExponentialBackoff {
    let mut backoff = ExponentialBackoff {
        initial_interval: first / 2,
        max_interval: max / 2,
        multiplier: 2.0,
        randomization_factor: 1.0,
        max_elapsed_time: None,
        ..ExponentialBackoff::default()
    };
    backoff.reset();
    backoff
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLACK: Duration = Duration::from_millis(1);

    fn at(millis: u64) -> BootTime {
        BootTime(Duration::from_millis(millis))
    }

    /// The greatest of many first delays: a full jitter comes near its bound.
    fn greatest(mut draw: impl FnMut() -> Duration) -> Duration {
        (0..400).map(|_| draw()).max().unwrap()
    }

    #[test]
    fn a_young_outage_with_a_backlog_is_fast() {
        let first =
            greatest(|| Pace::new(Settings::default()).delay(at(0), Backlog::Waiting, Advice::default()));
        assert!(first <= Duration::from_millis(250) + SLACK, "{first:?}");
        assert!(first > Duration::from_millis(200), "full jitter reaches the bound: {first:?}");
        let mut pace = Pace::new(Settings::default());
        let later = greatest(|| pace.delay(at(59_999), Backlog::Waiting, Advice::default()));
        assert!(later <= Duration::from_millis(500) + SLACK, "{later:?}");
        assert!(later > Duration::from_millis(400), "{later:?}");
    }

    #[test]
    fn without_a_backlog_or_after_a_minute_the_delays_are_long() {
        let first =
            greatest(|| Pace::new(Settings::default()).delay(at(0), Backlog::Empty, Advice::default()));
        assert!(first <= Duration::from_secs(1) + SLACK && first > Duration::from_millis(800), "{first:?}");
        let mut pace = Pace::new(Settings::default());
        pace.delay(at(0), Backlog::Waiting, Advice::default());
        let late = greatest(|| pace.delay(at(60_000), Backlog::Waiting, Advice::default()));
        assert!(late <= Duration::from_secs(30) + SLACK && late > Duration::from_secs(25), "{late:?}");
    }

    #[test]
    fn only_a_stable_session_ends_the_outage() {
        let settings = Settings::default();
        let mut pace = Pace::new(settings);
        for _ in 0..10 {
            pace.delay(at(0), Backlog::Empty, Advice::default());
        }
        pace.session_ended(settings.stable - SLACK);
        let still = greatest(|| pace.delay(at(61_000), Backlog::Waiting, Advice::default()));
        assert!(still > Duration::from_secs(20), "a short session changes nothing: {still:?}");
        pace.session_ended(settings.stable);
        let fresh = pace.delay(at(62_000), Backlog::Waiting, Advice::default());
        assert!(fresh <= Duration::from_millis(250) + SLACK, "{fresh:?}");
    }

    #[test]
    fn the_hub_sets_the_floor_and_cannot_send_an_agent_away_for_ever() {
        let mut pace = Pace::new(Settings::default());
        let floor = Duration::from_secs(7);
        for _ in 0..100 {
            let advice = Advice { retry: Retry::Soon, retry_after: Some(floor) };
            assert!(pace.delay(at(0), Backlog::Waiting, advice) >= floor);
        }
        let advice = Advice { retry: Retry::Soon, retry_after: Some(Duration::MAX) };
        let longest = pace.delay(at(0), Backlog::Empty, advice);
        assert!(longest <= limit::RETRY_AFTER_MAX + limit::RECONNECT_MAX + SLACK, "{longest:?}");
    }

    #[test]
    fn an_agent_whose_turn_the_hub_named_is_back_within_a_second_of_it_however_long_it_has_tried() {
        let mut pace = Pace::new(Settings::default());
        for _ in 0..20 {
            pace.delay(at(0), Backlog::Empty, Advice::default());
        }
        let floor = Duration::from_secs(7);
        let advice = Advice { retry: Retry::Soon, retry_after: Some(floor) };
        let latest = greatest(|| pace.delay(at(90_000), Backlog::Empty, advice));
        assert!(latest <= floor + limit::RECONNECT_MIN, "{latest:?}");
        let capped = Advice { retry: Retry::Capped, ..advice };
        assert!(pace.delay(at(90_000), Backlog::Empty, capped) >= floor + Duration::from_secs(15) - SLACK);
    }

    #[test]
    fn an_error_that_no_retry_mends_waits_near_the_cap() {
        let mut pace = Pace::new(Settings::default());
        for _ in 0..200 {
            let advice = Advice { retry: Retry::Capped, retry_after: None };
            let delay = pace.delay(at(0), Backlog::Waiting, advice);
            assert!(delay >= Duration::from_secs(15) - SLACK, "{delay:?}");
            assert!(delay <= Duration::from_secs(30) + SLACK, "{delay:?}");
        }
    }

    #[test]
    fn it_never_gives_up() {
        let mut pace = Pace::new(Settings::default());
        for hour in 0..10_000 {
            assert!(
                pace.delay(at(hour * 3_600_000), Backlog::Empty, Advice::default())
                    <= Duration::from_secs(31)
            );
        }
    }
}
