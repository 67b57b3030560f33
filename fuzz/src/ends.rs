//! The two ends that every target knows: their ids, keys and configs.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use outpost::id::{AgentId, Epoch, HubId, InstanceId, KeyId, Lane, SessionId, StreamId};
use outpost::limit;
use outpost::session::{AgentConfig, HubConfig, RegisterInfo};
use outpost::time::{BootTime, HubTime};
use outpost::wire::key::{AgentKey, Direction, KeyFile, MacRoot, SessionContext};
use outpost::wire::mac::MacKey;
use outpost::wire::message::{ChannelBinding, Limits, SignatureMode};

/// When every session begins.
pub const START: BootTime = BootTime(Duration::from_secs(1_000));
/// What the hub's clock says then.
pub const HUB_TIME: HubTime = HubTime(1_800_000_000_000);

/// The agent's key file.
pub fn key_file() -> KeyFile {
    KeyFile {
        hub_id: HubId::from_bytes([1; 16]),
        agent_id: AgentId::from_bytes([2; 16]),
        key_id: "k1".parse().expect("a key id"),
        key: AgentKey::new([3; 32]),
    }
}

/// The id of some other key of the agent.
pub fn key_id(number: u8) -> KeyId {
    format!("k{number}").parse().expect("a key id")
}

/// The root of its MAC keys.
pub fn root() -> MacRoot {
    key_file().key.mac_root()
}

/// Some key of a session.
pub fn mac_key() -> MacKey {
    root().session_key(Direction::AgentToHub, &context())
}

/// Everything the keys of the session depend on.
pub fn context() -> SessionContext {
    SessionContext {
        hub_id: HubId::from_bytes([1; 16]),
        agent_id: AgentId::from_bytes([2; 16]),
        session_id: SessionId::from_bytes([4; 16]),
        agent_nonce: [5; 32],
        hub_nonce: [6; 32],
        channel_binding: [0; 32],
    }
}

/// A prefix with its trailer.
pub fn signed(key: &MacKey, prefix: &[u8]) -> Bytes {
    [prefix, &[0x7A, 0x20], key.sign(prefix).as_slice()].concat().into()
}

/// A stream of the agent.
pub const fn stream(lane: Lane, epoch: u64) -> StreamId {
    StreamId { lane, epoch: Epoch::from_u64(epoch << 32) }
}

/// An identity by its number.
pub fn identity(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

fn limits() -> Limits {
    Limits {
        message_bytes: 2 << 20,
        window_bytes: limit::WINDOW_BYTES,
        control_window_bytes: limit::CONTROL_WINDOW_BYTES,
        record_bytes: 1 << 20,
        ping_interval: limit::PING_INTERVAL,
        idle: limit::IDLE_TIMEOUT,
        zstd: false,
    }
}

/// The agent's half of a connection.
pub fn agent_config() -> AgentConfig {
    AgentConfig {
        hub_id: context().hub_id,
        agent_id: context().agent_id,
        mac_root: root(),
        identity: None,
        agent_nonce: context().agent_nonce,
        exporter: None,
        condition: None,
        register: RegisterInfo {
            instance: InstanceId::from_bytes([9; 16]),
            agent_version: "0.1.0".to_owned(),
            hostname: "edge".to_owned(),
            os: "linux".to_owned(),
            arch: "x86_64".to_owned(),
            runtimes: BTreeMap::new(),
            capabilities: Vec::new(),
            last_known_config_version: 0,
        },
        limits: limits(),
        no_ack: limit::NO_ACK_TIMEOUT,
        message_id_seed: [0xFF; 16],
    }
}

/// The hub's half of it.
pub fn hub_config() -> HubConfig {
    HubConfig {
        hub_id: context().hub_id,
        agent_id: context().agent_id,
        mac_root: root(),
        identity: None,
        signature: SignatureMode::None,
        agent_nonce: context().agent_nonce,
        hub_nonce: context().hub_nonce,
        session_id: context().session_id,
        binding: ChannelBinding::None,
        channel_binding: context().channel_binding,
        limits: limits(),
        heartbeat_interval: limit::HEARTBEAT_INTERVAL,
        message_id_seed: [8; 16],
    }
}
