//! What a config says of TLS.

use std::path::PathBuf;

use crate::net::tls::pair::PairError;
use crate::net::tls::pem::PemError;
use crate::net::tls::reader::NotRead;

/// Whom to believe, and what to show. The first that is set holds: `ca_hash`, `ca_file`, `ca_default` where that file is
/// there, the system's authorities.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// The only authorities that are believed.
    pub ca_file: Option<PathBuf>,
    /// The same where this file is there, and from then on.
    pub ca_default: Option<PathBuf>,
    /// SHA-256 of the only authority that is believed; the other end presents the certificate itself.
    pub ca_hash: Option<[u8; 32]>,
    /// The certificate that is shown where the hub asks for one, with its key.
    pub client: Option<ClientFiles>,
}

/// A certificate of our own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientFiles {
    /// The chain, leaf first.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Settings {
    pub(super) fn not_read(&self, reason: NotRead) -> SettingsError {
        SettingsError::NotRead { files: self.files(), reason }
    }

    /// The files that are read, as a message names them.
    fn files(&self) -> String {
        let own = self.client.iter().flat_map(|client| [&client.cert, &client.key]);
        let files = self.ca_file.iter().chain(&self.ca_default).chain(own);
        let names: Vec<_> = files.map(|path| path.display().to_string()).collect();
        if names.is_empty() { "the system's certificate authorities".to_owned() } else { names.join(", ") }
    }
}

/// Settings that make no TLS client.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SettingsError {
    /// A file.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// A certificate that is none of an authority.
    #[error("{} has a certificate that cannot be an authority: {reason}; give the hub's, DATA/tls/ca.pem of its folder", path.display())]
    NotAnAuthority {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The files are not to be had for now.
    #[error("cannot read {files}: {reason}")]
    NotRead {
        /// The files.
        files: String,
        /// Why.
        reason: NotRead,
    },
    /// The certificate that is shown, and its key.
    #[error(transparent)]
    Pair(#[from] PairError),
    /// The system believes nobody.
    #[error(
        "this system has no certificate authorities{}; install them (ca-certificates), or give the hub's own with --ca (hub.ca_file)",
        if reason.is_empty() { String::new() } else { format!(" ({reason})") }
    )]
    NoAuthorities {
        /// What went wrong while they were looked for; empty where nothing did.
        reason: String,
    },
}
