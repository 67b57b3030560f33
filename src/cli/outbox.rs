//! `outpost outbox stat|ls|show`, and the way to its other commands: through a running agent's socket (its database is locked), else from the folder.

use crate::agent::intake::client::{self, Request};
use crate::agent::record::{self, Shown};
use crate::id::RecordId;
use crate::outbox::{Range, Stat};

use super::exit::{CliError, Exit};
use super::folder::{self, Found, Place, not_understood};
use super::terminal::print_payload;
use super::{Global, outbox_bundle, outbox_verify, print_line};

/// Looks into the outbox.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What to show.
    #[command(subcommand)]
    pub command: Command,
}

/// What to show.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Records and bytes by lane.
    Stat(View),
    /// One contiguous range of unacked records a line.
    Ls(View),
    /// One record, its parts joined.
    Show(ShowArgs),
    /// Read every stored block again; exits 1 where something is damaged.
    Verify(Place),
    /// Write everything that waits as one file, for a hub that cannot be reached.
    Export(outbox_bundle::ExportArgs),
    /// Take the acks that a hub wrote for an exported file.
    Ack(outbox_bundle::AckArgs),
}

/// Which record.
#[derive(Debug, clap::Args)]
pub(super) struct ShowArgs {
    /// lane/epoch/seq, as `outbox ls` and `emit` print it.
    #[arg(value_name = "REF")]
    pub record: RecordId,
    /// Where the agent is.
    #[command(flatten)]
    pub place: Place,
}

/// Which part of which outbox.
#[derive(Debug, clap::Args)]
pub(super) struct View {
    /// Only this lane.
    #[arg(long, value_name = "L", value_parser = ["control", "events", "logs"])]
    pub lane: Option<String>,
    /// Where the agent is.
    #[command(flatten)]
    pub place: Place,
}

/// Prints what was asked for.
///
/// # Errors
/// Where neither an agent nor its folder can be found or read.
pub(super) fn run(args: &Args, global: &Global) -> Result<(), CliError> {
    match &args.command {
        Command::Stat(view) => stat(view, global),
        Command::Ls(view) => ls(view, global),
        Command::Show(args) => show(args, global),
        Command::Verify(place) => outbox_verify::verify(place, global),
        Command::Export(args) => outbox_bundle::export(args, global),
        Command::Ack(args) => outbox_bundle::ack(args, global),
    }
}

fn stat(view: &View, global: &Global) -> Result<(), CliError> {
    let mut stat: Stat = match folder::find(&view.place, global)? {
        Found::Running(stream) => folder::ask(stream, &Request::OutboxStat {})?,
        Found::Stopped(config) => folder::with_existing(&config, async |outbox| {
            outbox.stat().await.map_err(|error| folder::store_error(&error))
        })?,
    };
    if let Some(wanted) = &view.lane {
        stat.lanes.retain(|lane, _| lane == wanted);
    }
    if global.json {
        return print_line(&serde_json::to_string(&stat).unwrap_or_default());
    }
    for (lane, figures) in &stat.lanes {
        print_line(&format!(
            "{lane:<8} {:>10} records {:>12} bytes, {} of {} bytes on disk",
            figures.records, figures.bytes, figures.disk_bytes, figures.quota_bytes
        ))?;
    }
    let degraded = if stat.degraded { ", degraded: takes nothing more until a restart" } else { "" };
    let lost = if stat.lost > 0 { format!(" ({} records lost)", stat.lost) } else { String::new() };
    print_line(&format!("{} bytes on disk, {} gaps{lost}{degraded}", stat.disk_bytes, stat.gaps))
}

fn show(args: &ShowArgs, global: &Global) -> Result<(), CliError> {
    let id = args.record;
    let shown: Shown = match folder::find(&args.place, global)? {
        Found::Running(stream) => folder::ask(stream, &Request::OutboxShow { record: id.to_string() })?,
        Found::Stopped(config) => {
            let shown = folder::with_existing(&config, async |outbox| {
                record::show(outbox, id).await.map_err(|error| folder::store_error(&error))
            })?;
            shown.ok_or_else(|| CliError::new(Exit::Failed, record::absent(id)))?
        }
    };
    if global.json {
        return print_line(&serde_json::to_string(&shown).unwrap_or_default());
    }
    print_payload(&shown.text.or(shown.base64).unwrap_or_default())
}

fn ls(view: &View, global: &Global) -> Result<(), CliError> {
    let ranges: Vec<Range> = match folder::find(&view.place, global)? {
        Found::Running(stream) => {
            let mut rows = Vec::new();
            client::ask(stream, &Request::OutboxLs { lane: view.lane.clone() }, |row| {
                rows.push(serde_json::from_slice(row));
            })
            .map_err(|error| folder::client_error(&error))?;
            rows.into_iter().collect::<Result<_, _>>().map_err(not_understood)?
        }
        Found::Stopped(config) => folder::with_existing(&config, async |outbox| {
            outbox.ranges().await.map_err(|error| folder::store_error(&error))
        })?,
    };
    for range in ranges.iter().filter(|range| view.lane.as_ref().is_none_or(|lane| *lane == range.lane)) {
        if global.json {
            print_line(&serde_json::to_string(range).unwrap_or_default())?;
        } else {
            let Range { lane, epoch, first, last, count, bytes, .. } = range;
            print_line(&format!("{lane}/{epoch}/{first}..{last}  {count} records  {bytes} bytes"))?;
        }
    }
    Ok(())
}
