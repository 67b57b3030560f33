//! One session on one link: moves frames between the socket and the session's machine, and durable records between
//! the outbox and the machine.
//!
//! * One task. Reading from the socket never waits for writing, nor for the outbox: a read of records, an ack and a
//!   heartbeat's figures are futures beside the socket, at most one of each at a time.
//! * Replay and live records are the same thing: the machine asks for the next durable records by lane.
//! * Marks are looked up and resolutions are made durable before anything else happens in the session.
//! * Nothing is persisted before a verified RegisterAck.

mod depth;
mod outcome;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use crate::id::RecordId;
use crate::net::ws::{Incoming, Link, Turn, Want};
use crate::obs::clock::boot_now;
use crate::outbox::{Batch, Outbox, Stat, StoreError};
use crate::session::{AgentEvent, AgentSession, LocalMark, ReadRequest, Resolution, Transmit};
use crate::time::{BootTime, WallTime};
use crate::wire::error::ErrorCode;
use crate::wire::message::{StreamMark, StreamState};

use super::state::{SAVED_ROW, Saved, State};
use super::{heartbeat, snapshot};
use depth::Depth;
pub(super) use outcome::{Again, Outcome};

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
    pub(super) no_ack: Duration,
    pub(super) heartbeat: Option<Duration>,
    pub(super) hub: String,
    pub(super) hub_id: String,
}

/// One session under way.
pub(super) struct Uplink<S> {
    link: Link<S>,
    session: AgentSession,
    with: Surroundings,
    outcome: Outcome,
    depth: Depth,
    pending: Option<Transmit>,
    frame: BytesMut,
    reading: Work<(ReadRequest, Result<Option<Batch>, StoreError>)>,
    acks: Vec<StreamMark>,
    acking: Work<Result<(), StoreError>>,
    beating: Work<Result<Stat, StoreError>>,
    next_beat: Option<BootTime>,
    received: u64,
}

