//! When the agent fetches a token, and which one it may present: no clock, no socket.
//!
//! A token is refreshed before it expires, and a fetch that failed is made again each minute, for ever: whatever goes wrong
//! here costs nothing, since the agent's bearer opens the same. It counts for the key it was bought with only.

pub(super) mod keeper;

use std::time::Duration;

use crate::id::KeyId;
use crate::limit;
use crate::secret::Secret;
use crate::time::BootTime;

/// One agent's token and its timer.
#[derive(Debug)]
pub(super) struct Tokens {
    held: Option<Held>,
    fetch_at: BootTime,
}

#[derive(Debug)]
struct Held {
    token: Secret<String>,
    key_id: KeyId,
    expires: BootTime,
}

impl Tokens {
    /// No token yet; the first is fetched at once.
    pub(super) const fn new(now: BootTime) -> Self {
        Self { held: None, fetch_at: now }
    }

    /// When the next one is to be fetched.
    pub(super) const fn fetch_at(&self) -> BootTime {
        self.fetch_at
    }

    /// A token came that was asked for with this key at `asked`. What the hub says of its time is unverified.
    pub(super) fn fetched(
        &mut self,
        asked: BootTime,
        key_id: KeyId,
        token: Secret<String>,
        lifetime: Duration,
    ) {
        let lifetime = lifetime.min(limit::JWT_TTL_MAX);
        let ahead = lifetime.saturating_sub(limit::JWT_REFRESH_AHEAD).max(lifetime / 2);
        self.fetch_at = asked.after(ahead.max(limit::JWT_REFRESH_MIN));
        self.held = Some(Held { token, key_id, expires: asked.after(lifetime) });
    }

    /// None came. The one that is held stays as long as it is good.
    pub(super) fn failed(&mut self, now: BootTime) {
        self.fetch_at = now.after(limit::JWT_RETRY);
    }

    /// A hub that proved to be the right one refused the token and took the bearer.
    pub(super) fn refused(&mut self, now: BootTime) {
        self.held = None;
        self.failed(now);
    }

    /// The token of this key, where its time is not over. One of another key makes way for a new one at once.
    pub(super) fn usable(&mut self, now: BootTime, key_id: &KeyId) -> Option<Secret<String>> {
        if self.held.as_ref().is_some_and(|held| held.key_id != *key_id) {
            *self = Self::new(now);
        }
        self.held.as_ref().filter(|held| now < held.expires).map(|held| held.token.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(900);

    fn at(seconds: u64) -> BootTime {
        BootTime(Duration::from_secs(1_000_000 + seconds))
    }

    fn key(id: &str) -> KeyId {
        id.parse().unwrap()
    }

    fn token(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    fn holding(lifetime: Duration) -> Tokens {
        let mut tokens = Tokens::new(at(0));
        tokens.fetched(at(0), key("k1"), token("first"), lifetime);
        tokens
    }

    #[test]
    fn it_is_fetched_at_once_and_refreshed_two_minutes_before_its_end() {
        let mut tokens = Tokens::new(at(0));
        assert_eq!(tokens.fetch_at(), at(0));
        assert_eq!(tokens.usable(at(0), &key("k1")), None);
        tokens.fetched(at(1), key("k1"), token("first"), TTL);
        assert_eq!(tokens.fetch_at(), at(1 + 900 - 120));
        assert_eq!(tokens.usable(at(900), &key("k1")), Some(token("first")));
        tokens.fetched(at(781), key("k1"), token("second"), TTL);
        assert_eq!(tokens.usable(at(901), &key("k1")), Some(token("second")));
        assert_eq!(tokens.fetch_at(), at(781 + 780));
    }

    #[test]
    fn a_failure_is_tried_again_each_minute_and_the_token_serves_to_its_last_second() {
        let mut tokens = holding(TTL);
        for minute in 0..4 {
            let due = at(780 + 60 * minute);
            assert_eq!(tokens.fetch_at(), due);
            let still = (minute < 2).then(|| token("first"));
            assert_eq!(tokens.usable(due, &key("k1")), still, "minute {minute}");
            tokens.failed(due);
        }
        let mut tokens = holding(TTL);
        assert_eq!(tokens.usable(at(899), &key("k1")), Some(token("first")));
        assert_eq!(tokens.usable(at(900), &key("k1")), None);
    }

    #[test]
    fn a_token_of_another_key_is_not_presented_and_replaced_at_once() {
        let mut tokens = holding(TTL);
        assert_eq!(tokens.usable(at(5), &key("k2")), None);
        assert_eq!(tokens.fetch_at(), at(5));
        assert_eq!(tokens.usable(at(5), &key("k1")), None, "it is gone");
    }

    #[test]
    fn one_that_the_right_hub_refused_is_gone_for_a_minute() {
        let mut tokens = holding(TTL);
        tokens.refused(at(10));
        assert_eq!(tokens.usable(at(11), &key("k1")), None);
        assert_eq!(tokens.fetch_at(), at(70));
    }

    #[test]
    fn no_lifetime_a_hub_may_name_makes_the_agent_ask_without_end_or_never_again() {
        for (lifetime, refresh) in [
            (Duration::ZERO, limit::JWT_REFRESH_MIN),
            (Duration::from_secs(1), limit::JWT_REFRESH_MIN),
            (Duration::from_secs(180), Duration::from_secs(90)),
            (Duration::from_secs(240), Duration::from_secs(120)),
            (Duration::MAX, limit::JWT_TTL_MAX - limit::JWT_REFRESH_AHEAD),
        ] {
            assert_eq!(holding(lifetime).fetch_at(), at(0).after(refresh), "{lifetime:?}");
        }
        assert_eq!(holding(Duration::MAX).usable(at(24 * 3600), &key("k1")), None);
    }
}
