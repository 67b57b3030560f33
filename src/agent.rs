//! The agent: takes records from local programs, keeps them in the outbox, and delivers them to its hub.
//!
//! [`Agent::start`] opens the outbox, listens on the local socket and, where a hub is set, dials it for ever. It works
//! with no hub and without a key: only a wrong setting or a folder that cannot be opened is an error.

mod address;
mod builder;
pub mod bundle;
pub mod config;
mod connect;
mod credential;
pub mod enroll;
mod heartbeat;
pub mod identity;
pub mod intake;
pub mod jobs;
mod metrics;
pub mod pace;
pub mod record;
pub mod relay;
mod shutdown;
mod snapshot;
pub mod state;
mod token;
mod turns;
pub(crate) mod uplink;

use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::exec::Handlers;
use crate::id::{InstanceId, ParseIdError};
use crate::limit;
use crate::net::dial::Dialer;
use crate::net::meter::Meter;
use crate::net::monitor::BindError;
use crate::net::tls::client::{ClientTls, SettingsError};
use crate::net::tls::trust::TimeFloor;
use crate::obs::{folder, random, secret_file};
use crate::outbox::{OpenError, Options, Outbox, StoreError};
use crate::wire::operator::OperatorKeys;

pub use builder::Builder;
use config::Config;
use intake::{Intake, SocketError};
use relay::{Inbox, Line, RelayClient, RelayHandlers};
use state::{SAVED_ROW, Saved, State, Status};
use uplink::Relaying;

