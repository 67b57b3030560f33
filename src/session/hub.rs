//! The hub's side of a session.
//!
//! ```text
//! Challenge -> (reply,) Register -> More.. -> Deciding (the driver looks up the marks) -> accept -> Live -> Closed
//! ```
//! Nothing an unverified peer sends reaches the driver; `Closed` is final and is entered from everywhere.

mod acks;
mod config;
mod handshake;
mod intake;
mod receive;
mod relay;
mod rotation;

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::id::{JobId, MessageId, StreamId};
use crate::limit;
use crate::time::{BootTime, HubTime};
use crate::wire::error::{ErrorCode, WireError};
use crate::wire::job::JobOffer;
use crate::wire::key::Direction;
use crate::wire::message::{ConfigSnapshot, GoAway, Message, Register, StreamMark};

use super::clock::HubClock;
use super::event::{Closed, HubEvent, Transmit};
use super::inbound::Inbound;
use super::outbound::Outbound;
use super::port::{Port, verdict};
use super::relay::Relays;
use acks::Acks;
pub use config::HubConfig;
use intake::Intake;
use rotation::Rotation;

/// The hub's machine.
#[derive(Debug)]
pub struct HubSession {
    config: HubConfig,
    phase: Phase,
    clock: HubClock,
    /// What the Challenge said: a signature is made over it.
    challenge_time: HubTime,
    began: BootTime,
    /// From the Challenge to the agent's first frame.
    round_trip: Duration,
    inbound: Inbound,
    outbound: Outbound,
    port: Port<HubEvent>,
    intake: Intake,
    acks: Acks,
    rotation: Rotation,
    relays: Relays,
}

#[derive(Debug)]
enum Phase {
    /// The agent's signature and Register are to come.
    Challenge { signed: Signed },
    /// More streams of the Register are to come.
    Listing { register: Box<Register> },
    /// The driver looks up the marks of these streams.
    Deciding { streams: Vec<StreamId> },
    /// Records flow.
    Live,
    /// Nothing happens any more.
    Closed,
}

/// Whether the agent's Ed25519 signature came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signed {
    /// Not wanted, or not yet come.
    No,
    /// Came, and verifies where there is a bound key.
    Yes,
}

impl HubSession {
    /// A session whose upgrade was just answered; queues the Challenge.
    pub fn new(config: HubConfig, now: BootTime, hub_time: HubTime) -> Self {
        let clock = HubClock::new(hub_time, now);
        let bytes_max = config.limits.message_bytes as usize;
        let context = handshake::context(&config);
        let root = &config.mac_root;
        let up = root.session_key(Direction::AgentToHub, &context);
        let down = root.session_key(Direction::HubToAgent, &context);
        let key = root.challenge_key(&config.agent_nonce, config.hub_id, config.agent_id);
        let mut port = Port::new(&config.limits, now);
        port.queue.push(Message::Challenge(handshake::challenge(&config, hub_time)));
        Self {
            phase: Phase::Challenge { signed: Signed::No },
            clock,
            challenge_time: hub_time,
            began: now,
            round_trip: Duration::ZERO,
            inbound: Inbound::new(up, clock, 1, bytes_max),
            // The Challenge is the first frame; it alone has a key of its own.
            outbound: Outbound::new(key, clock, config.message_id_seed, bytes_max).then(down),
            port,
            intake: Intake::new(&config.limits),
            acks: Acks::default(),
            rotation: Rotation::default(),
            relays: Relays::default(),
            config,
        }
    }

    /// One binary message came.
    pub fn handle_frame(&mut self, now: BootTime, frame: Bytes) {
        self.check_deadlines(now);
        if matches!(self.phase, Phase::Closed) {
            return;
        }
        self.port.heard(now);
        if self.round_trip.is_zero() {
            self.round_trip = now.since(self.began).min(limit::ROUND_TRIP_MAX);
        }
        let done = self.inbound.open(now, &frame).and_then(|(id, message)| self.handle_message(id, message));
        self.end_on_error(done);
    }

