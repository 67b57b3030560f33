//! Settings that cannot be used, and where they were given.

use std::path::{Path, PathBuf};

use super::YamlError;

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the config file {path}: {error}; check the path given with --config")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("the config {path}: {}; correct it, then run `outpost config check {path}`", told(error))]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        error: Box<toml::de::Error>,
    },
    /// The same of a broker's file in YAML.
    #[error("the config {path}: {error}; correct it")]
    Yaml {
        /// The file.
        path: PathBuf,
        /// Where and why.
        error: YamlError,
    },
    /// One value is not what it should be.
    #[error("{place}: `{key}` is `{value}`; it must be {expected}")]
    Value {
        /// Where it was given, as far as that is known.
        place: String,
        /// The setting.
        key: &'static str,
        /// What was given.
        value: String,
        /// What would do.
        expected: &'static str,
    },
}

impl ConfigError {
    /// Names the file a value may have come from; without one it came from the environment.
    pub(super) fn in_file(self, file: Option<&Path>) -> Self {
        match self {
            Self::Value { key, value, expected, .. } => {
                let place = file.map_or_else(
                    || "the environment".to_owned(),
                    |file| format!("{} or the environment", file.display()),
                );
                Self::Value { place, key, value, expected }
            }
            error @ (Self::Read { .. } | Self::Parse { .. } | Self::Yaml { .. }) => error,
        }
    }
}

/// Where and why in one line: the library draws the place over several.
fn told(error: &toml::de::Error) -> String {
    let (text, why) = (error.to_string(), error.message());
    let place = text.lines().next().filter(|place| *place != why);
    place.map_or_else(|| why.to_owned(), |place| format!("{place}: {why}"))
}

/// A value that will not do; [`ConfigError::in_file`] says where it came from, if that is not the program itself.
pub(super) fn wrong(key: &'static str, value: &str, expected: &'static str) -> ConfigError {
    ConfigError::Value { place: "the settings".to_owned(), key, value: value.to_owned(), expected }
}
