//! The hub's side of a session.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ed25519_dalek::VerifyingKey;

use crate::id::{AgentId, HubId, SessionId};
use crate::time::{BootTime, HubTime};
use crate::wire::error::ErrorCode;
use crate::wire::key::MacRoot;
use crate::wire::message::{ChannelBinding, ConfigSnapshot, Limits, SignatureMode, StreamMark};

use super::event::{HubEvent, Transmit};

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
    pub identity: Option<VerifyingKey>,
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

/// The hub's machine.
#[derive(Debug)]
pub struct HubSession {}

impl HubSession {
    /// A session whose upgrade was just answered; queues the Challenge.
    pub fn new(_config: HubConfig, _now: BootTime, _hub_time: HubTime) -> Self {
        Self {}
    }
    /// One binary message came.
    pub fn handle_frame(&mut self, _now: BootTime, _frame: Bytes) {}
    /// A text message came.
    pub fn handle_text(&mut self, _now: BootTime) {}
    /// A WebSocket ping or pong came.
    pub fn handle_activity(&mut self, _now: BootTime) {}
    /// The deadline of `poll_timeout` passed.
    pub fn handle_timeout(&mut self, _now: BootTime) {}
    /// When to call `handle_timeout`.
    pub fn poll_timeout(&self) -> Option<BootTime> {
        None
    }
    /// Answers [`HubEvent::Register`]: one mark per listed stream, in its order.
    pub fn accept(&mut self, _now: BootTime, _marks: Vec<StreamMark>, _config: Option<ConfigSnapshot>) {}
    /// Everything up to the mark is durable here and may be acked.
    pub fn handle_committed(&mut self, _now: BootTime, _mark: StreamMark) {}
    /// Bytes of batches handed out and not committed yet.
    pub fn in_flight(&self) -> usize {
        0
    }
    /// Ends the session with an entry of the error table.
    pub fn close(&mut self, _now: BootTime, _code: ErrorCode, _detail: &str) {}
    /// Numbers and signs the next frame and appends it to `out`.
    pub fn poll_transmit(&mut self, _now: BootTime, _out: &mut BytesMut) -> Option<Transmit> {
        None
    }
    /// What happened.
    pub fn poll_event(&mut self) -> Option<HubEvent> {
        None
    }
}
