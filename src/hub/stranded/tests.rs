//! What is sent again, after what, and how often.

use std::time::Duration;

use super::*;

const NOW: BootTime = BootTime(Duration::from_secs(10_000));
const LONG: u64 = limit::CLOCK_SKEW_MAX.as_secs();

fn offer(number: u8) -> Cargo {
    Cargo::Offer(JobId::from_bytes([number; 16]))
}

fn message(number: u64) -> Cargo {
    Cargo::Message(MessageId { hi: 0, lo: number })
}

/// Under way for so many seconds.
fn load(bytes: usize, seconds: u64) -> Load {
    Load { bytes, since: BootTime(NOW.0 - Duration::from_secs(seconds)), before: 0 }
}

#[test]
fn what_is_under_way_for_as_long_as_it_may_be_is_refused_after_the_second_session() {
    for cargo in [offer(1), message(1)] {
        let mut stranded = Stranded::default();
        assert_eq!(stranded.ended_with(cargo, load(110_000, LONG), NOW), None);
        let refused = stranded.ended_with(cargo, load(110_000, 366), NOW).unwrap();
        assert_eq!(refused, Refused::Slow { bytes: 110_000, sessions: 2, seconds: 366 });
        assert_eq!(
            refused.to_string(),
            "110000 bytes do not pass the agent's link: 2 sessions ended with them on the way, the last after 366 s, \
             and a message older than 300 s is refused; it carries at most 300 bytes/s, so that at most 90163 bytes \
             pass at once: send less, and let the agent fetch the rest"
        );
    }
}

#[test]
fn a_session_that_was_cut_sooner_is_no_proof_and_many_of_them_are_enough() {
    let mut stranded = Stranded::default();
    for _ in 1..limit::STRANDED_SESSIONS_MAX {
        assert_eq!(stranded.ended_with(offer(1), load(20_000, LONG - 1), NOW), None);
    }
    let refused = stranded.ended_with(offer(1), load(20_000, 40), NOW);
    assert_eq!(
        refused,
        Some(Refused::Cut { bytes: 20_000, sessions: limit::STRANDED_SESSIONS_MAX, seconds: 40 })
    );
    // Where the store could not be told, the next session says it again.
    assert!(stranded.ended_with(offer(1), load(20_000, 0), NOW).is_some());
}

#[test]
fn one_long_session_and_a_short_one_are_not_two_long_ones() {
    let mut stranded = Stranded::default();
    assert_eq!(stranded.ended_with(offer(1), load(110_000, LONG), NOW), None);
    assert_eq!(stranded.ended_with(offer(1), load(110_000, 10), NOW), None);
    assert!(stranded.ended_with(offer(1), load(110_000, LONG), NOW).is_some());
}

#[test]
fn what_lay_behind_something_larger_and_what_was_hardly_sent_is_only_remembered() {
    let behind = Load { before: 20_001, ..load(20_000, LONG) };
    let sooner = load(20_000, limit::STRANDED_SESSION_MIN.as_secs() - 1);
    for no_try in [behind, sooner] {
        let mut stranded = Stranded::default();
        for _ in 0..2 * limit::STRANDED_SESSIONS_MAX {
            assert_eq!(stranded.ended_with(offer(1), no_try, NOW), None);
        }
        assert!(stranded.holds_back(offer(1), 20_000));
    }
}

#[test]
fn what_is_smaller_goes_first_and_what_is_as_large_does_not() {
    let mut stranded = Stranded::default();
    assert!(!stranded.holds_back(offer(1), 110_000));
    stranded.ended_with(offer(1), load(110_000, 1), NOW);
    assert!(stranded.holds_back(offer(1), 110_000));
    assert!(stranded.holds_back(offer(2), 110_000));
    assert!(!stranded.holds_back(offer(3), 109_999));
}

#[test]
fn a_line_that_carries_as_much_again_gives_all_chances_anew() {
    let mut stranded = Stranded::default();
    stranded.ended_with(offer(1), load(110_000, LONG), NOW);
    stranded.carried(109_999);
    assert!(stranded.holds_back(offer(1), 110_000));
    stranded.carried(110_000);
    assert!(!stranded.holds_back(offer(1), 110_000));
    assert_eq!(stranded.ended_with(offer(1), load(110_000, LONG), NOW), None, "from the beginning");
}

#[test]
fn the_oldest_are_forgotten_and_an_agent_without_any_takes_no_memory() {
    let strandings = Strandings::default();
    let agent = AgentRef(1);
    strandings.change(agent, |stranded| {
        for number in 0..limit::STRANDED_MAX as u64 {
            assert_eq!(stranded.ended_with(message(number), load(1000, LONG), NOW), None);
        }
        // As many as there may be: one of them again pushes nothing out.
        assert!(stranded.ended_with(message(5), load(1000, LONG), NOW).is_some());
        assert!(stranded.ended_with(message(0), load(1000, LONG), NOW).is_some());
        assert_eq!(stranded.ended_with(message(1000), load(1000, LONG), NOW), None);
        assert_eq!(stranded.ended_with(message(1), load(1000, LONG), NOW), None, "forgotten");
    });
    assert_eq!(strandings.all().len(), 1);
    assert!(
        strandings.holds_back(agent, message(7), 1) && !strandings.holds_back(AgentRef(2), message(7), 1)
    );
    strandings.change(agent, |stranded| stranded.carried(1000));
    assert_eq!(strandings.all().len(), 0);
}
