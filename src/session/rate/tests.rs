//! Against a line in virtual time.

use super::*;

fn at(millis: u64) -> BootTime {
    BootTime(Duration::from_millis(millis))
}

/// A line that carries so many bytes a second with this round trip, for so long; what was on it at most, the
/// largest batch, and when the first ack came.
fn drive(rate: &mut Rate, per_second: u64, round_trip: u64, seconds: u64) -> (usize, usize, Option<u64>) {
    let mut free_at = 0;
    let mut way = std::collections::VecDeque::new();
    let (mut most, mut largest, mut first) = (0, 0, None);
    for now in 0..seconds * 1000 {
        while let Some((due, bytes)) = way.front().copied().filter(|(due, _)| *due <= now) {
            let _: u64 = due;
            rate.acked(at(now), Share::Bulk, bytes);
            first.get_or_insert(now);
            way.pop_front();
        }
        while let Some(room) = rate.room(Share::Bulk).filter(|_| rate.on_line() < 1 << 20) {
            let bytes = rate.batch_bytes().min(room).min(32 * 1024);
            free_at = free_at.max(now) + (bytes as u64 * 1000) / per_second;
            way.push_back((free_at + round_trip, bytes));
            rate.sent(at(now), Share::Bulk, bytes);
            (most, largest) = (most.max(rate.on_line()), largest.max(bytes));
        }
        if rate.on_line() >= 1 << 20 {
            rate.held_back();
        }
    }
    (most, largest, first)
}

#[test]
fn a_slow_line_carries_no_more_than_half_a_minute_of_records() {
    let mut rate = Rate::default();
    rate.opened(900, Duration::from_secs(4));
    let (most, largest, first) = drive(&mut rate, 300, 1200, 600);
    assert!(rate.per_second().is_some_and(|rate| (150..=330).contains(&rate)), "{rate:?}");
    assert!(most <= 2 * 9000, "{most} bytes on a line that carries 300 a second");
    assert!(largest <= 9900, "{largest}");
    assert!(first.is_some_and(|first| first < 4000), "the first ack came after {first:?} ms");
}

#[test]
fn a_fast_line_far_away_is_filled_within_some_round_trips() {
    let mut rate = Rate::default();
    rate.opened(1000, Duration::from_secs(10));
    let (most, largest, _) = drive(&mut rate, 1_000_000, 10_000, 100);
    assert!(most >= 1 << 20, "{most}: the window, {rate:?}");
    assert_eq!(largest, 32 * 1024);
}

#[test]
fn a_line_that_becomes_slow_is_found_out_and_one_that_is_little_used_is_not_held_for_slow() {
    let mut rate = Rate::default();
    rate.opened(2000, Duration::from_millis(20));
    drive(&mut rate, 100_000, 50, 20);
    let before = rate.per_second().unwrap();
    assert!(before > 70_000, "{before}");
    // One small record now and then, acked after a second each.
    let mut quiet = Rate::default();
    quiet.opened(2000, Duration::from_millis(20));
    for second in 0..100 {
        quiet.sent(at(second * 5000), Share::Bulk, 100);
        quiet.acked(at(second * 5000 + 1000), Share::Bulk, 100);
    }
    assert_eq!(quiet.per_second(), Some(100_000), "it was never asked for more");
    rate.control = 0;
    rate.bulk = 0;
    drive(&mut rate, 1000, 50, 1200);
    assert!(rate.per_second().is_some_and(|rate| rate < 3000), "{rate:?}");
}

#[test]
fn the_time_in_which_nothing_was_on_the_line_is_not_the_lines() {
    let mut rate = Rate::default();
    rate.opened(1000, Duration::from_secs(1));
    for begun in [0, 1_000_000] {
        rate.sent(at(begun), Share::Bulk, 26_250);
        rate.acked(at(begun + 26_250), Share::Bulk, 26_250);
        assert_eq!(rate.per_second(), Some(1000), "{begun}");
    }
}

