//! `hub run`: a hub until SIGTERM or SIGINT.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tracing::level_filters::LevelFilter;

use crate::hub::config::Config;
use crate::hub::store::StoreError;
use crate::hub::{Hub, StartError};
use crate::obs::whole_file::{self, Readers};
use crate::obs::{descriptors, log};

use super::exit::{CliError, Exit};
use super::terminal::{print_line, print_lines};
use super::{Global, first_steps};

/// Run a hub until it is told to stop
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The data folder [default: ./outpost-hub]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Where to listen; port 0 takes a free one [default: 127.0.0.1:8440]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// A listener for the agents alone
    #[arg(long, value_name = "ADDRESS")]
    pub agent_listen: Option<SocketAddr>,
    /// The hub's certificate (PEM, its own first): agents and operators connect over TLS
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's private key (PEM, without a passphrase)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Written once the hub answers: the ready line
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
}

impl Args {
    /// The flags that stand for these variables.
    fn tls_file(&self, variable: &str) -> Option<String> {
        let path = match variable {
            "OUTPOST_TLS_CERT" => &self.tls_cert,
            "OUTPOST_TLS_KEY" => &self.tls_key,
            _ => return None,
        };
        path.as_ref().map(|path| path.to_string_lossy().into_owned())
    }
}

/// Runs the hub.
///
/// # Errors
/// 78 for settings, 73 for the folder, 74 where it cannot listen or write.
pub(super) fn run(args: Args, global: &Global) -> Result<(), CliError> {
    let variable = |name: &str| args.tls_file(name).or_else(|| super::variable(name));
    let mut config = Config::load(global.config.as_deref(), variable)
        .map_err(|error| CliError::new(Exit::Config, error))?;
    config.data = args.data.unwrap_or(config.data);
    config.listen = args.listen.unwrap_or(config.listen);
    config.agent_listen = args.agent_listen.or(config.agent_listen);
    let configured = config.log.level.as_ref().and_then(|level| level.parse().ok());
    let level = global.level.or(configured).unwrap_or(LevelFilter::INFO);
    log::start(level, config.log.format.unwrap_or_default());
    if let Err(error) = descriptors::raise() {
        tracing::warn!(%error, "the number of file descriptors stays as it is");
    }
    super::runtime()?.block_on(serve(config, args.ready_file, global.json))
}

async fn serve(config: Config, ready_file: Option<PathBuf>, json: bool) -> Result<(), CliError> {
    let io =
        |what: &'static str| move |error: std::io::Error| CliError::new(Exit::Io, format!("{what}: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(io("SIGTERM"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(io("SIGINT"))?;
    let hub = Hub::start(config).await.map_err(start_error)?;
    announce(&hub, json)?;
    if let Some(file) = ready_file {
        // Complete or not there: whoever waits for the file never reads half of it.
        let line = format!("{}\n", ready_line(&hub));
        whole_file::replace(&file, line.as_bytes(), Readers::All).map_err(io("the ready file"))?;
    }
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("the hub goes");
    hub.shutdown().await;
    Ok(())
}

fn ready_line(hub: &Hub) -> serde_json::Value {
    let mut line = json!({"event": "ready", "listen": hub.local_addr().to_string()});
    if hub.agent_addr() != hub.local_addr()
        && let Some(line) = line.as_object_mut()
    {
        line.insert("agent_listen".to_owned(), json!(hub.agent_addr().to_string()));
    }
    if let (Some(address), Some(line)) = (hub.metrics_addr(), line.as_object_mut()) {
        line.insert("metrics".to_owned(), json!(address.to_string()));
    }
    if let (Some(live), Some(line)) = (hub.live(), line.as_object_mut()) {
        line.insert("live_ws".to_owned(), json!(live.public_addr().to_string()));
        line.insert("live_internal".to_owned(), json!(live.internal_addr().to_string()));
    }
    line
}

fn announce(hub: &Hub, json: bool) -> Result<(), CliError> {
    if json {
        return print_line(&ready_line(hub).to_string());
    }
    print_line(&format!("The hub answers at {} and keeps its data in {}.", hub.url(), hub.data().display()))?;
    if hub.first_start() { print_lines(first_steps::lines(hub)) } else { Ok(()) }
}

fn start_error(error: StartError) -> CliError {
    let exit = match &error {
        StartError::Config(_) => Exit::Config,
        StartError::Store(error) => store_exit(error),
        StartError::Tls(_) => Exit::Config,
        StartError::Token { .. }
        | StartError::Listen { .. }
        | StartError::Metrics(_)
        | StartError::Live(_) => Exit::Io,
    };
    CliError::new(exit, error)
}

/// The exit code of a store that cannot be used.
pub(super) fn store_exit(error: &StoreError) -> Exit {
    match error {
        StoreError::InUse { .. }
        | StoreError::NoHub(_)
        | StoreError::KeyFileMissing { .. }
        | StoreError::KeyFileDamaged(_)
        | StoreError::KeyFileForeign(_)
        | StoreError::KeyFileOpen { .. }
        | StoreError::Migrate(_) => Exit::Folder,
        StoreError::Folder { .. }
        | StoreError::KeyFile { .. }
        | StoreError::Open { .. }
        | StoreError::Database(_) => Exit::Io,
        StoreError::CannotCommit(_) | StoreError::Closed => Exit::TempFail,
        StoreError::Unsealable
        | StoreError::Damaged(_)
        | StoreError::NameTaken(_)
        | StoreError::NameReserved(_)
        | StoreError::NoAgent(_)
        | StoreError::NotActive(_)
        | StoreError::NoToken(_)
        | StoreError::TokenNameTaken(_)
        | StoreError::TooManyTokens(_)
        | StoreError::TooManyLabels { .. }
        | StoreError::MarkMoved
        | StoreError::Abandoned
        | StoreError::NotWelcome
        | StoreError::OverQuota { .. }
        | StoreError::Revoked
        | StoreError::NumberTooLarge(_) => Exit::Failed,
    }
}
