//! What ends a session, each with its close code and name.

use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::SinkExt as _;
use futures_util::StreamExt as _;
use outpost::id::MessageId;
use outpost::limit;
use outpost::time::HubTime;
use outpost::wire::envelope::{self, Header};
use outpost::wire::message::{Gap, GapReason, Message};
use tokio_tungstenite::tungstenite::Message as Frame;

use crate::raw_agent::{LOGS, RawAgent, World, records, register, within};

fn named(code: u16, name: &str) -> (u16, String) {
    (code, name.to_owned())
}

/// Registers, changes the next frame, and expects this end; nothing may be stored.
async fn ends(change: impl AsyncFnOnce(&mut RawAgent), expected: (u16, String)) {
    let world = World::new().await;
    let (mut agent, _) = world.register().await;
    change(&mut agent).await;
    assert_eq!(agent.closed().await, expected);
    assert_eq!(world.texts().await, [""; 0]);
    world.hub.shutdown().await;
}

#[tokio::test]
async fn a_forged_mac_closes() {
    ends(
        async |agent| {
            let mut frame = agent.sealed(records(1, &["forged"]));
            let last = frame.len() - 1;
            frame[last] ^= 1;
            agent.send(frame.freeze()).await;
        },
        named(1008, "bad_mac"),
    )
    .await;
}

#[tokio::test]
async fn two_bodies_close() {
    ends(
        async |agent| {
            let frame = agent.sealed(records(1, &["two"]));
            let mut prefix = frame[..frame.len() - 34].to_vec();
            prefix.extend([11 << 3 | 2, 0]);
            agent.send(agent.signed(&prefix)).await;
        },
        named(1008, "malformed"),
    )
    .await;
}

#[tokio::test]
async fn a_mac_field_inside_the_prefix_closes() {
    ends(
        async |agent| {
            let frame = agent.sealed(records(1, &["two"]));
            agent.send(agent.signed(&frame)).await;
        },
        named(1008, "malformed"),
    )
    .await;
}

#[tokio::test]
async fn garbage_closes_with_and_without_a_mac() {
    ends(async |agent| agent.send(Bytes::from_static(b"garbage")).await, named(1008, "bad_trailer")).await;
    ends(async |agent| agent.send(agent.signed(&[0xff; 40])).await, named(1008, "malformed")).await;
}

#[tokio::test]
async fn a_stale_clock_closes() {
    ends(
        async |agent| {
            let mut header = agent.header();
            header.sent_at = HubTime(header.sent_at.0 - 301_000);
            let mut out = BytesMut::new();
            envelope::seal(header, records(1, &["stale"]), &agent.up, &mut out);
            agent.send(out.freeze()).await;
        },
        named(1008, "clock"),
    )
    .await;
}

#[tokio::test]
async fn a_wrong_sequence_closes() {
    ends(
        async |agent| {
            agent.seq += 1;
            agent.say(records(1, &["skipped"])).await;
        },
        named(1008, "bad_sequence"),
    )
    .await;
}

#[tokio::test]
async fn records_above_the_mark_are_a_hole() {
    ends(async |agent| agent.say(records(2, &["hole"])).await, named(1008, "sequence_hole")).await;
}

#[tokio::test]
async fn an_oversized_message_closes_with_1009() {
    ends(async |agent| agent.send(vec![0; 2 * 1024 * 1024 + 1].into()).await, named(1009, "too_large")).await;
}

#[tokio::test]
async fn a_message_of_exactly_the_limit_is_read() {
    ends(async |agent| agent.send(vec![0; 2 * 1024 * 1024].into()).await, named(1008, "bad_trailer")).await;
}

/// A frame of exactly this many bytes with three records.
fn frame_of(agent: &mut RawAgent, length: usize) -> Bytes {
    let header = agent.header();
    let sealed = |last: usize| {
        let payloads = [1_000_000, 1_000_000, last].map(|length| vec![b'x'; length]);
        let mut out = BytesMut::new();
        envelope::seal(header, records(1, &payloads), &agent.up, &mut out);
        out.freeze()
    };
    let overhead = sealed(90_000).len() - 90_000;
    let frame = sealed(length - overhead);
    assert_eq!(frame.len(), length);
    frame
}

#[tokio::test]
async fn a_frame_of_exactly_the_limit_is_stored_and_one_byte_more_never_reaches_the_session() {
    let world = World::new().await;
    let (mut agent, _) = world.register().await;
    let frame = frame_of(&mut agent, limit::MESSAGE_BYTES_MAX);
    agent.send(frame).await;
    assert_eq!(agent.acked().await, 3);
    let frames_in = async || world.get("/v1/status").await.1["counters"]["frames_in"].clone();
    assert_eq!(frames_in().await, 2, "Register and Records");

    let frame = frame_of(&mut agent, limit::MESSAGE_BYTES_MAX + 1);
    agent.send(frame).await;
    // The session would have said it in an Error envelope before the close frame; the socket refused it before that.
    let next = within(agent.ws.next()).await;
    assert!(matches!(next, Some(Ok(Frame::Close(Some(_))))), "{next:?}");
    let Some(Ok(Frame::Close(Some(frame)))) = next else { return };
    assert_eq!((u16::from(frame.code), frame.reason.as_str()), (1009, "too_large"));
    assert_eq!(frames_in().await, 2);
    world.hub.shutdown().await;
}

