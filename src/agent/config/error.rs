//! What is wrong with a setting.

use std::path::PathBuf;

/// A setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the config file {}: {reason}; check the path given with --config", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The file is not TOML, or has a key this build does not know.
    #[error("{}{}: {reason}; remove the key or correct it, then run `outpost config check {}`", path.display(), line.map_or(String::new(), |line| format!(" line {line}")), path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: Option<usize>,
        /// What is wrong; names the key.
        reason: String,
    },
    /// A value is outside its bounds.
    #[error("{origin}: {key}: {reason}")]
    Value {
        /// The file, `environment` or `command line`.
        origin: String,
        /// The key or variable.
        key: String,
        /// What is wrong and what is expected.
        reason: String,
    },
}
