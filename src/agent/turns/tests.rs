use super::*;
use crate::agent::pace::Settings;
use crate::limit;

const SLACK: Duration = Duration::from_millis(1);

fn at(seconds: u64) -> BootTime {
    BootTime(Duration::from_secs(1_000_000 + seconds))
}

fn soon() -> End {
    End { advice: Advice::default(), error: None, lived: Duration::ZERO }
}

fn capped() -> End {
    End { advice: Advice { retry: Retry::Capped, retry_after: None }, ..soon() }
}

fn floor(seconds: u64) -> End {
    let advice = Advice { retry: Retry::Soon, retry_after: Some(Duration::from_secs(seconds)) };
    End { advice, error: Some(ErrorCode::GoingAway), lived: Duration::ZERO }
}

struct Fleet {
    turns: Turns,
    pace: Pace,
}

impl Fleet {
    fn of(hubs: usize) -> Self {
        Self { turns: Turns::new(hubs), pace: Pace::new(Settings::default()) }
    }

    /// The hub that is asked next, and after how long.
    fn pass(&mut self, seconds: u64, end: End) -> (usize, Duration) {
        let delay = self.turns.pass(at(seconds), &end, &mut self.pace, Backlog::Waiting);
        (self.turns.present(), delay)
    }
}

#[test]
fn each_hub_has_its_turn_after_the_usual_delay() {
    let mut fleet = Fleet::of(3);
    for expected in [1, 2, 0, 1] {
        let (hub, delay) = fleet.pass(0, soon());
        assert_eq!(hub, expected);
        assert!(delay <= limit::RECONNECT_FAST_MAX + SLACK, "{delay:?}");
    }
}

#[test]
fn one_hub_alone_keeps_the_pace_it_would_have() {
    let mut fleet = Fleet::of(1);
    assert!(fleet.pass(0, soon()).1 <= limit::RECONNECT_FAST + SLACK);
    let (hub, delay) = fleet.pass(0, floor(7));
    assert_eq!(hub, 0);
    assert!(delay >= Duration::from_secs(7) && delay <= Duration::from_secs(8), "{delay:?}");
    let (_, delay) = fleet.pass(0, capped());
    assert!(delay >= limit::RECONNECT_MAX / 2 - SLACK && delay <= limit::RECONNECT_MAX + SLACK, "{delay:?}");
}

#[test]
fn a_hub_that_goes_is_left_alone_for_its_time_and_the_others_are_asked_meanwhile() {
    let mut fleet = Fleet::of(2);
    let (hub, delay) = fleet.pass(0, floor(20));
    assert_eq!(hub, 1);
    assert!(delay <= limit::RECONNECT_FAST_MAX + SLACK, "its floor is not the other's: {delay:?}");
    for second in 1..20 {
        assert_eq!(fleet.pass(second, soon()).0, 1, "after {second} s");
    }
    assert_eq!(fleet.pass(22, soon()).0, 0, "its time is over");
}

#[test]
fn a_hub_that_no_retry_mends_does_not_hold_up_one_that_comes_back() {
    let mut fleet = Fleet::of(2);
    assert_eq!(fleet.pass(0, soon()).0, 1);
    let (hub, delay) = fleet.pass(1, capped());
    assert_eq!(hub, 0);
    assert!(delay <= limit::RECONNECT_FAST_MAX + SLACK, "{delay:?}");
    let (hub, delay) = fleet.pass(2, soon());
    assert_eq!(hub, 0, "the other is left out for 15 to 30 s");
    assert!(delay <= limit::RECONNECT_FAST_MAX + SLACK, "{delay:?}");
    assert_eq!(fleet.pass(60, soon()).0, 1);
}

#[test]
fn where_all_want_to_be_left_alone_the_first_that_is_due_is_waited_for() {
    let mut fleet = Fleet::of(3);
    assert_eq!(fleet.pass(0, floor(100)).0, 1);
    assert_eq!(fleet.pass(0, floor(10)).0, 2);
    let (hub, delay) = fleet.pass(0, floor(50));
    assert_eq!(hub, 1);
    assert!(delay >= Duration::from_secs(10) && delay <= Duration::from_secs(11), "{delay:?}");
}

#[test]
fn a_healthy_session_that_broke_without_a_word_is_begun_again_where_it_was() {
    let mut fleet = Fleet::of(2);
    let broke = End { lived: limit::RECONNECT_STABLE, ..soon() };
    assert_eq!(fleet.pass(0, broke).0, 0);
    assert_eq!(fleet.pass(1, soon()).0, 1, "once");
    let no_ack = End { error: Some(ErrorCode::NoAck), ..broke };
    assert_eq!(fleet.pass(2, no_ack).0, 0, "a hub that does not ack is not healthy");
}

#[test]
fn a_copy_of_this_agent_keeps_it_from_every_hub() {
    let mut fleet = Fleet::of(2);
    let advice = Advice { retry: Retry::Soon, retry_after: Some(limit::REPLACED_WAIT) };
    let replaced = End { advice, error: Some(ErrorCode::Replaced), lived: Duration::from_secs(3600) };
    let (hub, delay) = fleet.pass(0, replaced);
    assert!(hub == 0 && delay >= limit::REPLACED_WAIT, "hub {hub} after {delay:?}");
}
