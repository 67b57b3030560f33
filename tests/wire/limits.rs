//! Each bound: what stands exactly on it passes, one more is refused.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use outpost::id::{Epoch, InstanceId, Lane, StreamId};
use outpost::limit;
use outpost::time::{HubTime, WallTime};
use outpost::wire::batch;
use outpost::wire::envelope::open;
use outpost::wire::error::{ErrorCode, WireError};
use outpost::wire::message::{
    Codec, ConfigSnapshot, ErrorMessage, GoAway, Limits, Listing, Message, Part, Record, RecordKind, Records,
    Register, RegisterAck, StreamMark, StreamState,
};

use crate::support::{beginning, field_bytes, key, refusal, sealed, signed};

fn opened(message: Message) -> Result<Message, WireError> {
    open(&sealed(message), &key(), limit::MESSAGE_BYTES_MAX)?.into_message()
}

fn stream() -> StreamId {
    StreamId { lane: Lane::Logs, epoch: Epoch::from_u64(1) }
}

fn records(batch: Bytes) -> Records {
    Records {
        stream: stream(),
        first: 1,
        count: 1,
        codec: Codec::None,
        raw_len: u32::try_from(batch.len()).unwrap(),
        batch,
        clock_offset: None,
    }
}

fn states(count: usize) -> Listing<StreamState> {
    let state = StreamState { stream: stream(), first_unacked: 1, next: 1 };
    Listing { entries: vec![state; count], more: false }
}

fn marks(count: usize) -> Listing<StreamMark> {
    Listing { entries: vec![StreamMark::none(Lane::Logs, Epoch::from_u64(1)); count], more: false }
}

fn register() -> Register {
    Register {
        instance: InstanceId::from_bytes([1; 16]),
        agent_version: String::new(),
        hostname: String::new(),
        os: String::new(),
        arch: String::new(),
        runtimes: BTreeMap::new(),
        capabilities: Vec::new(),
        last_known_config_version: 0,
        streams: states(0),
        wall_time: WallTime(0),
    }
}

fn register_ack() -> RegisterAck {
    RegisterAck {
        hub_time: HubTime(0),
        heartbeat_interval: Duration::from_secs(1),
        limits: Limits {
            message_bytes: 1,
            window_bytes: 1,
            control_window_bytes: 1,
            record_bytes: 1,
            ping_interval: Duration::from_secs(1),
            idle: Duration::from_secs(1),
            zstd: false,
        },
        marks: marks(0),
        config: None,
        retry: None,
    }
}

/// Seals and opens `message(bound)`, and expects `invalid` for `message(bound + 1)`.
fn bound_holds(bound: usize, message: impl Fn(usize) -> Message) {
    let on_it = message(bound);
    assert_eq!(opened(on_it.clone()).unwrap(), on_it);
    let (code, detail) = refusal(opened(message(bound + 1)));
    assert_eq!(code, ErrorCode::Invalid, "{detail}");
    assert!(detail.contains(&(bound + 1).to_string()), "the refusal names the number: {detail}");
}

#[test]
fn a_message_of_exactly_the_limit_opens_and_one_byte_more_is_too_large() {
    let overhead = sealed(Message::Records(records(vec![0; 2_000_000].into()))).len() - 2_000_000;
    let batch = vec![0; limit::MESSAGE_BYTES_MAX - overhead];
    let frame = sealed(Message::Records(records(batch.into())));
    assert_eq!(frame.len(), limit::MESSAGE_BYTES_MAX);
    assert!(open(&frame, &key(), limit::MESSAGE_BYTES_MAX).is_ok());

    let batch = vec![0; limit::MESSAGE_BYTES_MAX - overhead + 1];
    let frame = sealed(Message::Records(records(batch.into())));
    let (code, detail) = refusal(open(&frame, &key(), limit::MESSAGE_BYTES_MAX));
    assert_eq!(code, ErrorCode::TooLarge);
    assert_eq!(detail, "2097153 bytes, the limit is 2097152");
}

#[test]
fn a_negotiated_limit_holds_instead() {
    let frame = sealed(Message::Ping);
    assert!(open(&frame, &key(), frame.len()).is_ok());
    assert_eq!(refusal(open(&frame, &key(), frame.len() - 1)).0, ErrorCode::TooLarge);
}