#[tokio::test]
async fn a_text_frame_before_register_closes() {
    let world = World::new().await;
    let mut agent = world.connect().await;
    agent.ws.send(Frame::text("hello")).await.unwrap();
    assert_eq!(agent.closed().await, named(1008, "text_frame"));
    world.hub.shutdown().await;
}

#[tokio::test]
async fn records_before_register_close() {
    let world = World::new().await;
    let mut agent = world.connect().await;
    agent.say(records(1, &["early"])).await;
    assert_eq!(agent.closed().await, named(1008, "unexpected"));
    assert_eq!(world.texts().await, [""; 0]);
    world.hub.shutdown().await;
}

#[tokio::test]
async fn a_register_with_the_wrong_key_closes() {
    let world = World::new().await;
    let mut agent = world.connect().await;
    agent.up = agent.down.clone();
    agent.say(register()).await;
    assert_eq!(agent.closed().await, named(1008, "bad_mac"));
    assert_eq!(world.hub.peer_count(), 0);
    world.hub.shutdown().await;
}

#[tokio::test]
async fn an_unknown_message_is_counted_and_the_session_kept() {
    let world = World::new().await;
    let (mut agent, _) = world.register().await;
    let Header { seq, sent_at, .. } = agent.header();
    let mut prefix = BytesMut::new();
    prefix.put_u8(1 << 3 | 1);
    prefix.put_u64_le(seq);
    prefix.put_u8(2 << 3 | 1);
    prefix.put_u64_le(sent_at.0);
    // Field 150, length-delimited, empty.
    prefix.put_slice(&[0xB2, 0x09, 0x00]);
    agent.send(agent.signed(&prefix)).await;
    let ping = agent.header();
    let mut out = BytesMut::new();
    envelope::seal(Header { correlation: MessageId::NONE, ..ping }, Message::Ping, &agent.up, &mut out);
    agent.send(out.freeze()).await;
    assert_eq!(agent.hear().await, Message::Pong);
    let (_, status) = world.get("/v1/status").await;
    assert_eq!(status["counters"]["unknown_messages"], 1, "{status}");
    world.hub.shutdown().await;
}

#[tokio::test]
async fn numbers_the_database_cannot_hold_end_their_own_session_alone() {
    let gap = |to| {
        let reason = GapReason::Evicted;
        Message::Gap(Gap { stream: LOGS, from: 1, to, reason, records: 1, bytes: 0 })
    };
    for to in [u64::MAX, 1 << 63] {
        ends(async |agent| agent.say(gap(to)).await, named(1008, "invalid")).await;
    }
    let world = World::new().await;
    let (mut agent, _) = world.register().await;
    agent.say(gap((1 << 63) - 1)).await;
    assert_eq!(agent.acked().await, (1 << 63) - 1, "the greatest one passes");
    agent.say(records(1 << 63, &["one more"])).await;
    assert_eq!(agent.closed().await, named(1008, "invalid"));
    assert_eq!(world.get("/readyz").await.0, 200, "an agent's nonsense is no fault of the database");
    world.hub.shutdown().await;
}

#[tokio::test]
async fn a_register_that_cannot_be_noted_opens_a_session_but_not_for_who_was_revoked_meanwhile() {
    use sqlx::Connection as _;

    let world = World::new().await;
    let database = world.hub.data().join("hub.db");
    let mut database =
        sqlx::SqliteConnection::connect(&format!("sqlite:{}", database.display())).await.unwrap();
    // A login reads this column and nothing else does.
    let broken = "alter table agents rename column rotate_asked_at to gone";
    let mended = "alter table agents rename column gone to rotate_asked_at";
    sqlx::query(broken).execute(&mut database).await.unwrap();
    let (_agent, _) = world.register().await;
    sqlx::query(mended).execute(&mut database).await.unwrap();

    let mut revoked = world.connect().await;
    world.hub.store().revoke_agent(&"edge-1".parse().unwrap()).await.unwrap();
    sqlx::query(broken).execute(&mut database).await.unwrap();
    revoked.say(register()).await;
    assert_eq!(revoked.closed().await, (1008, "revoked".to_owned()));
    assert_eq!(world.counter("auth_failed", "revoked").await, 1, "not only a second later");
    world.hub.shutdown().await;
}
