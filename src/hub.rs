//! The hub: accepts agents, stores what they deliver exactly once, and answers questions about it.
//!
//! [`Hub::start`] opens the store, binds the listeners and returns; everything runs in tasks that
//! [`Hub::shutdown`] ends in order: no new connections, agents closed with 1001, the writer through, the database closed.

mod admission;
mod advertised;
mod api;
pub(crate) mod authority;
mod bearer;
mod callers;
mod clones;
mod close;
pub mod config;
pub(crate) mod connection;
mod counters;
mod departed;
pub mod embedded;
mod enroll;
mod followers;
pub mod import;
pub(crate) mod ingest;
mod jobs;
pub mod labels;
mod listen;
pub mod live;
pub mod logbus;
mod metrics;
pub(crate) mod orders;
mod place;
mod quota;
mod registry;
pub(crate) mod relay;
mod socket;
pub mod store;
pub(crate) mod stranded;
mod tail;
mod tls;
pub mod token;
mod upgrade;
pub mod view;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::id::HubId;
use crate::net::monitor::{BindError, Monitor};
use crate::net::tls::server::{ClientCertificate, ServerTls, ServerTlsError};
use crate::obs::{clock, descriptors, folder, machine};
use crate::time::HubTime;
use crate::wire::jwt::JwtKey;
use crate::wire::mac::MacKey;

use admission::Admission;
use callers::Callers;
use close::Held;
use config::{Config, ConfigError};
use counters::Counters;
use followers::Followers;
use live::Live;
use logbus::LogBus;
use quota::Quota;
use registry::Registry;
use store::{Actor, Creation, Store, StoreError};
use stranded::Strandings;
use token::AdminToken;