#[test]
fn streams_of_one_frame() {
    bound_holds(limit::STREAMS_PER_FRAME, |count| {
        Message::Register(Box::new(Register { streams: states(count), ..register() }))
    });
    bound_holds(limit::STREAMS_PER_FRAME, |count| Message::RegisterMore(states(count)));
    bound_holds(limit::STREAMS_PER_FRAME, |count| {
        Message::RegisterAck(Box::new(RegisterAck { marks: marks(count), ..register_ack() }))
    });
    bound_holds(limit::STREAMS_PER_FRAME, |count| Message::RegisterAckMore(marks(count)));
}

#[test]
fn texts_and_entries_of_a_register() {
    let send = |register| Message::Register(Box::new(register));
    let text = |length| "x".repeat(length);
    let longest = limit::REGISTER_TEXT_BYTES_MAX;
    bound_holds(longest, |length| send(Register { agent_version: text(length), ..register() }));
    bound_holds(longest, |length| send(Register { hostname: text(length), ..register() }));
    bound_holds(longest, |length| send(Register { os: text(length), ..register() }));
    bound_holds(longest, |length| send(Register { arch: text(length), ..register() }));
    bound_holds(longest, |length| send(Register { capabilities: vec![text(length)], ..register() }));
    bound_holds(longest, |length| {
        send(Register { runtimes: BTreeMap::from([(text(length), String::new())]), ..register() })
    });
    bound_holds(longest, |length| {
        send(Register { runtimes: BTreeMap::from([(String::new(), text(length))]), ..register() })
    });
    bound_holds(limit::REGISTER_ENTRIES_MAX, |count| {
        send(Register { capabilities: vec![String::new(); count], ..register() })
    });
    bound_holds(limit::REGISTER_ENTRIES_MAX, |count| {
        let runtimes = (0..count).map(|index| (index.to_string(), String::new())).collect();
        send(Register { runtimes, ..register() })
    });
}

#[test]
fn the_config_snapshot() {
    bound_holds(limit::CONFIG_BYTES_MAX, |length| {
        let config = Some(ConfigSnapshot { version: 1, document: vec![0; length].into(), signature: None });
        Message::RegisterAck(Box::new(RegisterAck { config, ..register_ack() }))
    });
}

#[test]
fn our_own_error_text_is_cut_between_characters() {
    let text = format!("{}é", "x".repeat(limit::ERROR_TEXT_BYTES_MAX - 1));
    let kept = "x".repeat(limit::ERROR_TEXT_BYTES_MAX - 1);
    let error = ErrorMessage { code: None, text: text.clone(), retry_after: None };
    let expected = Message::Error(ErrorMessage { text: kept.clone(), ..error.clone() });
    assert_eq!(opened(Message::Error(error)).unwrap(), expected);
    let go_away = GoAway { retry_after: Duration::ZERO, reason: text };
    let expected = Message::GoAway(GoAway { reason: kept, ..go_away.clone() });
    assert_eq!(opened(Message::GoAway(go_away)).unwrap(), expected);
}

#[test]
fn durations_too_long_for_the_wire_are_cut_to_its_greatest() {
    let go_away = GoAway { retry_after: Duration::MAX, reason: String::new() };
    let greatest = Duration::from_millis(u32::MAX.into());
    assert_eq!(
        opened(Message::GoAway(go_away)).unwrap(),
        Message::GoAway(GoAway { retry_after: greatest, reason: String::new() })
    );
}

fn record(payload: usize, source: usize) -> Record {
    Record {
        recorded_at: WallTime(0),
        source: "s".repeat(source),
        kind: RecordKind::Opaque,
        payload: vec![0; payload].into(),
        part: None,
        app: None,
    }
}

fn decoded(record: Record) -> Result<Vec<Record>, WireError> {
    let mut encoded = BytesMut::new();
    batch::push(record, &mut encoded);
    batch::decode(&encoded.freeze(), 1)
}

