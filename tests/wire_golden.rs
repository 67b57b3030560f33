//! Golden frames and key vectors. tests/python/wire.py makes them from proto/ and docs/protocol.md alone; here the
//! same messages are built from domain types and must come out byte for byte, and the frames must open into them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use outpost::id::{AgentId, Epoch, HubId, InstanceId, JobId, Lane, MessageId, SessionId, StreamId};
use outpost::limit;
use outpost::time::{ClockOffset, HubTime, WallTime};
use outpost::wire::batch;
use outpost::wire::envelope::{Header, open, seal};
use outpost::wire::error::ErrorCode;
use outpost::wire::job::{Answer, JobAck, JobOffer, Refusal};
use outpost::wire::key::{
    AgentKey, Bearer, Direction, KeyFile, MacRoot, RotationContext, RotationHalf, SessionContext,
    challenge_digest,
};
use outpost::wire::mac::MacKey;
use outpost::wire::message::{
    Challenge, ChannelBinding, Codec, ConfigRefusal, ConfigSnapshot, ErrorMessage, Gap, GapReason, GoAway,
    Heartbeat, KeyShare, LaneDepth, Limits, Listing, Message, Part, Record, RecordKind, Records, Register,
    RegisterAck, RetryHints, SignatureMode, StreamMark, StreamState,
};
use outpost::wire::operator::{OperatorSignature, Subject};
use outpost::wire::relay::{Delivery, Relay, RelayOutcome, RelayReply, Sender};
use outpost::wire::zstd;
use serde_json::Value;

