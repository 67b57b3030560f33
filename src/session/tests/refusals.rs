//! Bad input: each has its error, its close code, and nothing is looked at after it.

use bytes::{Bytes, BytesMut};

use crate::id::Lane;
use crate::limit;
use crate::session::*;
use crate::wire::error::ErrorCode;
use crate::wire::key::{AgentKey, Direction};
use crate::wire::message::*;

use super::world::*;

/// What the hub says to this frame after Register.
fn hub_says(frame: Bytes) -> (World, Option<(u16, ErrorCode)>) {
    let mut world = World::plain();
    world.settle();
    world.down.clear();
    world.hub.handle_frame(world.now, frame);
    world.hub_out();
    let error = world.hub_error();
    (world, error)
}

/// What the agent says to this frame after RegisterAck.
fn agent_says(frame: Bytes) -> Option<(u16, ErrorCode)> {
    let mut world = World::plain();
    world.settle();
    world.down.push_back(frame);
    world.agent_in();
    world.agent_out();
    world.agent_error()
}

fn up(seq: u64, message: Message) -> Bytes {
    forge(Direction::AgentToHub, seq, HUB_TIME, message)
}

fn down(seq: u64, message: Message) -> Bytes {
    forge(Direction::HubToAgent, seq, HUB_TIME, message)
}

#[test]
fn a_wrong_key_ends_the_agent_without_an_envelope() {
    let agent = AgentConfig { mac_root: AgentKey::new([4; 32]).mac_root(), ..agent_config() };
    let mut world = World::new(agent, hub_config(), [(LOGS, kept(1))].into());
    world.settle();
    assert_eq!(world.agent_error(), Some((1008, ErrorCode::BadMac)));
    assert!(world.hub_events.is_empty());
}

#[test]
fn damaged_frames_are_refused_in_the_order_of_the_checks() {
    let good = up(2, Message::Ping);
    let mut forged = BytesMut::from(&good[..]);
    forged[3] ^= 1;
    assert_eq!(hub_says(forged.freeze()).1, Some((1008, ErrorCode::BadMac)));
    assert_eq!(hub_says(good.slice(..good.len() - 1)).1, Some((1008, ErrorCode::BadTrailer)));
    assert_eq!(hub_says(Bytes::from_static(b"garbage")).1, Some((1008, ErrorCode::BadTrailer)));
    assert_eq!(
        hub_says(Bytes::from(vec![0; limit::MESSAGE_BYTES_MAX + 1])).1,
        Some((1009, ErrorCode::TooLarge))
    );
    assert_eq!(
        hub_says(Bytes::from(vec![0; limit::MESSAGE_BYTES_MAX])).1,
        Some((1008, ErrorCode::BadTrailer))
    );
    // A wrong clock comes before a wrong sequence.
    let stale = forge(Direction::AgentToHub, 9, crate::time::HubTime(1), Message::Ping);
    assert_eq!(hub_says(stale).1, Some((1008, ErrorCode::Clock)));
    assert_eq!(hub_says(good).1, None);
}

#[test]
fn a_repeated_or_skipped_sequence_number_ends_the_session() {
    for seq in [0, 1, 3] {
        assert_eq!(hub_says(up(seq, Message::Ping)).1, Some((1008, ErrorCode::BadSequence)), "{seq}");
    }
    for seq in [1, 2, 4] {
        assert_eq!(agent_says(down(seq, Message::Ping)), Some((1008, ErrorCode::BadSequence)), "{seq}");
    }
}

#[test]
fn a_frame_sent_back_to_its_sender_does_not_verify() {
    assert_eq!(agent_says(up(3, Message::Ping)), Some((1008, ErrorCode::BadMac)));
    assert_eq!(hub_says(down(2, Message::Ping)).1, Some((1008, ErrorCode::BadMac)));
}

#[test]
fn records_before_register_are_refused() {
    let mut world = World::plain();
    world.hub_out();
    world.up.push_back(up(1, records(LOGS, 1, 1)));
    world.hub_in();
    world.hub_out();
    assert_eq!(world.hub_error(), Some((1008, ErrorCode::Unexpected)));
    assert_eq!(world.batches, 0);
}

#[test]
fn messages_of_the_other_side_are_refused() {
    let ack = Message::Ack(StreamMark::none(Lane::Logs, LOGS.epoch));
    assert_eq!(hub_says(up(2, ack)).1, Some((1008, ErrorCode::Unexpected)));
    assert_eq!(
        hub_says(up(2, Message::Register(Box::new(register(vec![], false))))).1,
        Some((1008, ErrorCode::Unexpected))
    );
    assert_eq!(agent_says(down(3, records(LOGS, 1, 1))), Some((1008, ErrorCode::Unexpected)));
    assert_eq!(agent_says(down(3, register_ack(vec![]))), Some((1008, ErrorCode::Unexpected)));
}

#[test]
fn a_first_message_that_is_no_challenge_is_refused() {
    let mut world = World::plain();
    world.down.push_back(Bytes::from_static(b"hello, I am a web server"));
    world.agent_in();
    world.agent_out();
    assert_eq!(world.agent_error(), Some((1008, ErrorCode::BadTrailer)));
    let mut world = World::plain();
    world.agent.handle_text(world.now);
    world.agent_out();
    assert_eq!(world.agent_error(), Some((1008, ErrorCode::TextFrame)));
}

