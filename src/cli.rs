//! The command line: parse, call, exit code.

use std::io::Write;
use std::path::PathBuf;

use tracing::level_filters::LevelFilter;

#[cfg(feature = "agent")]
pub mod agent_keygen;
#[cfg(feature = "agent")]
pub mod agent_run;
#[cfg(feature = "agent")]
pub mod agent_status;
pub mod config_check;
#[cfg(feature = "agent")]
pub mod emit;
pub mod exit;
#[cfg(feature = "agent")]
mod folder;
#[cfg(feature = "agent")]
pub mod outbox;

use exit::{CliError, Exit};

/// What every command is given.
#[derive(Debug, Clone)]
pub struct Global {
    /// `--config`
    pub config: Option<PathBuf>,
    /// `--json`
    pub json: bool,
    /// From `-v` and `-q`.
    pub level: LevelFilter,
}

/// Prints one line on stdout; a reader that went away is no panic.
///
/// # Errors
/// Where stdout cannot be written.
pub(crate) fn print_line(line: &str) -> Result<(), CliError> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}")
        .and_then(|()| stdout.flush())
        .map_err(|error| CliError::new(Exit::Io, format!("cannot write to stdout: {error}")))
}

/// A variable of the environment; one that is not UTF-8 counts as unset.
#[cfg(feature = "agent")]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