const HUB_TIME: HubTime = HubTime(1_800_000_000_000);
const SPEC: &[u8] = br#"{"kind": "exec"}"#;
const EPOCH: Epoch = Epoch::from_u64(0x0000_0001_DEAD_BEEF);

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(golden(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The bytes of an annotated frame: hex digits, spaces, and comments after `#`.
fn golden_frame(name: &str) -> Bytes {
    let digits: String = read(&format!("{name}.hex"))
        .lines()
        .map(|line| line.split('#').next().unwrap())
        .flat_map(|line| line.chars().filter(|character| !character.is_whitespace()))
        .collect();
    hex::decode(digits).unwrap().into()
}

/// keys.json.
struct Vectors(Value);

impl Vectors {
    fn read() -> Self {
        Self(serde_json::from_str(&read("keys.json")).unwrap())
    }

    fn text(&self, section: &str, name: &str) -> &str {
        self.0[section][name].as_str().unwrap_or_else(|| panic!("keys.json lacks {section}.{name}"))
    }

    fn bytes<const N: usize>(&self, section: &str, name: &str) -> [u8; N] {
        hex::decode(self.text(section, name)).unwrap().try_into().unwrap()
    }

    fn context(&self, channel_binding: [u8; 32]) -> SessionContext {
        SessionContext {
            hub_id: HubId::from_bytes(self.bytes("inputs", "hub_id")),
            agent_id: AgentId::from_bytes(self.bytes("inputs", "agent_id")),
            session_id: SessionId::from_bytes(self.bytes("inputs", "session_id")),
            agent_nonce: self.bytes("inputs", "agent_nonce"),
            hub_nonce: self.bytes("inputs", "hub_nonce"),
            channel_binding,
        }
    }

    fn root(&self) -> MacRoot {
        AgentKey::new(self.bytes("inputs", "agent_key")).mac_root()
    }

    fn identity(&self) -> SigningKey {
        SigningKey::from_bytes(&self.bytes("inputs", "identity_seed"))
    }

    /// The three MAC keys of the golden frames.
    fn keys(&self) -> Keys {
        let context = self.context([0; 32]);
        let root = self.root();
        Keys {
            challenge: root.challenge_key(&context.agent_nonce, context.hub_id, context.agent_id),
            up: root.session_key(Direction::AgentToHub, &context),
            down: root.session_key(Direction::HubToAgent, &context),
        }
    }
}

struct Keys {
    challenge: MacKey,
    up: MacKey,
    down: MacKey,
}

fn job() -> JobId {
    JobId::from_bytes(std::array::from_fn(|index| 0xA0 + u8::try_from(index).unwrap()))
}

fn stream(lane: Lane) -> StreamId {
    StreamId { lane, epoch: EPOCH }
}

fn state(lane: Lane, first_unacked: u64, next: u64) -> StreamState {
    StreamState { stream: stream(lane), first_unacked, next }
}

fn mark(lane: Lane, acked: u64, acked_crc: u32) -> StreamMark {
    StreamMark { stream: stream(lane), acked, acked_crc }
}

fn records_of_the_batch() -> Vec<Record> {
    let record = |at, payload: &'static [u8], part| Record {
        recorded_at: WallTime(at),
        source: "cron".to_owned(),
        kind: RecordKind::Opaque,
        payload: Bytes::from_static(payload),
        part,
        app: None,
    };
    vec![record(5_000, b"started", None), record(5_001, b"\x00\xff", Some(Part { index: 1, of: 2 }))]
}

fn records() -> Records {
    let mut encoded = BytesMut::new();
    for record in records_of_the_batch() {
        batch::push(record, &mut encoded);
    }
    Records {
        stream: stream(Lane::Events),
        first: 7,
        count: 2,
        codec: Codec::None,
        raw_len: u32::try_from(encoded.len()).unwrap(),
        batch: encoded.freeze(),
        clock_offset: Some(ClockOffset(-1_800_000_000_000)),
    }
}

fn register(vectors_instance: [u8; 16]) -> Register {
    Register {
        instance: InstanceId::from_bytes(vectors_instance),
        agent_version: "0.1.0".to_owned(),
        hostname: "edge-1".to_owned(),
        os: "linux".to_owned(),
        arch: "x86_64".to_owned(),
        runtimes: BTreeMap::from([
            ("bash".to_owned(), "5.2".to_owned()),
            ("python".to_owned(), "3.11.7".to_owned()),
        ]),
        capabilities: vec!["exec".to_owned()],
        last_known_config_version: 3,
        streams: Listing {
            entries: vec![state(Lane::Control, 1, 1), state(Lane::Events, 7, 300)],
            more: true,
        },
        wall_time: WallTime(5_000),
    }
}

fn register_ack(vectors: &Vectors) -> RegisterAck {
    RegisterAck {
        hub_time: HubTime(HUB_TIME.0 + 12),
        heartbeat_interval: Duration::from_secs(30),
        limits: Limits {
            message_bytes: 2_097_152,
            window_bytes: 1_048_576,
            control_window_bytes: 65_536,
            record_bytes: 1_048_576,
            ping_interval: Duration::from_secs(30),
            idle: Duration::from_secs(90),
            zstd: false,
        },
        marks: Listing {
            entries: vec![mark(Lane::Control, 0, 0), mark(Lane::Events, 6, 0x1234_ABCD)],
            more: true,
        },
        config: Some(ConfigSnapshot {
            version: 4,
            document: Bytes::from_static(b"{}"),
            signature: Some(operator(vectors, Subject::Config, b"{}")),
        }),
        retry: Some(RetryHints { min: Duration::from_millis(250), max: Duration::from_secs(30) }),
    }
}

fn challenge(vectors: &Vectors) -> Challenge {
    let context = vectors.context([0; 32]);
    Challenge {
        hub_id: context.hub_id,
        hub_nonce: context.hub_nonce,
        session_id: context.session_id,
        hub_time: HUB_TIME,
        signature: SignatureMode::Required,
        binding: ChannelBinding::None,
    }
}

fn heartbeat() -> Heartbeat {
    Heartbeat {
        depth: [
            LaneDepth::default(),
            LaneDepth { records: 293, bytes: 150_016 },
            LaneDepth { records: 25, bytes: 12_800 },
        ],
        agent_version: "0.1.0".to_owned(),
        config_version: 4,
        config_refused: Some(ConfigRefusal { version: 5, reason: "it is not signed".to_owned() }),
    }
}

/// The identity's key signs as an operator's does.
fn operator(vectors: &Vectors, subject: Subject, bytes: &[u8]) -> OperatorSignature {
    OperatorSignature::sign(subject, &vectors.identity(), bytes)
}

/// Name, key, number and message of every golden frame but `unknown_body`, which nobody here can make.
fn messages<'a>(vectors: &Vectors, keys: &'a Keys) -> Vec<(&'a MacKey, u64, Message)> {
    let mut all = session_messages(vectors, keys);
    all.extend([
        (&keys.down, 10, Message::RotateKey(share(vectors, "hub_public"))),
        (&keys.up, 10, Message::KeyReply(share(vectors, "agent_public"))),
        (&keys.down, 11, Message::KeyStored("k2".parse().unwrap())),
        (&keys.down, 12, Message::Relay(Box::new(relay(vectors)))),
        (
            &keys.up,
            11,
            Message::RelayReply(RelayReply {
                id: relay(vectors).id,
                outcome: RelayOutcome::refused(ErrorCode::RelayHandler, "no handler door.open"),
            }),
        ),
    ]);
    all
}

