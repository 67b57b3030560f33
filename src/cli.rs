//! The command line: parse, call, exit code. One file per command.

pub mod exit;

#[cfg(feature = "agent")]
mod agent_args;
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
#[cfg_attr(not(any(feature = "agent", feature = "hub")), allow(dead_code, reason = "no command prints"))]
#[cfg(feature = "agent")]
mod emit;
#[cfg(feature = "hub")]
mod first_steps;
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
mod hub_token;
#[cfg(feature = "hub")]
mod issued;
#[cfg(feature = "hub")]
mod job;
#[cfg(feature = "hub")]
mod job_cancel;
#[cfg(feature = "hub")]
mod job_follow;
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
#[cfg(feature = "hub")]
mod live;
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
#[cfg(any(feature = "agent", feature = "hub"))]
mod shell;
#[cfg_attr(not(any(feature = "agent", feature = "hub")), allow(dead_code, reason = "no command prints"))]
mod terminal;
#[cfg(feature = "hub")]
mod topic;
#[cfg(feature = "hub")]
mod topic_own;
#[cfg(feature = "hub")]
mod way;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use tracing::level_filters::LevelFilter;

use exit::{CliError, Exit};
#[cfg(any(feature = "agent", feature = "hub"))]
use terminal::print_line;

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
    Job(Box<job::Command>),
    /// Read what arrived at the hub
    #[cfg(feature = "hub")]
    #[command(subcommand)]
    Records(RecordsCommand),
    /// Run a broker of live topics by itself
    #[cfg(feature = "hub")]
    #[command(subcommand)]
    Live(LiveCommand),
    /// Register live topics, publish to them, and make tokens for them
    #[cfg(feature = "hub")]
    Topic(topic::Args),
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
    /// Tokens for people and programs that use the hub's API
    Token(hub_token::Args),
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

#[cfg(feature = "hub")]
#[derive(Debug, Subcommand)]
enum LiveCommand {
    Run(live::Args),
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
    let cli = match Cli::try_parse_from(arguments(std::env::args_os())) {
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
            terminal::note(&error);
            error.exit
        }
    }
}

/// The command line, with the one spelling that another program has: `live run -config FILE`.
fn arguments(given: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = given.into_iter().collect();
    let words = arguments.iter().skip(1).take_while(|word| *word != "--");
    let words: Vec<&OsString> =
        words.filter(|word| !word.as_encoded_bytes().starts_with(b"-")).take(2).collect();
    if words != ["live", "run"] {
        return arguments;
    }
    for word in &mut arguments {
        let Some(text) = word.to_str() else { continue };
        if text == "-config" || text.starts_with("-config=") {
            *word = format!("-{text}").into();
        }
    }
    arguments
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
        Command::Hub(HubCommand::Token(args)) => hub_token::run(&args, global),
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
        Command::Job(command) => job::run(*command, global),
        #[cfg(feature = "hub")]
        Command::Records(RecordsCommand::List(args)) => records::run(args, global),
        #[cfg(feature = "hub")]
        Command::Live(LiveCommand::Run(args)) => live::run(args, global),
        #[cfg(feature = "hub")]
        Command::Topic(args) => topic::run(args, global),
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

/// A variable of the environment; one that is not UTF-8 counts as unset.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(all(test, feature = "hub"))]
mod tests {
    use super::*;

    fn config(line: &str) -> Option<String> {
        let cli = Cli::try_parse_from(arguments(line.split(' ').map(OsString::from))).ok()?;
        cli.config.map(|file| file.display().to_string())
    }

    #[test]
    fn a_live_broker_takes_the_spelling_of_the_one_it_stands_in_for() {
        for line in [
            "outpost live run -config live.yaml",
            "outpost live run -config=live.yaml",
            "outpost live run --config live.yaml",
            "outpost --json live run -config live.yaml",
        ] {
            assert_eq!(config(line).as_deref(), Some("live.yaml"), "{line}");
        }
        assert_eq!(config("outpost hub run -config hub.toml"), None, "nobody else does");
        let job = ["outpost", "job", "submit", "--", "live", "run", "-config"].map(OsString::from);
        assert_eq!(arguments(job.clone()), job, "a job's own arguments are left alone");
    }
}
