//! The command line: parse, call, exit code.

pub mod exit;
#[cfg(feature = "hub")]
pub mod hub_agent;
#[cfg(feature = "hub")]
pub mod hub_run;
pub mod records;
pub mod remote;

use std::path::PathBuf;

use tracing::level_filters::LevelFilter;

/// What every command understands.
#[derive(Debug, Clone)]
pub struct Global {
    /// A TOML file.
    pub config: Option<PathBuf>,
    /// One object a line on stdout instead of text.
    pub json: bool,
    /// How much is logged to stderr.
    pub level: LevelFilter,
}
