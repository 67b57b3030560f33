//! `live run`: a broker of live topics by itself, until SIGTERM or SIGINT.

use std::path::PathBuf;

use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::level_filters::LevelFilter;

use crate::hub::config::{Config, LiveConfig, LogConfig};
use crate::hub::live::Live;
use crate::limit;
use crate::obs::log::Format;
use crate::obs::{descriptors, log};

use super::Global;
use super::exit::{CliError, Exit};
use super::terminal::print_line;

/// Run a broker of live topics until it is told to stop; --config FILE is YAML (.yaml, .yml), or a hub's TOML with [live]
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Written once the broker answers: the ready line
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
}

/// Runs the broker.
///
/// # Errors
/// 64 without a config, 78 for settings, 74 where it cannot listen or write.
pub(super) fn run(args: Args, global: &Global) -> Result<(), CliError> {
    let file = global.config.as_deref();
    let file = file.ok_or_else(|| CliError::new(Exit::Usage, "live run needs --config FILE"))?;
    let wrong = |error| CliError::new(Exit::Config, error);
    let (config, rest) = LiveConfig::load(file, super::variable).map_err(wrong)?;
    if rest.as_ref().is_some_and(|rest| rest.tls.is_some()) {
        let text = format!(
            "{}: a broker by itself has no TLS; put a proxy before it, or use `hub run`, or leave [tls] out",
            file.display()
        );
        return Err(CliError::new(Exit::Config, text));
    }
    let logged = rest.map_or_else(of_the_environment, |Config { log, .. }| Ok(log))?;
    let configured = logged.level.as_ref().and_then(|level| level.parse().ok());
    let level = global.level.or(configured).unwrap_or(LevelFilter::INFO);
    log::start(level, logged.format.unwrap_or_default());
    if let Err(error) = descriptors::raise() {
        tracing::warn!(%error, "the number of file descriptors stays as it is");
    }
    super::runtime()?.block_on(serve(config, args.ready_file, global.json))
}

/// The log of a broker whose file says nothing of it.
fn of_the_environment() -> Result<LogConfig, CliError> {
    let wrong = |text: &str| CliError::new(Exit::Config, text);
    let level = super::variable("OUTPOST_LOG_LEVEL");
    if level.as_ref().is_some_and(|level| level.parse::<LevelFilter>().is_err()) {
        return Err(wrong("OUTPOST_LOG_LEVEL must be error, warn, info, debug or trace"));
    }
    let format = match super::variable("OUTPOST_LOG_FORMAT").as_deref() {
        None => None,
        Some("text") => Some(Format::Text),
        Some("json") => Some(Format::Json),
        Some(_) => return Err(wrong("OUTPOST_LOG_FORMAT must be text or json")),
    };
    Ok(LogConfig { level, format })
}

async fn serve(config: LiveConfig, ready_file: Option<PathBuf>, json: bool) -> Result<(), CliError> {
    let io =
        |what: &'static str| move |error: std::io::Error| CliError::new(Exit::Io, format!("{what}: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(io("SIGTERM"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(io("SIGINT"))?;
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let live =
        Live::start(&config, None, &stop, &tasks).await.map_err(|error| CliError::new(Exit::Io, error))?;
    let (ws, internal) = (live.public_addr(), live.internal_addr());
    let ready = json!({"event": "ready", "ws": ws.to_string(), "internal": internal.to_string()});
    if json {
        print_line(&ready.to_string())?;
    } else {
        print_line(&format!(
            "Subscribers connect to ws://{ws}/ws?topic=TOPIC, workers to http://{internal}."
        ))?;
    }
    if let Some(file) = ready_file {
        // Complete or not there: whoever waits for the file never reads half of it.
        let part = file.with_extension("part");
        std::fs::write(&part, format!("{ready}\n")).map_err(io("the ready file"))?;
        std::fs::rename(&part, &file).map_err(io("the ready file"))?;
    }
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("the live broker goes");
    stop.cancel();
    tasks.close();
    if tokio::time::timeout(limit::SHUTDOWN_TIMEOUT, tasks.wait()).await.is_err() {
        tracing::warn!(left = tasks.len(), "some connections did not end in time");
    }
    Ok(())
}
