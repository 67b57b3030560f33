//! What is large on a slow line, in either direction: it passes in the time it needs, in one session, and holds up acks for no
//! longer than one frame takes.

use std::time::Duration;

use crate::id::Lane;
use crate::limit;
use crate::session::*;
use crate::time::BootTime;
use crate::wire::error::ErrorCode;
use crate::wire::key::Direction;
use crate::wire::message::Message;

use super::slow_line::{Slow, kept, offer};
use super::world::*;

const SECOND: Duration = Duration::from_secs(1);
const SATELLITE: usize = 300;

fn satellite(streams: &[(crate::id::StreamId, u64)]) -> Slow {
    let mut slow = Slow::new(World::with(streams), SATELLITE, Duration::from_millis(600));
    slow.until("the registration", 60 * SECOND, |slow| slow.world.is_registered());
    slow
}

fn offers(slow: &Slow) -> usize {
    slow.world.agent_events.iter().filter(|event| matches!(event, AgentEvent::JobOffer { .. })).count()
}

/// The longest time between two acks, while records come all the time.
fn longest_without_an_ack(slow: &mut Slow, within: Duration, done: impl Fn(&Slow) -> bool) -> Duration {
    let begun = slow.world.now;
    let (mut acks, mut since, mut longest) = (slow.world.acks, begun, Duration::ZERO);
    let mut appended = begun;
    while !done(slow) {
        assert_eq!((slow.world.agent_closed(), slow.world.hub_closed()), (None, None));
        assert!(slow.world.now.since(begun) < within, "{} acks", slow.world.acks);
        if slow.world.now.since(appended) >= 10 * SECOND {
            appended = slow.world.now;
            slow.world.append(stream(Lane::Control, 1), 1);
        }
        slow.step();
        longest = longest.max(slow.world.now.since(since));
        if slow.world.acks > acks {
            (acks, since) = (slow.world.acks, slow.world.now);
        }
    }
    longest
}

#[test]
fn three_messages_of_64_kib_each_way_pass_2400_bits_a_second_beside_records() {
    let mut slow = satellite(&[(LOGS, 500), (stream(Lane::Control, 1), 0)]);
    for number in 0..3 {
        slow.world.agent.relays_mut().send(kept(number, limit::RELAY_BYTES_MAX));
        slow.world.hub.relays_mut().send(kept(number, limit::RELAY_BYTES_MAX));
    }
    // 219 s a message; beside them 20 KiB of records go up.
    let one = Duration::from_secs(225);
    let done = |slow: &Slow| slow.relays_at_hub().count() == 3 && slow.relays_at_agent().count() == 3;
    let longest = longest_without_an_ack(&mut slow, 4 * one, done);
    assert!(longest < 2 * one + 30 * SECOND, "no ack for {longest:?}");
    slow.until("the records", 2 * one, |slow| slow.world.outbox.values().all(|kept| kept.records.is_empty()));
}

#[test]
fn acks_do_not_wait_for_more_than_one_offer() {
    let mut slow = satellite(&[(stream(Lane::Control, 1), 0)]);
    for number in 0..10 {
        slow.world.hub.offer_job(offer(number, 12_000));
    }
    // 41 s an offer.
    let longest = longest_without_an_ack(&mut slow, Duration::from_secs(520), |slow| offers(slow) == 10);
    assert!(longest < Duration::from_secs(41 + 30 + 10), "no ack for {longest:?}");
}

#[test]
fn offers_and_messages_take_turns() {
    let mut slow = satellite(&[(LOGS, 0)]);
    for number in 0..4 {
        slow.world.hub.offer_job(offer(u8::try_from(number).unwrap(), 12_000));
        slow.world.hub.relays_mut().send(kept(number, 12_000));
    }
    slow.until("all of both", Duration::from_secs(8 * 45), |slow| {
        let now = (offers(slow), slow.relays_at_agent().count());
        assert!(now.0.abs_diff(now.1) <= 1, "{now:?}");
        now == (4, 4)
    });
}

#[test]
fn how_far_an_offer_is_can_be_told() {
    let mut slow = satellite(&[(LOGS, 0)]);
    let none = Carried::Arrived { at: BootTime::default(), took: Duration::ZERO };
    assert_eq!(slow.world.hub.offers_carried(), none);
    // Small ones count as arrived at once: nothing is on the line before them.
    slow.world.hub.offer_job(offer(1, 100));
    slow.step();
    assert!(matches!(slow.world.hub.offers_carried(), Carried::Arrived { at, .. } if at > START));
    slow.world.hub.offer_job(offer(2, 30_000));
    assert_eq!(slow.world.hub.offers_carried(), Carried::OnTheWay);
    let begun = slow.world.now;
    slow.until("the offer", 120 * SECOND, |slow| offers(slow) == 2);
    assert_eq!(slow.world.hub.offers_carried(), Carried::OnTheWay, "the hub cannot know yet");
    slow.run(5 * SECOND);
    let Carried::Arrived { at, took } = slow.world.hub.offers_carried() else { panic!("it arrived") };
    assert!(at > begun.after(100 * SECOND) && took > 100 * SECOND, "{at:?} {took:?}");
}

