//! One connection of the hand-made hub, in the manner it was told.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use outpost::id::{AgentId, HubId, MessageId, SessionId, StreamId};
use outpost::net::stream::Stream;
use outpost::obs::clock::{boot_now, wall_now};
use outpost::obs::random;
use outpost::session::{HubConfig, HubEvent, HubSession, Transmit};
use outpost::time::HubTime;
use outpost::wire::batch;
use outpost::wire::envelope::{self, Header};
use outpost::wire::error::ErrorCode;
use outpost::wire::job::JobRecord;
use outpost::wire::key::{Direction, MacRoot, SessionContext};
use outpost::wire::message::{
    ChannelBinding, GoAway, Limits, Message as WireMessage, SignatureMode, StreamMark,
};
use tokio::sync::watch;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::accept::accept;
use super::{AWAY, DEADLINE, Lies, Manner, Order, PING_EACH, Seen, WIDE, config_snapshot};

pub(super) struct Serve {
    pub(super) seen: Arc<Mutex<Seen>>,
    pub(super) changed: watch::Sender<u64>,
    pub(super) hub_id: HubId,
    pub(super) agent_id: AgentId,
    pub(super) mac_root: MacRoot,
    pub(super) orders: watch::Receiver<Vec<Order>>,
    pub(super) lies: watch::Receiver<Lies>,
}

