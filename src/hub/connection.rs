//! One agent's connection: a task that drives a [`HubSession`] between the socket, the registry and the store.
//!
//! The task never waits for one thing only: a peer that does not read, a slow store and a replaced login are all
//! answered at once. It stops reading while the store has as much of it as `limit` allows.

pub(crate) mod ending;
mod event;
mod line;
mod orders;
mod register;
mod relay;
mod rotation;
mod stage;

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;

use hyper::upgrade::OnUpgrade;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::protocol::Message;

use crate::id::SessionId;
use crate::limit;
use crate::obs::{clock, random};
use crate::session::{Closed, HubConfig, HubSession};
use crate::time::BootTime;
use crate::wire::error::ErrorCode;
use crate::wire::message::ChannelBinding;
use crate::wire::relay::RelayReply;

use super::admission::Handshake;
use super::ingest::Intake;
use super::registry::Entry;
use super::socket::{Channel, Socket};
use super::store::{Credential, IngestReply, StoreError};
use super::{Shared, hub_time};
use ending::{for_peer, gone, of_socket};
use line::{Incoming, Line, Reading};
use orders::Orders;
use relay::Mail;
use stage::Stage;

/// Who is at the other end.
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    pub(super) channel: Channel,
}

/// Serves one admitted agent until its session ends.
pub(super) async fn serve(
    shared: Arc<Shared>,
    upgrade: OnUpgrade,
    handshake: Handshake,
    credential: Credential,
    agent_nonce: [u8; 32],
    peer: Peer,
) {
    let Peer { address, channel } = peer;
    let upgraded = match tokio::time::timeout(limit::HANDSHAKE_TIMEOUT, upgrade).await {
        Ok(Ok(upgraded)) => upgraded,
        Ok(Err(error)) => return tracing::debug!(%error, %address, "the upgrade failed"),
        Err(_) => return tracing::debug!(%address, "the upgrade took too long"),
    };
    let socket = Socket::new(upgraded, channel, shared.config.message_bytes_max()).await;
    let mut connection = Connection::new(shared, socket, handshake, credential, agent_nonce, address);
    let closed = connection.run().await;
    connection.leave();
    connection.note_offline().await;
    connection.finish(closed).await;
}

struct Connection {
    shared: Arc<Shared>,
    line: Line,
    session: HubSession,
    session_id: SessionId,
    credential: Credential,
    address: SocketAddr,
    /// Until it is registered.
    handshake: Option<Handshake>,
    entry: Option<Arc<Entry>>,
    intake: Option<Intake>,
    stage: Stage,
    orders: Orders,
    mail: Mail,
    /// Where messages of this agent are answered; the session bounds how many of them there are.
    relayed: (mpsc::Sender<RelayReply>, mpsc::Receiver<RelayReply>),
    replies: mpsc::Receiver<IngestReply>,
}

/// What the connection wakes for.
enum Wake {
    Message(Incoming),
    Stored(IngestReply),
    Room(Result<(), StoreError>),
    /// Something waits for the agent.
    Rung,
    /// A message waits for the agent.
    Mail,
    /// A message of the agent was answered.
    Relayed(RelayReply),
    /// The session takes more of what waits for the agent.
    Orders,
    Timer,
    Ended(ErrorCode),
}

