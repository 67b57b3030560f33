//! The command line: parse, call, exit code. One file per command.

pub mod exit;

#[cfg(feature = "agent")]
mod agent_enroll;
#[cfg(feature = "agent")]
mod agent_keygen;
#[cfg(feature = "agent")]
mod agent_run;
#[cfg(feature = "agent")]
mod agent_status;
#[cfg(any(feature = "agent", feature = "hub"))]
mod config_check;
#[cfg(all(feature = "agent", feature = "hub"))]
mod demo;
#[cfg(feature = "hub")]
mod display;
#[cfg(feature = "agent")]
mod emit;
#[cfg(feature = "agent")]
mod folder;
#[cfg(feature = "hub")]
mod hub_agent;
#[cfg(feature = "hub")]
mod hub_cert;
#[cfg(feature = "hub")]
mod hub_import;
#[cfg(feature = "hub")]
mod hub_run;
#[cfg(feature = "hub")]
mod job;
#[cfg(feature = "hub")]
mod job_cancel;
#[cfg(feature = "hub")]
mod job_list;
#[cfg(feature = "hub")]
mod job_logs;
#[cfg(feature = "hub")]
mod job_show;
#[cfg(feature = "hub")]
mod job_sign;
#[cfg(feature = "hub")]
mod job_submit;
#[cfg(any(feature = "agent", feature = "hub"))]
mod new_file;
#[cfg(feature = "agent")]
mod outbox;
#[cfg(feature = "agent")]
mod outbox_bundle;
#[cfg(feature = "agent")]
mod outbox_verify;
#[cfg(any(feature = "agent", feature = "hub"))]
mod progress;
#[cfg(feature = "hub")]
mod records;
#[cfg(feature = "hub")]
mod remote;

use std::io::Write;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use tracing::level_filters::LevelFilter;

use exit::{CliError, Exit};

/// Heading of the flags that every command takes.
const GLOBAL: &str = "Global options";

/// Runs jobs on machines that are often offline, and loses nothing they produce.
#[derive(Debug, Parser)]
#[command(name = "outpost", version = version(), propagate_version = true, arg_required_else_help = true)]
struct Cli {
    /// TOML file with the settings of the command
    #[arg(long, global = true, value_name = "FILE", help_heading = GLOBAL)]
    config: Option<PathBuf>,
    /// Print one JSON object a line on stdout
    #[arg(long, global = true, help_heading = GLOBAL)]
    json: bool,
    /// Log more (-v debug, -vv trace)
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = GLOBAL)]
    verbose: u8,
    /// Log errors only
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = GLOBAL)]
    quiet: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[cfg(all(feature = "agent", feature = "hub"))]
    Demo(demo::Args),
    /// Run a hub, and say which agents it knows
    #[cfg(feature = "hub")]
    #[command(subcommand)]
    Hub(HubCommand),
    /// Run an agent, and see how it is
    #[cfg(feature = "agent")]
    #[command(subcommand)]
    Agent(AgentCommand),
    #[cfg(feature = "agent")]
    Emit(emit::Args),
    /// Look into an agent's outbox
    #[cfg(feature = "agent")]
    Outbox(outbox::Args),
    /// Give an agent something to run, and see what becomes of it
    #[cfg(feature = "hub")]
    #[command(subcommand)]
    Job(job::Command),
    /// Read what arrived at the hub
    #[cfg(feature = "hub")]
    #[command(subcommand)]
    Records(RecordsCommand),
    /// Check settings
    #[cfg(any(feature = "agent", feature = "hub"))]
    #[command(subcommand)]
    Config(ConfigCommand),
}

#[cfg(feature = "hub")]
#[derive(Debug, Subcommand)]
enum HubCommand {
    Run(hub_run::Args),
    /// The agents a hub knows
    Agent(hub_agent::Args),
    /// Certificates for TLS: an authority of the hub's own
    #[command(subcommand)]
    Cert(hub_cert::Command),
    Import(hub_import::Args),
}

#[cfg(feature = "hub")]
#[derive(Debug, Subcommand)]
enum RecordsCommand {
    List(records::Args),
}

#[cfg(feature = "agent")]
#[derive(Debug, Subcommand)]
enum AgentCommand {
    Run(agent_run::Args),
    Status(agent_status::Args),
    Keygen(agent_keygen::Args),
    Enroll(agent_enroll::Args),
}