#[test]
fn acks_that_come_together_are_not_taken_for_a_fast_line() {
    let mut rate = Rate::default();
    rate.opened(900, Duration::from_secs(3));
    for _ in 0..4 {
        rate.sent(at(0), Share::Bulk, 1000);
    }
    rate.acked(at(10_000), Share::Bulk, 1000);
    for _ in 0..3 {
        rate.acked(at(10_001), Share::Bulk, 1000);
    }
    assert!(rate.per_second().is_some_and(|rate| rate <= 2400), "{rate:?}");
}

#[test]
fn a_line_that_was_not_measured_has_no_bound() {
    let mut rate = Rate::default();
    rate.opened(900, Duration::ZERO);
    assert_eq!((rate.room(Share::Bulk), rate.batch_bytes()), (Some(usize::MAX), usize::MAX));
    rate.sent(at(0), Share::Control, 1 << 30);
    assert_eq!(rate.on_the_way(), Duration::ZERO);
    assert_eq!(rate.room(Share::Control), Some(usize::MAX - (1 << 30)));
}

#[test]
fn all_shares_have_half_a_minute_together_and_control_a_part_of_it_alone() {
    let mut rate = Rate::default();
    rate.opened(1000, Duration::from_secs(1));
    assert_eq!((rate.room(Share::Bulk), rate.room(Share::Control)), (Some(26_250), Some(30_000)));
    rate.sent(at(0), Share::Bulk, 26_250);
    assert_eq!((rate.room(Share::Bulk), rate.room(Share::Control)), (None, Some(3_750)));
    rate.sent(at(0), Share::Control, 3_750);
    assert_eq!((rate.room(Share::Bulk), rate.room(Share::Control)), (None, None));
    assert_eq!(rate.on_the_way(), Duration::from_secs(30));
    rate.acked(at(26_250), Share::Bulk, 26_250);
    assert_eq!((rate.room(Share::Bulk), rate.room(Share::Control)), (Some(22_500), Some(26_250)));
}

#[test]
fn room_that_is_not_worth_a_batch_is_left_until_there_is_more() {
    let mut rate = Rate::default();
    rate.opened(1000, Duration::from_secs(1));
    let least = limit::LINE_BATCH_BYTES_MIN;
    rate.sent(at(0), Share::Bulk, 26_250 - least);
    assert_eq!(rate.room(Share::Bulk), Some(least));
    rate.sent(at(0), Share::Bulk, 1);
    assert_eq!(rate.room(Share::Bulk), None);
}

fn ping(number: u64) -> MessageId {
    MessageId { hi: 0, lo: number }
}

/// A rate at 1000 bytes a second: 30,000 may be on the line.
fn known() -> Rate {
    let mut rate = Rate::default();
    rate.opened(1000, Duration::from_secs(1));
    rate
}

#[test]
fn what_is_no_record_is_begun_when_all_on_the_line_takes_less_than_half_a_minute() {
    let mut rate = known();
    rate.sent(at(0), Share::Bulk, 15_000);
    rate.sent(at(0), Share::Control, 14_999);
    assert!(rate.takes_others());
    rate.sent(at(0), Share::Control, 1);
    assert!(!rate.takes_others());
    rate.acked(at(15_000), Share::Bulk, 15_000);
    assert!(rate.takes_others());
    // Of whatever size; then both shares wait for what of it is on the line.
    rate.sent_other(at(15_000), 65_536);
    assert_eq!((rate.room(Share::Bulk), rate.room(Share::Control), rate.takes_others()), (None, None, false));
    assert_eq!(rate.on_the_way(), Duration::from_millis(80_536));
    // Where nothing is on the line, however slow it seems.
    let mut slow = Rate::default();
    slow.opened(1, Duration::from_secs(10));
    assert!(slow.takes_others());
}

#[test]
fn records_leave_room_for_what_waits_beside_them_and_results_do_not_wait() {
    let mut rate = known();
    rate.set_beside(Beside::Waits);
    assert_eq!((rate.room(Share::Bulk), rate.room(Share::Control)), (Some(15_000), Some(30_000)));
    rate.sent(at(0), Share::Bulk, 15_000);
    assert_eq!((rate.room(Share::Bulk), rate.room(Share::Control)), (None, Some(15_000)));
    assert!(rate.takes_others());
    rate.set_beside(Beside::Nothing);
    assert_eq!(rate.room(Share::Bulk), Some(15_000 - 30_000 / 8));
}

