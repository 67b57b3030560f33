//! One agent's connection: a task that drives a [`HubSession`] between the socket, the registry and the store.
//!
//! The task never waits for one thing only: a peer that does not read, a slow store and a replaced login are all
//! answered at once. It stops reading while the store has as much of it as `limit` allows.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_util::{Sink as _, Stream as _};
use hyper::upgrade::OnUpgrade;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message};
use tokio_tungstenite::tungstenite::{self, Utf8Bytes};

use crate::id::SessionId;
use crate::limit;
use crate::obs::{clock, random};
use crate::session::{Closed, HubConfig, HubEvent, HubSession, Transmit};
use crate::time::{BootTime, ClockOffset, HubTime};
use crate::wire::error::ErrorCode;
use crate::wire::message::{ChannelBinding, Register, StreamMark};

use super::Shared;
use super::ingest::Intake;
use super::registry::Entry;
use super::socket::Socket;
use super::store::{Credential, Ingest, IngestReply, StoreError};

/// Serves one admitted agent until its session ends.
pub(super) async fn serve(
    shared: Arc<Shared>,
    upgrade: OnUpgrade,
    credential: Credential,
    agent_nonce: [u8; 32],
    address: SocketAddr,
) {
    let upgraded = match tokio::time::timeout(limit::HANDSHAKE_TIMEOUT, upgrade).await {
        Ok(Ok(upgraded)) => upgraded,
        Ok(Err(error)) => return tracing::debug!(%error, %address, "the upgrade failed"),
        Err(_) => return tracing::debug!(%address, "the upgrade took too long"),
    };
    let socket = Socket::new(upgraded, shared.config.message_bytes_max()).await;
    let mut connection = Connection::new(shared, socket, credential, agent_nonce, address);
    let closed = connection.run().await;
    connection.leave();
    connection.finish(closed).await;
}

struct Connection {
    shared: Arc<Shared>,
    socket: Socket,
    session: HubSession,
    session_id: SessionId,
    credential: Credential,
    address: SocketAddr,
    entry: Option<Arc<Entry>>,
    intake: Option<Intake>,
    /// Pieces the writer's queue had no room for yet.
    pending: VecDeque<Ingest>,
    /// Bytes of each piece at the writer, in its order.
    at_writer: VecDeque<usize>,
    at_writer_bytes: usize,
    replies: mpsc::Receiver<IngestReply>,
    reply: mpsc::Sender<IngestReply>,
    out: BytesMut,
    flush: Flush,
}

/// Whether bytes wait for the peer.
#[derive(Debug, Clone, Copy)]
enum Flush {
    Done,
    Waiting {
        /// Bytes accepted when this was looked at last.
        written: u64,
        /// When that was.
        since: BootTime,
    },
}

/// What the connection wakes for.
enum Wake {
    Message(Option<Result<Message, tungstenite::Error>>),
    Stored(IngestReply),
    Room(Result<(), StoreError>),
    Timer,
    Ended(ErrorCode),
}

impl Connection {
    fn new(
        shared: Arc<Shared>,
        socket: Socket,
        credential: Credential,
        agent_nonce: [u8; 32],
        address: SocketAddr,
    ) -> Self {
        let session_id = SessionId::from_bytes(random::bytes());
        let config = HubConfig {
            hub_id: shared.store.hub_id(),
            agent_id: credential.agent.id,
            mac_root: credential.mac_root.clone(),
            identity: credential.identity,
            signature: shared.config.signature,
            agent_nonce,
            hub_nonce: random::bytes(),
            session_id,
            binding: ChannelBinding::None,
            channel_binding: [0; 32],
            limits: shared.config.limits(),
            heartbeat_interval: limit::HEARTBEAT_INTERVAL,
            message_id_seed: random::bytes(),
        };
        let session = HubSession::new(config, clock::boot_now(), hub_time());
        let (reply, replies) = mpsc::channel(limit::INGEST_PER_SESSION);
        Self {
            shared,
            socket,
            session,
            session_id,
            credential,
            address,
            entry: None,
            intake: None,
            pending: VecDeque::new(),
            at_writer: VecDeque::new(),
            at_writer_bytes: 0,
            replies,
            reply,
            out: BytesMut::new(),
            flush: Flush::Done,
        }
    }

