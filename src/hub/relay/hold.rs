//! Handlers of one agent that do not take their mail at present: until when what is kept for each of them waits.
//!
//! Whoever refuses for now is asked again after [`limit::RELAY_RETRY`] at most, then after twice that, and so on up to
//! [`limit::RELAY_RETRY_MAX`], until one of its messages has come to an end. Only its own mail waits, all of it: so the order for
//! each handler holds.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::id::{HandlerName, MessageId};
use crate::limit;
use crate::time::BootTime;

/// `limit::RELAY_HANDLERS_MAX` at most: no agent has more handlers.
#[derive(Debug, Default)]
pub(super) struct Holds(BTreeMap<HandlerName, Hold>);

#[derive(Debug, Clone, Copy)]
struct Hold {
    until: BootTime,
    /// As long it may have been; twice that the next time.
    bound: Duration,
}

/// More handlers refuse than an agent may have.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooMany;

impl Holds {
    /// The handler does not take the message with this id now.
    pub(super) fn refused(
        &mut self,
        now: BootTime,
        handler: HandlerName,
        id: MessageId,
    ) -> Result<(), TooMany> {
        let bound = match self.0.get(&handler) {
            Some(hold) => hold.bound.saturating_mul(2).min(limit::RELAY_RETRY_MAX),
            None if self.0.len() >= limit::RELAY_HANDLERS_MAX => return Err(TooMany),
            None => limit::RELAY_RETRY,
        };
        self.0.insert(handler, Hold { until: now.after(spread(bound, id)), bound });
        Ok(())
    }

    /// A message for the handler came to its end.
    pub(super) fn lift(&mut self, handler: &HandlerName) {
        self.0.remove(handler);
    }

    /// Whose mail waits.
    pub(super) fn at(&self, now: BootTime) -> Vec<HandlerName> {
        let held = self.0.iter().filter(|(_, hold)| hold.until > now);
        held.map(|(handler, _)| handler.clone()).collect()
    }

    /// Nothing was kept at that moment but for those whose mail waited then.
    pub(super) fn looked(&mut self, then: BootTime) {
        self.0.retain(|_, hold| hold.until > then);
    }

    /// When there is mail again that does not wait.
    pub(super) fn deadline(&self) -> Option<BootTime> {
        self.0.values().map(|hold| hold.until).min()
    }
}

/// From half of the bound to all of it, by an id, which the hub drew: what many agents refused at one moment does not come again
/// at one.
fn spread(bound: Duration, id: MessageId) -> Duration {
    let half = bound / 2;
    let [share, ..] = id.lo.to_le_bytes();
    half.saturating_add((half / u32::from(u8::MAX)).saturating_mul(u32::from(share)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATEST: MessageId = MessageId { hi: 0, lo: 255 };

    fn at(second: u64) -> BootTime {
        BootTime(Duration::from_secs(second))
    }

    fn handler(number: usize) -> HandlerName {
        format!("handler-{number}").parse().unwrap()
    }

    /// How long a handler waits that is refused at that moment.
    fn wait(holds: &mut Holds, now: BootTime, id: MessageId) -> Duration {
        holds.refused(now, handler(1), id).unwrap();
        holds.deadline().unwrap().since(now)
    }

    #[test]
    fn each_refusal_doubles_the_wait_up_to_minutes_and_an_end_begins_anew() {
        let mut holds = Holds::default();
        let mut expected = limit::RELAY_RETRY;
        for _ in 0..20 {
            let waits = wait(&mut holds, at(10), LATEST);
            assert!(expected.abs_diff(waits) < Duration::from_millis(1), "{waits:?}, not {expected:?}");
            expected = (expected * 2).min(limit::RELAY_RETRY_MAX);
        }
        assert_eq!(expected, limit::RELAY_RETRY_MAX);
        holds.lift(&handler(1));
        assert_eq!(holds.deadline(), None);
        assert!(wait(&mut holds, at(10), LATEST) <= limit::RELAY_RETRY);
    }

    #[test]
    fn what_many_agents_refuse_at_once_does_not_come_again_at_once() {
        let id = |lo| MessageId { hi: 0, lo };
        let waits: std::collections::BTreeSet<_> =
            (0..256).map(|lo| wait(&mut Holds::default(), at(10), id(lo))).collect();
        assert_eq!(waits.len(), 256);
        assert_eq!(waits.first(), Some(&(limit::RELAY_RETRY / 2)));
        assert!(waits.last().unwrap() <= &limit::RELAY_RETRY);
    }

    #[test]
    fn a_handler_is_held_until_its_time_and_remembered_until_nothing_is_kept_for_it() {
        let mut holds = Holds::default();
        holds.refused(at(10), handler(1), LATEST).unwrap();
        holds.refused(at(12), handler(2), LATEST).unwrap();
        assert_eq!(holds.at(at(14)), [handler(1), handler(2)]);
        assert_eq!(holds.at(at(15)), [handler(2)]);
        holds.refused(at(15), handler(1), LATEST).unwrap();
        assert_eq!(holds.at(at(24)), [handler(1)], "twice as long the second time");
        holds.looked(at(24));
        assert_eq!(holds.deadline(), holds.0.get(&handler(1)).map(|hold| hold.until));
        assert!(!holds.0.contains_key(&handler(2)), "nothing is kept for it any more");
    }

    #[test]
    fn no_more_handlers_are_held_than_an_agent_may_have() {
        let mut holds = Holds::default();
        for number in 0..limit::RELAY_HANDLERS_MAX {
            assert_eq!(holds.refused(at(10), handler(number), LATEST), Ok(()));
        }
        assert_eq!(holds.refused(at(10), handler(limit::RELAY_HANDLERS_MAX), LATEST), Err(TooMany));
        assert_eq!(holds.refused(at(20), handler(0), LATEST), Ok(()), "one that is known");
    }
}
