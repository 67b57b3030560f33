//! What becomes of messages that wait for one agent.

use std::time::Duration;

use super::*;
use crate::wire::error::ErrorCode;

fn at(second: u64) -> BootTime {
    BootTime(Duration::from_secs(second))
}

fn id(lo: u64) -> MessageId {
    MessageId { hi: 0, lo }
}

fn reply(lo: u64, outcome: RelayOutcome) -> RelayReply {
    RelayReply { id: id(lo), outcome }
}

fn handler(text: &str) -> HandlerName {
    text.parse().unwrap()
}

fn kept(number: i64, lo: u64, name: &str) -> Option<(i64, MessageId, HandlerName)> {
    Some((number, id(lo), handler(name)))
}

#[test]
fn what_is_not_answered_in_time_is_given_up_and_what_is_kept_is_not_sent_twice() {
    let mut mail = Mail::default();
    assert_eq!(mail.deadline(), None);
    mail.sent(id(1), "one", at(30));
    mail.sent(id(2), "two", at(40));
    mail.found(kept(5, 3, "door"));
    assert_eq!(mail.deadline(), Some(at(30)));
    let on_the_way = |_| Some(Progress::OnTheWay(at(20)));
    assert_eq!(mail.give_up(at(29), on_the_way), []);
    assert_eq!(mail.give_up(at(30), on_the_way), [("one", RelayOutcome::Unanswered)]);
    assert_eq!(mail.give_up(at(40), on_the_way), [("two", RelayOutcome::Unanswered)]);
    assert_eq!(
        (mail.deadline(), mail.ask(at(40)), mail.is_idle()),
        (None, None, false),
        "no copy follows it"
    );
}

/// How far these messages are: not begun, on the line, and there.
fn progress(message: MessageId) -> Option<Progress> {
    match message.lo {
        1 => Some(Progress::Waiting),
        2 => Some(Progress::OnTheWay(at(5))),
        3 => Some(Progress::Arrived(at(6))),
        // Its answer came, and nobody has looked at it.
        _ => None,
    }
}

fn four() -> Mail<u64> {
    let mut mail = Mail::default();
    (1..=4).for_each(|number| mail.sent(id(number), number, at(30)));
    mail
}

#[test]
fn a_message_that_the_line_did_not_take_in_time_was_certainly_not_handled() {
    let mut mail = four();
    let outcomes: Vec<_> = mail.give_up(at(30), progress).into_iter().map(|(_, said)| said.name()).collect();
    assert_eq!(outcomes, ["relay_full", "unanswered", "unanswered", "unanswered"]);
    assert!(mail.end(progress).is_empty(), "each has one answer");
}

#[test]
fn a_message_that_was_not_begun_when_its_session_ended_was_certainly_not_handled() {
    let mut mail = four();
    let outcomes: Vec<_> = mail.end(progress).into_iter().map(|(_, said)| said.name()).collect();
    assert_eq!(outcomes, ["relay_offline", "unanswered", "unanswered", "unanswered"]);
    assert!(mail.give_up(at(30), progress).is_empty(), "each has one answer");
}

/// Takes the next message of the store's, which is number and id in one, and refuses it for now.
fn refuse(mail: &mut Mail<()>, now: BootTime, number: i64, name: &str) {
    mail.found(kept(number, number.unsigned_abs(), name));
    let later = RelayOutcome::refused(ErrorCode::RelayFull, "");
    assert!(matches!(mail.answered(reply(number.unsigned_abs(), later), now), Answered::Nothing));
}