fn relay(vectors: &Vectors) -> Relay {
    let id = vectors.context([0; 32]).agent_id;
    Relay {
        id: MessageId { hi: 0xFEDC_BA98_7654_3210, lo: 7 },
        sender: Some(Sender { id, name: Some("edge-1".parse().unwrap()) }),
        to: None,
        handler: "door.open".parse().unwrap(),
        payload: Bytes::from_static(b"\0front"),
        delivery: Delivery::Queued,
    }
}

/// All but those of rotations and relays.
fn session_messages<'a>(vectors: &Vectors, keys: &'a Keys) -> Vec<(&'a MacKey, u64, Message)> {
    let signature = vectors.identity().sign(&challenge_digest(&vectors.context([0; 32]), HUB_TIME));
    let mut instance = [0; 16];
    (0xC0..).zip(&mut instance).for_each(|(value, byte)| *byte = value);
    vec![
        (&keys.challenge, 1, Message::Challenge(challenge(vectors))),
        (&keys.up, 1, Message::ChallengeReply(Box::new(signature.to_bytes()))),
        (&keys.up, 2, Message::Register(Box::new(register(instance)))),
        (
            &keys.up,
            3,
            Message::RegisterMore(Listing { entries: vec![state(Lane::Logs, 1, 66)], more: false }),
        ),
        (&keys.down, 2, Message::RegisterAck(Box::new(register_ack(vectors)))),
        (
            &keys.down,
            3,
            Message::RegisterAckMore(Listing { entries: vec![mark(Lane::Logs, 0, 0)], more: false }),
        ),
        (&keys.up, 4, Message::Records(records())),
        (
            &keys.up,
            5,
            Message::Gap(Gap {
                stream: stream(Lane::Logs),
                from: 1,
                to: 40,
                reason: GapReason::HubLost,
                records: 40,
                bytes: 20_480,
            }),
        ),
        (&keys.up, 6, Message::Heartbeat(heartbeat())),
        (&keys.down, 4, Message::Ack(mark(Lane::Events, 8, 0xCAFE_F00D))),
        (&keys.down, 5, Message::Ping),
        (&keys.up, 7, Message::Pong),
        (
            &keys.down,
            6,
            Message::Error(ErrorMessage {
                code: Some(ErrorCode::SequenceHole),
                text: "records begin at 12, expected 9".to_owned(),
                retry_after: Some(Duration::from_millis(1500)),
            }),
        ),
        (
            &keys.down,
            7,
            Message::GoAway(GoAway { retry_after: Duration::from_secs(4), reason: "restart".to_owned() }),
        ),
        (
            &keys.down,
            8,
            Message::JobOffer(JobOffer {
                job: job(),
                created_at: HUB_TIME,
                spec: Bytes::from_static(SPEC),
                signature: Some(operator(vectors, Subject::Job, SPEC)),
            }),
        ),
        (
            &keys.up,
            9,
            Message::JobAck(JobAck {
                job: job(),
                answer: Answer::Refused { refusal: Refusal::Busy, detail: "32 jobs wait".to_owned() },
            }),
        ),
        (&keys.down, 9, Message::CancelJob(job())),
    ]
}

fn share(vectors: &Vectors, public: &str) -> KeyShare {
    KeyShare { key_id: "k2".parse().unwrap(), public: vectors.bytes("outputs", public) }
}

fn header(seq: u64, correlation: MessageId) -> Header {
    Header {
        seq,
        sent_at: HubTime(HUB_TIME.0 + 100 * seq),
        id: MessageId { hi: 0x0123_4567_89AB_CDEF, lo: seq },
        correlation,
    }
}

fn header_of(message: &Message, seq: u64) -> Header {
    let correlation = match message {
        Message::Pong => MessageId { hi: 0x0123_4567_89AB_CDEF, lo: 5 },
        Message::JobAck(_) => MessageId { hi: 0x0123_4567_89AB_CDEF, lo: 8 },
        _ => MessageId::NONE,
    };
    header(seq, correlation)
}

#[test]
fn our_frames_are_the_golden_ones() {
    let vectors = Vectors::read();
    let keys = vectors.keys();
    for (key, seq, message) in messages(&vectors, &keys) {
        let name = message.name();
        let mut frame = BytesMut::new();
        seal(header_of(&message, seq), message, key, &mut frame);
        assert_eq!(hex::encode(&frame), hex::encode(golden_frame(name)), "{name}");
    }
}