#[test]
fn what_the_line_does_not_take_yet_stays_where_it_may_be_withdrawn() {
    let mut slow = satellite(&[(LOGS, 0)]);
    let mut given = 0;
    while slow.world.hub.takes_orders() {
        slow.world.hub.offer_job(offer(given, 20_000));
        given += 1;
        slow.step();
    }
    assert_eq!(given, 2, "one on the line, one behind it");
    // A cancel is not held up.
    slow.world.hub.cancel_job(offer(0, 0).job);
    slow.run(80 * SECOND);
    let cancelled = |event: &AgentEvent| matches!(event, AgentEvent::CancelJob(_));
    assert!(slow.world.agent_events.iter().any(cancelled));
    assert_eq!(offers(&slow), 1);
    slow.until("the other", 80 * SECOND, |slow| offers(slow) == 2);
}

#[test]
fn a_message_that_is_forgotten_before_it_was_sent_is_not_sent() {
    let mut slow = satellite(&[(LOGS, 0)]);
    for number in 0..2 {
        slow.world.agent.relays_mut().send(kept(number, 20_000));
    }
    slow.step();
    let progress = |slow: &Slow, number| slow.world.agent.relays().progress(kept(number, 0).id);
    assert!(matches!(progress(&slow, 0), Some(Progress::OnTheWay(_))));
    assert_eq!(progress(&slow, 1), Some(Progress::Waiting));
    assert_eq!(slow.world.agent.relays_mut().forget(kept(1, 0).id), Some(Progress::Waiting));
    slow.until("the first", 90 * SECOND, |slow| slow.relays_at_hub().count() == 1);
    slow.run(90 * SECOND);
    assert_eq!(slow.relays_at_hub().count(), 1);
}

/// A registered agent with a record that the hub does not ack.
fn unacked() -> World {
    let mut world = World::with(&[(LOGS, 1)]);
    world.commits = false;
    world.settle();
    world
}

/// Seconds until the agent ends the session for want of an ack, if each second `each` happens.
fn gave_up_after(world: &mut World, mut each: impl FnMut(&mut World, u64)) -> u64 {
    for second in 1..2_000 {
        world.now = world.now.after(SECOND);
        each(world, second);
        world.agent.handle_timeout(world.now);
        world.agent_out();
        if world.agent_closed().is_some() {
            assert_eq!(world.agent_error(), Some((1000, ErrorCode::NoAck)));
            return second;
        }
    }
    panic!("it waits for ever");
}

#[test]
fn an_ack_is_waited_for_while_a_large_frame_comes_in() {
    let mut world = unacked();
    let (begin, mut received) = (world.now, 10_000);
    world.agent.handle_received(begin, received);
    // 64 KiB at 300 bytes a second, and the ack behind it.
    let no_ack = limit::NO_ACK_TIMEOUT.as_secs();
    let gave_up = gave_up_after(&mut world, |world, second| {
        if second <= 218 {
            received += 300;
            world.agent.handle_received(world.now, received);
        }
        if second == 218 {
            let frame = forge(Direction::HubToAgent, 3, world.hub_time(), Message::Ping);
            world.agent.handle_frame(world.now, crate::time::WallTime(0), frame);
        }
    });
    assert_eq!(gave_up, 218 + no_ack, "as long as ever after it");
}

#[test]
fn a_hub_that_sends_for_ever_and_acks_nothing_is_left() {
    let mut world = unacked();
    let mut received = 0;
    let gave_up = gave_up_after(&mut world, |world, _| {
        received += 300;
        world.agent.handle_received(world.now, received);
    });
    assert_eq!(gave_up, (limit::LINE_BUSY_MAX + limit::NO_ACK_TIMEOUT).as_secs());
    // Nor do whole messages help, however many.
    let mut world = unacked();
    let (mut received, mut seq) = (0, 2);
    let gave_up = gave_up_after(&mut world, |world, second| {
        received += 300;
        world.agent.handle_received(world.now, received);
        if second % 20 == 0 {
            seq += 1;
            let frame = forge(Direction::HubToAgent, seq, world.hub_time(), Message::Ping);
            world.agent.handle_frame(world.now, crate::time::WallTime(0), frame);
        }
    });
    assert_eq!(gave_up, (limit::LINE_BUSY_MAX + limit::NO_ACK_TIMEOUT).as_secs());
}

#[test]
fn small_messages_are_not_taken_for_a_large_one_that_comes_in() {
    let mut world = unacked();
    let (mut received, mut seq) = (0, 2);
    let gave_up = gave_up_after(&mut world, |world, _| {
        received += 300;
        world.agent.handle_received(world.now, received);
        seq += 1;
        let frame = forge(Direction::HubToAgent, seq, world.hub_time(), Message::Ping);
        world.agent.handle_frame(world.now, crate::time::WallTime(0), frame);
    });
    assert_eq!(gave_up, limit::NO_ACK_TIMEOUT.as_secs());
}

