//! One session on one link: moves frames between the socket and the session's machine, and durable records between
//! the outbox and the machine.
//!
//! * One task. Reading from the socket never waits for writing, nor for the outbox: a read of records, an ack and a
//!   heartbeat's figures are futures beside the socket, at most one of each at a time.
//! * Replay and live records are the same thing: the machine asks for the next durable records by lane.
//! * Marks are looked up and resolutions are made durable before anything else happens in the session.
//! * Nothing is persisted before a verified RegisterAck.

pub(crate) mod duty;
mod event;
mod farewell;
mod outcome;
mod registration;
mod relay;
mod rotation;
mod turn;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::limit;
use crate::net::tls::trust::{TimeFloor, Trust};
use crate::net::ws::{Link, Want};
use crate::obs::clock::boot_now;
use crate::outbox::{Outbox, Reading, Stat, StoreError};
use crate::session::{AgentSession, ReadRequest, Transmit};
use crate::time::{BootTime, HubTime, WallTime};
use crate::wire::error::ErrorCode;
use crate::wire::message::StreamMark;
use crate::wire::operator::OperatorKeys;
use crate::wire::relay::RelayReply;

use super::heartbeat;
use super::jobs::{Answered, Jobs, Parties};
use super::state::State;
pub(crate) use outcome::Again;
pub(super) use outcome::{Outcome, ROTATED};
pub(super) use relay::Relaying;
use relay::Sends;
pub(super) use rotation::SessionKey;

/// The machine's deadlines are in boot time, the timers' clock stops in suspend: look at least this often.
const WAKE_MAX: Duration = Duration::from_secs(10);

type Work<T> = Option<Pin<Box<dyn Future<Output = T> + Send>>>;

/// What a session works with.
pub(super) struct Surroundings {
    pub(super) outbox: Outbox,
    pub(super) state: State,
    pub(super) stop: CancellationToken,
    pub(super) wall_clock: fn() -> WallTime,
    pub(super) write_timeout: Duration,
    pub(super) heartbeat: Option<Duration>,
    pub(super) jobs: Jobs,
    pub(super) parties: Parties,
    pub(super) operator_keys: Option<OperatorKeys>,
    pub(super) hub: String,
    pub(super) key: SessionKey,
    pub(super) relaying: Relaying,
    /// How far the connection is believed.
    pub(super) trust: Trust,
    /// What is known to be past, for the dates of certificates.
    pub(super) floor: TimeFloor,
}

/// One session under way.
pub(super) struct Uplink<S> {
    link: Link<S>,
    session: AgentSession,
    with: Surroundings,
    outcome: Outcome,
    pending: Option<Transmit>,
    frame: BytesMut,
    reading: Work<(ReadRequest, Result<Option<Reading>, StoreError>)>,
    acks: Vec<StreamMark>,
    acking: Work<Result<(), StoreError>>,
    beating: Work<Result<Stat, StoreError>>,
    next_beat: Option<BootTime>,
    /// Hub time, and the moment it was that.
    hub_time: (HubTime, BootTime),
    /// Answers to offers, and where jobs put them.
    answers: (mpsc::Sender<Answered>, mpsc::Receiver<Answered>),
    sends: Sends,
    /// Answers to messages, and where handlers put them.
    relay_replies: (mpsc::Sender<RelayReply>, mpsc::Receiver<RelayReply>),
}

/// Whether the session goes on.
enum Flow {
    On,
    End(End),
}