#[test]
fn a_pong_shows_what_came_and_how_fast() {
    let mut rate = known();
    rate.sent_other(at(0), limit::LINE_BYTES_MIN - 1);
    assert!(!rate.wants_ping(), "too little for one");
    assert!(rate.is_through(rate.others_sent()), "and for anybody to wait for");
    rate.sent_other(at(0), 65_536);
    assert!(rate.wants_ping());
    rate.pinged(ping(1));
    assert!(!rate.wants_ping(), "one is enough");
    rate.sent_other(at(0), 65_536);
    rate.pinged(ping(2));
    let (first, second) = (65_536 + 4095, 2 * 65_536 + 4095);
    assert!(!rate.is_through(first));
    assert!(!rate.ponged(at(1000), ping(3)), "nobody asked for that");
    // 70 KB in 35 s, where 1000 bytes a second were known.
    assert!(rate.ponged(at(35_000), ping(1)));
    assert!(rate.is_through(first) && !rate.is_through(second));
    assert_eq!(rate.per_second(), Some(1989));
    assert!(!rate.ponged(at(35_000), ping(1)), "once");
    assert!(rate.ponged(at(70_000), ping(2)));
    assert!(rate.is_through(second) && rate.takes_others());
    assert_eq!(rate.on_the_way(), Duration::ZERO);
}

#[test]
fn a_peer_that_answers_no_ping_is_waited_for_as_long_as_a_frame_may_be_old() {
    let mut rate = known();
    rate.sent_other(at(0), 65_536);
    rate.pinged(ping(1));
    let age = crate::time::millis(limit::CLOCK_SKEW_MAX);
    assert!(!rate.expire(at(age - 1)) && !rate.takes_others());
    assert!(rate.expire(at(age)) && rate.takes_others());
    assert_eq!(rate.per_second(), Some(1000), "nothing was learned");
    assert!(!rate.expire(at(age)));
}

#[test]
fn the_oldest_that_is_large_is_known_by_when_it_was_sent() {
    let mut rate = known();
    assert_eq!(rate.oldest_other(), None);
    // A keepalive's Ping behind a few bytes, whose Pong does not come.
    rate.sent_other(at(1_000), 100);
    rate.pinged(ping(1));
    assert_eq!(rate.oldest_other(), None, "it is small");
    // The socket takes the Ping much later than the frame before it.
    rate.sent_other(at(2_000), 65_536);
    assert_eq!(rate.oldest_other(), Some(at(2_000)));
    rate.sent_other(at(3_000), 65_536);
    rate.pinged(ping(2));
    rate.sent_other(at(4_000), 65_536);
    rate.pinged(ping(3));
    assert_eq!(rate.oldest_other(), Some(at(2_000)));
    assert!(rate.ponged(at(60_000), ping(2)));
    assert_eq!(rate.oldest_other(), Some(at(4_000)));
    assert!(rate.ponged(at(90_000), ping(3)));
    assert_eq!(rate.oldest_other(), None);
    // What is small and never asked about is no part of what comes an hour later.
    rate.sent_other(at(100_000), 100);
    rate.sent_other(at(3_700_000), 65_536);
    assert_eq!(rate.oldest_other(), Some(at(3_700_000)));
}

#[test]
fn no_more_pings_stand_behind_each_other_than_may() {
    let mut rate = Rate::default();
    let mut pings = 0;
    for number in 0..1000 {
        rate.sent_other(at(0), 65_536);
        if rate.wants_ping() {
            rate.pinged(ping(number));
            pings += 1;
        }
    }
    assert_eq!(pings, limit::LINE_MARKS_MAX);
    // The last one stands for what came behind it when it is asked for again.
    assert!(rate.ponged(at(1000), ping(63)) && rate.wants_ping());
    rate.pinged(ping(2000));
    assert!(rate.ponged(at(2000), ping(2000)));
    assert!(rate.is_through(rate.others_sent()));
}