/// What keeps a hub from starting.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting is out of its bounds.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The admin token's file.
    #[error("the admin token {path}: {error}")]
    Token {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The files of `[tls]`.
    #[error("[tls] {0}")]
    Tls(#[from] ServerTlsError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {error}; choose another with --listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        error: std::io::Error,
    },
    /// The metrics' listener.
    #[error(transparent)]
    Metrics(#[from] BindError),
    /// The listeners of live topics.
    #[error(transparent)]
    Live(#[from] live::BindError),
}

/// What all tasks of one hub share.
struct Shared {
    store: Store,
    registry: Registry,
    counters: Counters,
    admission: Admission,
    quota: Quota,
    relays: relay::Relays,
    /// What lines did not carry.
    strandings: Strandings,
    config: Config,
    /// Where it is on, on all listeners.
    tls: Option<Arc<ServerTls>>,
    callers: Callers,
    jwt: JwtKey,
    /// Of signed upgrades.
    nonces: Mutex<upgrade::Nonces>,
    /// Where there is a broker of live topics.
    live: Option<Live>,
    logbus: LogBus,
    /// Signs the tokens of own streams.
    stream_key: MacKey,
    /// Held by the one bundle that is taken in.
    importing: tokio::sync::Mutex<()>,
    /// One for each log that may be followed at once.
    followers: Followers,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Shared {
    /// Starts what looks after things by itself.
    fn begin_tending(self: &Arc<Self>) {
        self.tasks.spawn(departed::watch(Arc::clone(self)));
        self.tasks.spawn(jobs::sweep(Arc::clone(self)));
        self.tasks.spawn(logbus::fill(Arc::clone(self)));
        self.tasks.spawn(relay::sweep(Arc::clone(self)));
        if let Some(tls) = &self.tls {
            let told = tls::announce(tls);
            self.tasks.spawn(tls::watch(Arc::clone(self), Arc::clone(tls), told));
        }
    }
}

/// The clock that all of a hub's agents go by.
fn hub_time() -> HubTime {
    HubTime(clock::wall_now().0)
}

/// The store as the hub itself uses it, and its writer.
async fn open_store(config: &Config) -> Result<(Store, JoinHandle<()>), StoreError> {
    let (store, writer) = Store::open(&config.data, Creation::Allowed).await?;
    let store = store.by(Actor::Hub);
    store.note_start(hub_time()).await?;
    Ok((store, writer))
}

/// A running hub. Dropping it without [`Hub::close`] leaves its tasks to the runtime.
pub struct Hub {
    shared: Arc<Shared>,
    local_addr: SocketAddr,
    agent_addr: SocketAddr,
    metrics_addr: Option<SocketAddr>,
    first_start: bool,
    /// `None` once it is closed. Held while it is.
    held: tokio::sync::Mutex<Option<Held>>,
}

impl Hub {
    /// A hub inside another program.
    pub const fn builder(config: Config) -> embedded::Builder {
        embedded::Builder::new(config)
    }

    /// Starts a hub in `config.data`, which is made where it is not there.
    ///
    /// # Errors
    /// Where a setting, the folder, the database, the token file, an address or the files of TLS cannot be used.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        Self::builder(config).start().await
    }

    async fn start_with(config: Config) -> Result<Self, StartError> {
        let tls = config.tls.clone().map(ServerTls::load).transpose()?;
        let lock = store::FolderLock::take(&config.data)?;
        let (store, writer) = open_store(&config).await?;
        let api = listen::bind(config.listen).await?;
        let agents = match config.agent_listen {
            Some(address) => Some(listen::bind(address).await?),
            None => None,
        };
        let monitor = match config.metrics_listen {
            Some(address) => Some(Monitor::bind(address).await?),
            None => None,
        };
        let metrics_addr = monitor.as_ref().map(Monitor::address);
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let tls = tls.map(Arc::new);
        let (live, broker) = match &config.live {
            Some(live) => Some(Live::bind(live).await?).unzip(),
            None => (None, None),
        };
        let bound = |listener: &tokio::net::TcpListener| {
            listener.local_addr().map_err(|error| StartError::Listen { address: config.listen, error })
        };
        let local_addr = bound(&api)?;
        let agent_addr = agents.as_ref().map_or(Ok(local_addr), bound)?;
        // Last: a start that failed before is not the first one, whose user is told what to do next.
        folder::warn_of(&config.data);
        let path = token::path(&config.data);
        let (token, first_start) =
            AdminToken::open_or_create(&path).map_err(|error| StartError::Token { path, error })?;
        let callers = Callers::read(token, &store).await?;
        let logbus = logbus::open(&store).await?;
        let shared = Arc::new(Shared {
            registry: Registry::default(),
            counters: Counters::default(),
            jwt: store.jwt_key(),
            stream_key: store.stream_key(),
            nonces: Mutex::default(),
            store,
            admission: Admission::new(config.admission.clone(), descriptors::limit()),
            quota: Quota::new(config.quota),
            relays: relay::Relays::new(config.relay.clone(), config.relay_bytes_max()),
            strandings: Strandings::default(),
            config,
            tls,
            callers,
            live,
            logbus,
            importing: tokio::sync::Mutex::new(()),
            followers: Followers::default(),
            stop,
            tasks,
        });
        shared.begin_tending();
        let routers = listen::routers(&shared, agents.is_some());
        if let Some(broker) = broker {
            broker.serve(shared.tls.clone(), Some(Arc::clone(&shared)), &shared.stop, &shared.tasks);
        }
        let operators =
            if agents.is_some() { ClientCertificate::NotAsked } else { ClientCertificate::Required };
        shared.tasks.spawn(listen::serve(api, routers.api, operators, Arc::clone(&shared)));
        if let Some(listener) = agents {
            let clients = ClientCertificate::Required;
            shared.tasks.spawn(listen::serve(listener, routers.agents, clients, Arc::clone(&shared)));
        }
        if let Some(monitor) = monitor {
            shared.tasks.spawn(monitor.serve(Arc::clone(&shared), shared.stop.clone()));
        }
        let held = tokio::sync::Mutex::new(Some(Held { writer: Some(writer), _lock: lock }));
        Ok(Self { shared, local_addr, agent_addr, metrics_addr, first_start, held })
    }

    /// Where the API answers (and the agents, unless they have a listener of their own).
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Where agents connect.
    pub fn agent_addr(&self) -> SocketAddr {
        self.agent_addr
    }

    /// Where metrics are answered without a token, where they are.
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.metrics_addr
    }

    /// The broker of live topics, where there is one.
    pub fn live(&self) -> Option<&Live> {
        self.shared.live.as_ref()
    }

    /// Where the API answers, as a URL on this machine.
    pub fn url(&self) -> String {
        self.url_of(self.local_addr)
    }

    /// Where agents connect, as a URL on this machine.
    pub fn agent_url(&self) -> String {
        self.url_of(self.agent_addr)
    }

    fn url_of(&self, address: SocketAddr) -> String {
        let certificate = self.shared.tls.as_ref().map(|tls| tls.certificate());
        advertised::url(address, certificate.as_ref(), &machine::host_name())
    }

    /// The file of the hub's own authority, where the certificate in use comes of it.
    pub(crate) fn own_authority(&self) -> Option<PathBuf> {
        authority::own_file(self.data(), &self.shared.tls.as_ref()?.chain())
    }

    /// Who signs the certificates that are asked for where agents connect.
    pub(crate) fn client_ca(&self) -> Option<&Path> {
        self.shared.tls.as_ref()?.files().client_ca.as_deref()
    }

    /// Which installation this is.
    pub fn hub_id(&self) -> HubId {
        self.shared.store.hub_id()
    }

    /// The store, for programs that embed a hub.
    pub fn store(&self) -> &Store {
        &self.shared.store
    }

    /// The data folder.
    pub fn data(&self) -> &Path {
        &self.shared.config.data
    }

    /// Whether this start made the admin token.
    pub fn first_start(&self) -> bool {
        self.first_start
    }
}