impl Connection {
    fn new(
        shared: Arc<Shared>,
        socket: Socket,
        handshake: Handshake,
        credential: Credential,
        agent_nonce: [u8; 32],
        address: SocketAddr,
    ) -> Self {
        let session_id = SessionId::from_bytes(random::bytes());
        let (binding, channel_binding) = match socket.binding() {
            Some(exported) => (ChannelBinding::TlsExporter, exported),
            None => (ChannelBinding::None, [0; 32]),
        };
        let config = HubConfig {
            hub_id: shared.store.hub_id(),
            agent_id: credential.agent.id,
            mac_root: credential.mac_root.clone(),
            identity: credential.identity,
            signature: credential.agent.signature.unwrap_or(shared.config.signature),
            agent_nonce,
            hub_nonce: random::bytes(),
            session_id,
            binding,
            channel_binding,
            limits: shared.config.limits(),
            heartbeat_interval: limit::HEARTBEAT_INTERVAL,
            message_id_seed: random::bytes(),
        };
        let session = HubSession::new(config, clock::boot_now(), hub_time());
        let (stage, replies) = Stage::new();
        let line = Line::new(socket, shared.config.write_timeout);
        Self {
            shared,
            line,
            session,
            session_id,
            credential,
            address,
            handshake: Some(handshake),
            entry: None,
            intake: None,
            stage,
            orders: Orders::default(),
            mail: Mail::default(),
            relayed: mpsc::channel(limit::RELAY_IN_FLIGHT),
            replies,
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
                Wake::Message(Some(Err(error))) => return of_socket(&error),
                Wake::Message(None) => return gone("the connection ended"),
                Wake::Stored(reply) => self.handle_stored(reply),
                Wake::Room(Ok(())) => {}
                Wake::Room(Err(error)) => self.close_for(&error),
                Wake::Rung => {
                    self.orders.ring();
                    self.look_for_rotation().await;
                }
                Wake::Mail => self.give_mail().await,
                Wake::Relayed(reply) => self.session.answer_relay(reply),
                Wake::Orders => self.give_orders().await,
                Wake::Timer => {
                    let now = clock::boot_now();
                    if let Some(closed) = self.line.check_writes(now, &self.session) {
                        return closed;
                    }
                    self.line.note_bytes(&mut self.session);
                    self.orders.handle_timeout(now);
                    self.mail_timeouts(now).await;
                    if self.session.poll_timeout().is_some_and(|at| at <= now) {
                        self.session.handle_timeout(now);
                    }
                }
                Wake::Ended(reason) => self.end(reason, reason.text()),
            }
        }
    }

    /// Ends the session, with a word on when to come back where the hub goes.
    fn end(&mut self, reason: ErrorCode, detail: &str) {
        let now = clock::boot_now();
        match reason {
            ErrorCode::GoingAway => self.session.go_away(now, self.shared.admission.return_after(), detail),
            reason => self.session.close(now, reason, detail),
        }
    }

    fn handle_message(&mut self, message: Message) -> Option<Closed> {
        let now = clock::boot_now();
        match message {
            Message::Binary(frame) => {
                self.shared.counters.frames_in.add(1);
                let received = frame.len();
                self.session.handle_frame(now, frame);
                let bytes = received.saturating_add(self.session.take_expanded());
                self.shared.quota.note(self.credential.agent.agent, bytes, now);
            }
            Message::Text(_) => self.session.handle_text(now),
            Message::Ping(_) | Message::Pong(_) => {
                self.line.note_waiting(now);
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
        let heard = self.stage.answered();
        match reply {
            Ok(mark) => {
                self.orders.note(heard);
                self.session.handle_committed(clock::boot_now(), mark);
            }
            Err(error) => self.close_for(&error),
        }
    }

    fn close_for(&mut self, error: &StoreError) {
        tracing::warn!(%error, agent = %self.credential.agent.name, "a session ends for the store");
        let (code, detail) = for_peer(error);
        self.end(code, &detail);
    }

    /// Waits for whatever comes first. Cancel safe: nothing is taken before it is returned.
    async fn wake(&mut self) -> Wake {
        let Self { shared, line, session, credential, handshake, entry, stage, orders, .. } = self;
        let Self { mail, relayed, replies, .. } = self;
        let slowed_until = shared.quota.slowed_until(credential.agent.agent, clock::boot_now());
        let reading = if slowed_until.is_some() { Reading::Paused } else { stage.reading() };
        let may_send = stage.may_send();
        let timer = session.poll_timeout();
        let entry = entry.as_deref();
        let ended = async {
            match entry {
                Some(entry) => entry.ended().await,
                None => handshake_dropped(handshake.as_ref()).await,
            }
        };
        let rung = async {
            match entry {
                Some(entry) => entry.rung().await,
                None => std::future::pending().await,
            }
        };
        let mail_came = async {
            match entry {
                Some(entry) => entry.mailbox.rung().await,
                None => std::future::pending().await,
            }
        };
        // Puts out what waits, without reading more: only then the deadline for the peer is known.
        let first = poll_fn(|cx| Poll::Ready(line.poll(cx, &shared.counters, session, Reading::Paused)));
        if let Poll::Ready(message) = first.await {
            return Wake::Message(message);
        }
        let mail = mail.deadline().into_iter().chain(entry.and_then(|entry| entry.mailbox.deadline())).min();
        let deadlines = [
            timer,
            session.poll_timeout(),
            line.write_deadline(session),
            orders.deadline(),
            slowed_until,
            mail,
        ];
        let waiting = orders.waiting();
        tokio::select! {
            biased;
            () = shared.stop.cancelled() => Wake::Ended(ErrorCode::GoingAway),
            reason = ended => Wake::Ended(reason),
            Some(reply) = replies.recv() => Wake::Stored(reply),
            slot = shared.store.reserve(), if may_send => {
                Wake::Room(slot.map(|slot| stage.send(slot, &shared.counters)))
            }
            () = rung => Wake::Rung,
            Some(reply) = relayed.1.recv() => Wake::Relayed(reply),
            () = mail_came => Wake::Mail,
            () = sleep_until(deadlines.into_iter().flatten().min()) => Wake::Timer,
            // Last: a peer that never stops sending must not keep the others from being heard.
            wake = poll_fn(|cx| {
                if waiting && session.takes_orders() {
                    return Poll::Ready(Wake::Orders);
                }
                let message = line.poll(cx, &shared.counters, session, reading);
                // It may have made room.
                let orders = waiting && message.is_pending() && session.takes_orders();
                if orders { Poll::Ready(Wake::Orders) } else { message.map(Wake::Message) }
            }) => wake,
        }
    }

    /// From here on nothing of this session goes to the store, and nobody finds it in the registry.
    fn leave(&mut self) {
        self.stage.clear();
        if let Some(entry) = &self.entry {
            self.shared.registry.logout(entry);
            entry.mailbox.close();
            entry.release();
        }
    }

    /// From here on the agent counts as away, unless another session of it is there.
    async fn note_offline(&mut self) {
        // A hub that goes notes it for all at once.
        if self.entry.is_none() || self.shared.stop.is_cancelled() {
            return;
        }
        let noted = self.shared.store.note_offline(self.credential.agent.agent, self.session_id, hub_time());
        if let Err(error) = noted.await {
            tracing::warn!(%error, agent = %self.credential.agent.name, "the end of a session could not be noted");
        }
    }

    /// Says why and closes, as far as the peer listens.
    async fn finish(mut self, closed: Closed) {
        let name = closed.error.map_or("closed", ErrorCode::name);
        self.shared.counters.sessions_ended.add(name);
        if self.intake.is_none() && closed.error.is_some() {
            // It never registered: that counts with what upgrades are refused for.
            self.shared.counters.auth_failed.add(name);
        }
        tracing::info!(agent = %self.credential.agent.name, session = %self.session_id, error = name,
            code = closed.code, detail = closed.detail, means = closed.error.map(ErrorCode::text), "a session ended");
        if closed.error == Some(ErrorCode::WriteTimeout) {
            return;
        }
        let Self { line, session, shared, .. } = &mut self;
        let goodbye = line.say_goodbye(&shared.counters, session, &closed);
        if tokio::time::timeout(limit::CLOSE_TIMEOUT, goodbye).await.is_err() {
            tracing::debug!(session = %self.session_id, "the peer did not hear the end");
        }
    }
}

/// Completes where a handshake has to go for another of its agent.
async fn handshake_dropped(handshake: Option<&Handshake>) -> ErrorCode {
    match handshake {
        Some(handshake) => handshake.dropped().await,
        None => std::future::pending().await,
    }
    ErrorCode::RateLimited
}

async fn sleep_until(deadline: Option<BootTime>) {
    match deadline {
        Some(deadline) => tokio::time::sleep(deadline.since(clock::boot_now())).await,
        None => std::future::pending().await,
    }
}
