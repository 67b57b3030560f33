//! Frames of somebody who has the keys: an agent or a hub that says what it likes.

use std::collections::BTreeMap;
use std::time::Duration;

use arbitrary::Arbitrary;
use bytes::{Bytes, BytesMut};
use outpost::id::{HubId, InstanceId, JobId, Lane, MessageId, SessionId, StreamId};
use outpost::time::{HubTime, WallTime};
use outpost::wire::batch;
use outpost::wire::envelope::{self, Header};
use outpost::wire::error::ErrorCode;
use outpost::wire::job::{Answer, JobAck, JobOffer, JobState};
use outpost::wire::key::Direction;
use outpost::wire::mac::MacKey;
use outpost::wire::message::{
    Challenge, ChannelBinding, Codec, ConfigSnapshot, ErrorMessage, Gap, GapReason, GoAway, KeyShare, Limits,
    Listing, Message, Record, RecordKind, Records, Register, RegisterAck, SignatureMode, StreamMark,
    StreamState,
};

use super::{End, Pair, payload, relay};
use crate::ends;

/// A frame, and how it is signed.
#[derive(Debug, Clone, Arbitrary)]
pub struct Forgery {
    to: End,
    key: Key,
    /// Off the number that is due.
    skew: i8,
    /// Off the time it is, in seconds.
    late_s: i16,
    body: Body,
}

/// What signs it.
#[derive(Debug, Clone, Copy, Arbitrary)]
enum Key {
    /// What is due there.
    Right,
    /// The challenge key.
    Challenge,
    /// The key of the other direction.
    OtherDirection,
}

/// A number near a stream's beginning, or anywhere.
#[derive(Debug, Clone, Copy, Arbitrary)]
enum Number {
    Near(u8),
    Any(u64),
}

/// Which stream: of the agent, or not.
type Which = u8;

#[derive(Debug, Clone, Arbitrary)]
enum Body {
    /// These bytes after the envelope's own fields.
    Bytes(Vec<u8>),
    Ack(Which, Number, u32),
    Records {
        stream: Which,
        first: Number,
        count: u8,
        batch: Option<Vec<u8>>,
    },
    Gap(Which, Number, Number, u64),
    Register {
        streams: Vec<(Which, Number, Number)>,
        more: bool,
    },
    RegisterMore {
        streams: Vec<(Which, Number, Number)>,
        more: bool,
    },
    RegisterAck {
        marks: Vec<(Which, Number)>,
        more: bool,
        limits: [u32; 4],
        seconds: [u8; 2],
        config: Option<u64>,
    },
    RegisterAckMore {
        marks: Vec<(Which, Number)>,
        more: bool,
    },
    Challenge {
        hub: u8,
        signature: u8,
        time: Number,
    },
    ChallengeReply([u8; 64]),
    Offer(u8),
    JobAck(u8),
    Cancel(u8),
    GoAway(u32),
    Error,
    Ping,
    Pong,
    Heartbeat,
    RotateKey(u8, [u8; 32]),
    KeyReply(u8, [u8; 32]),
    KeyStored(u8),
    Relay(u8, bool),
    RelayReply(u8),
}

impl Number {
    fn value(self) -> u64 {
        match self {
            Self::Near(value) => value.into(),
            Self::Any(value) => value,
        }
    }
}

impl Pair {
    /// Signs it and has it heard.
    pub(super) fn forge(&mut self, forgery: Forgery) {
        let Forgery { to, key, skew, late_s, body } = forgery;
        let key = signing_key(to, key, self.seen(to).heard);
        let seq = (self.seen(to).heard + 1).saturating_add_signed(skew.into());
        let reckoned = ends::HUB_TIME.after(self.now.since(ends::START));
        let sent_at = HubTime(reckoned.0.saturating_add_signed(1000 * i64::from(late_s)));
        let id = MessageId { hi: 2, lo: seq };
        let header = Header { seq, sent_at, id, correlation: MessageId::NONE };
        let frame = match body {
            Body::Bytes(bytes) => {
                let mut prefix = vec![0x09];
                prefix.extend(seq.to_le_bytes());
                prefix.push(0x11);
                prefix.extend(sent_at.0.to_le_bytes());
                prefix.extend(bytes);
                ends::signed(&key, &prefix)
            }
            body => {
                let mut out = BytesMut::new();
                envelope::seal(header, message(body), &key, &mut out);
                out.freeze()
            }
        };
        self.hear(to, frame);
    }
}

/// The hub's first frame alone has the challenge key.
fn signing_key(to: End, key: Key, heard: u64) -> MacKey {
    let context = ends::context();
    let session = |direction| ends::root().session_key(direction, &context);
    let challenge = || ends::root().challenge_key(&context.agent_nonce, context.hub_id, context.agent_id);
    match (key, to) {
        (Key::Right, End::Agent) if heard == 0 => challenge(),
        (Key::Challenge, _) => challenge(),
        (Key::Right, End::Agent) | (Key::OtherDirection, End::Hub) => session(Direction::HubToAgent),
        (Key::Right, End::Hub) | (Key::OtherDirection, End::Agent) => session(Direction::AgentToHub),
    }
}

fn stream(which: Which) -> StreamId {
    ends::stream(Lane::ALL[usize::from(which) % Lane::ALL.len()], 1 + u64::from(which) / 3)
}

fn states(streams: Vec<(Which, Number, Number)>, more: bool) -> Listing<StreamState> {
    let state = |(which, first_unacked, next): (Which, Number, Number)| StreamState {
        stream: stream(which),
        first_unacked: first_unacked.value(),
        next: next.value(),
    };
    Listing { entries: streams.into_iter().map(state).collect(), more }
}

