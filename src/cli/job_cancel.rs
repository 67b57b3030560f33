//! `job cancel`: asks for a job's end.

use crate::id::JobId;
use crate::job::JobState;

use super::exit::{CliError, Exit};
use super::remote::RemoteArgs;
use super::{Global, job, print_line};

/// Cancel a job: one that waits at once, one that runs by its agent
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Its id
    #[arg(value_name = "ID")]
    pub job: JobId,
    /// Wait until the job is over; exit 0 only where it was cancelled
    #[arg(long)]
    pub wait: bool,
    /// Which hub
    #[command(flatten)]
    pub remote: RemoteArgs,
}

/// Cancels the job, and waits where asked to.
///
/// # Errors
/// Where the hub is away, has no such job, or the job is over already.
pub(super) fn run(args: &Args, global: &Global) -> Result<(), CliError> {
    let remote = args.remote.connect()?;
    let cancelled = remote.post_bytes(&format!("/v1/jobs/{}/cancel", args.job), &[], &[], b"")?;
    if !args.wait {
        return print_line(&if global.json { cancelled.to_string() } else { job::summary(&cancelled) });
    }
    let ended = job::wait_final(&remote, args.job)?;
    job::print_result(&ended, global)?;
    match job::status(&ended) {
        Some(JobState::Cancelled) => Ok(()),
        status => {
            let message = format!(
                "job {} ended as {} before it could be cancelled",
                args.job,
                status.map_or("?", JobState::name)
            );
            Err(CliError::new(Exit::Failed, message))
        }
    }
}