impl Serve {
    fn see(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen.lock().unwrap());
        self.changed.send_modify(|count| *count += 1);
    }

    fn config(&self, hub_id: HubId, agent_nonce: [u8; 32], exporter: Option<[u8; 32]>) -> HubConfig {
        let announced = exporter.map_or(ChannelBinding::None, |_| ChannelBinding::TlsExporter);
        HubConfig {
            hub_id,
            agent_id: self.agent_id,
            mac_root: self.mac_root.clone(),
            identity: None,
            signature: SignatureMode::None,
            agent_nonce,
            hub_nonce: random::bytes(),
            session_id: SessionId::from_bytes(random::bytes()),
            binding: announced,
            channel_binding: exporter.unwrap_or_default(),
            limits: Limits {
                message_bytes: 2 << 20,
                window_bytes: 1 << 20,
                control_window_bytes: 64 << 10,
                record_bytes: 1 << 20,
                ping_interval: Duration::from_secs(30),
                idle: Duration::from_secs(90),
                zstd: false,
            },
            heartbeat_interval: self.lies.borrow().heartbeat.unwrap_or(Duration::from_secs(30)),
            message_id_seed: random::bytes(),
        }
    }

    pub(super) async fn one(&self, stream: Stream, manner: Manner, changes: &mut watch::Receiver<Manner>) {
        self.see(|seen| seen.began.push(boot_now()));
        if manner == Manner::ClosesAtOnce {
            drop(stream);
            return self.see(|seen| seen.sessions += 1);
        }
        let exporter = stream.binding();
        let Some((mut socket, nonce)) = accept(stream).await else { return };
        self.see(|seen| seen.sessions += 1);
        match manner {
            Manner::Nonsense => {
                let _ = socket.send(Message::Binary(vec![0x5a; 300].into())).await;
            }
            Manner::Proper
            | Manner::AnotherHub
            | Manner::Silent
            | Manner::ClosesAtOnce
            | Manner::Configures
            | Manner::NeverAcks
            | Manner::NeverReads
            | Manner::OnlyPings
            | Manner::GoesAway => {}
        }
        if matches!(manner, Manner::Nonsense | Manner::Silent) {
            while let Some(Ok(message)) = socket.next().await {
                if let Message::Close(Some(frame)) = message {
                    self.see(|seen| seen.close_codes.push(frame.code.into()));
                }
            }
            return;
        }
        self.session(socket, (nonce, exporter), manner, changes).await;
    }

    async fn session(
        &self,
        mut socket: WebSocketStream<Stream>,
        (nonce, exporter): ([u8; 32], Option<[u8; 32]>),
        manner: Manner,
        changes: &mut watch::Receiver<Manner>,
    ) {
        let hub_id = if manner == Manner::AnotherHub { HubId::from_bytes([0xee; 16]) } else { self.hub_id };
        let mut config = self.config(hub_id, nonce, exporter);
        if manner == Manner::NeverReads {
            config.limits.window_bytes = WIDE;
        }
        let mut leaving = (manner == Manner::GoesAway).then(|| go_away(&config));
        let time = wall_now().0.saturating_add_signed(self.lies.borrow().clock_ms);
        let mut session = HubSession::new(config, boot_now(), HubTime(time));
        let mut out = BytesMut::new();
        let mut frames = 0;
        let mut orders = self.orders.clone();
        // Said at the registration.
        orders.mark_unchanged();
        loop {
            while let Some(event) = session.poll_event() {
                let farewell = farewell(&event);
                if self.event(&mut session, event, manner) {
                    let _gone = socket.close(farewell).await;
                    return;
                }
            }
            while let Some(transmit) = session.poll_transmit(boot_now(), &mut out) {
                let message = match transmit {
                    Transmit::Frame => {
                        frames += 1;
                        Message::Binary(out.split().freeze())
                    }
                    Transmit::Ping => Message::Ping(bytes::Bytes::new()),
                };
                if socket.send(message).await.is_err() {
                    return;
                }
            }
            if frames == 2 && manner == Manner::NeverReads {
                changes.wait_for(|now| *now != manner).await.unwrap();
                return;
            }
            if frames == 2 && manner == Manner::OnlyPings {
                return self.only_ping(socket).await;
            }
            if frames == 2
                && let Some(frame) = leaving.take()
            {
                socket.send(Message::Binary(frame)).await.unwrap();
            }
            let wait = session.poll_timeout().map_or(DEADLINE, |deadline| deadline.since(boot_now()));
            tokio::select! {
                message = socket.next() => match message {
                    Some(Ok(Message::Binary(frame))) => session.handle_frame(boot_now(), frame),
                    Some(Ok(Message::Close(frame))) => {
                        let code = frame.map_or(1005, |frame| frame.code.into());
                        return self.see(|seen| seen.close_codes.push(code));
                    }
                    Some(Ok(_)) => session.handle_activity(boot_now()),
                    Some(Err(_)) | None => return,
                },
                changed = orders.changed() => {
                    changed.unwrap();
                    say(&mut session, &orders.borrow_and_update());
                }
                () = tokio::time::sleep(wait) => session.handle_timeout(boot_now()),
            }
        }
    }

    /// Until the agent goes.
    async fn only_ping(&self, mut socket: WebSocketStream<Stream>) {
        let mut each = tokio::time::interval(PING_EACH);
        loop {
            each.tick().await;
            if socket.send(Message::Ping(Bytes::new())).await.is_err() {
                return;
            }
            self.see(|seen| seen.pings += 1);
        }
    }

    /// What is here of a stream.
    fn mark(&self, stream: StreamId) -> StreamMark {
        let seen = self.seen.lock().unwrap();
        let taken = seen.payloads.get(&stream);
        let acked = taken.map_or(0, |taken| taken.len() as u64);
        let last = taken.and_then(|taken| taken.last());
        let acked_crc = last.map_or(0, |last| batch::record_crc(acked, last));
        StreamMark { stream, acked, acked_crc }
    }

    /// Whether the session is over.
    fn event(&self, session: &mut HubSession, event: HubEvent, manner: Manner) -> bool {
        match event {
            HubEvent::Register(register) => {
                self.see(|seen| seen.configs_known.push(register.last_known_config_version));
                let config = (manner == Manner::Configures).then(config_snapshot);
                let config = self.lies.borrow().config.clone().or(config);
                let marks = register.streams.entries.iter().map(|state| self.mark(state.stream)).collect();
                session.accept(boot_now(), marks, config);
                let lasting: Vec<_> = self
                    .orders
                    .borrow()
                    .iter()
                    .filter(|order| !matches!(order, Order::End))
                    .cloned()
                    .collect();
                say(session, &lasting);
            }
            HubEvent::Records { records, skip } => {
                let decoded = batch::decode(&records.batch, records.count).unwrap();
                let last = records.last();
                let new = decoded.iter().skip(skip as usize);
                // A record in parts is an artifact or a payload: what is looked at here is whole.
                let whole = new.filter(|record| record.part.is_none());
                let jobs =
                    whole.filter_map(|record| JobRecord::decode(record.kind, &record.payload).unwrap());
                let jobs: Vec<_> = jobs.collect();
                self.see(|seen| {
                    seen.jobs.extend(jobs);
                    seen.offsets.push(records.clock_offset);
                    let taken = seen.payloads.entry(records.stream).or_default();
                    assert_eq!(taken.len() as u64 + 1, records.first + u64::from(skip), "in order, once");
                    taken.extend(
                        decoded.into_iter().skip(skip as usize).map(|record| record.payload.to_vec()),
                    );
                });
                let mark = StreamMark { stream: records.stream, acked: last, acked_crc: 0 };
                if manner != Manner::NeverAcks {
                    session.handle_committed(boot_now(), mark);
                }
            }
            HubEvent::Heartbeat(heartbeat) => self.see(|seen| {
                seen.heartbeats += 1;
                seen.configs_refused.extend(heartbeat.config_refused);
            }),
            HubEvent::JobAck(ack) => self.see(|seen| seen.answers.push(ack)),
            HubEvent::Gap(gap) => {
                self.see(|seen| seen.gaps.push(gap));
                let mark = StreamMark { stream: gap.stream, acked: gap.to, acked_crc: 0 };
                session.handle_committed(boot_now(), mark);
            }
            // They are never answered.
            HubEvent::Relay(relay) => self.see(|seen| seen.relays.push(relay)),
            HubEvent::RelayReply(reply) => self.see(|seen| seen.relay_replies.push(reply)),
            HubEvent::KeyAgreed { .. } => panic!("this hub asks for no key"),
            HubEvent::Unknown(_) => {}
            HubEvent::Closed(closed) => {
                self.see(|seen| seen.told.extend(closed.error));
                return true;
            }
        }
        false
    }
}

