//! `job show`: everything the hub knows of a job.

use crate::id::JobId;

use super::exit::CliError;
use super::remote::RemoteArgs;
use super::{Global, print_line};

/// Show a job
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Its id
    #[arg(value_name = "ID")]
    pub job: JobId,
    /// Which hub
    #[command(flatten)]
    pub remote: RemoteArgs,
}

/// Prints the job.
///
/// # Errors
/// Where the hub is away, or has no such job.
pub(super) fn run(args: &Args, global: &Global) -> Result<(), CliError> {
    let shown = args.remote.connect()?.get(&format!("/v1/jobs/{}", args.job), &[])?;
    print_line(&if global.json { shown.to_string() } else { format!("{shown:#}") })
}