/// How a session ends.
enum End {
    /// Send what the machine still has, then close with this.
    Close(u16, String),
    /// The socket is gone.
    Gone,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Uplink<S> {
    pub(super) fn new(link: Link<S>, session: AgentSession, with: Surroundings) -> Self {
        Self {
            sends: Sends::new(with.relaying.line.clone()),
            relay_replies: mpsc::channel(limit::RELAY_IN_FLIGHT),
            link,
            session,
            with,
            outcome: Outcome::default(),
            pending: None,
            frame: BytesMut::new(),
            reading: None,
            acks: Vec::new(),
            acking: None,
            beating: None,
            next_beat: None,
            hub_time: Default::default(),
            answers: mpsc::channel(limit::JOB_ANSWERS_MAX),
        }
    }

    /// Runs the session to its end.
    pub(super) async fn run(mut self) -> Outcome {
        let end = self.work().await;
        self.sends.end(self.session.relays_mut());
        match end {
            End::Close(code, detail) => self.finish(code, &detail).await,
            End::Gone => self.outcome,
        }
    }

    async fn work(&mut self) -> End {
        let mut durable = self.with.outbox.durable();
        durable.mark_changed();
        let mut stopping = false;
        loop {
            let now = boot_now();
            match self.prepare(now).await {
                Flow::On => {}
                Flow::End(end) => return end,
            }
            let want = if self.pending.is_some() { Want::Send } else { Want::Rest };
            let sleep = tokio::time::sleep(self.next_wake(now));
            let flow = tokio::select! {
                biased;
                () = self.with.stop.cancelled(), if !stopping => {
                    stopping = true;
                    self.session.close(now);
                    Flow::On
                }
                (request, reading) = finish(&mut self.reading) => {
                    self.reading = None;
                    self.was_read(request, reading)
                }
                result = finish(&mut self.acking) => {
                    self.acking = None;
                    duty::took(result).map_or_else(|error| self.outcome.store_failed(&error), |_| Flow::On)
                }
                stat = finish(&mut self.beating) => {
                    self.beating = None;
                    stat.map_or_else(|error| self.outcome.store_failed(&error), |stat| {
                        self.session.send_heartbeat(heartbeat::heartbeat(&stat, &self.with.state));
                        Flow::On
                    })
                }
                Some((id, ack)) = self.answers.1.recv() => {
                    self.session.answer_offer(id, ack);
                    Flow::On
                }
                Some(reply) = self.relay_replies.1.recv() => {
                    self.session.relays_mut().answer(reply);
                    Flow::On
                }
                outgoing = self.sends.next(), if self.session.relays().room() > 0 => {
                    self.sends.send(&mut self.session, outgoing, now);
                    Flow::On
                }
                changed = durable.changed() => {
                    if changed.is_err() {
                        self.outcome.store_failed(&StoreError::Closed)
                    } else {
                        let states = *durable.borrow_and_update();
                        for state in states {
                            self.session.handle_durable(state.stream, state.next);
                        }
                        Flow::On
                    }
                }
                turn = self.link.turn(want) => self.turned(turn),
                () = sleep => Flow::On,
            };
            match flow {
                Flow::On => {}
                Flow::End(end) => return end,
            }
        }
    }

    /// Deadlines, events, and work that can be begun.
    async fn prepare(&mut self, now: BootTime) -> Flow {
        if let Some(flow) = self.deadlines(now) {
            return flow;
        }
        while let Some(event) = self.session.poll_event() {
            match self.on_event(event).await {
                Flow::On => {}
                end @ Flow::End(_) => return end,
            }
        }
        if self.reading.is_none()
            && let Some(request) = self.session.poll_read()
        {
            let outbox = self.with.outbox.clone();
            self.reading = Some(Box::pin(async move {
                (request, outbox.read(request.stream, request.from, request.bytes_max).await)
            }));
        }
        if self.acking.is_none() && !self.acks.is_empty() {
            let outbox = self.with.outbox.clone();
            let marks = std::mem::take(&mut self.acks);
            self.acking = Some(Box::pin(async move { outbox.ack(marks).await }));
        }
        if self.pending.is_none() {
            self.pending = self.session.poll_transmit(now, &mut self.frame);
        }
        Flow::On
    }

    fn deadlines(&mut self, now: BootTime) -> Option<Flow> {
        if self.write_deadline(now).is_some_and(|deadline| deadline <= now) {
            let code = ErrorCode::WriteTimeout;
            self.outcome.ended(code.name(), code.text(), Some(code));
            // Nothing can be written: not even a close frame.
            return Some(Flow::End(End::Gone));
        }
        // Bytes of a frame that is not complete yet are a sign of life too.
        self.session.handle_received(self.link.last_read(), self.link.received());
        self.session.handle_written(self.link.last_written());
        if self.session.poll_timeout().is_some_and(|deadline| deadline <= now) {
            self.session.handle_timeout(now);
        }
        if self.next_beat.is_some_and(|next| next <= now) {
            self.beat(now);
        }
        self.sends.give_up(&mut self.session, now);
        None
    }

    fn next_wake(&mut self, now: BootTime) -> Duration {
        let sends = self.sends.deadline(&self.session);
        let deadlines = [self.session.poll_timeout(), self.write_deadline(now), self.next_beat, sends];
        let next = deadlines.into_iter().flatten().map(|deadline| deadline.since(now)).min();
        next.unwrap_or(WAKE_MAX).min(WAKE_MAX)
    }

    /// When the hub will have taken no byte for too long. What it takes is known one round trip later, and of what is large the
    /// system takes no more before much of it has left.
    fn write_deadline(&mut self, now: BootTime) -> Option<BootTime> {
        let line = self.session.round_trip().saturating_add(self.session.on_the_way());
        let timeout = self.with.write_timeout.saturating_add(line);
        self.link.write_deadline(now, timeout)
    }

    fn was_read(&mut self, request: ReadRequest, reading: Result<Option<Reading>, StoreError>) -> Flow {
        match reading {
            Ok(reading) => {
                duty::was_read(&mut self.session, request, reading);
                Flow::On
            }
            // What is missing there cannot be declared: that stream waits, the others go on.
            Err(StoreError::Degraded { .. }) => {
                duty::was_read(&mut self.session, request, None);
                Flow::On
            }
            Err(error) => self.outcome.store_failed(&error),
        }
    }

    fn beat(&mut self, now: BootTime) {
        self.next_beat = self.with.heartbeat.map(|interval| now.after(interval));
        if self.beating.is_none() {
            let outbox = self.with.outbox.clone();
            self.beating = Some(Box::pin(async move { outbox.stat().await }));
        }
    }
}

/// The work's result; never ready where there is none.
async fn finish<T>(work: &mut Work<T>) -> T {
    match work {
        Some(work) => work.await,
        None => std::future::pending().await,
    }
}