    /// A text message came: an error before Register, afterwards ignored and counted.
    pub fn handle_text(&mut self, now: BootTime) {
        self.port.heard(now);
        match self.phase {
            Phase::Challenge { .. } => {
                self.fail(&WireError::new(ErrorCode::TextFrame, "a text message came before Register"));
            }
            Phase::Listing { .. } | Phase::Deciding { .. } | Phase::Live => {
                self.port.ignore_text();
            }
            Phase::Closed => {}
        }
    }

    /// Text messages ignored so far.
    pub const fn texts_ignored(&self) -> u64 {
        self.port.texts_ignored()
    }

    /// A WebSocket ping or pong came, or a part of a frame: bytes were received at that moment.
    pub fn handle_activity(&mut self, at: BootTime) {
        self.port.heard(at);
    }

    /// The system took bytes for sending at that moment. While the session is being opened this counts as well as bytes
    /// that are received.
    pub fn handle_written(&mut self, at: BootTime) {
        self.port.written(at);
    }

    /// How long the agent took to answer the Challenge: what a peer that does nothing wrong may need beyond any time-out.
    /// Zero before.
    pub const fn round_trip(&self) -> Duration {
        self.round_trip
    }

    /// Bytes that compressed batches have become more by since this was asked last.
    pub fn take_expanded(&mut self) -> usize {
        self.intake.take_expanded()
    }

    /// The deadline of `poll_timeout` passed.
    pub fn handle_timeout(&mut self, now: BootTime) {
        self.check_deadlines(now);
        if matches!(self.phase, Phase::Closed) {
            return;
        }
        if let (Some(queue), Phase::Live) = (self.port.ping(now), &self.phase) {
            queue.ping();
        }
        self.acks.handle_timeout(now);
    }

    /// When to call `handle_timeout`.
    pub fn poll_timeout(&self) -> Option<BootTime> {
        let own = match self.phase {
            Phase::Closed => return self.port.untold(),
            Phase::Challenge { .. } | Phase::Listing { .. } => Some(self.handshake_deadline()),
            Phase::Deciding { .. } => None,
            Phase::Live => self.acks.deadline(),
        };
        Some(self.port.deadline(own))
    }

    /// Answers [`HubEvent::Register`]: one mark per listed stream, in its order.
    pub fn accept(&mut self, now: BootTime, marks: Vec<StreamMark>, config: Option<ConfigSnapshot>) {
        match std::mem::replace(&mut self.phase, Phase::Closed) {
            Phase::Deciding { streams } => {
                self.phase = Phase::Live;
                let done = self.go_live(now, &streams, &marks, config);
                self.end_on_error(done);
            }
            other => self.phase = other,
        }
    }

    /// Everything up to the mark is durable here and may be acked. Marks at or below the last one change nothing.
    pub fn handle_committed(&mut self, now: BootTime, mark: StreamMark) {
        if !matches!(self.phase, Phase::Live) {
            return;
        }
        match self.intake.committed(&mark) {
            Ok(0) => {}
            Ok(records) => self.acks.committed(now, mark, records),
            Err(error) => self.fail(&error),
        }
    }

    /// Whether another offer or cancel may be handed over: the socket has taken enough of those before.
    pub fn takes_orders(&self) -> bool {
        self.room_for_orders() > 0
    }

    /// How many offers and cancels may be handed over now.
    pub fn room_for_orders(&self) -> usize {
        match self.phase {
            Phase::Live => limit::JOB_ORDERS_MAX.saturating_sub(self.port.queue.len()),
            Phase::Challenge { .. } | Phase::Listing { .. } | Phase::Deciding { .. } | Phase::Closed => 0,
        }
    }

    /// Offers a job. Before the registration and after the end nothing is sent.
    pub fn offer_job(&mut self, offer: JobOffer) {
        if matches!(self.phase, Phase::Live) {
            self.port.queue.push(Message::JobOffer(offer));
        }
    }

    /// Asks for a job to be ended.
    pub fn cancel_job(&mut self, job: JobId) {
        if matches!(self.phase, Phase::Live) {
            self.port.queue.push(Message::CancelJob(job));
        }
    }

    /// Bytes of batches and Gaps handed out and not committed yet: bounded by the windows the hub announced and one
    /// message each.
    pub fn in_flight(&self) -> usize {
        self.intake.in_flight()
    }