#[cfg(any(feature = "agent", feature = "hub"))]
#[derive(Debug, Subcommand)]
enum ConfigCommand {
    Check(config_check::Args),
}

/// Flags every command takes.
#[derive(Debug, Clone)]
pub struct Global {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--json`.
    pub json: bool,
    /// What `-v` and `-q` ask for; `None` where neither is given, then the config file decides, else info.
    pub level: Option<LevelFilter>,
}

/// Parses the command line, carries the command out, and says how it ended.
pub fn main() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Ok };
            // A closed stdout is no reason to fail a help text.
            let _ = error.print();
            return exit;
        }
    };
    let level = match (cli.quiet, cli.verbose) {
        (true, _) => Some(LevelFilter::ERROR),
        (false, 0) => None,
        (false, 1) => Some(LevelFilter::DEBUG),
        (false, _) => Some(LevelFilter::TRACE),
    };
    let global = Global { config: cli.config, json: cli.json, level };
    match dispatch(cli.command, &global) {
        Ok(()) => Exit::Ok,
        Err(error) => {
            // Nothing is left to tell it to where stderr is closed.
            let _ = writeln!(std::io::stderr(), "outpost: {error}");
            error.exit
        }
    }
}

fn dispatch(command: Command, global: &Global) -> Result<(), CliError> {
    match command {
        #[cfg(all(feature = "agent", feature = "hub"))]
        Command::Demo(args) => demo::run(args, global),
        #[cfg(feature = "hub")]
        Command::Hub(HubCommand::Run(args)) => hub_run::run(args, global),
        #[cfg(feature = "hub")]
        Command::Hub(HubCommand::Agent(args)) => hub_agent::run(args, global),
        #[cfg(feature = "hub")]
        Command::Hub(HubCommand::Cert(command)) => hub_cert::run(&command, global),
        #[cfg(feature = "hub")]
        Command::Hub(HubCommand::Import(args)) => hub_import::run(&args, global),
        #[cfg(feature = "agent")]
        Command::Agent(AgentCommand::Run(args)) => agent_run::run(&args, global),
        #[cfg(feature = "agent")]
        Command::Agent(AgentCommand::Status(args)) => agent_status::run(&args, global),
        #[cfg(feature = "agent")]
        Command::Agent(AgentCommand::Keygen(args)) => agent_keygen::run(&args, global),
        #[cfg(feature = "agent")]
        Command::Agent(AgentCommand::Enroll(args)) => agent_enroll::run(&args, global),
        #[cfg(feature = "agent")]
        Command::Emit(args) => emit::run(&args, global),
        #[cfg(feature = "agent")]
        Command::Outbox(args) => outbox::run(&args, global),
        #[cfg(feature = "hub")]
        Command::Job(command) => job::run(command, global),
        #[cfg(feature = "hub")]
        Command::Records(RecordsCommand::List(args)) => records::run(args, global),
        #[cfg(any(feature = "agent", feature = "hub"))]
        Command::Config(ConfigCommand::Check(args)) => config_check::run(&args, global),
    }
}

/// Version and commit.
pub(crate) const fn version() -> &'static str {
    concat!(env!("CARGO_PKG_VERSION"), " (", env!("OUTPOST_COMMIT"), ")")
}

/// The runtime a command runs in.
fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    built(&mut tokio::runtime::Builder::new_multi_thread())
}

/// The runtime of an agent, which shall stay small on a machine with many cores too.
#[cfg(feature = "agent")]
fn small_runtime() -> Result<tokio::runtime::Runtime, CliError> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = cores.min(crate::limit::AGENT_THREADS);
    built(tokio::runtime::Builder::new_multi_thread().worker_threads(threads))
}

fn built(builder: &mut tokio::runtime::Builder) -> Result<tokio::runtime::Runtime, CliError> {
    builder
        .enable_all()
        .build()
        .map_err(|error| CliError::new(Exit::Io, format!("starting the runtime: {error}")))
}

/// Prints a line on stdout, at once.
fn print_line(line: &str) -> Result<(), CliError> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}")
        .and_then(|()| stdout.flush())
        .map_err(|error| CliError::new(Exit::Io, format!("writing to stdout: {error}")))
}

/// A variable of the environment; one that is not UTF-8 counts as unset.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