#[test]
fn a_handler_that_refuses_for_now_waits_longer_each_time_and_holds_up_nobody_else() {
    let mut mail = Mail::<()>::default();
    mail.look();
    assert_eq!(mail.ask(at(0)), Some(vec![]));
    refuse(&mut mail, at(1), 255, "door");
    assert_eq!(mail.ask(at(1)), Some(vec![handler("door")]), "at once, for others");
    mail.found(kept(256, 256, "gate"));
    let answered = mail.answered(reply(256, RelayOutcome::Delivered), at(2));
    assert!(matches!(answered, Answered::Kept { number: 256, .. }), "{answered:?}");
    mail.forgotten();
    assert_eq!(mail.ask(at(2)), Some(vec![handler("door")]));
    mail.found(None);
    assert!(mail.is_idle(), "there may be more for others");
    // Then it is its turn again, and nobody has to say so.
    let mut waits = vec![];
    let mut now = at(1);
    for _ in 0..9 {
        let due = mail.deadline().unwrap();
        waits.push(due.since(now));
        mail.give_up(BootTime(due.0 - Duration::from_nanos(1)), |_| None);
        assert_eq!(mail.ask(due), None);
        mail.give_up(due, |_| None);
        assert_eq!(mail.ask(due), Some(vec![]));
        now = due;
        refuse(&mut mail, now, 255, "door");
        assert_eq!(mail.ask(now), Some(vec![handler("door")]));
        mail.found(None);
    }
    let expected = [5, 10, 20, 40, 80, 160, 300, 300, 300].map(Duration::from_secs);
    let is_near =
        |(wait, expected): (&Duration, Duration)| wait.abs_diff(expected) < Duration::from_millis(1);
    assert!(waits.iter().zip(expected).all(is_near), "{waits:?}");
    // One that it takes ends that.
    let due = mail.deadline().unwrap();
    mail.give_up(due, |_| None);
    mail.ask(due);
    mail.found(kept(255, 255, "door"));
    mail.answered(reply(255, RelayOutcome::Delivered), due);
    mail.forgotten();
    assert_eq!(mail.ask(due), Some(vec![]));
    refuse(&mut mail, due, 511, "door");
    mail.ask(due);
    mail.found(None);
    assert!(mail.deadline().unwrap().since(due) <= limit::RELAY_RETRY);
}

/// As a slow store's.
#[test]
fn a_handler_whose_time_comes_while_the_store_looks_for_others_is_asked_for_next() {
    let mut mail = Mail::<()>::default();
    refuse(&mut mail, at(1), 255, "door");
    assert_eq!(mail.ask(at(1)), Some(vec![handler("door")]));
    assert_eq!(mail.deadline(), None, "one question at a time");
    mail.give_up(at(60), |_| None);
    assert_eq!(mail.ask(at(60)), None);
    mail.found(None);
    assert!(mail.deadline().is_some_and(|at| at < self::at(60)));
    mail.give_up(at(60), |_| None);
    assert_eq!(mail.ask(at(60)), Some(vec![]));
    mail.found(None);
    assert_eq!(mail.deadline(), None, "nothing is kept for it any more");
}

#[test]
fn an_agent_that_refuses_for_more_handlers_than_it_may_have_gets_nothing_for_a_while() {
    let mut mail = Mail::<()>::default();
    for number in 0..limit::RELAY_HANDLERS_MAX as i64 {
        refuse(&mut mail, at(1), number, &format!("handler-{number}"));
        assert!(mail.ask(at(1)).is_some());
    }
    refuse(&mut mail, at(1), 255, "one-more");
    assert_eq!((mail.ask(at(1)), mail.deadline()), (None, Some(at(1).after(limit::RELAY_RETRY_MAX))));
}

#[test]
fn the_store_is_asked_one_thing_at_a_time_and_what_it_gives_has_its_place() {
    let mut mail = Mail::<()>::default();
    assert_eq!(mail.ask(at(1)), None, "nobody said that it keeps any");
    mail.look();
    assert_eq!((mail.ask(at(1)), mail.ask(at(1)), mail.reserved()), (Some(vec![]), None, 1));
    // Word that comes meanwhile is for afterwards: what is found may be from before.
    assert!(!mail.is_idle());
    mail.found(kept(5, 3, "door"));
    assert_eq!((mail.reserved(), mail.ask(at(1))), (0, None));
    let answered = mail.answered(reply(3, RelayOutcome::Delivered), at(1));
    assert!(matches!(answered, Answered::Kept { number: 5, .. }), "{answered:?}");
    assert!(mail.is_forgetting() && mail.ask(at(1)).is_none());
    assert!(matches!(mail.answered(reply(3, RelayOutcome::Delivered), at(1)), Answered::Nothing));
    mail.forgotten();
    assert!(mail.ask(at(1)).is_some());
    // A store that fails is asked again after a while.
    mail.failed(at(1));
    let again = at(1).after(limit::RELAY_RETRY);
    assert_eq!(mail.deadline(), Some(again));
    mail.give_up(at(2), |_| None);
    assert!(mail.ask(at(2)).is_none());
    mail.give_up(again, |_| None);
    assert!(mail.ask(again).is_some());
    mail.found(None);
    assert!(mail.is_idle());
}
