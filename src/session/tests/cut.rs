//! A line that is cut every so many seconds: each session brings something, and the next one goes on from there.

use std::time::Duration;

use crate::limit;
use crate::wire::envelope;
use crate::wire::key::Direction;
use crate::wire::message::{Message, Records};

use super::slow_line::Slow;
use super::world::*;

const SECOND: Duration = Duration::from_secs(1);
const CASES: usize = 12;

#[derive(Debug)]
struct Case {
    per_second: usize,
    delay: Duration,
    every: Duration,
    records: u64,
}

impl Case {
    fn draw(random: &mut fastrand::Rng) -> Self {
        let per_second = 300 << random.u32(..4);
        let delay = Duration::from_millis(random.u64(10..1500));
        // At 300 bytes a second the registration takes some 3 s and the smallest batch as long; each there and back.
        let least = 6 * delay + 8 * SECOND;
        let every = least + Duration::from_millis(random.u64(..20_000));
        // More than several sessions carry: a record takes some 25 bytes.
        let records = per_second as u64 * every.as_secs() * 4 / 25;
        Self { per_second, delay, every, records }
    }
}

/// The records that the agent sent.
fn records_of(slow: &mut Slow) -> Vec<Records> {
    let key = root().session_key(Direction::AgentToHub, &context());
    let opened = slow
        .take_sent()
        .into_iter()
        .map(|frame| envelope::open(&frame, &key, limit::MESSAGE_BYTES_MAX).unwrap().into_message().unwrap());
    opened
        .filter_map(|message| if let Message::Records(records) = message { Some(records) } else { None })
        .collect()
}

fn each_session_brings_something(case: &Case) {
    let mut slow = Slow::new(World::with(&[(LOGS, case.records)]), case.per_second, case.delay);
    let mut sessions = 0;
    while slow.world.outbox[&LOGS].cursor < case.records {
        sessions += 1;
        let (acked, stored) =
            (slow.world.outbox[&LOGS].cursor, slow.world.store.get(&LOGS).map_or(0, |at| at.mark));
        slow.run(case.every);
        let ends = (slow.world.agent_closed(), slow.world.hub_closed());
        assert_eq!(ends, (None, None), "session {sessions}");
        for records in records_of(&mut slow) {
            assert!(
                records.first > acked,
                "session {sessions} sent {} again, acked was {acked}",
                records.first
            );
            assert!(
                records.first > stored,
                "session {sessions} sent {}, the hub had {stored}",
                records.first
            );
        }
        let now_acked = slow.world.outbox[&LOGS].cursor;
        assert!(now_acked > acked, "session {sessions} brought nothing beyond {acked} of {}", case.records);
        slow.cut();
    }
    // Four would do if nothing but records passed, and nothing were lost.
    assert!((2..=40).contains(&sessions), "{sessions} sessions");
}

#[test]
fn a_session_that_is_cut_again_and_again_brings_something_each_time_and_nothing_acked_is_sent_again() {
    let mut random = fastrand::Rng::with_seed(crate::seed::seed());
    for _ in 0..CASES {
        let case = Case::draw(&mut random);
        println!("{case:?}");
        each_session_brings_something(&case);
    }
}
