//! The same two ends in every test: their keys and configs, and frames and records as they would make them.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ed25519_dalek::SigningKey;

use crate::id::{AgentId, Epoch, HubId, InstanceId, Lane, SessionId, StreamId};
use crate::limit;
use crate::session::*;
use crate::time::{BootTime, HubTime, WallTime};
use crate::wire::batch;
use crate::wire::envelope::{self, Header};
use crate::wire::key::{AgentKey, Direction, MacRoot, SessionContext};
use crate::wire::message::*;

pub(crate) const START: BootTime = BootTime(Duration::from_secs(1_000));
pub(crate) const HUB_TIME: HubTime = HubTime(1_800_000_000_000);
pub(super) const LOGS: StreamId = stream(Lane::Logs, 1);

pub(super) const fn stream(lane: Lane, epoch: u64) -> StreamId {
    StreamId { lane, epoch: Epoch::from_u64(epoch << 32) }
}

pub(super) fn root() -> MacRoot {
    AgentKey::new([3; 32]).mac_root()
}

pub(crate) fn limits() -> Limits {
    Limits { zstd: false, ..Limits::default() }
}

pub(crate) fn agent_config() -> AgentConfig {
    AgentConfig {
        hub_id: HubId::from_bytes([1; 16]),
        agent_id: AgentId::from_bytes([2; 16]),
        mac_root: root(),
        identity: None,
        agent_nonce: [5; 32],
        exporter: None,
        condition: None,
        register: RegisterInfo::of(InstanceId::from_bytes([9; 16]), "0.1.0", "edge"),
        limits: limits(),
        no_ack: limit::NO_ACK_TIMEOUT,
        message_id_seed: [0xFF; 16],
    }
}

pub(crate) fn hub_config() -> HubConfig {
    HubConfig {
        hub_id: HubId::from_bytes([1; 16]),
        agent_id: AgentId::from_bytes([2; 16]),
        mac_root: root(),
        identity: None,
        signature: SignatureMode::None,
        agent_nonce: [5; 32],
        hub_nonce: [6; 32],
        session_id: SessionId::from_bytes([4; 16]),
        binding: ChannelBinding::None,
        channel_binding: [0; 32],
        limits: limits(),
        heartbeat_interval: limit::HEARTBEAT_INTERVAL,
        message_id_seed: [8; 16],
    }
}

pub(super) fn identity() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

/// A frame as the other end would have made it, with any number and time.
pub(super) fn forge(direction: Direction, seq: u64, sent_at: HubTime, message: Message) -> Bytes {
    seal(&root().session_key(direction, &context()), seq, sent_at, message)
}

pub(super) fn seal(key: &crate::wire::mac::MacKey, seq: u64, sent_at: HubTime, message: Message) -> Bytes {
    let id = crate::id::MessageId { hi: 0, lo: seq };
    let mut out = BytesMut::new();
    envelope::seal(
        Header { seq, sent_at, id, correlation: crate::id::MessageId::NONE },
        message,
        key,
        &mut out,
    );
    out.freeze()
}

pub(super) fn payload(seq: u64) -> Bytes {
    Bytes::from(format!("record {seq}"))
}

pub(super) fn record(payload: Bytes) -> Record {
    Record {
        recorded_at: WallTime(1),
        source: "test".to_owned(),
        kind: RecordKind::Opaque,
        payload,
        part: None,
        app: None,
    }
}

pub(super) fn records(stream: StreamId, first: u64, count: u32) -> Message {
    let mut out = BytesMut::new();
    for seq in (first..).take(count as usize) {
        batch::push(record(payload(seq)), &mut out);
    }
    let raw_len = u32::try_from(out.len()).unwrap();
    let (codec, batch) = (Codec::None, out.freeze());
    Message::Records(Records { stream, first, count, codec, raw_len, batch, clock_offset: None })
}

pub(super) fn context() -> SessionContext {
    SessionContext {
        hub_id: HubId::from_bytes([1; 16]),
        agent_id: AgentId::from_bytes([2; 16]),
        session_id: SessionId::from_bytes([4; 16]),
        agent_nonce: [5; 32],
        hub_nonce: [6; 32],
        channel_binding: [0; 32],
    }
}

pub(super) fn register(entries: Vec<StreamState>, more: bool) -> Register {
    Register {
        instance: InstanceId::from_bytes([9; 16]),
        agent_version: String::new(),
        hostname: String::new(),
        os: String::new(),
        arch: String::new(),
        runtimes: BTreeMap::new(),
        capabilities: Vec::new(),
        last_known_config_version: 0,
        streams: Listing { entries, more },
        wall_time: WallTime(0),
    }
}

pub(super) fn register_ack(marks: Vec<StreamMark>) -> Message {
    Message::RegisterAck(Box::new(RegisterAck {
        hub_time: HUB_TIME,
        heartbeat_interval: limit::HEARTBEAT_INTERVAL,
        limits: limits(),
        marks: Listing { entries: marks, more: false },
        config: None,
        retry: None,
    }))
}
