//! Records through windows, marks at registration, acks.

use std::time::Duration;

use crate::id::Lane;
use crate::limit;
use crate::session::*;
use crate::wire::error::ErrorCode;
use crate::wire::key::Direction;
use crate::wire::message::*;

use super::world::*;

fn drains(count: u64) -> World {
    let mut world = World::with(&[(LOGS, count)]);
    world.run(Duration::from_secs(95));
    assert_eq!(world.store[&LOGS].payloads.len() as u64, count);
    assert_eq!(world.store[&LOGS].mark, count);
    assert_eq!(world.outbox[&LOGS].cursor, count, "everything is acked");
    assert_eq!(world.heartbeats, 4, "at 0, 30, 60 and 90 s");
    assert!(world.in_flight_max <= limit::WINDOW_BYTES as usize, "{}", world.in_flight_max);
    assert_eq!(world.agent_closed(), None);
    world
}

#[test]
fn a_backlog_of_65_drains_while_heartbeats_go_on() {
    drains(65);
}

#[test]
fn a_backlog_of_1000_drains_while_heartbeats_go_on() {
    drains(1_000);
}

#[test]
fn a_backlog_of_200000_drains_while_heartbeats_go_on() {
    let world = drains(200_000);
    assert!(world.batches > 100, "it took many batches: {}", world.batches);
}

#[test]
fn a_hub_that_commits_nothing_stops_the_agent_at_the_window() {
    let mut world = World::with(&[(LOGS, 200_000), (stream(Lane::Control, 1), 10)]);
    world.commits = false;
    world.run(Duration::from_secs(50));
    let used = world.hub.in_flight();
    assert!(
        used > limit::WINDOW_BYTES as usize / 2
            && used <= (limit::WINDOW_BYTES + limit::CONTROL_WINDOW_BYTES) as usize,
        "{used}"
    );
    assert_eq!(world.store[&stream(Lane::Control, 1)].mark, 10);
    // Logs fill their window to the brim, and control still goes.
    world.append(stream(Lane::Control, 1), 5);
    world.run(Duration::from_secs(5));
    assert_eq!(world.store[&stream(Lane::Control, 1)].mark, 15);
    world.run(Duration::from_secs(10));
    assert_eq!(world.agent_error(), Some((1000, ErrorCode::NoAck)), "60 s with a backlog and no ack");
}

#[test]
fn lanes_share_by_weight_and_none_starves() {
    let lanes = [stream(Lane::Control, 1), stream(Lane::Events, 1), LOGS];
    let mut world = World::with(&lanes.map(|lane| (lane, 60_000)));
    world.run(Duration::from_secs(60));
    let turns = &world.lanes_read[..42];
    let count = |lane| turns.iter().filter(|read| **read == lane).count();
    assert!(count(Lane::Control) > 0 && count(Lane::Logs) > 0, "{turns:?}");
    assert!(count(Lane::Events) >= 3 * count(Lane::Logs), "{turns:?}");
    assert_eq!(turns[0], Lane::Control);
    for lane in lanes {
        assert_eq!(world.store[&lane].mark, 60_000, "{lane}");
    }
}

#[test]
fn acks_wait_for_256_records_or_100_ms() {
    let mut world = World::plain();
    world.settle();
    world.append(LOGS, 255);
    world.settle();
    assert_eq!(world.acks, 0);
    world.run(Duration::from_millis(99));
    assert_eq!(world.acks, 0);
    world.run(Duration::from_millis(1));
    assert_eq!(world.acks, 1, "100 ms after the commit");
    world.append(LOGS, 256);
    world.settle();
    assert_eq!(world.marks.last().map(|mark| mark.acked), Some(511), "256 records go at once");
}

#[test]
fn an_agent_that_missed_the_ack_drops_what_the_hub_has() {
    let mut world = World::with(&[(LOGS, 10)]);
    while world.agent_out() | world.hub_out() | world.agent_in() | world.hub_in() {
        world.down.retain(|frame| frame.len() > 150 || world.batches == 0);
    }
    assert_eq!((world.store[&LOGS].mark, world.outbox[&LOGS].cursor), (10, 0));
    world.reconnect();
    world.append(LOGS, 1);
    world.run(Duration::from_secs(1));
    assert!(matches!(world.resolutions()[..], [Resolution::Acked(mark)] if mark.acked == 10));
    assert_eq!((world.store[&LOGS].mark, world.outbox[&LOGS].cursor), (11, 11));
}

