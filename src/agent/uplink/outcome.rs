//! How a session ended, and what that means for the next attempt.

use std::time::Duration;

use crate::limit;
use crate::net::tls::trust::Trust;
use crate::outbox::StoreError;
use crate::session::Closed;
use crate::time::BootTime;
use crate::wire::error::{ErrorCode, Retry};
use crate::wire::message::{ErrorMessage, GoAway, RetryHints};

use super::{End, Flow};
use crate::agent::pace::Advice;

/// Whether to dial again at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Again {
    /// After the usual delay.
    #[default]
    Later,
    /// At once: a lane began a new epoch, or the agent has a new key.
    AtOnce,
}

/// The code of a session that ended because the agent has a new key.
pub(in crate::agent) const ROTATED: &str = "rotated";

/// What one session leaves.
#[derive(Debug, Default)]
pub(in crate::agent) struct Outcome {
    /// When it was registered.
    pub(in crate::agent) registered_at: Option<BootTime>,
    /// Reconnect delays the hub asked for.
    pub(in crate::agent) hints: Option<RetryHints>,
    /// What the end says about the next attempt.
    pub(in crate::agent) advice: Advice,
    /// Whether to go on at once.
    pub(in crate::agent) again: Again,
    /// A name of the error table, or `link` or `folder`; empty for a polite end.
    pub(in crate::agent) code: String,
    /// One line.
    pub(in crate::agent) text: String,
    /// The entry of the error table.
    pub(in crate::agent) error: Option<ErrorCode>,
}

impl Outcome {
    /// Whether a MAC vouched for this hub.
    pub(in crate::agent) fn verified(&self) -> bool {
        self.registered_at.is_some()
    }

    /// Whether the session ended because of the dates of the hub's certificate: no retry mends them.
    pub(in crate::agent) fn is_unfit_certificate(&self, trust: Trust) -> bool {
        let is_clock = self.error == Some(ErrorCode::Clock);
        is_clock && !self.verified() && matches!(trust, Trust::Provisional { .. })
    }

    /// Why it ended, in a word.
    pub(in crate::agent) fn reason(&self) -> &str {
        if self.code.is_empty() { "closed" } else { &self.code }
    }

    pub(super) fn registered(&mut self, now: BootTime, hints: Option<RetryHints>) {
        self.registered_at = Some(now);
        self.hints = hints;
    }

    /// The first reason holds; the error table's words stand behind it.
    pub(super) fn ended(&mut self, code: &str, text: &str, error: Option<ErrorCode>) {
        if !self.text.is_empty() {
            return;
        }
        code.clone_into(&mut self.code);
        self.text = explained(text, error);
        self.error = error;
        self.advice.retry = error.map_or(Retry::Soon, ErrorCode::retry);
        // Two copies do not chase each other, however this one learns that there is another.
        match error {
            Some(ErrorCode::Replaced) => self.at_least(limit::REPLACED_WAIT),
            Some(ErrorCode::IdentityInUse) => self.at_least(limit::IDENTITY_IN_USE_WAIT),
            Some(_) | None => {}
        }
    }

    fn at_least(&mut self, wait: Duration) {
        self.advice.retry_after = Some(self.advice.retry_after.map_or(wait, |known| known.max(wait)));
    }

    pub(super) fn hub_error(&mut self, error: &ErrorMessage) {
        let name = error.code.map_or("unknown_error", ErrorCode::name);
        self.ended(name, &format!("the hub ended the session: {}", error.text), error.code);
        if let Some(wait) = error.retry_after {
            self.at_least(wait);
        }
    }

    pub(super) fn go_away(&mut self, go: &GoAway) {
        let code = ErrorCode::GoingAway;
        self.ended(code.name(), &format!("the hub goes: {}", go.reason), Some(code));
        self.at_least(go.retry_after);
    }

    pub(super) fn closed(&mut self, closed: &Closed) {
        let name = closed.error.map_or("link", ErrorCode::name);
        self.ended(name, &closed.detail, closed.error);
    }

    /// A close frame may name an entry of the error table at the beginning of its reason.
    pub(super) fn closed_by_peer(
        &mut self,
        code: u16,
        reason: &str,
        explain: impl FnOnce(ErrorCode) -> ErrorCode,
    ) {
        let name = reason.split([':', ' ']).next().unwrap_or_default();
        let error = ErrorCode::from_name(name).map(explain);
        let text = format!("the hub closed the session with {code} {reason}");
        self.ended(error.map_or("link", ErrorCode::name), text.trim_end(), error);
    }

    pub(super) fn rolled_back(&mut self) {
        self.again = Again::AtOnce;
        self.ended(
            "rolled_back",
            "a lane begins a new epoch because this agent's disk went back in time",
            None,
        );
    }

    pub(super) fn rotated(&mut self) {
        self.again = Again::AtOnce;
        self.ended(ROTATED, "this agent has a new key", None);
    }

    pub(super) fn store_failed(&mut self, error: &StoreError) -> Flow {
        self.ended("folder", &format!("the outbox failed: {error}"), None);
        Flow::End(End::Close(1001, "the agent's outbox failed".to_owned()))
    }
}

/// What happened, and what the table says to it.
fn explained(text: &str, error: Option<ErrorCode>) -> String {
    match error.map(ErrorCode::text) {
        Some(known) if text.is_empty() => known.to_owned(),
        Some(known) if !text.contains(known) => format!("{text} ({known})"),
        Some(_) | None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_login_stays_away_for_a_minute_however_it_learns_of_it() {
        let said = ErrorMessage {
            code: Some(ErrorCode::Replaced),
            text: ErrorCode::Replaced.text().to_owned(),
            retry_after: Some(Duration::from_secs(5)),
        };
        let mut by_message = Outcome::default();
        by_message.hub_error(&said);
        let mut by_close = Outcome::default();
        by_close.closed_by_peer(1000, "replaced", |error| error);
        for outcome in [by_message, by_close] {
            assert_eq!(outcome.code, "replaced");
            assert_eq!(outcome.advice.retry_after, Some(limit::REPLACED_WAIT));
            assert_eq!(outcome.text.matches(ErrorCode::Replaced.text()).count(), 1, "{}", outcome.text);
        }
    }

    #[test]
    fn a_copy_that_is_sent_away_stays_away_for_five_minutes() {
        let mut outcome = Outcome::default();
        outcome.closed_by_peer(1008, "identity_in_use", |error| error);
        assert_eq!(outcome.advice.retry_after, Some(limit::IDENTITY_IN_USE_WAIT));
        assert_eq!(outcome.advice.retry, Retry::Capped);
    }

    #[test]
    fn the_first_reason_holds_and_the_table_says_what_to_do() {
        let mut outcome = Outcome::default();
        outcome.closed_by_peer(1008, "bad_mac", |error| error);
        outcome.closed_by_peer(1006, "", |error| error);
        assert_eq!(outcome.code, "bad_mac");
        let text = format!("the hub closed the session with 1008 bad_mac ({})", ErrorCode::BadMac.text());
        assert_eq!(outcome.text, text);
        let mut outcome = Outcome::default();
        outcome.closed_by_peer(4000, "of a later version", |error| error);
        assert_eq!((outcome.code.as_str(), outcome.error), ("link", None));
    }
}