    /// Until the session is closed, by whichever end.
    async fn run(&mut self) -> Closed {
        loop {
            while let Some(event) = self.session.poll_event() {
                if let Some(closed) = self.handle_event(event).await {
                    return closed;
                }
            }
            match self.wake().await {
                Wake::Message(Some(Ok(message))) => {
                    if let Some(closed) = self.handle_message(message) {
                        return closed;
                    }
                }
                Wake::Message(Some(Err(error))) => match closed_by_error(&error) {
                    Some(closed) => return closed,
                    None => return gone(&error.to_string()),
                },
                Wake::Message(None) => return gone("the connection ended"),
                Wake::Stored(reply) => self.handle_stored(reply),
                Wake::Room(Ok(())) => {}
                Wake::Room(Err(error)) => self.close_for(&error),
                Wake::Timer => {
                    let now = clock::boot_now();
                    if let Some(closed) = self.check_writes(now) {
                        return closed;
                    }
                    if self.session.poll_timeout().is_some_and(|at| at <= now) {
                        self.session.handle_timeout(now);
                    }
                }
                Wake::Ended(reason) => self.session.close(clock::boot_now(), reason, reason.text()),
            }
        }
    }

    async fn handle_event(&mut self, event: HubEvent) -> Option<Closed> {
        let outcome = match event {
            HubEvent::Register(register) => {
                let stop = self.shared.stop.clone();
                tokio::select! {
                    biased;
                    () = stop.cancelled() => Err((ErrorCode::GoingAway, "the hub is shutting down".to_owned())),
                    outcome = self.register(&register) => outcome.map_err(|error| for_peer(&error)),
                }
            }
            HubEvent::Records { records, skip } => self.take(|intake| {
                let piece = intake.records(&records, skip, hub_time());
                piece.map_err(|error| (error.code, error.detail))
            }),
            HubEvent::Gap(gap) => {
                tracing::warn!(agent = %self.credential.agent.name, stream = %gap.stream, from = gap.from, to = gap.to,
                    reason = gap.reason.name(), "records of an agent will not come");
                self.take(|intake| {
                    let piece = intake.gap(gap, hub_time());
                    piece.map_err(|error| (error.code, error.detail))
                })
            }
            HubEvent::Heartbeat(heartbeat) => {
                if let Some(entry) = &self.entry {
                    *entry.heartbeat.lock().unwrap_or_else(std::sync::PoisonError::into_inner) =
                        Some(heartbeat);
                }
                Ok(())
            }
            HubEvent::Unknown(field) => {
                self.shared.counters.unknown_messages.add(1);
                tracing::info!(agent = %self.credential.agent.name, field, "a message of an unknown type");
                Ok(())
            }
            HubEvent::Closed(closed) => return Some(closed),
        };
        if let Err((code, detail)) = outcome {
            self.session.close(clock::boot_now(), code, &detail);
        }
        None
    }

    /// Puts one piece on its way to the store.
    fn take(
        &mut self,
        make: impl FnOnce(&mut Intake) -> Result<Ingest, (ErrorCode, String)>,
    ) -> Result<(), (ErrorCode, String)> {
        let Some(intake) = &mut self.intake else {
            return Err((ErrorCode::Unexpected, "records before the registration was answered".to_owned()));
        };
        self.pending.push_back(make(intake)?);
        Ok(())
    }

    /// The second login of an agent wins: the first hands nothing more to the store before the marks are read.
    async fn register(&mut self, register: &Register) -> Result<(), StoreError> {
        let agent = &self.credential.agent;
        let since = hub_time();
        let entry = Arc::new(Entry::new(
            agent.id,
            self.session_id,
            register.instance,
            self.address,
            since,
            ClockOffset::between(since, register.wall_time),
        ));
        self.entry = Some(Arc::clone(&entry));
        if let Some(old) = self.shared.registry.login(entry) {
            tracing::warn!(agent = %agent.name, first = %old.address, second = %self.address,
                "a second login of the agent replaces the first");
            if tokio::time::timeout(limit::WRITE_TIMEOUT, old.released()).await.is_err() {
                tracing::error!(agent = %agent.name, "the replaced session did not let go in time");
            }
        }
        let streams = register.streams.entries.iter().map(|state| state.stream).collect();
        let marks = self.shared.store.marks(agent.agent, streams).await?;
        let noted = self
            .shared
            .store
            .note_instance(agent.agent, register.instance, &register.hostname, &register.agent_version)
            .await;
        if let Err(error) = noted {
            tracing::warn!(%error, agent = %agent.name, "the agent's process could not be noted");
        }
        tracing::info!(agent = %agent.name, address = %self.address, session = %self.session_id,
            instance = %register.instance, "an agent registered");
        self.shared.counters.registrations.add(1);
        self.intake = Some(Intake::new(agent.agent, &marks, self.reply.clone()));
        self.session.accept(clock::boot_now(), marks, None);
        Ok(())
    }

