//! A hub made by hand around `session::HubSession`: takes one agent after the other and keeps what arrives in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::BytesMut;
use futures_util::{SinkExt, StreamExt};
use outpost::id::{AgentId, HubId, SessionId, StreamId};
use outpost::obs::clock::{boot_now, wall_now};
use outpost::obs::random;
use outpost::session::{HubConfig, HubEvent, HubSession, Transmit};
use outpost::time::{ClockOffset, HubTime};
use outpost::wire::batch;
use outpost::wire::key::{AgentKey, KeyFile, MacRoot, decode32};
use outpost::wire::message::{ChannelBinding, Limits, SignatureMode, StreamMark};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// What the hub does with the next agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// As a hub should.
    Proper,
    /// Closes the TCP connection at once.
    ClosesAtOnce,
    /// Upgrades, then sends bytes that are no frame.
    Nonsense,
    /// Says that it is another hub.
    AnotherHub,
    /// Upgrades and then says nothing.
    Silent,
}

#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) payloads: BTreeMap<StreamId, Vec<Vec<u8>>>,
    pub(crate) offsets: Vec<Option<ClockOffset>>,
    pub(crate) heartbeats: u64,
    pub(crate) sessions: u64,
    /// Connections by which the hub learned how the agent closed.
    pub(crate) close_codes: Vec<u16>,
}

impl Seen {
    pub(crate) fn records(&self) -> usize {
        self.payloads.values().map(Vec::len).sum()
    }
}

pub(crate) struct HandHub {
    pub(crate) url: String,
    pub(crate) key: KeyFile,
    seen: Arc<Mutex<Seen>>,
    changed: watch::Sender<u64>,
    pub(crate) manner: watch::Sender<Manner>,
}

impl HandHub {
    pub(crate) async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let key = KeyFile {
            hub_id: HubId::from_bytes(random::bytes()),
            agent_id: AgentId::from_bytes(random::bytes()),
            key_id: "k1".parse().unwrap(),
            key: AgentKey::new(random::bytes()),
        };
        let hub = Self {
            url,
            key,
            seen: Arc::default(),
            changed: watch::Sender::new(0),
            manner: watch::Sender::new(manner),
        };
        let serve = Serve {
            seen: Arc::clone(&hub.seen),
            changed: hub.changed.clone(),
            hub_id: hub.key.hub_id,
            agent_id: hub.key.agent_id,
            mac_root: hub.key.key.mac_root(),
        };
        let manner = hub.manner.subscribe();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let now = *manner.borrow();
                serve.one(stream, now).await;
            }
        });
        hub
    }

    /// Waits until what was seen is as wished.
    pub(crate) async fn until(&self, what: &str, wish: impl Fn(&Seen) -> bool) {
        let mut changed = self.changed.subscribe();
        let wait = async {
            while !wish(&self.seen.lock().unwrap()) {
                changed.changed().await.unwrap();
            }
        };
        if tokio::time::timeout(DEADLINE, wait).await.is_err() {
            let seen = self.seen.lock().unwrap();
            panic!("not in time: {what}; {} records, {} sessions", seen.records(), seen.sessions);
        }
    }

    pub(crate) fn look<T>(&self, look: impl Fn(&Seen) -> T) -> T {
        look(&self.seen.lock().unwrap())
    }
}

struct Serve {
    seen: Arc<Mutex<Seen>>,
    changed: watch::Sender<u64>,
    hub_id: HubId,
    agent_id: AgentId,
    mac_root: MacRoot,
}

