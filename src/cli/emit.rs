//! `outpost emit`: every line of stdin becomes a record; returns when all are durable.

use std::io::{BufRead, BufReader};

use crate::agent::intake::client::{self, Accepted};
use crate::agent::intake::lines::Lines;
use crate::id::{AppName, Lane};
use crate::limit;
use crate::outbox::{NewRecord, Outbox};
use crate::wire::message::RecordKind;

use super::exit::{CliError, Exit};
use super::folder::{self, Found, Place};
use super::{Global, print_line};

/// Hands the lines of stdin to the agent.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Which lane: events or logs.
    #[arg(long, default_value = "logs", value_parser = ["events", "logs"])]
    pub lane: String,
    /// The app that these are log lines of: those of all agents come together under its name
    #[arg(long, value_name = "NAME")]
    pub app: Option<AppName>,
    /// Where the agent is.
    #[command(flatten)]
    pub place: Place,
}

/// Emits stdin.
///
/// # Errors
/// Says how many records were taken before.
pub(super) fn run(args: &Args, global: &Global) -> Result<(), CliError> {
    let lane: Lane = args.lane.parse().map_err(|error| CliError::new(Exit::Usage, error))?;
    let app = client::emit_app(lane, args.app.as_ref().map(AppName::as_str));
    let app = app.map_err(|error| CliError::new(Exit::Usage, error))?;
    let input = BufReader::with_capacity(limit::INTAKE_BATCH_BYTES, std::io::stdin().lock());
    let accepted = match folder::find(&args.place, global)? {
        Found::Running(stream) => {
            client::emit(&stream, lane, app.as_ref(), input).map_err(|error| folder::client_error(&error))?
        }
        Found::Stopped(config) => {
            let outbox = folder::open(&config)?;
            super::runtime()?.block_on(direct(outbox, lane, app, input, config.wall_clock))?
        }
    };
    print_line(&serde_json::to_string(&accepted).unwrap_or_default())
}

/// Without an agent: appends to the outbox itself, and closes it in any case.
async fn direct(
    outbox: Outbox,
    lane: Lane,
    app: Option<AppName>,
    input: impl BufRead,
    wall_clock: fn() -> crate::time::WallTime,
) -> Result<Accepted, CliError> {
    let result = append_all(&outbox, lane, app.as_ref(), input, wall_clock).await;
    let closed = outbox.close().await;
    let accepted = result?;
    closed.map_err(|error| folder::store_error(&error))?;
    Ok(accepted)
}

async fn append_all(
    outbox: &Outbox,
    lane: Lane,
    app: Option<&AppName>,
    input: impl BufRead,
    wall_clock: fn() -> crate::time::WallTime,
) -> Result<Accepted, CliError> {
    let source = format!("emit:{}", rustix::process::getuid().as_raw());
    let mut accepted = Accepted::default();
    let mut lines = Lines::new(input);
    loop {
        let batch = match lines.next_batch() {
            Ok(Some(batch)) => batch,
            Ok(None) => return Ok(accepted),
            Err(error) => {
                let message = format!("{error}; the {} records before it are durable", accepted.accepted);
                return Err(CliError::new(Exit::Failed, message));
            }
        };
        let recorded_at = wall_clock();
        let records = batch
            .into_iter()
            .map(|payload| NewRecord {
                recorded_at,
                source: source.clone(),
                kind: RecordKind::Opaque,
                payload,
                app: app.cloned(),
            })
            .collect();
        let appended = outbox
            .append(lane, records)
            .await
            .map_err(|error| folder::append_error(&error, accepted.accepted))?;
        accepted.add(appended.count, appended.first, appended.last);
    }
}
