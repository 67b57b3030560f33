//! What one session of an agent is made from.

use std::time::Duration;

use ed25519_dalek::SigningKey;

use crate::id::{AgentId, HubId};
use crate::session::event::RegisterInfo;
use crate::time::Validity;
use crate::wire::key::MacRoot;
use crate::wire::message::Limits;

/// The hub's certificate is good if it is these dates now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Whose certificate it is.
    pub host: String,
    /// Its dates.
    pub valid: Validity,
}

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
    /// What only the two ends of our TLS connection know; `None` without TLS.
    pub exporter: Option<[u8; 32]>,
    /// What the RegisterAck must say for the session to open; `None`: nothing but what it says anyway.
    pub condition: Option<Condition>,
    /// How we introduce ourselves.
    pub register: RegisterInfo,
    /// Our own limits; the hub's are mixed in with RegisterAck.
    pub limits: Limits,
    /// A backlog without an ack for this long ends the session.
    pub no_ack: Duration,
    /// Random; message ids count on from here.
    pub message_id_seed: [u8; 16],
}