/// Whether the session goes on.
enum Flow {
    On,
    /// Send what the machine still has, then close with this.
    Close(u16, String),
    /// The socket is gone.
    Gone,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Uplink<S> {
    pub(super) fn new(
        link: Link<S>,
        session: AgentSession,
        streams: &[StreamState],
        with: Surroundings,
    ) -> Self {
        Self {
            link,
            session,
            depth: Depth::new(streams),
            with,
            outcome: Outcome::default(),
            pending: None,
            frame: BytesMut::new(),
            reading: None,
            acks: Vec::new(),
            acking: None,
            beating: None,
            next_beat: None,
            received: 0,
        }
    }

    /// Runs the session to its end.
    pub(super) async fn run(mut self) -> Outcome {
        let mut durable = self.with.outbox.durable();
        durable.mark_changed();
        let mut stopping = false;
        loop {
            let now = boot_now();
            match self.prepare(now).await {
                Flow::On => {}
                Flow::Close(code, detail) => return self.finish(code, &detail).await,
                Flow::Gone => return self.outcome,
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
                (request, batch) = finish(&mut self.reading) => {
                    self.reading = None;
                    self.batch_read(request, batch)
                }
                result = finish(&mut self.acking) => {
                    self.acking = None;
                    result.map_or_else(|error| self.outcome.store_failed(&error), |()| Flow::On)
                }
                stat = finish(&mut self.beating) => {
                    self.beating = None;
                    stat.map_or_else(|error| self.outcome.store_failed(&error), |stat| {
                        let version = self.with.state.config_version();
                        self.session.send_heartbeat(heartbeat::heartbeat(&stat, version));
                        Flow::On
                    })
                }
                changed = durable.changed() => {
                    if changed.is_err() {
                        self.outcome.store_failed(&StoreError::Closed)
                    } else {
                        let states = *durable.borrow_and_update();
                        for state in states {
                            self.session.handle_durable(state.stream, state.next);
                            self.depth.durable(state.stream, state.next, now);
                        }
                        Flow::On
                    }
                }
                turn = self.link.turn(want) => self.turned(turn),
                () = sleep => Flow::On,
            };
            match flow {
                Flow::On => {}
                Flow::Close(code, detail) => return self.finish(code, &detail).await,
                Flow::Gone => return self.outcome,
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
                end @ (Flow::Close(..) | Flow::Gone) => return end,
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
        if self.link.write_deadline(now, self.with.write_timeout).is_some_and(|deadline| deadline <= now) {
            let code = ErrorCode::WriteTimeout;
            self.outcome.ended(code.name(), code.text(), Some(code));
            // Nothing can be written: not even a close frame.
            return Some(Flow::Gone);
        }
        if self.depth.no_ack(now, self.with.no_ack) {
            let code = ErrorCode::NoAck;
            self.outcome.ended(code.name(), code.text(), Some(code));
            return Some(Flow::Close(code.close_code(), code.text().to_owned()));
        }
        let received = self.link.received();
        if received != self.received {
            // Bytes of a frame that is not complete yet are a sign of life too.
            self.received = received;
            self.session.handle_activity(now);
        }
        if self.session.poll_timeout().is_some_and(|deadline| deadline <= now) {
            self.session.handle_timeout(now);
        }
        if self.next_beat.is_some_and(|next| next <= now) {
            self.beat(now);
        }
        None
    }

    fn next_wake(&mut self, now: BootTime) -> Duration {
        let deadlines = [
            self.session.poll_timeout(),
            self.link.write_deadline(now, self.with.write_timeout),
            self.depth.no_ack_at(self.with.no_ack),
            self.next_beat,
        ];
        let next = deadlines.into_iter().flatten().map(|deadline| deadline.since(now)).min();
        next.unwrap_or(WAKE_MAX).min(WAKE_MAX)
    }

    fn turned(&mut self, turn: Turn) -> Flow {
        let now = boot_now();
        match turn {
            Turn::Writable => {
                let sent = match self.pending.take() {
                    Some(Transmit::Frame) => self.link.feed(self.frame.split().freeze()),
                    Some(Transmit::Ping) => self.link.feed_ping(),
                    None => Ok(()),
                };
                self.with.state.count(|counters| counters.frames_out = counters.frames_out.saturating_add(1));
                sent.map_or_else(|error| self.lost(&error), |()| Flow::On)
            }
            Turn::Incoming(Incoming::Frame(frame)) => {
                self.with.state.count(|counters| counters.frames_in = counters.frames_in.saturating_add(1));
                self.session.handle_frame(now, (self.with.wall_clock)(), frame);
                Flow::On
            }
            Turn::Incoming(Incoming::Text) => {
                self.session.handle_text(now);
                Flow::On
            }
            Turn::Incoming(Incoming::Activity) => {
                self.session.handle_activity(now);
                Flow::On
            }
            Turn::Incoming(Incoming::TooLarge) => {
                let code = ErrorCode::TooLarge;
                self.outcome.ended(code.name(), code.text(), Some(code));
                Flow::Close(code.close_code(), code.text().to_owned())
            }
            Turn::Incoming(Incoming::Closed { code, reason }) => {
                self.outcome.closed_by_peer(code, &reason);
                Flow::Gone
            }
            Turn::Incoming(Incoming::Lost(reason)) => self.lost(&reason),
        }
    }

    fn lost(&mut self, reason: &str) -> Flow {
        self.outcome.ended("link", &format!("the connection was lost: {reason}"), None);
        Flow::Gone
    }

    fn batch_read(&mut self, request: ReadRequest, batch: Result<Option<Batch>, StoreError>) -> Flow {
        match batch {
            Ok(batch) => {
                self.session.handle_batch(request, batch);
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

    async fn on_event(&mut self, event: AgentEvent) -> Flow {
        let now = boot_now();
        match event {
            AgentEvent::Marks(marks) => match self.local_marks(&marks).await {
                Ok(local) => self.session.resolve_marks(now, local),
                Err(error) => return self.outcome.store_failed(&error),
            },
            event @ AgentEvent::Registered { .. } => return self.on_registered(event, now).await,
            AgentEvent::Acked(mark) => {
                self.with.state.count(|counters| counters.acks = counters.acks.saturating_add(1));
                self.depth.acked(mark, now);
                self.acks.retain(|waiting| waiting.stream != mark.stream);
                self.acks.push(mark);
            }
            AgentEvent::HubError(error) => self.outcome.hub_error(&error),
            AgentEvent::GoAway(go) => {
                self.outcome.go_away(&go);
                self.session.close(now);
            }
            AgentEvent::HeartbeatDue => self.beat(now),
            AgentEvent::Unknown(number) => {
                tracing::info!(number, "the hub sent a message this version does not know");
                let count = |counters: &mut super::state::Counters| {
                    counters.unknown_bodies = counters.unknown_bodies.saturating_add(1);
                };
                self.with.state.count(count);
            }
            AgentEvent::Closed(closed) => {
                self.outcome.closed(&closed);
                return Flow::Close(closed.code, closed.detail);
            }
        }
        Flow::On
    }

    // `&mut`, though nothing changes: a shared borrow across an await would ask the boxed futures to be `Sync`.
    async fn local_marks(&mut self, marks: &[StreamMark]) -> Result<Vec<LocalMark>, StoreError> {
        let mut local = Vec::with_capacity(marks.len());
        for mark in marks {
            let stream = mark.stream;
            let cursor = self.with.outbox.cursor(stream).await?.acked;
            let crc = match mark.acked {
                0 => None,
                seq => self.with.outbox.crc(RecordId { stream, seq }).await?,
            };
            local.push(LocalMark { stream, cursor, crc });
        }
        Ok(local)
    }

    async fn on_registered(&mut self, event: AgentEvent, now: BootTime) -> Flow {
        let AgentEvent::Registered { session_id, offset, config, retry, resolutions, .. } = event else {
            return Flow::On;
        };
        let saved = Saved {
            hub: Some(self.with.hub.clone()),
            hub_id: Some(self.with.hub_id.clone()),
            session_id: Some(session_id.to_string()),
            connected_at_ms: Some((self.with.wall_clock)().0),
            clock_offset_ms: Some(offset.0),
        };
        tracing::info!(session = %session_id, hub = %self.with.hub, offset_ms = offset.0, "registered with the hub");
        let config_version = config.as_ref().map(|config| config.version);
        self.outcome.registered(now, retry);
        self.depth.registered(now);
        if let Err(error) = self.persist(&saved, config).await {
            return self.outcome.store_failed(&error);
        }
        self.with.state.registered(saved, config_version);
        match self.settle(resolutions).await {
            Ok(flow) => {
                self.beat(now);
                flow
            }
            Err(error) => self.outcome.store_failed(&error),
        }
    }

    async fn persist(
        &mut self,
        saved: &Saved,
        config: Option<crate::wire::message::ConfigSnapshot>,
    ) -> Result<(), StoreError> {
        let row = serde_json::to_vec(saved).unwrap_or_default();
        self.with.outbox.put(SAVED_ROW, row.into()).await?;
        if let Some(config) = config {
            snapshot::save(&self.with.outbox, &config).await?;
        }
        Ok(())
    }

    /// Gaps of earlier sessions first, then what the marks ask for.
    async fn settle(&mut self, resolutions: Vec<Resolution>) -> Result<Flow, StoreError> {
        for gap in self.with.outbox.gaps().await? {
            self.session.send_gap(gap);
        }
        let mut flow = Flow::On;
        for resolution in resolutions {
            match resolution {
                Resolution::Acked(mark) => {
                    self.depth.acked(mark, boot_now());
                    self.acks.push(mark);
                }
                Resolution::HubLost(gap) => {
                    tracing::error!(stream = %gap.stream, from = gap.from, to = gap.to,
                        "the hub lost records it had acked; was it restored from a backup?");
                    self.with.outbox.add_gap(gap).await?;
                    self.session.send_gap(gap);
                }
                Resolution::RolledBack { stream, report } => {
                    tracing::error!(%stream, from = report.from, to = report.to,
                        "this agent's disk went back in time; its unacked records begin a new epoch");
                    self.with.outbox.roll_epoch(stream, report, (self.with.wall_clock)()).await?;
                    self.outcome.rolled_back();
                    flow = Flow::Close(1000, "a lane begins a new epoch".to_owned());
                }
            }
        }
        Ok(flow)
    }

    /// Sends what the machine still has (an Error may wait), then closes; bounded by the write time-out.
    async fn finish(mut self, code: u16, detail: &str) -> Outcome {
        let limit = self.with.write_timeout;
        let drain = async {
            loop {
                if self.pending.is_none() {
                    self.pending = self.session.poll_transmit(boot_now(), &mut self.frame);
                }
                if self.pending.is_none() {
                    break;
                }
                let turn = self.link.turn(Want::Send).await;
                if matches!(turn, Turn::Incoming(Incoming::Lost(_) | Incoming::Closed { .. })) {
                    break;
                }
                if let Turn::Writable = turn
                    && let Flow::Gone = self.turned(Turn::Writable)
                {
                    break;
                }
            }
        };
        let drained = tokio::time::timeout(limit, drain).await;
        // Acks that came are worth keeping; without them the hub sorts the records out again.
        if let Some(work) = self.acking.take()
            && let Err(error) = work.await
        {
            tracing::debug!(%error, "the last acks were not kept");
        }
        let marks = std::mem::take(&mut self.acks);
        if !marks.is_empty()
            && let Err(error) = self.with.outbox.ack(marks).await
        {
            tracing::debug!(%error, "the last acks were not kept");
        }
        if drained.is_ok() {
            self.link.close(code, detail).await;
        }
        self.outcome
    }
}

/// The work's result; never ready where there is none.
async fn finish<T>(work: &mut Work<T>) -> T {
    match work {
        Some(work) => work.await,
        None => std::future::pending().await,
    }
}
