//! `outpost agent run`: starts the agent and stops it on SIGTERM or SIGINT.

use std::path::{Path, PathBuf};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::level_filters::LevelFilter;

use crate::agent::Agent;
use crate::agent::config::{Config, Flags};
use crate::obs::whole_file::{self, Readers};
use crate::obs::{heap, log};

use super::agent_args::AgentArgs;
use super::exit::{CliError, Exit};
use super::{Global, folder, print_line, variable};

/// Runs the agent.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Hubs, identity and folder.
    #[command(flatten)]
    pub agent: AgentArgs,
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
    let flags = Flags { socket: args.socket.clone(), no_link: args.no_link, ..args.agent.flags() };
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
        // Appears whole or not at all: somebody waits for it.
        Some(path) => whole_file::replace(path, format!("{event}\n").as_bytes(), Readers::All)
            .map_err(|error| CliError::new(Exit::Io, format!("cannot write {}: {error}", path.display()))),
        None => Ok(()),
    }
}