#[test]
fn payload_source_and_parts_of_a_record() {
    let on_it = record(limit::RECORD_BYTES_MAX, limit::SOURCE_BYTES_MAX);
    assert_eq!(decoded(on_it.clone()).unwrap(), [on_it]);
    assert_eq!(refusal(decoded(record(limit::RECORD_BYTES_MAX + 1, 0))).0, ErrorCode::RecordTooLarge);
    assert_eq!(refusal(decoded(record(0, limit::SOURCE_BYTES_MAX + 1))).0, ErrorCode::Invalid);
    for (index, of) in [(0, 1), (1, 0), (3, 2)] {
        let torn = Record { part: Some(Part { index, of }), ..record(0, 0) };
        assert_eq!(refusal(decoded(torn)).1, format!("part {index} of {of}"));
    }
    let longest = "a".repeat(limit::APP_BYTES_MAX);
    let named = Record { app: Some(longest.parse().unwrap()), ..record(0, 0) };
    assert_eq!(decoded(named.clone()).unwrap(), std::slice::from_ref(&named));
    let mut encoded = BytesMut::new();
    batch::push(named, &mut encoded);
    // Its last byte is the name's last letter.
    *encoded.last_mut().unwrap() = b'\n';
    let forged = batch::decode(&encoded.freeze(), 1).unwrap_err();
    assert_eq!(forged.code, ErrorCode::Invalid, "{forged:?}");
}

#[test]
fn numbers_of_a_batch_end_at_the_greatest() {
    let last = u64::MAX - 1;
    let whole = Records { first: last, ..records(Bytes::new()) };
    assert_eq!(opened(Message::Records(whole.clone())).unwrap(), Message::Records(whole.clone()));
    assert_eq!(whole.last(), last);
    for (first, count) in [(0, 1), (1, 0), (u64::MAX, 1), (last, 2)] {
        let wrong = Records { first, count, ..records(Bytes::new()) };
        let (code, detail) = refusal(opened(Message::Records(wrong)));
        assert_eq!((code, detail), (ErrorCode::Invalid, format!("records from {first} count {count}")));
    }
}

#[test]
fn raw_len_is_the_batch_or_within_the_message_limit() {
    let greatest = u32::try_from(limit::MESSAGE_BYTES_MAX).unwrap();
    let zstd = |raw_len| Message::Records(Records { codec: Codec::Zstd, raw_len, ..records(Bytes::new()) });
    assert_eq!(opened(zstd(greatest)).unwrap(), zstd(greatest));
    assert_eq!(refusal(opened(zstd(greatest + 1))).0, ErrorCode::Invalid);
    let lying = Records { raw_len: 1, ..records(Bytes::new()) };
    assert_eq!(refusal(opened(Message::Records(lying))).0, ErrorCode::Invalid);
}

#[test]
fn records_of_one_batch() {
    let greatest = limit::BATCH_RECORDS_MAX as usize;
    bound_holds(greatest, |count| {
        let batch = Bytes::from([0x0A, 0x00].repeat(count));
        Message::Records(Records { count: u32::try_from(count).unwrap(), ..records(batch) })
    });
    let decode =
        |count: usize| batch::decode(&Bytes::from([0x0A, 0x00].repeat(count)), u32::try_from(count).unwrap());
    assert_eq!(decode(greatest).unwrap().len(), greatest);
    let (code, detail) = refusal(decode(greatest + 1));
    assert_eq!((code, detail), (ErrorCode::Invalid, "a batch of 4097 records, the limit is 4096".to_owned()));
}

#[test]
fn a_count_above_the_limit_is_refused_however_the_body_is_written() {
    // `count` behind an unknown field: the generated decoder reads it, not the one by hand.
    for unknown in [&[][..], &[0x48, 0x01]] {
        let body = [unknown, &[0x08, 0x03, 0x18, 0x01, 0x20, 0x81, 0x20]].concat();
        let prefix = [beginning(), field_bytes(7, &body)].concat();
        let (code, detail) = refusal(open(&signed(&prefix), &key(), 1000).unwrap().into_message());
        assert_eq!(code, ErrorCode::Invalid);
        assert_eq!(detail, "4097 records in one batch, the limit is 4096");
    }
}
