//! A hub made by hand around `session::HubSession`: takes one agent after the other and keeps what arrives in memory.

mod accept;
mod serve;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use outpost::id::{AgentId, HubId, JobId, StreamId};
use outpost::net::meter::Metered;
use outpost::net::stream::Stream;
use outpost::obs::random;
use outpost::time::{BootTime, ClockOffset};
use outpost::wire::error::ErrorCode;
use outpost::wire::job::{JobAck, JobOffer, JobRecord};
use outpost::wire::key::{AgentKey, KeyFile};
use outpost::wire::message::{ConfigRefusal, ConfigSnapshot, Gap};
use outpost::wire::relay::{Relay, RelayReply};
use rustls::ServerConfig;
use serve::Serve;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::{TlsAcceptor, TlsStream};

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
    /// As a hub should, and hands out `config_snapshot`.
    Configures,
    /// Takes records and acks none.
    NeverAcks,
    /// Takes the registration, offers a wide window, and reads nothing more until its manner changes.
    NeverReads,
    /// Takes the registration, then reads nothing and sends WebSocket pings.
    OnlyPings,
    /// Takes the registration and says that it goes, to come back after `AWAY`.
    GoesAway,
}

/// A window that no socket's buffers hold.
pub(crate) const WIDE: u32 = 64 << 20;

/// How often a hub pings that does nothing else.
pub(crate) const PING_EACH: Duration = Duration::from_millis(100);

/// How long a hub that goes asks its agents to stay away.
pub(crate) const AWAY: Duration = Duration::from_millis(400);

pub(crate) fn config_snapshot() -> ConfigSnapshot {
    ConfigSnapshot { version: 7, document: "{\"level\": 7}".into(), signature: None }
}

#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) payloads: BTreeMap<StreamId, Vec<Vec<u8>>>,
    pub(crate) offsets: Vec<Option<ClockOffset>>,
    pub(crate) gaps: Vec<Gap>,
    pub(crate) heartbeats: u64,
    pub(crate) sessions: u64,
    /// When each of them began.
    pub(crate) began: Vec<BootTime>,
    /// The config each Register says it has.
    pub(crate) configs_known: Vec<u64>,
    /// Answers to offers that were no records.
    pub(crate) answers: Vec<JobAck>,
    /// What agents said of jobs, in order.
    pub(crate) jobs: Vec<JobRecord>,
    /// Messages for other agents.
    pub(crate) relays: Vec<Relay>,
    /// What the agent said to messages for its handlers.
    pub(crate) relay_replies: Vec<RelayReply>,
    /// Connections by which the hub learned how the agent closed.
    pub(crate) close_codes: Vec<u16>,
    /// Pings of a hub that does nothing else.
    pub(crate) pings: u64,
    /// The errors that ended its sessions.
    pub(crate) told: Vec<ErrorCode>,
    /// The snapshots that heartbeats say were refused, in order.
    pub(crate) configs_refused: Vec<ConfigRefusal>,
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
    /// Said to each agent when it registers, and to the present one whenever they change.
    pub(crate) orders: watch::Sender<Vec<Order>>,
    /// What it says at the next registration.
    pub(crate) lies: watch::Sender<Lies>,
}

/// What a hub says that need not be so.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lies {
    /// Milliseconds its clock is ahead.
    pub(crate) clock_ms: i64,
    /// The config snapshot it hands out, whatever its manner.
    pub(crate) config: Option<ConfigSnapshot>,
    /// The distance of heartbeats that it asks for, where that is not the usual one.
    pub(crate) heartbeat: Option<Duration>,
}

/// What a hub says of jobs.
#[derive(Debug, Clone)]
pub(crate) enum Order {
    Offer(JobOffer),
    Cancel(JobId),
    /// A message for a handler.
    Relay(Relay),
    /// Ends the present session, once.
    End,
}

/// The handshake, where there is one; `None` where it fails.
async fn secured(stream: TcpStream, tls: Option<&TlsAcceptor>) -> Option<Stream> {
    let stream = Metered::new(stream);
    let Some(tls) = tls else { return Some(Stream::Plain(stream)) };
    let stream = tls.accept(stream).await.ok()?;
    Some(Stream::Tls(Box::new(TlsStream::Server(stream))))
}

impl HandHub {
    pub(crate) async fn start(manner: Manner) -> Self {
        Self::start_for(Self::a_key(), manner).await
    }

    pub(crate) fn a_key() -> KeyFile {
        KeyFile {
            hub_id: HubId::from_bytes(random::bytes()),
            agent_id: AgentId::from_bytes(random::bytes()),
            key_id: "k1".parse().unwrap(),
            key: AgentKey::new(random::bytes()),
        }
    }

    /// The hub of this key.
    pub(crate) async fn start_for(key: KeyFile, manner: Manner) -> Self {
        Self::listen(key, manner, None).await
    }

    /// The same behind TLS, which it ends itself.
    pub(crate) async fn start_tls(key: KeyFile, tls: ServerConfig) -> Self {
        Self::listen(key, Manner::Proper, Some(TlsAcceptor::from(Arc::new(tls)))).await
    }

    async fn listen(key: KeyFile, manner: Manner, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        let hub = Self {
            url,
            key,
            seen: Arc::default(),
            changed: watch::Sender::new(0),
            manner: watch::Sender::new(manner),
            orders: watch::Sender::new(Vec::new()),
            lies: watch::Sender::default(),
        };
        let serve = Serve {
            seen: Arc::clone(&hub.seen),
            changed: hub.changed.clone(),
            hub_id: hub.key.hub_id,
            agent_id: hub.key.agent_id,
            mac_root: hub.key.key.mac_root(),
            orders: hub.orders.subscribe(),
            lies: hub.lies.subscribe(),
        };
        let mut manner = hub.manner.subscribe();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let now = *manner.borrow();
                let Some(stream) = secured(stream, tls.as_ref()).await else { continue };
                serve.one(stream, now, &mut manner).await;
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
