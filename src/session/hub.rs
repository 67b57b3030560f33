//! The hub's side of a session.
//!
//! ```text
//! Challenge -> (reply,) Register -> More.. -> Deciding (the driver looks up the marks) -> accept -> Live -> Closed
//! ```
//! Nothing an unverified peer sends reaches the driver; `Closed` is final and is entered from everywhere.

mod acks;
mod handshake;
mod intake;

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ed25519_dalek::VerifyingKey;

use crate::id::{AgentId, HubId, MessageId, SessionId, StreamId};
use crate::limit;
use crate::time::{BootTime, HubTime};
use crate::wire::error::{ErrorCode, WireError};
use crate::wire::key::{Direction, MacRoot};
use crate::wire::mac::MacKey;
use crate::wire::message::{
    ChannelBinding, ConfigSnapshot, ErrorMessage, Limits, Message, Register, SignatureMode, StreamMark,
};

use super::clock::HubClock;
use super::event::{Closed, HubEvent, Transmit};
use super::inbound::Inbound;
use super::keepalive::Keepalive;
use super::outbound::Outbound;
use super::queue::Queue;
use acks::Acks;
use intake::Intake;

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
pub struct HubSession {
    config: HubConfig,
    phase: Phase,
    clock: HubClock,
    /// What the Challenge said: a signature is made over it.
    challenge_time: HubTime,
    began: BootTime,
    inbound: Inbound,
    outbound: Outbound,
    /// The key of all frames after the Challenge; taken when that is signed.
    session_key: Option<MacKey>,
    queue: Queue,
    keepalive: Keepalive,
    socket_ping: bool,
    intake: Intake,
    acks: Acks,
    events: VecDeque<HubEvent>,
    texts_ignored: u64,
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
        let mut queue = Queue::default();
        queue.push(Message::Challenge(handshake::challenge(&config, hub_time)));
        Self {
            phase: Phase::Challenge { signed: Signed::No },
            clock,
            challenge_time: hub_time,
            began: now,
            inbound: Inbound::new(up, clock, 1, bytes_max),
            outbound: Outbound::new(key, clock, config.message_id_seed, bytes_max),
            session_key: Some(down),
            queue,
            keepalive: Keepalive::new(&config.limits, now),
            socket_ping: false,
            intake: Intake::new(&config.limits),
            acks: Acks::default(),
            events: VecDeque::new(),
            texts_ignored: 0,
            config,
        }
    }

    /// One binary message came.
    pub fn handle_frame(&mut self, now: BootTime, frame: Bytes) {
        self.check_deadlines(now);
        if matches!(self.phase, Phase::Closed) {
            return;
        }
        self.keepalive.heard(now);
        let done =
            self.inbound.open(now, &frame).and_then(|(id, message)| self.handle_message(now, id, message));
        self.end_on_error(done);
    }

    /// A text message came: an error before Register, afterwards ignored and counted.
    pub fn handle_text(&mut self, now: BootTime) {
        self.keepalive.heard(now);
        match self.phase {
            Phase::Challenge { .. } => {
                self.fail(&WireError::new(ErrorCode::TextFrame, "a text message came before Register"));
            }
            Phase::Listing { .. } | Phase::Deciding { .. } | Phase::Live => {
                self.texts_ignored = self.texts_ignored.saturating_add(1);
            }
            Phase::Closed => {}
        }
    }

    /// Text messages ignored so far.
    pub const fn texts_ignored(&self) -> u64 {
        self.texts_ignored
    }

    /// A WebSocket ping or pong came.
    pub fn handle_activity(&mut self, now: BootTime) {
        self.keepalive.heard(now);
    }

    /// The deadline of `poll_timeout` passed.
    pub fn handle_timeout(&mut self, now: BootTime) {
        self.check_deadlines(now);
        if matches!(self.phase, Phase::Closed) {
            return;
        }
        if self.keepalive.take_ping(now) {
            self.socket_ping = true;
            if matches!(self.phase, Phase::Live) {
                self.queue.ping();
            }
        }
        self.acks.handle_timeout(now);
    }

    /// When to call `handle_timeout`.
    pub fn poll_timeout(&self) -> Option<BootTime> {
        let own = match self.phase {
            Phase::Closed => return None,
            Phase::Challenge { .. } | Phase::Listing { .. } => Some(self.handshake_deadline()),
            Phase::Deciding { .. } => None,
            Phase::Live => self.acks.deadline(),
        };
        let keepalive = self.keepalive.deadline();
        Some(own.map_or(keepalive, |own| own.min(keepalive)))
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

    /// Bytes of batches and Gaps handed out and not committed yet: bounded by the windows the hub announced and one
    /// message each.
    pub fn in_flight(&self) -> usize {
        self.intake.in_flight()
    }

    /// Ends the session with an entry of the error table; a registered agent is told.
    pub fn close(&mut self, _now: BootTime, code: ErrorCode, detail: &str) {
        self.fail(&WireError::new(code, detail));
    }

    /// Numbers and signs the next frame and appends it to `out`.
    pub fn poll_transmit(&mut self, now: BootTime, out: &mut BytesMut) -> Option<Transmit> {
        if std::mem::take(&mut self.socket_ping) {
            return Some(Transmit::Ping);
        }
        let (message, correlation) = self.next_message(now)?;
        if !matches!(message, Message::Challenge(_))
            && let Some(key) = self.session_key.take()
        {
            self.outbound.rekey(key);
        }
        match self.outbound.seal(now, message, correlation, out) {
            Ok(()) => Some(Transmit::Frame),
            Err(error) => {
                self.fail(&error);
                None
            }
        }
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<HubEvent> {
        self.events.pop_front()
    }

    fn next_message(&mut self, now: BootTime) -> Option<(Message, MessageId)> {
        if let Some(next) = self.queue.pop() {
            return Some(next);
        }
        match self.phase {
            Phase::Live => self.acks.pop(now).map(|mark| (Message::Ack(mark), MessageId::NONE)),
            Phase::Challenge { .. } | Phase::Listing { .. } | Phase::Deciding { .. } | Phase::Closed => None,
        }
    }

    fn handle_message(&mut self, now: BootTime, id: MessageId, message: Message) -> Result<(), WireError> {
        match message {
            Message::Unknown(field) => {
                self.events.push_back(HubEvent::Unknown(field));
                Ok(())
            }
            Message::Error(error) => {
                let detail = format!("the agent ended the session: {}", error.text);
                self.end(None, Closed { code: 1000, error: error.code, detail });
                Ok(())
            }
            message => match self.phase {
                Phase::Challenge { .. } | Phase::Listing { .. } => self.handle_handshake(now, message),
                Phase::Live => self.handle_live(id, message),
                Phase::Deciding { .. } | Phase::Closed => Err(unexpected(&message)),
            },
        }
    }

    fn handle_live(&mut self, id: MessageId, message: Message) -> Result<(), WireError> {
        match message {
            Message::Records(records) => {
                self.events.extend(self.intake.records(records)?);
                Ok(())
            }
            Message::Gap(gap) => {
                self.events.extend(self.intake.gap(gap)?);
                Ok(())
            }
            Message::Heartbeat(heartbeat) => {
                self.events.push_back(HubEvent::Heartbeat(heartbeat));
                Ok(())
            }
            Message::Ping => {
                self.queue.pong(id);
                Ok(())
            }
            // Any frame counts as a sign of life; which ping it answers does not matter.
            Message::Pong => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    fn check_deadlines(&mut self, now: BootTime) {
        let late = match self.phase {
            Phase::Closed => return,
            Phase::Challenge { .. } | Phase::Listing { .. } => now >= self.handshake_deadline(),
            Phase::Deciding { .. } | Phase::Live => false,
        };
        let done = if late {
            let detail = format!("{} ms after the Challenge", now.since(self.began).as_millis());
            Err(WireError::new(ErrorCode::RegisterTimeout, detail))
        } else {
            self.keepalive.check_idle(now)
        };
        self.end_on_error(done);
    }

    fn handshake_deadline(&self) -> BootTime {
        let limit = match self.phase {
            Phase::Challenge { signed: Signed::No } if self.wants_signature() => {
                limit::CHALLENGE_REPLY_TIMEOUT
            }
            Phase::Challenge { .. }
            | Phase::Listing { .. }
            | Phase::Deciding { .. }
            | Phase::Live
            | Phase::Closed => limit::REGISTER_TIMEOUT,
        };
        self.began.after(limit)
    }

    fn end_on_error(&mut self, done: Result<(), WireError>) {
        if let Err(error) = done {
            self.fail(&error);
        }
    }

    /// Ends the session for an error of ours or the agent's; the agent is told where it would understand.
    fn fail(&mut self, error: &WireError) {
        let last = self.inbound.agreed().then(|| {
            let text = error.detail.clone();
            Message::Error(ErrorMessage { code: Some(error.code), text, retry_after: None })
        });
        let code = error.code.close_code();
        self.end(last, Closed { code, error: Some(error.code), detail: error.detail.clone() });
    }

    fn end(&mut self, last: Option<Message>, closed: Closed) {
        if matches!(self.phase, Phase::Closed) {
            return;
        }
        self.phase = Phase::Closed;
        self.socket_ping = false;
        self.queue.end_with(last);
        self.events.push_back(HubEvent::Closed(closed));
    }
}

fn unexpected(message: &Message) -> WireError {
    WireError::new(ErrorCode::Unexpected, format!("a {} message at this point", message.name()))
}
