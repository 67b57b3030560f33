//! `hub agent audit`: who came, went and got keys.

use serde_json::Value;

use crate::cli::Global;
use crate::cli::exit::CliError;
use crate::id::AgentName;
use crate::limit;

use super::{Place, print, print_line};

/// `hub agent audit`
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Of one agent only
    pub name: Option<AgentName>,
    /// Entries above this one only
    #[arg(long, value_name = "ENTRY", default_value_t = 0)]
    pub after: i64,
    /// Which hub
    #[command(flatten)]
    pub place: Place,
}

/// Prints all entries, the oldest first.
///
/// # Errors
/// With cli.md's exit codes.
pub(super) fn run(args: &Args, global: &Global) -> Result<(), CliError> {
    let hub = args.place.open()?;
    let mut after = args.after;
    loop {
        let page = hub.audit(args.name.as_ref(), after)?;
        for entry in &page {
            if global.json { print(entry)? } else { print_line(&line(entry))? }
        }
        let last = page.last().and_then(|entry| entry.get("entry")).and_then(Value::as_i64);
        match last {
            Some(last) if page.len() >= limit::AUDIT_PAGE_MAX as usize => after = last,
            Some(_) | None => return Ok(()),
        }
    }
}

/// Number, milliseconds since 1970, what was done, to whom, its particulars, and who did it.
fn line(entry: &Value) -> String {
    let number = |key: &str| entry.get(key).and_then(Value::as_i64).unwrap_or_default();
    let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or("?");
    format!(
        "{}\t{}\t{}\t{}\t{}\t{}",
        number("entry"),
        number("at_ms"),
        text("action"),
        text("agent"),
        text("detail"),
        text("actor")
    )
}
