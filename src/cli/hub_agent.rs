//! `hub agent ...`: through the hub's API, or straight in its database with `--data`.
//!
//! Named neither, the API is taken where ./outpost-hub/admin.token opens it, else the folder ./outpost-hub.

mod audit;
mod invite;
mod issue;
mod label;
mod place;
mod target;

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::hub::store::StoreError;
use crate::id::AgentName;
use crate::unit;
use crate::wire::message::SignatureMode;

use super::Global;
use super::exit::{CliError, Exit};
use super::hub_run::store_exit;
use super::terminal::{print_line, print_lines};

pub(super) use place::{Found, Place};
pub(super) use target::{Target, entries};

/// `hub agent`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What to do with the hub's agents.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Add an agent and write its key file
    Add(issue::Add),
    /// Let an agent enrol by itself: print a token that one machine can use once
    Invite(invite::Args),
    /// List the agents
    List {
        /// Which hub
        #[command(flatten)]
        place: Place,
    },
    /// Show what the hub saw of an agent
    Show {
        /// Its name
        name: AgentName,
        /// Which hub
        #[command(flatten)]
        place: Place,
    },
    /// Label an agent, so that jobs can be submitted to all with a label
    Label(label::Args),
    /// Give an agent a new key
    Rotate(issue::Rotate),
    /// Revoke an agent: its keys open nothing any more, and it is told so
    Revoke {
        /// Its name
        name: AgentName,
        /// Which hub
        #[command(flatten)]
        place: Place,
    },
    /// Remove an agent; its key opens nothing any more
    Remove {
        /// Its name
        name: AgentName,
        /// Which hub
        #[command(flatten)]
        place: Place,
    },
    /// Show who came, went and got keys
    Audit(audit::Args),
}

/// Does it.
///
/// # Errors
/// With cli.md's exit codes.
pub(super) fn run(args: Args, global: &Global) -> Result<(), CliError> {
    match args.command {
        Command::Add(args) => issue::add(args, global),
        Command::Invite(args) => invite::run(&args, global),
        Command::List { place } => list(&place, global),
        Command::Show { name, place } => {
            let view = place.open()?.show(&name)?;
            if global.json { print(&view) } else { print_lines(format!("{view:#}").lines()) }
        }
        Command::Label(args) => label::run(&args, global),
        Command::Rotate(args) => issue::rotate(args, global),
        Command::Revoke { name, place } => {
            let answer = place.open()?.revoke(&name)?;
            if global.json {
                return print(&answer);
            }
            print_line(&format!(
                "{name} is revoked; what it holds stays with it, and `outpost hub agent invite {name}` lets it come back"
            ))
        }
        Command::Remove { name, place } => {
            place.open()?.remove(&name)?;
            if global.json {
                print(&json!({"removed": name.as_str()}))
            } else {
                print_line(&format!("{name} is removed; its key opens nothing any more"))
            }
        }
        Command::Audit(args) => audit::run(&args, global),
    }
}

fn list(place: &Place, global: &Global) -> Result<(), CliError> {
    for agent in place.open()?.list()? {
        if global.json {
            print(&agent)?;
            continue;
        }
        let text = |key: &str| agent.get(key).and_then(Value::as_str).unwrap_or("?").to_owned();
        let link = match agent.get("connected").and_then(Value::as_bool) {
            Some(true) => "connected",
            Some(false) => "not connected",
            None => "-",
        };
        print_line(&format!(
            "{}\t{}\t{}\t{link}\t{}",
            text("name"),
            text("state"),
            text("id"),
            label::text(&agent)
        ))?;
    }
    Ok(())
}

/// A signature mode, as a flag has it.
fn signature(text: &str) -> Result<SignatureMode, String> {
    SignatureMode::from_name(text).ok_or_else(|| "it must be none, optional or required".to_owned())
}

/// A duration of at most `max` that is not nothing.
pub(super) fn within(text: &str, max: Duration) -> Result<Duration, String> {
    let duration = unit::duration(text).map_err(|error| error.to_string())?;
    if duration.is_zero() || duration > max {
        return Err(format!("it must be more than nothing and at most {} d", max.as_secs() / 86_400));
    }
    Ok(duration)
}

pub(super) fn store_error(error: StoreError) -> CliError {
    CliError::new(store_exit(&error), error)
}

fn print(value: &Value) -> Result<(), CliError> {
    print_line(&value.to_string())
}

/// A text field of the hub's answer.
pub(super) fn text_of(answer: &Value, key: &str) -> Result<String, CliError> {
    let text = answer.get(key).and_then(Value::as_str).map(str::to_owned);
    text.ok_or_else(|| CliError::new(Exit::Failed, format!("the hub's answer has no {key}")))
}

/// Where a key goes unless told otherwise.
fn default_key_path(name: &AgentName) -> PathBuf {
    PathBuf::from(format!("./{name}.key"))
}