impl Serve {
    fn see(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen.lock().unwrap());
        self.changed.send_modify(|count| *count += 1);
    }

    fn config(&self, hub_id: HubId, agent_nonce: [u8; 32]) -> HubConfig {
        HubConfig {
            hub_id,
            agent_id: self.agent_id,
            mac_root: self.mac_root.clone(),
            identity: None,
            signature: SignatureMode::None,
            agent_nonce,
            hub_nonce: random::bytes(),
            session_id: SessionId::from_bytes(random::bytes()),
            binding: ChannelBinding::None,
            channel_binding: [0; 32],
            limits: Limits {
                message_bytes: 2 << 20,
                window_bytes: 1 << 20,
                control_window_bytes: 64 << 10,
                record_bytes: 1 << 20,
                ping_interval: Duration::from_secs(30),
                idle: Duration::from_secs(90),
                zstd: false,
            },
            heartbeat_interval: Duration::from_secs(30),
            message_id_seed: random::bytes(),
        }
    }

    async fn one(&self, stream: TcpStream, manner: Manner) {
        if manner == Manner::ClosesAtOnce {
            drop(stream);
            return self.see(|seen| seen.sessions += 1);
        }
        let mut nonce = None;
        #[allow(clippy::result_large_err, reason = "tungstenite's callback has this shape")]
        let callback = |request: &Request, mut response: Response| {
            nonce =
                request.headers().get("X-Outpost-Nonce").and_then(|value| decode32(value.to_str().unwrap()));
            response.headers_mut().insert("Sec-WebSocket-Protocol", "outpost.v1".parse().unwrap());
            Ok(response)
        };
        let Ok(mut socket) = tokio_tungstenite::accept_hdr_async(stream, callback).await else { return };
        self.see(|seen| seen.sessions += 1);
        match manner {
            Manner::Nonsense => {
                let _ = socket.send(Message::Binary(vec![0x5a; 300].into())).await;
            }
            Manner::Proper | Manner::AnotherHub | Manner::Silent | Manner::ClosesAtOnce => {}
        }
        if matches!(manner, Manner::Nonsense | Manner::Silent) {
            while let Some(Ok(message)) = socket.next().await {
                if let Message::Close(Some(frame)) = message {
                    self.see(|seen| seen.close_codes.push(frame.code.into()));
                }
            }
            return;
        }
        let hub_id = if manner == Manner::AnotherHub { HubId::from_bytes([0xee; 16]) } else { self.hub_id };
        let config = self.config(hub_id, nonce.expect("the agent sends a nonce"));
        let mut session = HubSession::new(config, boot_now(), HubTime(wall_now().0));
        let mut out = BytesMut::new();
        loop {
            while let Some(event) = session.poll_event() {
                if self.event(&mut session, event) {
                    return;
                }
            }
            while let Some(transmit) = session.poll_transmit(boot_now(), &mut out) {
                let message = match transmit {
                    Transmit::Frame => Message::Binary(out.split().freeze()),
                    Transmit::Ping => Message::Ping(bytes::Bytes::new()),
                };
                if socket.send(message).await.is_err() {
                    return;
                }
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
                () = tokio::time::sleep(wait) => session.handle_timeout(boot_now()),
            }
        }
    }

    /// Whether the session is over.
    fn event(&self, session: &mut HubSession, event: HubEvent) -> bool {
        match event {
            HubEvent::Register(register) => {
                let marks = register
                    .streams
                    .entries
                    .iter()
                    .map(|state| {
                        let seen = self.seen.lock().unwrap();
                        let taken = seen.payloads.get(&state.stream);
                        let acked = taken.map_or(0, |taken| taken.len() as u64);
                        let acked_crc = taken
                            .and_then(|taken| taken.last())
                            .map_or(0, |last| batch::record_crc(acked, last));
                        StreamMark { stream: state.stream, acked, acked_crc }
                    })
                    .collect();
                session.accept(boot_now(), marks, None);
            }
            HubEvent::Records { records, skip } => {
                let decoded = batch::decode(&records.batch, records.count).unwrap();
                let last = records.last();
                self.see(|seen| {
                    seen.offsets.push(records.clock_offset);
                    let taken = seen.payloads.entry(records.stream).or_default();
                    assert_eq!(taken.len() as u64 + 1, records.first + u64::from(skip), "in order, once");
                    taken.extend(
                        decoded.into_iter().skip(skip as usize).map(|record| record.payload.to_vec()),
                    );
                });
                let mark = StreamMark { stream: records.stream, acked: last, acked_crc: 0 };
                session.handle_committed(boot_now(), mark);
            }
            HubEvent::Heartbeat(_) => self.see(|seen| seen.heartbeats += 1),
            HubEvent::Gap(_) | HubEvent::JobAck(_) | HubEvent::Unknown(_) => {}
            HubEvent::Closed(_) => return true,
        }
        false
    }
}