    /// Ends the session with an entry of the error table; a registered agent is told.
    pub fn close(&mut self, _now: BootTime, code: ErrorCode, detail: &str) {
        self.fail(&WireError::new(code, detail));
    }

    /// The same for an agent that is to come back no sooner than that.
    pub fn send_away(&mut self, code: ErrorCode, detail: &str, retry_after: Duration) {
        let (mut last, closed) = verdict(&WireError::new(code, detail));
        if let Message::Error(error) = &mut last {
            error.retry_after = Some(retry_after);
        }
        self.end(self.inbound.agreed().then_some(last), closed);
    }

    /// Ends the session because the hub goes; an agent that has proved itself is told when to come back.
    pub fn go_away(&mut self, _now: BootTime, retry_after: Duration, detail: &str) {
        let code = ErrorCode::GoingAway;
        let last = Message::GoAway(GoAway { retry_after, reason: detail.to_owned() });
        let closed = Closed { code: code.close_code(), error: Some(code), detail: detail.to_owned() };
        self.end(self.inbound.agreed().then_some(last), closed);
    }

    /// Numbers and signs the next frame and appends it to `out`.
    pub fn poll_transmit(&mut self, now: BootTime, out: &mut BytesMut) -> Option<Transmit> {
        if self.port.take_socket_ping() {
            return Some(Transmit::Ping);
        }
        let (message, correlation) = self.port.next().or_else(|| self.next_message(now))?;
        match self.outbound.seal(now, message, correlation, out) {
            Ok(()) => Some(Transmit::Frame),
            Err(error) => {
                // What is left is the Error at most.
                self.fail(&error);
                self.poll_transmit(now, out)
            }
        }
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<HubEvent> {
        self.port.poll_event()
    }

    fn next_message(&mut self, now: BootTime) -> Option<(Message, MessageId)> {
        match self.phase {
            Phase::Live => {
                let ack = self.acks.pop(now).map(Message::Ack);
                let message = ack.or_else(|| self.relays.pop_reply()).or_else(|| self.relays.pop())?;
                Some((message, MessageId::NONE))
            }
            Phase::Challenge { .. } | Phase::Listing { .. } | Phase::Deciding { .. } | Phase::Closed => None,
        }
    }

    fn check_deadlines(&mut self, now: BootTime) {
        let late = match self.phase {
            Phase::Closed => return,
            Phase::Challenge { .. } | Phase::Listing { .. } => now >= self.handshake_deadline(),
            Phase::Deciding { .. } | Phase::Live => false,
        };
        let late = late.then(|| {
            let detail = format!(
                "no whole Register {} ms after the Challenge, {} ms after the last byte",
                now.since(self.began).as_millis(),
                now.since(self.port.moved()).as_millis()
            );
            WireError::new(ErrorCode::RegisterTimeout, detail)
        });
        let done = self.port.check(now, late);
        self.end_on_error(done);
    }

    /// Counted from the last byte that moved, and in all: a signature at most as old as a Challenge may be, a Register on a
    /// slow line some minutes.
    fn handshake_deadline(&self) -> BootTime {
        let (silence, whole) = match self.phase {
            Phase::Challenge { signed: Signed::No } if self.wants_signature() => {
                (limit::CHALLENGE_REPLY_TIMEOUT, limit::CHALLENGE_AGE_MAX)
            }
            Phase::Challenge { .. }
            | Phase::Listing { .. }
            | Phase::Deciding { .. }
            | Phase::Live
            | Phase::Closed => (limit::REGISTER_TIMEOUT, limit::OPENING_TIMEOUT),
        };
        self.port.moved().max(self.began).after(silence).min(self.began.after(whole))
    }

    fn end_on_error(&mut self, done: Result<(), WireError>) {
        if let Err(error) = done {
            self.fail(&error);
        }
    }

    /// Ends the session for an error of ours or the agent's; the agent is told where it would understand.
    fn fail(&mut self, error: &WireError) {
        let (last, closed) = verdict(error);
        self.end(self.inbound.agreed().then_some(last), closed);
    }

    fn end(&mut self, last: Option<Message>, closed: Closed) {
        if !matches!(self.phase, Phase::Closed) {
            self.phase = Phase::Closed;
            self.port.end(last, closed);
        }
    }
}
