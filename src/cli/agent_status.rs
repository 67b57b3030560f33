//! `outpost agent status`: from the running agent, or from the folder of a stopped one.

use crate::agent::intake::client::Request;
use crate::agent::state::{LinkState, Status};

use super::exit::CliError;
use super::folder::{self, Found, Place};
use super::terminal::print_lines;
use super::{Global, print_line};

/// Shows the agent's link and what waits.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where the agent is.
    #[command(flatten)]
    pub place: Place,
}

/// Prints the status.
///
/// # Errors
/// Where neither an agent nor its folder can be found or read.
pub(super) fn run(args: &Args, global: &Global) -> Result<(), CliError> {
    let status: Status = match folder::find(&args.place, global)? {
        Found::Running(stream) => folder::ask(stream, &Request::Status {})?,
        Found::Stopped(config) => folder::with_existing(&config, async |outbox| {
            let failed = |error| folder::store_error(&error);
            let state = crate::agent::restore(outbox, config.operator_keys.as_ref()).await.map_err(failed)?;
            Ok(state.status(outbox.stat().await.map_err(failed)?))
        })?,
    };
    if global.json {
        return print_line(&serde_json::to_string(&status).unwrap_or_default());
    }
    print_lines(lines(&status))
}

fn lines(status: &Status) -> Vec<String> {
    let state = match status.state {
        LinkState::Connected => "connected",
        LinkState::Reconnecting => "reconnecting",
        LinkState::Disconnected => "disconnected",
        LinkState::NoIdentity => "no usable key",
        LinkState::Revoked => "revoked by the hub",
        LinkState::Degraded => "degraded: takes nothing more until a restart",
    };
    let none = || "-".to_owned();
    let mut lines = vec![
        format!("state    {state}"),
        format!("hub      {}", status.hub.clone().unwrap_or_else(none)),
        format!("session  {}", status.session_id.clone().unwrap_or_else(none)),
    ];
    if let Some(error) = &status.last_error {
        let unverified = if error.verified { "" } else { " (unverified)" };
        let hub = error.hub.as_ref().map_or(String::new(), |hub| format!(" [{hub}]"));
        lines.push(format!("error    {}: {}{unverified}{hub}", error.code, error.text));
    }
    if let Some(refused) = &status.config_refused {
        lines.push(format!("config   version {} is refused: {}", refused.version, refused.reason));
    }
    for (lane, figures) in &status.outbox.lanes {
        lines.push(format!("{lane:<8} {} records, {} bytes wait", figures.records, figures.bytes));
    }
    lines
}