/// The agent's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Why an agent does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder cannot be made.
    #[error("cannot make the data folder {}: {source}; choose another with --data DIR", path.display())]
    Data {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The outbox does not open.
    #[error(transparent)]
    Outbox(#[from] OpenError),
    /// The outbox opens but cannot be read.
    #[error("the outbox cannot be read: {0}")]
    Store(#[from] StoreError),
    /// The local socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The name of a handler of relayed messages.
    #[error(transparent)]
    HandlerName(ParseIdError),
    /// Too many of them.
    #[error("{0} handlers of relayed messages, the limit is {most}; let one take several kinds of messages", most = limit::RELAY_HANDLERS_MAX)]
    Handlers(usize),
    /// The files of TLS.
    #[error(transparent)]
    Tls(#[from] SettingsError),
    /// The metrics' listener.
    #[error(transparent)]
    Metrics(#[from] BindError),
}

/// A running agent.
#[derive(Debug)]
pub struct Agent {
    outbox: Outbox,
    state: State,
    stop_intake: CancellationToken,
    stop_link: CancellationToken,
    intake: JoinHandle<()>,
    jobs: jobs::Running,
    link: Option<JoinHandle<()>>,
    monitor: Option<metrics::Running>,
    socket: PathBuf,
    relaying: Relaying,
}

impl Agent {
    /// An agent with handlers of its own, besides `exec`.
    pub fn builder(config: Config) -> Builder {
        Builder::new(config)
    }

    /// Starts an agent that runs jobs of the kind `exec` only. Needs a tokio runtime.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(config: Config) -> Result<Self, StartError> {
        Self::builder(config).start().await
    }

    async fn start_with(
        config: Config,
        handlers: Handlers,
        relay: RelayHandlers,
    ) -> Result<Self, StartError> {
        intake::check_path(&config.socket)?;
        // Before the outbox is opened, which a failure would have to close again.
        let monitor = metrics::bind(&config).await?;
        folder::make(&config.data)
            .map_err(|source| StartError::Data { path: config.data.clone(), source })?;
        warn_of(&config);
        let floor = TimeFloor::default();
        let tls = ClientTls::with_time(&config.tls, config.wall_clock, floor.clone())?;
        if let Some(damage) = tls.damage() {
            tracing::warn!("{damage}; no hub is believed until that is mended");
        }
        // Where the key is usable now a folder of another agent is an error at once, not later in the log.
        let identity = identity::load(&config.identity_files()).ok();
        let agent = identity.as_ref().map(|identity| identity.key.agent_id);
        let options = Options { agent, ..config.outbox.clone() };
        let outbox = open(outbox_folder(&config.data), options).await?;
        let state = restore(&outbox, config.operator_keys.as_ref()).await?;
        floor.rise(state.time_floor());
        let listener = or_close(&outbox, intake::bind(&config.socket).await).await?;
        let with = jobs::Surroundings {
            outbox: outbox.clone(),
            state: state.clone(),
            wall_clock: config.wall_clock,
            keys: identity.map(|own| jobs::SealKeys::of(&own.key, &own)).unwrap_or_default(),
            operator_keys: config.operator_keys.clone(),
        };
        let handlers = handlers.only(config.kinds.clone());
        let (jobs, running_jobs) = or_close(&outbox, jobs::start(config.jobs, handlers, with).await).await?;
        let relaying = Relaying { line: Line::default(), inbox: Inbox::start(relay) };
        let stop_intake = CancellationToken::new();
        let stop_link = CancellationToken::new();
        let intake = Intake {
            outbox: outbox.clone(),
            state: state.clone(),
            stop: stop_intake.clone(),
            wall_clock: config.wall_clock,
            identity: config.identity_files(),
        };
        let socket = config.socket.clone();
        let intake = tokio::spawn(intake.run(listener));
        let traffic = Meter::default();
        let gauges = metrics::Gauges {
            outbox: outbox.clone(),
            state: state.clone(),
            traffic: traffic.clone(),
            intake: intake.abort_handle(),
            stop_intake: stop_intake.clone(),
            clocks: metrics::Clocks::start(config.wall_clock),
        };
        let monitor = monitor.map(|monitor| metrics::Running::start(monitor, gauges));
        let dialer = Dialer { tls: Some(tls), proxies: config.proxies.clone(), traffic, ..Dialer::default() };
        let connector = connect::Connector {
            tokens: connect::tokens(&config, &dialer, &state),
            config,
            dialer,
            floor,
            outbox: outbox.clone(),
            state: state.clone(),
            jobs,
            relaying: relaying.clone(),
            stop: stop_link.clone(),
            instance: InstanceId::from_bytes(random::bytes()),
        };
        let (jobs, link) = (running_jobs, connector.start());
        Ok(Self { outbox, state, stop_intake, stop_link, intake, jobs, link, monitor, socket, relaying })
    }

    /// The local socket's path.
    pub fn socket(&self) -> &std::path::Path {
        &self.socket
    }

    /// Where metrics are answered, where they are.
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.monitor.as_ref().map(metrics::Running::address)
    }

    /// The outbox, for records of this program.
    pub const fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Sends messages to other agents.
    pub fn relay(&self) -> RelayClient {
        RelayClient::new(self.relaying.line.clone())
    }

    /// What `agent status` shows.
    ///
    /// # Errors
    /// Where the outbox's figures cannot be read.
    pub async fn status(&self) -> Result<Status, StoreError> {
        Ok(self.state.status(self.outbox.stat().await?))
    }

    /// Stops in order: intake, jobs, link, metrics, outbox. Each step has a deadline.
    ///
    /// # Errors
    /// Where the outbox could not be closed cleanly; what was durable stays so.
    pub async fn shutdown(self) -> Result<(), StoreError> {
        let limit = limit::SHUTDOWN_STEP_TIMEOUT;
        self.stop_intake.cancel();
        shutdown::step("intake", limit, joined(self.intake)).await;
        // The socket goes with the intake: who connects now shall see at once that nobody is there.
        if let Err(error) = std::fs::remove_file(&self.socket) {
            tracing::debug!(%error, "the socket was gone before");
        }
        shutdown::step("jobs", limit::SHUTDOWN_JOBS_TIMEOUT, self.jobs.stop()).await;
        self.stop_link.cancel();
        if let Some(link) = self.link {
            shutdown::step("link", limit, joined(link)).await;
        }
        shutdown::step("handlers of relayed messages", limit, self.relaying.inbox.stop()).await;
        if let Some(monitor) = self.monitor {
            shutdown::step("metrics", limit, joined(monitor.stop())).await;
        }
        match tokio::time::timeout(limit, self.outbox.close()).await {
            Ok(closed) => closed,
            Err(_late) => Err(StoreError::Degraded { reason: "the outbox did not close in time".to_owned() }),
        }
    }
}

/// Where the outbox lies in a data folder.
pub fn outbox_folder(data: &std::path::Path) -> PathBuf {
    data.join("outbox")
}

/// What is not wrong and yet to be told at each start.
fn warn_of(config: &Config) {
    folder::warn_of(&config.data);
    identity::warn_of(&config.identity_files());
    if let Some(client) = &config.tls.client {
        secret_file::warn_of(&client.key);
    }
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
}

async fn joined(task: JoinHandle<()>) {
    if let Err(error) = task.await {
        tracing::error!(%error, "a task of the agent ended badly");
    }
}

/// What a start goes on with. A dropped handle gives the folder back only some time later: the next start would find it
/// locked.
async fn or_close<T, E: Into<StartError>>(outbox: &Outbox, done: Result<T, E>) -> Result<T, StartError> {
    if done.is_err() {
        outbox.clone().close().await?;
    }
    done.map_err(Into::into)
}

async fn open(folder: PathBuf, options: Options) -> Result<Outbox, StartError> {
    tokio::task::spawn_blocking(move || Outbox::open(&folder, options))
        .await
        .map_err(|error| StoreError::Degraded { reason: error.to_string() })?
        .map_err(StartError::from)
}

/// What an earlier process left; a row that is not understood counts as none, and so does a config snapshot that none of
/// the operator keys signed.
///
/// # Errors
/// Where the outbox cannot be read.
pub async fn restore(outbox: &Outbox, keys: Option<&OperatorKeys>) -> Result<State, StoreError> {
    let saved: Saved =
        outbox.get(SAVED_ROW).await?.and_then(|row| serde_json::from_slice(&row).ok()).unwrap_or_default();
    Ok(State::restored(saved, snapshot::known(outbox, keys).await?))
}
