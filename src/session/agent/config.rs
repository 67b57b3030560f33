//! What one session of an agent is made from.

use std::time::Duration;

use ed25519_dalek::SigningKey;

use crate::id::{AgentId, HubId};
use crate::session::event::RegisterInfo;
use crate::wire::key::MacRoot;
use crate::wire::message::Limits;

/// Everything one session of an agent depends on.
#[derive(Debug, Clone)]
pub struct AgentConfig {
    /// The hub the key was made for.
    pub hub_id: HubId,
    /// Who we are.
    pub agent_id: AgentId,
    /// Root of the MAC keys.
    pub mac_root: MacRoot,
    /// The Ed25519 key, where the agent has one.
    pub identity: Option<SigningKey>,
    /// What the upgrade request carried.
    pub agent_nonce: [u8; 32],
    /// TLS exporter, or zeros.
    pub channel_binding: [u8; 32],
    /// How we introduce ourselves.
    pub register: RegisterInfo,
    /// Our own limits; the hub's are mixed in with RegisterAck.
    pub limits: Limits,
    /// A backlog without an ack for this long ends the session.
    pub no_ack: Duration,
    /// Random; message ids count on from here.
    pub message_id_seed: [u8; 16],
}