#[test]
fn golden_frames_open_into_our_messages() {
    let vectors = Vectors::read();
    let keys = vectors.keys();
    for (key, seq, message) in messages(&vectors, &keys) {
        let name = message.name();
        let opened = open(&golden_frame(name), key, limit::MESSAGE_BYTES_MAX).unwrap();
        assert_eq!(opened.header, header_of(&message, seq), "{name}");
        assert_eq!(opened.into_message().unwrap(), message, "{name}");
    }
}

#[test]
fn every_golden_file_belongs_to_a_message() {
    let vectors = Vectors::read();
    let keys = vectors.keys();
    let mut expected: Vec<String> =
        messages(&vectors, &keys).iter().map(|(_, _, message)| format!("{}.hex", message.name())).collect();
    let others = ["records_apps.hex", "records_zstd.hex", "unknown_body.hex", "keys.json", "upgrade.json"];
    expected.extend(others.map(str::to_owned));
    expected.sort();
    let mut found: Vec<String> = fs::read_dir(golden(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    assert_eq!(found, expected);
}

#[test]
fn a_body_of_a_later_version_opens_as_its_number() {
    let opened =
        open(&golden_frame("unknown_body"), &Vectors::read().keys().up, limit::MESSAGE_BYTES_MAX).unwrap();
    assert_eq!(opened.header, header(8, MessageId::NONE));
    assert_eq!(opened.into_message().unwrap(), Message::Unknown(150));
}

#[test]
fn a_compressed_batch_that_another_implementation_made_holds_its_record() {
    let opened =
        open(&golden_frame("records_zstd"), &Vectors::read().keys().up, limit::MESSAGE_BYTES_MAX).unwrap();
    assert_eq!(opened.header, header(11, MessageId::NONE));
    let Message::Records(records) = opened.into_message().unwrap() else { panic!("records") };
    assert_eq!((records.codec, records.stream, records.first), (Codec::Zstd, stream(Lane::Logs), 1));
    assert!(records.batch.len() < 50, "{}", records.batch.len());
    let batch = zstd::decompress(&records.batch, records.raw_len as usize, records.raw_len as usize).unwrap();
    let record = Record {
        recorded_at: WallTime(5_002),
        source: "cron".to_owned(),
        kind: RecordKind::Opaque,
        payload: Bytes::from_static(&[b'x'; 300]),
        part: None,
        app: None,
    };
    assert_eq!(batch::decode(&batch, records.count).unwrap(), [record]);
}

#[test]
fn log_lines_of_apps_say_whose_they_are_as_the_golden_frame_has_it() {
    let record = |at, source: &str, payload: &'static [u8], part, app: Option<&str>| Record {
        recorded_at: WallTime(at),
        source: source.to_owned(),
        kind: RecordKind::Opaque,
        payload: Bytes::from_static(payload),
        part,
        app: app.map(|app| app.parse().unwrap()),
    };
    let lines = [
        record(5_003, "nginx", b"GET / 200", None, Some("web")),
        record(5_004, "nginx", b"POST", Some(Part { index: 1, of: 2 }), Some("front-2")),
        record(5_005, "cron", b"done", None, None),
    ];
    let mut encoded = BytesMut::new();
    lines.iter().for_each(|line| batch::push(line.clone(), &mut encoded));
    let message = Message::Records(Records {
        stream: stream(Lane::Logs),
        first: 2,
        count: 3,
        codec: Codec::None,
        raw_len: u32::try_from(encoded.len()).unwrap(),
        batch: encoded.freeze(),
        clock_offset: None,
    });
    let (vectors, golden) = (Vectors::read(), golden_frame("records_apps"));
    let mut frame = BytesMut::new();
    seal(header(12, MessageId::NONE), message.clone(), &vectors.keys().up, &mut frame);
    assert_eq!(hex::encode(&frame), hex::encode(&golden));
    let opened = open(&golden, &vectors.keys().up, limit::MESSAGE_BYTES_MAX).unwrap();
    assert_eq!(opened.header, header(12, MessageId::NONE));
    let opened = opened.into_message().unwrap();
    assert_eq!(opened, message);
    let Message::Records(records) = opened else { panic!("records") };
    assert_eq!(batch::decode(&records.batch, records.count).unwrap(), lines);
}

#[test]
fn the_golden_batch_holds_its_records() {
    assert_eq!(batch::decode(&records().batch, 2).unwrap(), records_of_the_batch());
}

#[test]
fn keys_are_derived_as_the_vectors_say() {
    let vectors = Vectors::read();
    let agent_key = AgentKey::new(vectors.bytes("inputs", "agent_key"));
    assert_eq!(agent_key.bearer_secret().digest(), vectors.bytes("outputs", "bearer_digest"));
    assert_eq!(agent_key.mac_root(), MacRoot::new(vectors.bytes("outputs", "mac_root")));
    let context = vectors.context([0; 32]);
    let keys = vectors.keys();
    let bound = vectors.context(vectors.bytes("inputs", "tls_binding"));
    let root = vectors.root();
    for (name, key) in [
        ("challenge_key", &keys.challenge),
        ("a2h", &keys.up),
        ("h2a", &keys.down),
        ("a2h_tls", &root.session_key(Direction::AgentToHub, &bound)),
        ("h2a_tls", &root.session_key(Direction::HubToAgent, &bound)),
    ] {
        assert_eq!(key.sign(b"outpost"), vectors.bytes("macs_of_outpost", name), "{name}");
        let raw = MacKey::new(&outpost::secret::Secret::new(vectors.bytes("outputs", name)));
        assert_eq!(key.sign(b"frame"), raw.sign(b"frame"), "{name}");
    }
    assert_eq!(challenge_digest(&context, HUB_TIME), vectors.bytes("outputs", "challenge_digest"));
    assert_eq!(challenge_digest(&bound, HUB_TIME), vectors.bytes("outputs", "challenge_digest_tls"));
}

#[test]
fn the_rotated_key_is_the_one_of_the_vectors() {
    let vectors = Vectors::read();
    let half = |name| RotationHalf::new(vectors.bytes("inputs", name));
    let (hub_public, agent_public) = (half("hub_half").public(), half("agent_half").public());
    assert_eq!(hub_public, vectors.bytes("outputs", "hub_public"));
    assert_eq!(agent_public, vectors.bytes("outputs", "agent_public"));
    let (root, context) = (vectors.root(), vectors.context([0; 32]));
    let context = RotationContext {
        root: &root,
        hub_id: context.hub_id,
        agent_id: context.agent_id,
        key_id: &"k2".parse().unwrap(),
        hub_public: &hub_public,
        agent_public: &agent_public,
    };
    let expected = AgentKey::new(vectors.bytes("outputs", "rotated_key"));
    assert_eq!(half("hub_half").agree(&agent_public, &context), Some(expected.clone()));
    assert_eq!(half("agent_half").agree(&hub_public, &context), Some(expected));
}

#[test]
fn the_challenge_signature_is_the_one_of_the_vectors() {
    let vectors = Vectors::read();
    let digest = challenge_digest(&vectors.context([0; 32]), HUB_TIME);
    let public = VerifyingKey::from_bytes(&vectors.bytes("outputs", "identity_public")).unwrap();
    let signature = Signature::from_bytes(&vectors.bytes("outputs", "challenge_signature"));
    public.verify_strict(&digest, &signature).unwrap();
    assert_eq!(vectors.identity().sign(&digest), signature);
    assert!(
        public.verify_strict(&challenge_digest(&vectors.context([1; 32]), HUB_TIME), &signature).is_err()
    );
}

#[test]
fn an_operators_signatures_have_the_text_of_the_vectors() {
    let vectors = Vectors::read();
    for (subject, bytes, name) in
        [(Subject::Job, SPEC, "operator_job"), (Subject::Config, &b"{}"[..], "operator_config")]
    {
        assert_eq!(operator(&vectors, subject, bytes).to_string(), vectors.text("texts", name));
    }
}

#[test]
fn key_file_and_bearer_have_the_text_of_the_vectors() {
    let vectors = Vectors::read();
    let file: KeyFile = vectors.text("texts", "key_file").parse().unwrap();
    assert_eq!(file.hub_id, vectors.context([0; 32]).hub_id);
    assert_eq!(file.agent_id, vectors.context([0; 32]).agent_id);
    assert_eq!(file.key, AgentKey::new(vectors.bytes("inputs", "agent_key")));
    assert_eq!(*file.to_line().expose(), vectors.text("texts", "key_file"));
    assert_eq!(*file.bearer().to_text().expose(), vectors.text("texts", "bearer"));
    let bearer: Bearer = vectors.text("texts", "bearer").parse().unwrap();
    assert_eq!(bearer, file.bearer());
}
