//! The hub's side of a session.
//!
//! ```text
//! Challenge -> (reply,) Register -> More.. -> Deciding (the driver looks up the marks) -> accept -> Live -> Closed
//! ```
//! Nothing an unverified peer sends reaches the driver; `Closed` is final and is entered from everywhere.

mod acks;
mod config;
mod deadline;
mod flow;
mod handshake;
mod intake;
mod orders;
mod receive;
mod rotation;

use std::time::Duration;

use bytes::Bytes;

use crate::id::StreamId;
use crate::limit;
use crate::time::{BootTime, HubTime};
use crate::wire::error::{ErrorCode, WireError};
use crate::wire::key::Direction;
use crate::wire::message::{ConfigSnapshot, GoAway, Message, Register, StreamMark};

use super::clock::HubClock;
use super::event::{Closed, HubEvent};
use super::inbound::Inbound;
use super::outbound::Outbound;
use super::port::{Port, verdict};
use super::rate::Rate;
use super::relay::{Relays, Repeats};
use acks::Acks;
pub use config::HubConfig;
use intake::Intake;
pub use orders::Carried;
use orders::Orders;
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
    orders: Orders,
    relays: Relays,
    /// What is on the line down, but for what is small.
    rate: Rate,
    /// Bytes of the Challenge.
    challenge_bytes: usize,
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
            orders: Orders::default(),
            relays: Relays::new(Repeats::Refused),
            rate: Rate::default(),
            challenge_bytes: 0,
            config,
        }
    }

    /// One binary message came.
    pub fn handle_frame(&mut self, now: BootTime, frame: Bytes) {
        self.check_deadlines(now);
        if matches!(self.phase, Phase::Closed) {
            return;
        }
        let took = self.port.message(now);
        if self.round_trip.is_zero() {
            self.round_trip = now.since(self.began).min(limit::ROUND_TRIP_MAX);
            // With the time that its answer took: too low for most lines, never too high.
            self.rate.opened(self.challenge_bytes, now.since(self.began));
        }
        let opened = self.inbound.open(now, took, &frame);
        let done = opened.and_then(|(header, message)| self.handle_message(now, header, message));
        self.end_on_error(done);
    }

    /// A text message came: an error before Register, afterwards ignored and counted.
    pub fn handle_text(&mut self, now: BootTime) {
        self.port.message(now);
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

    /// A WebSocket ping or pong came.
    pub fn handle_activity(&mut self, now: BootTime) {
        self.port.message(now);
    }

    /// So many bytes came in all, the last of them at that moment. To be told before the message that they complete: what is
    /// beyond the last one are parts of a frame, each of which is a sign of life.
    pub fn handle_received(&mut self, at: BootTime, bytes: u64) {
        self.port.received(at, bytes);
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

    /// How long the line needs for what is large and on the way down: the agent is not at fault where it takes nothing else for
    /// so long.
    pub fn on_the_way(&self) -> Duration {
        self.rate.others_on_the_way()
    }

    /// Bytes that compressed batches have become more by since this was asked last.
    pub fn take_expanded(&mut self) -> usize {
        self.intake.take_expanded()
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

    /// What is relayed through this session.
    pub const fn relays(&self) -> &Relays {
        &self.relays
    }

    /// The same, to send, forget and answer messages.
    pub const fn relays_mut(&mut self) -> &mut Relays {
        &mut self.relays
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

    /// What happened.
    pub fn poll_event(&mut self) -> Option<HubEvent> {
        self.port.poll_event()
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
            self.relays.shut();
            self.port.end(last, closed);
        }
    }
}
