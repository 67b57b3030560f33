//! What one session of the hub is made from.

use std::time::Duration;

use crate::id::{AgentId, HubId, SessionId};
use crate::wire::identity::BoundKey;
use crate::wire::key::MacRoot;
use crate::wire::message::{ChannelBinding, Limits, SignatureMode};

/// Everything one session of the hub depends on.
#[derive(Debug, Clone)]
pub struct HubConfig {
    /// The installation.
    pub hub_id: HubId,
    /// Whose upgrade it was.
    pub agent_id: AgentId,
    /// Root of that agent's MAC keys.
    pub mac_root: MacRoot,
    /// The agent's bound Ed25519 key; where there is one its signature is always required.
    pub identity: Option<BoundKey>,
    /// What is wanted of agents without a bound key.
    pub signature: SignatureMode,
    /// What the upgrade request carried.
    pub agent_nonce: [u8; 32],
    /// Fresh random bytes.
    pub hub_nonce: [u8; 32],
    /// Fresh random bytes.
    pub session_id: SessionId,
    /// What the keys are bound to.
    pub binding: ChannelBinding,
    /// TLS exporter, or zeros.
    pub channel_binding: [u8; 32],
    /// What RegisterAck announces.
    pub limits: Limits,
    /// What RegisterAck announces.
    pub heartbeat_interval: Duration,
    /// Random; message ids count on from here.
    pub message_id_seed: [u8; 16],
}
