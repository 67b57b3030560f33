//! What a config says of TLS.

use std::path::PathBuf;

use crate::net::tls::pem::PemError;

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
    /// A certificate and a key of two pairs.
    #[error("the private key in {} is not the one of the certificate in {} ({reason}); give the two files of one pair", key.display(), cert.display())]
    NotAPair {
        /// The certificate.
        cert: PathBuf,
        /// The key.
        key: PathBuf,
        /// Why.
        reason: String,
    },
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
