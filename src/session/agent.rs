//! The agent's side of a session.

use bytes::{Bytes, BytesMut};
use ed25519_dalek::SigningKey;

use crate::id::{AgentId, HubId, StreamId};
use crate::outbox::Batch;
use crate::time::{BootTime, WallTime};
use crate::wire::key::MacRoot;
use crate::wire::message::{Gap, Heartbeat, Limits, StreamState};

use super::event::{AgentEvent, LocalMark, ReadRequest, RegisterInfo, Transmit};

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
    /// Random; message ids count on from here.
    pub message_id_seed: [u8; 16],
}

/// The agent's machine.
#[derive(Debug)]
pub struct AgentSession {}

impl AgentSession {
    /// A session whose upgrade just succeeded. `streams`: what Register lists, in the order it drains.
    pub fn new(_config: AgentConfig, _streams: Vec<StreamState>, _now: BootTime) -> Self {
        Self {}
    }
    /// One binary message came.
    pub fn handle_frame(&mut self, _now: BootTime, _wall: WallTime, _frame: Bytes) {}
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
    /// Answers [`AgentEvent::Marks`].
    pub fn resolve_marks(&mut self, _now: BootTime, _local: Vec<LocalMark>) {}
    /// Everything of the stream below `next` is durable.
    pub fn handle_durable(&mut self, _stream: StreamId, _next: u64) {}
    /// What to read next; at most one request is outstanding.
    pub fn poll_read(&mut self) -> Option<ReadRequest> {
        None
    }
    /// Answers a request; `None` where the outbox holds nothing there.
    pub fn handle_batch(&mut self, _request: ReadRequest, _batch: Option<Batch>) {}
    /// Sends a durable Gap once the stream has come to it.
    pub fn send_gap(&mut self, _gap: Gap) {}
    /// Sends a heartbeat; replaces an unsent one.
    pub fn send_heartbeat(&mut self, _heartbeat: Heartbeat) {}
    /// Ends the session politely, with close code 1000.
    pub fn close(&mut self, _now: BootTime) {}
    /// Numbers and signs the next frame and appends it to `out`.
    pub fn poll_transmit(&mut self, _now: BootTime, _out: &mut BytesMut) -> Option<Transmit> {
        None
    }
    /// What happened.
    pub fn poll_event(&mut self) -> Option<AgentEvent> {
        None
    }
}