    fn handle_message(&mut self, message: Message) -> Option<Closed> {
        let now = clock::boot_now();
        match message {
            Message::Binary(frame) => {
                self.shared.counters.frames_in.add(1);
                self.session.handle_frame(now, frame);
            }
            Message::Text(_) => self.session.handle_text(now),
            Message::Ping(_) | Message::Pong(_) => {
                // tungstenite queued the pong to a ping itself.
                self.note_waiting(now);
                self.session.handle_activity(now);
            }
            Message::Close(frame) => {
                let (code, detail) = frame
                    .map_or((1000, String::new()), |frame| (frame.code.into(), frame.reason.to_string()));
                return Some(Closed {
                    code: 1000,
                    error: None,
                    detail: format!("the agent closed: {code} {detail}"),
                });
            }
            Message::Frame(_) => {}
        }
        None
    }

    fn handle_stored(&mut self, reply: IngestReply) {
        let bytes = self.at_writer.pop_front().unwrap_or_default();
        self.at_writer_bytes = self.at_writer_bytes.saturating_sub(bytes);
        match reply {
            Ok(mark) => self.committed(mark),
            Err(error) => self.close_for(&error),
        }
    }

    fn committed(&mut self, mark: StreamMark) {
        self.session.handle_committed(clock::boot_now(), mark);
    }

    fn close_for(&mut self, error: &StoreError) {
        tracing::warn!(%error, agent = %self.credential.agent.name, "a session ends for the store");
        let (code, detail) = for_peer(error);
        self.session.close(clock::boot_now(), code, &detail);
    }

    /// Waits for whatever comes first. Cancel safe: nothing is taken before it is returned.
    async fn wake(&mut self) -> Wake {
        let Self { shared, socket, session, out, flush, entry, pending, replies, at_writer, .. } = self;
        let busy = !pending.is_empty()
            || at_writer.len() >= limit::INGEST_PER_SESSION
            || self.at_writer_bytes >= limit::INGEST_SESSION_BYTES;
        let may_send = !pending.is_empty() && at_writer.len() < limit::INGEST_PER_SESSION;
        let timer = session.poll_timeout();
        let ended = async {
            match entry {
                Some(entry) => entry.ended().await,
                None => std::future::pending().await,
            }
        };
        // Puts out what waits, without reading: only then the deadline for the peer is known.
        let first = std::future::poll_fn(|cx| {
            Poll::Ready(poll_socket(cx, shared, socket, session, out, flush, true))
        });
        if let Poll::Ready(message) = first.await {
            return Wake::Message(message);
        }
        let write_deadline = match *flush {
            Flush::Done => None,
            Flush::Waiting { since, .. } => Some(since.after(limit::WRITE_TIMEOUT)),
        };
        let deadline = timer.into_iter().chain(session.poll_timeout()).chain(write_deadline).min();
        tokio::select! {
            biased;
            () = shared.stop.cancelled() => Wake::Ended(ErrorCode::GoingAway),
            reason = ended => Wake::Ended(reason),
            Some(reply) = replies.recv() => Wake::Stored(reply),
            slot = shared.store.reserve(), if may_send => Wake::Room(slot.map(|slot| {
                if let Some(piece) = pending.pop_front() {
                    let bytes = piece.len();
                    at_writer.push_back(bytes);
                    self.at_writer_bytes = self.at_writer_bytes.saturating_add(bytes);
                    shared.counters.records_in.add(piece.count());
                    slot.send(piece);
                }
            })),
            () = sleep_until(deadline) => Wake::Timer,
            // Last: a peer that never stops sending must not keep the others from being heard.
            message = std::future::poll_fn(|cx| poll_socket(cx, shared, socket, session, out, flush, busy)) => {
                Wake::Message(message)
            }
        }
    }

    fn note_waiting(&mut self, now: BootTime) {
        if let Flush::Done = self.flush {
            self.flush = Flush::Waiting { written: self.socket.written(), since: now };
        }
    }

    /// Ends the session where the peer took no byte for the write time-out.
    fn check_writes(&mut self, now: BootTime) -> Option<Closed> {
        let Flush::Waiting { written, since } = self.flush else { return None };
        if now.since(since) < limit::WRITE_TIMEOUT {
            return None;
        }
        let moved = self.socket.written();
        if moved > written {
            self.flush = Flush::Waiting { written: moved, since: now };
            return None;
        }
        Some(Closed {
            code: ErrorCode::WriteTimeout.close_code(),
            error: Some(ErrorCode::WriteTimeout),
            detail: "the peer does not read".to_owned(),
        })
    }

    /// From here on nothing of this session goes to the store, and nobody finds it in the registry.
    fn leave(&mut self) {
        self.pending.clear();
        if let Some(entry) = &self.entry {
            self.shared.registry.logout(entry);
            entry.release();
        }
    }

