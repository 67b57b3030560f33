//! The agent's side of a session.
//!
//! ```text
//! Challenge -> (reply,) Register.. -> Ack -> RegisterAck.. -> Marks -> resolve_marks -> Live -> Closed
//! ```
//! Every state has a deadline; `Closed` is final and is entered from everywhere.

mod binding;
mod config;
mod deadline;
mod flow;
mod handshake;
mod receive;
mod rotation;
mod stream;
mod unacked;
mod uplink;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use crate::id::{MessageId, SessionId, StreamId};
use crate::outbox::Batch;
use crate::time::{BootTime, WallTime};
use crate::wire::error::{ErrorCode, WireError};
use crate::wire::job::JobAck;
use crate::wire::message::{ChannelBinding, Gap, Heartbeat, Message, StreamState};

use super::event::{AgentEvent, Closed, LocalMark, ReadRequest};
use super::inbound::Inbound;
use super::listing;
use super::outbound::Outbound;
use super::port::{Port, verdict};
use super::relay::{Relays, Repeats};
pub use config::{AgentConfig, Condition};
use handshake::PendingAck;
use rotation::Rotation;
use unacked::Unacked;
use uplink::Uplink;

/// The agent's machine.
#[derive(Debug)]
pub struct AgentSession {
    config: AgentConfig,
    listed: Vec<StreamState>,
    /// What became durable after it was listed and before records flow; only of listed streams.
    durable: BTreeMap<StreamId, u64>,
    phase: Phase,
    link: Option<Link>,
    port: Port<AgentEvent>,
    heartbeat: Option<Heartbeat>,
    opening: Opening,
    uplink: Uplink,
    rotation: Rotation,
    relays: Relays,
}

/// Both directions, once the Challenge gave the keys.
#[derive(Debug)]
struct Link {
    session_id: SessionId,
    inbound: Inbound,
    outbound: Outbound,
    binding: ChannelBinding,
}

/// What the time until the session is open shows of the line.
#[derive(Debug)]
struct Opening {
    began: BootTime,
    /// Bytes of frames since the Challenge, there and back.
    bytes: usize,
    /// From the Register to the first part of its answer.
    round_trip: Duration,
}

#[derive(Debug)]
enum Phase {
    /// The hub's Challenge is to come.
    Challenge,
    /// Register went out; its answer is to come.
    Ack { since: BootTime },
    /// A part of the answer came.
    AckMore { since: BootTime, pending: Box<PendingAck> },
    /// The driver looks up the marks.
    Marks { pending: Box<PendingAck> },
    /// Records flow.
    Live(Live),
    /// Nothing happens any more.
    Closed,
}

#[derive(Debug)]
struct Live {
    heartbeat_at: BootTime,
    heartbeat_interval: Duration,
    unacked: Unacked,
}

