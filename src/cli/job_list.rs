//! `job list`: the hub's jobs, the newest first.

use serde_json::Value;

use crate::id::{AgentName, AppName};
use crate::limit;

use super::exit::CliError;
use super::remote::RemoteArgs;
use super::{Global, job, print_line, terminal};

/// Jobs where no limit is named.
const LIMIT: u64 = 100;

/// List jobs, the newest first
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only those of this agent
    #[arg(long, value_name = "NAME")]
    pub agent: Option<AgentName>,
    /// Only those whose output is log lines of this app
    #[arg(long, value_name = "NAME")]
    pub app: Option<AppName>,
    /// Only those in this state
    #[arg(long)]
    pub status: Option<String>,
    /// At most this many [default: 100]
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// Go on where a list ended
    #[arg(long)]
    pub cursor: Option<String>,
    /// Which hub
    #[command(flatten)]
    pub remote: RemoteArgs,
}

/// Prints the jobs; where more are left, the cursor (on stderr, or with --json as a last object).
///
/// # Errors
/// Where the hub is away or refuses.
pub(super) fn run(args: Args, global: &Global) -> Result<(), CliError> {
    let remote = args.remote.connect()?;
    let mut left = args.limit.unwrap_or(LIMIT);
    let mut cursor = args.cursor;
    while left > 0 {
        let mut query = vec![("limit", left.min(limit::JOBS_PAGE_MAX.into()).to_string())];
        query.extend(args.agent.as_ref().map(|agent| ("agent", agent.to_string())));
        query.extend(args.app.as_ref().map(|app| ("app", app.to_string())));
        query.extend(args.status.clone().map(|status| ("status", status)));
        query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
        let page = remote.get("/v1/jobs", &query)?;
        let jobs = page.get("jobs").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for job in jobs {
            print_line(&if global.json { job.to_string() } else { job::summary(job) })?;
        }
        left = left.saturating_sub(jobs.len() as u64);
        cursor = page.get("next").and_then(Value::as_str).map(str::to_owned);
        if cursor.is_none() {
            return Ok(());
        }
    }
    match cursor {
        Some(cursor) if global.json => print_line(&serde_json::json!({"next": cursor}).to_string()),
        Some(cursor) => {
            terminal::note(format_args!("there are more; go on with --cursor {cursor}"));
            Ok(())
        }
        None => Ok(()),
    }
}
