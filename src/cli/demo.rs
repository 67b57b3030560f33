//! `outpost demo`.

use std::path::PathBuf;

use tracing::level_filters::LevelFilter;

use crate::demo::{self, DemoError, JobVerdict, Options, Report};
use crate::obs::log::{self, Format};
use crate::obs::random;

use super::Global;
use super::exit::{CliError, Exit};

/// Shows agents delivering through cut links and kills, and checks that nothing was lost.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Agent processes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    agents: u16,
    /// Records over all agents
    #[arg(long, default_value_t = 30_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    records: u64,
    /// Times a link is cut; half as many agents are killed, but at least 3
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u16).range(0..=10_000))]
    cuts: u16,
    /// Jobs over all agents, a third of them with --on-crash rerun
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=10_000))]
    jobs: u16,
    /// Draws the plan of faults; drawn at random and printed where not given
    #[arg(long)]
    seed: Option<u64>,
    /// Keeps the data of hub and agents in this folder, which must be empty or new
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// Runs the demo.
///
/// # Errors
/// 1 where something was lost, doubled or out of order, or a job was not run as it must; 73 where `--keep` names a folder in use; 74 where a process,
/// file or socket failed.
pub(super) fn run(args: Args, global: &Global) -> Result<(), CliError> {
    if let Some(keep) = &args.keep {
        let used = std::fs::read_dir(keep).is_ok_and(|mut entries| entries.next().is_some());
        if used {
            let message = format!("{} is not empty; name a new folder with --keep", keep.display());
            return Err(CliError::new(Exit::Folder, message));
        }
    }
    let options = Options {
        agents: args.agents,
        records: args.records,
        cuts: args.cuts,
        jobs: args.jobs,
        seed: args.seed.unwrap_or_else(|| u64::from(u32::from_be_bytes(random::bytes()))),
        keep: args.keep,
        quiet: global.json,
    };
    // What was found wrong is told there; the hub's own log would hide it.
    log::start(global.level.unwrap_or(LevelFilter::ERROR), Format::Text);
    let runtime = super::runtime()?;
    let report = runtime.block_on(demo::run(&options)).map_err(|error| {
        let exit = match error {
            DemoError::Interrupted => Exit::Failed,
            _ => Exit::Io,
        };
        CliError::new(exit, error)
    })?;
    if global.json {
        let line = serde_json::to_string(&report).map_err(|error| CliError::new(Exit::Failed, error))?;
        super::print_line(&line)?;
    } else {
        super::terminal::print_lines(describe(&report))?;
    }
    if report.is_clean() {
        Ok(())
    } else {
        Err(CliError::new(
            Exit::Failed,
            "records or jobs were lost, doubled or out of order; the data is kept, see above",
        ))
    }
}

/// Line by line.
fn describe(report: &Report) -> Vec<String> {
    let Report {
        appended, arrived, lost, duplicate_effects, out_of_order, cuts, kills, agents, seed, ..
    } = report;
    let mut lines = vec![
        format!(
            "{agents} agents emitted {appended} records while {cuts} links were cut and {kills} agents killed (seed {seed})."
        ),
        format!(
            "{arrived} arrived, {lost} lost, {duplicate_effects} duplicates, {out_of_order} out of order."
        ),
    ];
    lines.extend(report.jobs.as_ref().map(describe_jobs));
    lines
}

fn describe_jobs(jobs: &JobVerdict) -> String {
    let JobVerdict {
        submitted,
        succeeded,
        interrupted,
        ran_twice,
        results_missing,
        results_twice,
        lines_wrong,
    } = jobs;
    format!(
        "Of {submitted} jobs {succeeded} succeeded and {interrupted} were interrupted by a kill; {ran_twice} ran twice, \
         {results_missing} have no result, {results_twice} have two, {lines_wrong} have wrong lines."
    )
}