impl Opening {
    fn note(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

impl AgentSession {
    /// A session whose upgrade just succeeded. `streams`: what Register lists, in the order it drains. Of more than
    /// `limit::STREAMS_MAX` the oldest and each lane's current one are listed.
    pub fn new(config: AgentConfig, streams: Vec<StreamState>, now: BootTime) -> Self {
        Self {
            port: Port::new(&config.limits, now),
            config,
            listed: listing::fit(streams),
            durable: BTreeMap::new(),
            phase: Phase::Challenge,
            link: None,
            heartbeat: None,
            opening: Opening { began: now, bytes: 0, round_trip: Duration::ZERO },
            uplink: Uplink::default(),
            rotation: Rotation::default(),
            relays: Relays::new(Repeats::Same),
        }
    }

    /// One binary message came; `wall` is this machine's clock now.
    pub fn handle_frame(&mut self, now: BootTime, wall: WallTime, frame: Bytes) {
        self.check_deadlines(now);
        let took = self.port.message(now);
        let done = match &mut self.phase {
            Phase::Closed => return,
            Phase::Challenge => self.handle_challenge(now, wall, &frame),
            Phase::Ack { .. } | Phase::AckMore { .. } | Phase::Marks { .. } | Phase::Live(_) => {
                self.handle_signed(now, wall, took, &frame)
            }
        };
        self.end_on_error(done);
    }

    /// A text message came: an error before RegisterAck, afterwards ignored and counted.
    pub fn handle_text(&mut self, now: BootTime) {
        self.port.message(now);
        match self.phase {
            Phase::Challenge | Phase::Ack { .. } | Phase::AckMore { .. } => {
                self.fail(&WireError::new(ErrorCode::TextFrame, "a text message came before RegisterAck"));
            }
            Phase::Marks { .. } | Phase::Live(_) => self.port.ignore_text(),
            Phase::Closed => {}
        }
    }

    /// Text messages ignored so far.
    pub const fn texts_ignored(&self) -> u64 {
        self.port.texts_ignored()
    }

    /// A WebSocket ping or pong came.
    pub fn handle_activity(&mut self, now: BootTime) {
        self.port.message(now);
    }

    /// So many bytes came in all, the last of them at that moment. To be told before the message that they complete: what is
    /// beyond the last one are parts of a frame, each of which is a sign of life and, where it is large, what an ack waits for.
    pub fn handle_received(&mut self, at: BootTime, bytes: u64) {
        if self.port.received(at, bytes)
            && let Phase::Live(live) = &mut self.phase
        {
            live.unacked.busy(at);
        }
    }

    /// The system took bytes for sending at that moment. While the session is being opened this counts as well as bytes
    /// that are received.
    pub fn handle_written(&mut self, at: BootTime) {
        self.port.written(at);
    }

    /// How long the hub took to answer the Register: what a peer that does nothing wrong may need beyond any time-out.
    /// Zero before.
    pub const fn round_trip(&self) -> Duration {
        self.opening.round_trip
    }

    /// How long the line needs for what is large and on the way up: the hub is not at fault where it takes nothing else for so
    /// long.
    pub fn on_the_way(&self) -> Duration {
        self.uplink.rate.others_on_the_way()
    }

    /// Answers [`AgentEvent::Marks`]; a stream without an entry is judged by what was listed.
    pub fn resolve_marks(&mut self, now: BootTime, local: Vec<LocalMark>) {
        match std::mem::replace(&mut self.phase, Phase::Closed) {
            Phase::Marks { pending } => self.go_live(now, *pending, &local),
            other => self.phase = other,
        }
    }

    /// Everything of the stream below `next` is durable. A stream that was not listed waits for the next session.
    pub fn handle_durable(&mut self, stream: StreamId, next: u64) {
        match self.phase {
            Phase::Live(_) | Phase::Closed => self.uplink.durable(stream, next),
            Phase::Challenge | Phase::Ack { .. } | Phase::AckMore { .. } | Phase::Marks { .. } => {
                if self.listed.iter().any(|state| state.stream == stream) {
                    self.durable.insert(stream, next);
                }
            }
        }
    }

    /// What to read next; at most one request is outstanding, and it must be answered by `handle_batch`.
    pub fn poll_read(&mut self) -> Option<ReadRequest> {
        self.uplink.rate.set_beside(self.relays.beside());
        match self.phase {
            Phase::Live(_) => self.uplink.poll_read(),
            Phase::Challenge
            | Phase::Ack { .. }
            | Phase::AckMore { .. }
            | Phase::Marks { .. }
            | Phase::Closed => None,
        }
    }

    /// Answers a request; `None` where the outbox holds nothing there, or where reading failed: the stream then waits
    /// for more durable records or a Gap.
    pub fn handle_batch(&mut self, request: ReadRequest, batch: Option<Batch>) {
        let done = self.uplink.handle_batch(request, batch);
        self.end_on_error(done);
    }

    /// What is relayed through this session.
    pub const fn relays(&self) -> &Relays {
        &self.relays
    }

    /// The same, to send, forget and answer messages.
    pub const fn relays_mut(&mut self) -> &mut Relays {
        &mut self.relays
    }

    /// Sends a durable Gap once the stream has come to it; one that the hub has already is dropped.
    pub fn send_gap(&mut self, gap: Gap) {
        self.uplink.add_gap(gap);
    }

    /// Sends a heartbeat; replaces an unsent one.
    pub fn send_heartbeat(&mut self, heartbeat: Heartbeat) {
        self.heartbeat = Some(heartbeat);
    }

    /// Answers the offer with this id by an envelope, which is lost with the session. One that the hub will not hear any
    /// more is dropped.
    pub fn answer_offer(&mut self, id: MessageId, ack: JobAck) {
        if matches!(self.phase, Phase::Live(_)) {
            self.port.queue.answer(Message::JobAck(ack), id);
        }
    }

    /// Ends the session politely, with close code 1000.
    pub fn close(&mut self, _now: BootTime) {
        self.end(None, Closed { code: 1000, error: None, detail: "closed by the agent".to_owned() });
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<AgentEvent> {
        self.port.poll_event()
    }

    fn end_on_error(&mut self, done: Result<(), WireError>) {
        if let Err(error) = done {
            self.fail(&error);
        }
    }

    /// Ends the session for an error of ours or the hub's; the hub is told where it would understand.
    fn fail(&mut self, error: &WireError) {
        let agreed = self.link.as_ref().is_some_and(|link| link.inbound.agreed());
        let (last, closed) = verdict(error);
        self.end(agreed.then_some(last), closed);
    }

    fn end(&mut self, last: Option<Message>, closed: Closed) {
        if !matches!(self.phase, Phase::Closed) {
            self.phase = Phase::Closed;
            self.relays.shut();
            self.port.end(last, closed);
        }
    }
}