#[test]
fn text_before_register_closes_and_afterwards_is_counted() {
    let mut world = World::plain();
    world.hub.handle_text(world.now);
    world.hub_out();
    assert_eq!(world.hub_error(), Some((1008, ErrorCode::TextFrame)));
    let mut world = World::plain();
    world.settle();
    world.hub.handle_text(world.now);
    world.agent.handle_text(world.now);
    world.settle();
    assert_eq!((world.hub.texts_ignored(), world.agent.texts_ignored()), (1, 1));
    assert_eq!((world.agent_closed(), world.hub_closed()), (None, None));
}

#[test]
fn a_hole_in_the_records_stores_nothing_and_ends_the_session() {
    let (world, error) = hub_says(up(2, records(LOGS, 2, 1)));
    assert_eq!(error, Some((1008, ErrorCode::SequenceHole)));
    assert_eq!(world.batches, 0);
    assert_eq!(world.down.len(), 1, "the agent is told in an Error envelope");
    assert_eq!(hub_says(up(2, records(stream(Lane::Logs, 2), 1, 1))).1, Some((1008, ErrorCode::Unexpected)));
}

#[test]
fn ack_beyond_last_sent_closes_session() {
    let ack = |acked| Message::Ack(StreamMark { stream: LOGS, acked, acked_crc: 0 });
    assert_eq!(agent_says(down(3, ack(1))), Some((1008, ErrorCode::AckOutOfRange)));
    assert_eq!(agent_says(down(3, ack(u64::MAX))), Some((1008, ErrorCode::AckOutOfRange)));
    assert_eq!(agent_says(down(3, ack(0))), None, "the same again is no error");
    let mut world = World::with(&[(LOGS, 300)]);
    world.settle();
    assert_eq!(world.outbox[&LOGS].cursor, 300);
    world.down.push_back(down(4, ack(299)));
    world.agent_in();
    world.agent_out();
    assert_eq!(world.agent_error(), Some((1008, ErrorCode::AckOutOfRange)), "below the last ack");
}

#[test]
fn nothing_is_looked_at_after_the_first_wrong_frame() {
    let (mut world, _) = hub_says(up(9, Message::Ping));
    world.hub.handle_frame(world.now, up(2, records(LOGS, 1, 1)));
    world.hub.handle_frame(world.now, up(3, Message::Heartbeat(Heartbeat::default())));
    assert_eq!(world.hub.poll_event(), None);
    assert_eq!(world.hub.poll_timeout(), None);
}

#[test]
fn a_stream_listed_twice_and_more_than_the_limit_are_refused() {
    let state = |epoch| StreamState { stream: stream(Lane::Logs, epoch), first_unacked: 1, next: 1 };
    let mut world = World::plain();
    world.hub_out();
    world.hub.handle_frame(
        world.now,
        up(1, Message::Register(Box::new(register(vec![state(1), state(1)], false)))),
    );
    world.hub_out();
    assert_eq!(world.hub_error(), Some((1008, ErrorCode::Invalid)));

    let mut world = World::plain();
    world.hub_out();
    world.hub.handle_frame(
        world.now,
        up(1, Message::Register(Box::new(register((0..64).map(state).collect(), true)))),
    );
    for frame in 1..=64u64 {
        assert_eq!(world.hub.poll_event(), None);
        let entries = (frame * 64..(frame + 1) * 64).map(state).collect();
        world
            .hub
            .handle_frame(world.now, up(frame + 1, Message::RegisterMore(Listing { entries, more: true })));
    }
    world.hub_out();
    assert_eq!(world.hub_error(), Some((1008, ErrorCode::Invalid)));
}

#[test]
fn an_unknown_body_is_told_and_the_session_kept() {
    // An envelope with field 199, length-delimited and empty, signed as a peer of a later version would.
    let mut prefix = BytesMut::from(&[0x09, 2, 0, 0, 0, 0, 0, 0, 0, 0x11][..]);
    prefix.extend_from_slice(&HUB_TIME.0.to_le_bytes());
    prefix.extend_from_slice(&[0xBA, 0x0C, 0]);
    let mac = root().session_key(Direction::AgentToHub, &context()).sign(&prefix);
    prefix.extend_from_slice(&[0x7A, 0x20]);
    prefix.extend_from_slice(&mac);
    let (world, error) = hub_says(prefix.freeze());
    assert_eq!(error, None);
    assert!(world.hub_events.contains(&HubEvent::Unknown(199)));
}

#[test]
fn an_error_of_the_peer_ends_the_session_with_its_code() {
    let error = ErrorMessage { code: Some(ErrorCode::Replaced), text: "newer".to_owned(), retry_after: None };
    let mut world = World::plain();
    world.settle();
    world.hub.close(world.now, ErrorCode::Replaced, "newer");
    world.settle();
    assert_eq!(world.hub_error(), Some((1000, ErrorCode::Replaced)));
    assert_eq!(world.agent_error(), Some((1000, ErrorCode::Replaced)));
    assert!(world.agent_events.contains(&AgentEvent::HubError(error)));
}

#[test]
fn a_polite_end_says_nothing_and_closes_1000() {
    let mut world = World::plain();
    world.settle();
    world.agent.close(world.now);
    world.agent_out();
    assert_eq!(world.agent_closed().map(|closed| (closed.code, closed.error)), Some((1000, None)));
    assert!(world.up.is_empty());
}