#[test]
fn a_restored_hub_gets_one_gap_and_then_the_rest() {
    let mut world = World::with(&[(LOGS, 10)]);
    world.run(Duration::from_secs(1));
    let stored = world.store.get_mut(&LOGS).unwrap();
    (stored.mark, stored.crc) = (4, 77);
    stored.payloads.retain(|seq, _| *seq <= 4);
    world.reconnect();
    world.append(LOGS, 3);
    world.run(Duration::from_secs(1));
    let stored = &world.store[&LOGS];
    assert_eq!(stored.mark, 13);
    let gap = Gap { stream: LOGS, from: 5, to: 10, reason: GapReason::HubLost, records: 6, bytes: 0 };
    assert_eq!(stored.gaps, [gap]);
    assert_eq!(world.outbox[&LOGS].cursor, 13);
    // The same Gap sent again does nothing, neither here nor after a reconnect.
    world.agent.send_gap(gap);
    world.reconnect();
    world.settle();
    world.agent.send_gap(gap);
    world.run(Duration::from_secs(1));
    assert_eq!(world.store[&LOGS].gaps.len(), 1);
    assert_eq!((world.agent_closed(), world.hub_closed()), (None, None));
}

#[test]
fn a_rolled_back_agent_is_told_and_the_stream_stays_silent() {
    let mut world = World::with(&[(LOGS, 10)]);
    world.run(Duration::from_secs(1));
    world.outbox.insert(LOGS, kept(5));
    world.reconnect();
    world.run(Duration::from_secs(70));
    let report = LossReport { stream: LOGS, from: 6, to: 10, reason: LossReason::RolledBack };
    assert_eq!(world.resolutions(), [Resolution::RolledBack { stream: LOGS, report }]);
    assert_eq!(world.store[&LOGS].mark, 10);
    assert_eq!(world.agent_closed(), None, "a stream that ends here is no backlog");
}

#[test]
fn other_records_under_the_same_numbers_are_found_by_their_crc() {
    let mut world = World::with(&[(LOGS, 5)]);
    world.run(Duration::from_secs(1));
    let mut other = kept(9);
    other.records.iter_mut().for_each(|(_, payload)| *payload = bytes::Bytes::from_static(b"other"));
    world.outbox.insert(LOGS, other);
    world.reconnect();
    world.run(Duration::from_secs(1));
    assert!(matches!(world.resolutions()[..], [Resolution::RolledBack { .. }]));
    assert_eq!(world.store[&LOGS].mark, 5);
}

#[test]
fn a_gap_sent_again_to_the_hub_changes_nothing_and_a_longer_one_is_cut() {
    let mut world = World::plain();
    world.settle();
    let gap = |from, to| {
        Message::Gap(Gap { stream: LOGS, from, to, reason: GapReason::Evicted, records: 9, bytes: 1 })
    };
    for (seq, message) in [(2, gap(1, 4)), (3, gap(1, 4)), (4, gap(2, 6)), (5, records(LOGS, 5, 3))] {
        world.up.push_back(forge(Direction::AgentToHub, seq, world.hub_time(), message));
        world.settle();
    }
    let cut: Vec<_> = world.store[&LOGS].gaps.iter().map(|gap| (gap.from, gap.to, gap.records)).collect();
    assert_eq!(cut, [(1, 4, 4), (5, 6, 2)]);
    assert_eq!(world.store[&LOGS].payloads.keys().copied().collect::<Vec<_>>(), [7], "5 and 6 were known");
    assert_eq!(world.hub_closed(), None);
}