fn marks(marks: Vec<(Which, Number)>, more: bool) -> Listing<StreamMark> {
    let mark = |(which, acked): (Which, Number)| StreamMark {
        stream: stream(which),
        acked: acked.value(),
        acked_crc: 0,
    };
    Listing { entries: marks.into_iter().map(mark).collect(), more }
}

fn message(body: Body) -> Message {
    match body {
        Body::Bytes(_) | Body::Ping => Message::Ping,
        Body::Pong => Message::Pong,
        Body::Ack(which, acked, acked_crc) => {
            Message::Ack(StreamMark { stream: stream(which), acked: acked.value(), acked_crc })
        }
        Body::Records { stream: which, first, count, batch } => {
            Message::Records(records(stream(which), first.value(), count, batch))
        }
        Body::Gap(which, from, to, records) => Message::Gap(Gap {
            stream: stream(which),
            from: from.value(),
            to: to.value(),
            reason: GapReason::Evicted,
            records,
            bytes: 0,
        }),
        Body::Register { streams, more } => Message::Register(Box::new(register(states(streams, more)))),
        Body::RegisterMore { streams, more } => Message::RegisterMore(states(streams, more)),
        Body::RegisterAck { marks: listed, more, limits, seconds, config } => {
            Message::RegisterAck(Box::new(register_ack(marks(listed, more), limits, seconds, config)))
        }
        Body::RegisterAckMore { marks: listed, more } => Message::RegisterAckMore(marks(listed, more)),
        Body::Challenge { hub, signature, time } => {
            Message::Challenge(challenge(hub, signature, time.value()))
        }
        Body::ChallengeReply(signature) => Message::ChallengeReply(Box::new(signature)),
        Body::Offer(job) => Message::JobOffer(JobOffer {
            job: JobId::from_bytes([job; 16]),
            created_at: ends::HUB_TIME,
            spec: Bytes::from_static(b"{}"),
            signature: None,
        }),
        Body::JobAck(job) => Message::JobAck(JobAck {
            job: JobId::from_bytes([job; 16]),
            answer: Answer::Accepted(JobState::Accepted),
        }),
        Body::Cancel(job) => Message::CancelJob(JobId::from_bytes([job; 16])),
        Body::GoAway(ms) => Message::GoAway(GoAway {
            retry_after: Duration::from_millis(ms.into()),
            reason: "it goes".to_owned(),
        }),
        Body::Error => Message::Error(ErrorMessage {
            code: Some(ErrorCode::Internal),
            text: "it failed".to_owned(),
            retry_after: None,
        }),
        Body::Heartbeat => Message::Heartbeat(Default::default()),
        Body::RotateKey(key, public) => Message::RotateKey(KeyShare { key_id: ends::key_id(key), public }),
        Body::KeyReply(key, public) => Message::KeyReply(KeyShare { key_id: ends::key_id(key), public }),
        Body::KeyStored(key) => Message::KeyStored(ends::key_id(key)),
        Body::Relay(number, named) => Message::Relay(Box::new(relay::relay(number, named))),
        Body::RelayReply(number) => Message::RelayReply(relay::delivered(&relay::relay(number, false))),
    }
}

/// What is said of the numbers, or these bytes.
fn records(stream: StreamId, first: u64, count: u8, bytes: Option<Vec<u8>>) -> Records {
    let batch = bytes.map(Bytes::from).unwrap_or_else(|| {
        let mut encoded = BytesMut::new();
        for seq in (first..).take(count.into()) {
            let (recorded_at, source, payload) = (WallTime(1), "forged".to_owned(), payload(stream, seq));
            batch::push(
                Record { recorded_at, source, kind: RecordKind::Opaque, payload, part: None, app: None },
                &mut encoded,
            );
        }
        encoded.freeze()
    });
    let raw_len = u32::try_from(batch.len()).expect("inputs are short");
    Records { stream, first, count: count.into(), codec: Codec::None, raw_len, batch, clock_offset: None }
}

fn register(streams: Listing<StreamState>) -> Register {
    Register {
        instance: InstanceId::from_bytes([9; 16]),
        agent_version: String::new(),
        hostname: String::new(),
        os: String::new(),
        arch: String::new(),
        runtimes: BTreeMap::new(),
        capabilities: Vec::new(),
        last_known_config_version: 0,
        streams,
        wall_time: WallTime(0),
    }
}

fn register_ack(
    marks: Listing<StreamMark>,
    limits: [u32; 4],
    seconds: [u8; 2],
    config: Option<u64>,
) -> RegisterAck {
    let [message_bytes, window_bytes, control_window_bytes, record_bytes] = limits;
    let [ping, idle] = seconds.map(|seconds| Duration::from_secs(seconds.into()));
    RegisterAck {
        hub_time: ends::HUB_TIME,
        heartbeat_interval: ping,
        limits: Limits {
            message_bytes,
            window_bytes,
            control_window_bytes,
            record_bytes,
            ping_interval: ping,
            idle,
            zstd: true,
        },
        marks,
        config: config.map(|version| ConfigSnapshot {
            version,
            document: Bytes::from_static(b"{}"),
            signature: None,
        }),
        retry: None,
    }
}

fn challenge(hub: u8, signature: u8, time: u64) -> Challenge {
    let modes = [SignatureMode::None, SignatureMode::Optional, SignatureMode::Required];
    Challenge {
        hub_id: HubId::from_bytes([hub; 16]),
        hub_nonce: [6; 32],
        session_id: SessionId::from_bytes([4; 16]),
        hub_time: HubTime(ends::HUB_TIME.0.saturating_add(time)),
        signature: modes[usize::from(signature % 3)],
        binding: ChannelBinding::None,
    }
}