#[test]
fn a_peer_that_takes_nothing_behind_a_large_frame_is_given_the_time_of_the_line() {
    let mut slow = satellite(&[(LOGS, 0)]);
    assert_eq!(
        (slow.world.hub.on_the_way(), slow.world.agent.on_the_way()),
        (Duration::ZERO, Duration::ZERO)
    );
    slow.world.hub.relays_mut().send(kept(1, limit::RELAY_BYTES_MAX));
    slow.world.agent.relays_mut().send(kept(2, limit::RELAY_BYTES_MAX));
    slow.step();
    for given in [slow.world.hub.on_the_way(), slow.world.agent.on_the_way()] {
        assert!(given >= 200 * SECOND && given <= limit::OPENING_TIMEOUT, "{given:?}");
    }
    slow.until("both", 240 * SECOND, |slow| {
        slow.relays_at_hub().count() + slow.relays_at_agent().count() == 2
    });
    slow.run(5 * SECOND);
    assert_eq!(
        (slow.world.hub.on_the_way(), slow.world.agent.on_the_way()),
        (Duration::ZERO, Duration::ZERO)
    );
}

#[test]
fn a_message_has_arrived_when_the_hub_has_read_it_whether_it_is_answered_or_not() {
    let mut slow = satellite(&[(LOGS, 0)]);
    slow.say_nothing();
    slow.world.agent.relays_mut().send(kept(1, 30_000));
    slow.run(60 * SECOND);
    let progress = |slow: &Slow| slow.world.agent.relays().progress(kept(1, 0).id);
    assert!(matches!(progress(&slow), Some(Progress::OnTheWay(_))));
    let sent = slow.world.now;
    slow.run(60 * SECOND);
    assert!(matches!(progress(&slow), Some(Progress::Arrived(at)) if at > sent), "{:?}", progress(&slow));
}

#[test]
fn records_that_wait_for_a_message_on_its_way_up_are_not_held_against_the_hub() {
    let control = stream(Lane::Control, 1);
    let mut slow = satellite(&[(control, 0)]);
    slow.world.commits = false;
    slow.world.agent.relays_mut().send(kept(1, limit::RELAY_BYTES_MAX));
    slow.step();
    slow.world.append(control, 1);
    // 219 s until it is through; then the record goes, and has as long as ever.
    slow.run(260 * SECOND);
    assert_eq!(slow.world.agent_closed(), None);
    slow.run(60 * SECOND);
    assert_eq!(slow.world.agent_error(), Some((1000, ErrorCode::NoAck)));
}

#[test]
fn an_ack_goes_before_an_offer_and_a_cancel_too() {
    let mut world = World::with(&[(LOGS, limit::ACK_RECORDS)]);
    world.commits = false;
    world.settle();
    world.hub.offer_job(offer(1, 100));
    world.hub.cancel_job(offer(2, 0).job);
    let stored = &world.store[&LOGS];
    let mark = crate::wire::message::StreamMark { stream: LOGS, acked: stored.mark, acked_crc: stored.crc };
    world.hub.handle_committed(world.now, mark);
    let before = world.agent_events.len();
    world.settle();
    let kinds: Vec<_> = world.agent_events[before..]
        .iter()
        .filter_map(|event| match event {
            AgentEvent::CancelJob(_) => Some("cancel"),
            AgentEvent::Acked(_) => Some("ack"),
            AgentEvent::JobOffer { .. } => Some("offer"),
            _ => None,
        })
        .collect();
    assert_eq!(kinds, ["cancel", "ack", "offer"]);
}

#[test]
fn a_hub_that_takes_messages_for_ever_and_acks_no_record_is_left() {
    let control = stream(Lane::Control, 1);
    let mut slow = satellite(&[(control, 0)]);
    slow.world.commits = false;
    slow.world.append(control, 1);
    let begun = slow.world.now;
    let mut number = 0;
    while slow.world.agent_closed().is_none() {
        if slow.world.agent.relays().room() == limit::RELAY_IN_FLIGHT {
            number += 1;
            slow.world.agent.relays_mut().send(kept(number, 20_000));
        }
        slow.step();
        assert!(slow.world.now.since(begun) < 1000 * SECOND);
    }
    assert!(number > 2, "{number} messages");
    assert_eq!(slow.world.agent_error(), Some((1000, ErrorCode::NoAck)));
    let bound = limit::LINE_BUSY_MAX + limit::NO_ACK_TIMEOUT + Duration::from_secs(limit::LINE_SECONDS + 90);
    assert!(slow.world.now.since(begun) < bound, "{:?}", slow.world.now.since(begun));
}