#[test]
fn a_thousand_streams_are_listed_64_at_a_time_and_all_drain() {
    let streams: Vec<_> = (1..=1_000).map(|epoch| (stream(Lane::Logs, epoch), 2)).collect();
    let mut world = World::with(&streams);
    world.run(Duration::from_secs(1));
    assert!(world.is_registered());
    for (id, _) in streams {
        assert_eq!((world.store[&id].mark, world.outbox[&id].cursor), (2, 2), "{id}");
    }
}

#[test]
fn of_too_many_streams_the_oldest_and_the_current_are_listed() {
    let streams: Vec<_> = (1..=5_000).map(|epoch| (stream(Lane::Logs, epoch), 1)).collect();
    let mut world = World::with(&streams);
    world.run(Duration::from_secs(1));
    assert_eq!(world.store.len(), limit::STREAMS_MAX);
    assert!(world.store.contains_key(&stream(Lane::Logs, 5_000)));
    assert!(world.store.contains_key(&stream(Lane::Logs, 1)));
}

#[test]
fn a_stream_of_a_restored_hub_waits_for_its_gap() {
    let mut world = World::with(&[(LOGS, 10)]);
    world.run(Duration::from_secs(1));
    *world.store.get_mut(&LOGS).unwrap() = Stored::default();
    world.gaps = false;
    world.reconnect();
    world.append(LOGS, 3);
    world.settle();
    assert_eq!(world.agent.poll_read(), None, "the Gap is not durable yet");
    let gap = Gap { stream: LOGS, from: 1, to: 10, reason: GapReason::HubLost, records: 10, bytes: 0 };
    assert_eq!(world.resolutions(), [Resolution::HubLost(gap)]);
    world.agent.send_gap(gap);
    world.run(Duration::from_secs(1));
    assert_eq!((world.store[&LOGS].mark, world.outbox[&LOGS].cursor), (13, 13));
}

#[test]
fn control_stops_at_a_window_of_its_own() {
    let control = stream(Lane::Control, 1);
    let mut world = World::with(&[(control, 20_000), (LOGS, 10)]);
    world.commits = false;
    world.run(Duration::from_secs(1));
    assert!(world.in_flight_max <= limit::CONTROL_WINDOW_BYTES as usize + 1_000, "{}", world.in_flight_max);
    assert_eq!(world.store[&LOGS].mark, 10, "and logs go on");
}

#[test]
fn new_records_flow_beside_the_backlog_of_older_streams() {
    let streams = [stream(Lane::Logs, 1), stream(Lane::Logs, 2), stream(Lane::Logs, 3)];
    let [oldest, old, current] = streams;
    let mut world = World::with(&[(oldest, 60_000), (old, 60_000), (current, 10)]);
    // Until the first new record is there, the backlog gets its turns and no more.
    world.run_until(|world| world.store.get(&current).is_some_and(|stored| stored.mark == 10));
    let turns = u64::from(limit::OLD_STREAM_TURNS);
    let before = world.store[&oldest].mark;
    assert!(before > 0, "older records come first");
    assert!(world.batches <= 2 * (turns + 1), "{} batches", world.batches);
    assert_eq!(world.store[&old].mark, 0, "older streams come one after the other");
    // What comes in meanwhile flows, too, and the backlog drains in order beside it.
    for appended in 1..=20 {
        world.append(current, 10);
        world.run_until(|world| world.store[&current].mark == 10 + 10 * appended);
    }
    assert!(world.store[&oldest].mark < 60_000 || world.store[&old].mark < 60_000, "a backlog is left");
    world.run(Duration::from_secs(60));
    for id in streams {
        assert_eq!(world.store[&id].mark, world.outbox[&id].next - 1, "{id}");
    }
}

#[test]
fn a_current_stream_that_never_rests_does_not_starve_the_older_ones() {
    let (old, current) = (stream(Lane::Events, 1), stream(Lane::Events, 2));
    let mut world = World::with(&[(old, 60_000), (current, 60_000)]);
    world.run_until(|world| world.store.get(&old).is_some_and(|stored| stored.mark == 60_000));
    let done = world.store[&current].mark;
    assert!(done > 0 && done < 30_000, "the older stream had three turns of four: {done}");
    world.run(Duration::from_secs(60));
    assert_eq!(world.store[&current].mark, 60_000);
}