/// How a hub that was sent something it does not understand closes.
fn farewell(event: &HubEvent) -> Option<CloseFrame> {
    let HubEvent::Closed(closed) = event else { return None };
    let reason = closed.error.map_or("", ErrorCode::name);
    Some(CloseFrame { code: closed.code.into(), reason: reason.into() })
}

fn say(session: &mut HubSession, orders: &[Order]) {
    for order in orders {
        match order {
            Order::Offer(offer) => session.offer_job(offer.clone()),
            Order::Cancel(job) => session.cancel_job(*job),
            Order::Relay(relay) => {
                // Again, whether it was answered or not.
                session.relays_mut().forget(relay.id);
                session.relays_mut().send(relay.clone());
            }
            Order::End => session.close(boot_now(), ErrorCode::Internal, "it was told to"),
        }
    }
}

/// The frame after the RegisterAck.
fn go_away(config: &HubConfig) -> Bytes {
    let context = SessionContext {
        hub_id: config.hub_id,
        agent_id: config.agent_id,
        session_id: config.session_id,
        agent_nonce: config.agent_nonce,
        hub_nonce: config.hub_nonce,
        channel_binding: config.channel_binding,
    };
    let key = config.mac_root.session_key(Direction::HubToAgent, &context);
    let message = WireMessage::GoAway(GoAway { retry_after: AWAY, reason: "it moves".to_owned() });
    let id = MessageId { hi: 1, lo: 3 };
    let header = Header { seq: 3, sent_at: HubTime(wall_now().0), id, correlation: MessageId::NONE };
    let mut out = BytesMut::new();
    envelope::seal(header, message, &key, &mut out);
    out.freeze()
}
