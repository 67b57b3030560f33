//! One agent's connection: a task that drives a [`HubSession`] between the socket, the registry and the store.
//!
//! The task never waits for one thing only: a peer that does not read, a slow store and a replaced login are all
//! answered at once. It stops reading while the store has as much of it as `limit` allows.
//!
//! There are thousands of them, and most have nothing to say. What one seldom does is boxed while it does it: a future with a
//! query of the database inside would otherwise be a part of each connection's memory (benches/sessions.rs).

pub(crate) mod ending;
mod event;
mod leaving;
mod line;
mod orders;
mod outgoing;
mod register;
mod relay;
mod rotation;
mod stage;
mod stranded;
mod wake;

use std::net::SocketAddr;
use std::sync::Arc;

use hyper::upgrade::OnUpgrade;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::protocol::Message;

use crate::id::SessionId;
use crate::limit;
use crate::obs::{clock, random};
use crate::session::{Closed, HubConfig, HubSession};
use crate::wire::error::ErrorCode;
use crate::wire::message::ChannelBinding;

use super::admission::Handshake;
use super::ingest::Intake;
use super::orders::Orders;
use super::registry::Entry;
use super::socket::{Channel, Socket};
use super::store::{Credential, IngestReply, StoreError};
use super::{Shared, hub_time};
use ending::{for_peer, gone, of_socket};
use leaving::Heard;
use line::Line;
use outgoing::Outgoing;
use relay::Deliveries;
use stage::Stage;
use wake::Wake;

/// Who is at the other end.
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    pub(super) channel: Channel,
}

/// Serves one admitted agent until its session ends.
pub(super) fn serve(
    shared: Arc<Shared>,
    upgrade: OnUpgrade,
    handshake: Handshake,
    credential: Credential,
    agent_nonce: [u8; 32],
    Peer { address, channel }: Peer,
) -> impl Future<Output = ()> + Send {
    let opened = Box::pin(async move {
        let socket = open(upgrade, address, channel, shared.config.message_bytes_max()).await?;
        Some(Connection::new(shared, socket, handshake, credential, agent_nonce, address))
    });
    async move {
        let Some(mut connection) = opened.await else { return };
        let closed = connection.run().await;
        let given_up = connection.leave();
        Box::pin(connection.refuse_stranded(given_up)).await;
        Box::pin(connection.settle_mail()).await;
        Box::pin(connection.note_offline()).await;
        let error = closed.error;
        let heard = Box::pin(connection.finish(closed)).await;
        if (error, heard) == (Some(ErrorCode::Clock), Heard::No) {
            connection.line.reset();
        }
    }
}

/// Waits for the upgrade's end, and takes its socket over.
async fn open(upgrade: OnUpgrade, address: SocketAddr, channel: Channel, bytes_max: usize) -> Option<Socket> {
    match tokio::time::timeout(limit::HANDSHAKE_TIMEOUT, upgrade).await {
        Ok(Ok(upgraded)) => return Some(Socket::new(upgraded, channel, bytes_max).await),
        Ok(Err(error)) => tracing::debug!(%error, %address, "the upgrade failed"),
        Err(_) => tracing::debug!(%address, "the upgrade took too long"),
    }
    None
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
    deliveries: Deliveries,
    outgoing: Outgoing,
    replies: mpsc::Receiver<IngestReply>,
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
            deliveries: Deliveries::default(),
            outgoing: Outgoing::default(),
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
                    Box::pin(self.look_for_rotation()).await;
                }
                Wake::Mail => self.give_mail(),
                Wake::MailStored(stored) => self.mail_stored(stored),
                Wake::Relayed(reply) => self.session.relays_mut().answer(reply),
                Wake::Orders => Box::pin(self.give_orders()).await,
                Wake::Timer => {
                    let now = clock::boot_now();
                    if let Some(closed) = self.line.check_writes(now, &self.session) {
                        return closed;
                    }
                    self.line.note_bytes(&mut self.session);
                    self.orders.handle_timeout(now, self.session.offers_carried());
                    self.mail_timeouts(now);
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
        self.line.note_bytes(&mut self.session);
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
}
