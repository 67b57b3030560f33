//! `outpost agent run`: starts the agent and stops it on SIGTERM or SIGINT.

use std::io::Write;
use std::path::{Path, PathBuf};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::level_filters::LevelFilter;

use crate::agent::Agent;
use crate::agent::config::{Config, Flags};
use crate::obs::{heap, log};
use crate::secret::Secret;

use super::exit::{CliError, Exit};
use super::{Global, folder, print_line, variable};

/// Runs the agent.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The hub's address; several are asked in turn.
    #[arg(long, value_name = "URL")]
    pub hub: Vec<String>,
    /// The HTTP proxy towards every hub, http://[USER:PASSWORD@]HOST[:PORT], or none (default: the environment).
    #[arg(long, value_name = "URL")]
    pub proxy: Option<String>,
    /// The data folder (default ./outpost-agent).
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The agent's key, from `outpost hub agent add` (default DATA/agent.key).
    #[arg(long, value_name = "F")]
    pub key_file: Option<PathBuf>,
    /// The agent's Ed25519 identity, from `outpost agent keygen` (default DATA/agent.identity where that is there).
    #[arg(long, value_name = "F")]
    pub identity_file: Option<PathBuf>,
    /// Allows plain text to private addresses, or with =any to everywhere.
    #[arg(long, value_name = "any", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub allow_insecure: Option<String>,
    /// The hub's authority, in place of the system's (default DATA/hub-ca.pem where that is there).
    #[arg(long, value_name = "F")]
    pub ca: Option<PathBuf>,
    /// The certificate shown to a hub that asks for one.
    #[arg(long, value_name = "F")]
    pub client_cert: Option<PathBuf>,
    /// Its private key.
    #[arg(long, value_name = "F")]
    pub client_key: Option<PathBuf>,
    /// Takes and keeps records, dials nobody.
    #[arg(long)]
    pub no_link: bool,
    /// The Unix socket (default DATA/agent.sock).
    #[arg(long, value_name = "P")]
    pub socket: Option<PathBuf>,
    /// Is written once the agent takes records.
    #[arg(long, value_name = "F")]
    pub ready_file: Option<PathBuf>,
}

/// Runs until a signal.
///
/// # Errors
/// 78 for a wrong setting, 73 for a folder that is locked or foreign, 74 for I/O.
pub(super) fn run(args: &Args, global: &Global) -> Result<(), CliError> {
    let flags = Flags {
        data: args.data.clone(),
        socket: args.socket.clone(),
        hubs: args.hub.clone(),
        proxy: args.proxy.clone().map(Secret::new),
        key_file: args.key_file.clone(),
        identity_file: args.identity_file.clone(),
        allow_insecure: args.allow_insecure.clone(),
        no_link: args.no_link,
        ca: args.ca.clone(),
        client_cert: args.client_cert.clone(),
        client_key: args.client_key.clone(),
    };
    let config = Config::load(global.config.as_deref(), variable, &flags).map_err(folder::config_error)?;
    log::start(global.level.or(config.log_level).unwrap_or(LevelFilter::INFO), config.log_format);
    heap::keep_small();
    let runtime = super::small_runtime()?;
    runtime.block_on(serve(config, args.ready_file.as_deref(), global))
}

async fn serve(config: Config, ready_file: Option<&Path>, global: &Global) -> Result<(), CliError> {
    // Before anything starts: a signal during the start must not be lost.
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let agent = Agent::start(config).await.map_err(|error| folder::start_error(&error))?;
    let ready = announce(&agent, ready_file, global);
    if ready.is_ok() {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
    }
    let stopped = agent.shutdown().await.map_err(|error| folder::store_error(&error));
    ready.and(stopped)
}

fn listen(kind: SignalKind) -> Result<Signal, CliError> {
    signal(kind).map_err(|error| CliError::new(Exit::Io, format!("cannot listen for signals: {error}")))
}

fn announce(agent: &Agent, ready_file: Option<&Path>, global: &Global) -> Result<(), CliError> {
    let mut event = serde_json::json!({"event": "ready", "socket": agent.socket()});
    if let (Some(address), Some(event)) = (agent.metrics_addr(), event.as_object_mut()) {
        event.insert("metrics".to_owned(), address.to_string().into());
    }
    if global.json {
        print_line(&event.to_string())?;
    } else {
        tracing::info!(socket = %agent.socket().display(), "the agent takes records");
    }
    match ready_file {
        Some(path) => write_ready(path, &event.to_string())
            .map_err(|error| CliError::new(Exit::Io, format!("cannot write {}: {error}", path.display()))),
        None => Ok(()),
    }
}

/// Appears whole or not at all: somebody waits for it.
fn write_ready(path: &Path, line: &str) -> std::io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let mut file = std::fs::File::create(&name)?;
    writeln!(file, "{line}")?;
    std::fs::rename(&name, path)
}
