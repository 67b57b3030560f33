//! What the command line sets.

use std::path::PathBuf;

use crate::secret::Secret;

/// What the command line sets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--data`
    pub data: Option<PathBuf>,
    /// `--socket`
    pub socket: Option<PathBuf>,
    /// `--hub`, each of them
    pub hubs: Vec<String>,
    /// `--proxy`
    pub proxy: Option<Secret<String>>,
    /// `--key-file`
    pub key_file: Option<PathBuf>,
    /// `--identity-file`
    pub identity_file: Option<PathBuf>,
    /// `--allow-insecure[=any]`
    pub allow_insecure: Option<String>,
    /// `--no-link`
    pub no_link: bool,
    /// `--ca`
    pub ca: Option<PathBuf>,
    /// `--client-cert`
    pub client_cert: Option<PathBuf>,
    /// `--client-key`
    pub client_key: Option<PathBuf>,
}