    /// Says why and closes, as far as the peer listens.
    async fn finish(mut self, closed: Closed) {
        let name = closed.error.map_or("closed", ErrorCode::name);
        self.shared.counters.sessions_ended.add(name);
        tracing::info!(agent = %self.credential.agent.name, session = %self.session_id, error = name,
            code = closed.code, detail = closed.detail, "a session ended");
        if closed.error == Some(ErrorCode::WriteTimeout) {
            return;
        }
        if tokio::time::timeout(limit::CLOSE_TIMEOUT, self.say_goodbye(&closed)).await.is_err() {
            tracing::debug!(session = %self.session_id, "the peer did not hear the end");
        }
    }

    async fn say_goodbye(&mut self, closed: &Closed) {
        let now = clock::boot_now();
        while let Some(transmit) = self.session.poll_transmit(now, &mut self.out) {
            let message = message_of(transmit, &mut self.out);
            if futures_util::SinkExt::feed(&mut self.socket.ws, message).await.is_err() {
                return;
            }
        }
        let frame = CloseFrame { code: closed.code.into(), reason: Utf8Bytes::from(reason(closed)) };
        if self.socket.ws.close(Some(frame)).await.is_err() {
            return;
        }
        if closed.error == Some(ErrorCode::TooLarge) {
            // What follows cannot be read as frames any more.
            if let Err(error) = self.socket.linger().await {
                tracing::debug!(%error, "the connection broke while it was closed");
            }
            return;
        }
        // Until the peer's close frame: a reset could overtake ours.
        while let Some(Ok(_)) = futures_util::StreamExt::next(&mut self.socket.ws).await {}
    }
}

/// A close frame's reason: the error's name, which fits the 123 bytes there are.
fn reason(closed: &Closed) -> &'static str {
    closed.error.map_or("", ErrorCode::name)
}

/// Feeds what the session has to say, flushes once when that is all, and reads unless the connection is busy.
fn poll_socket(
    cx: &mut Context<'_>,
    shared: &Shared,
    socket: &mut Socket,
    session: &mut HubSession,
    out: &mut BytesMut,
    flush: &mut Flush,
    busy: bool,
) -> Poll<Option<Result<Message, tungstenite::Error>>> {
    let now = clock::boot_now();
    let written = socket.written();
    let mut ws = std::pin::Pin::new(&mut socket.ws);
    loop {
        match ws.as_mut().poll_ready(cx) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(error))),
            Poll::Pending => break,
        }
        let Some(transmit) = session.poll_transmit(now, out) else { break };
        shared.counters.frames_out.add(1);
        if let Err(error) = ws.as_mut().start_send(message_of(transmit, out)) {
            return Poll::Ready(Some(Err(error)));
        }
        if let Flush::Done = flush {
            *flush = Flush::Waiting { written, since: now };
        }
    }
    if let Flush::Waiting { .. } = flush {
        match ws.as_mut().poll_flush(cx) {
            Poll::Ready(Ok(())) => *flush = Flush::Done,
            Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(error))),
            Poll::Pending => {}
        }
    }
    if busy { Poll::Pending } else { ws.poll_next(cx) }
}

fn message_of(transmit: Transmit, out: &mut BytesMut) -> Message {
    match transmit {
        Transmit::Frame => Message::Binary(out.split().freeze()),
        Transmit::Ping => Message::Ping(Bytes::new()),
    }
}

async fn sleep_until(deadline: Option<BootTime>) {
    match deadline {
        Some(deadline) => tokio::time::sleep(deadline.since(clock::boot_now())).await,
        None => std::future::pending().await,
    }
}

fn hub_time() -> HubTime {
    HubTime(clock::wall_now().0)
}

/// What a failure of the store is to the peer.
fn for_peer(error: &StoreError) -> (ErrorCode, String) {
    match error {
        StoreError::CannotCommit(_) => (ErrorCode::StorageFull, "the database cannot commit".to_owned()),
        StoreError::MarkMoved => (ErrorCode::Replaced, "another session moved the mark".to_owned()),
        StoreError::NumberTooLarge(number) => (ErrorCode::Invalid, format!("number {number}")),
        StoreError::Closed => (ErrorCode::GoingAway, "the hub is shutting down".to_owned()),
        other => {
            tracing::error!(error = %other, "the store failed");
            (ErrorCode::Internal, "the store failed".to_owned())
        }
    }
}

/// Errors of the WebSocket layer that the peer is told.
fn closed_by_error(error: &tungstenite::Error) -> Option<Closed> {
    let code = match error {
        tungstenite::Error::Capacity(_) => ErrorCode::TooLarge,
        tungstenite::Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => {
            return None;
        }
        tungstenite::Error::Protocol(_) | tungstenite::Error::Utf8(_) => ErrorCode::Malformed,
        _ => return None,
    };
    Some(Closed { code: code.close_code(), error: Some(code), detail: error.to_string() })
}

fn gone(detail: &str) -> Closed {
    Closed { code: 1000, error: None, detail: detail.to_owned() }
}
