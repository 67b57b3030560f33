//! What is in a hub's PEM files, checked as a whole.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::time_provider::TimeProvider;
use rustls::{RootCertStore, ServerConfig};

use super::Files;
use crate::net::tls::certificate::Certificate;
use crate::net::tls::pair::{self, PairError};
use crate::net::tls::pem::{self, PemError};
use crate::net::tls::reader::NotRead;
use crate::net::tls::{ALPN, VERSIONS, provider};
use crate::obs::clock;
use crate::time::WallTime;

/// Files a hub cannot serve TLS with.
#[derive(Debug, thiserror::Error)]
pub enum ServerTlsError {
    /// One of them.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// The certificate and its key.
    #[error(transparent)]
    Pair(#[from] PairError),
    /// A certificate that is none.
    #[error("a certificate in {} cannot be used: {reason}; look at it with `openssl x509 -in {} -text`", path.display(), path.display())]
    Certificate {
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
    /// The cryptography itself.
    #[error("TLS cannot be set up: {0}")]
    Unusable(rustls::Error),
}

/// A chain, its key and the authorities of clients, ready to be used.
#[derive(Debug)]
pub(super) struct Material {
    pub(super) certificate: Certificate,
    pub(super) expires: WallTime,
    /// For peers that are not asked for a certificate.
    pub(super) open: Arc<ServerConfig>,
    /// For agents, who are where there are authorities for it.
    pub(super) agents: Arc<ServerConfig>,
    pub(super) chain: Vec<CertificateDer<'static>>,
    authorities: Vec<CertificateDer<'static>>,
}

impl Material {
    pub(super) fn load(files: &Files) -> Result<Self, ServerTlsError> {
        let chain = pem::certificates(&files.cert)?;
        let authorities = match &files.client_ca {
            Some(path) => pem::certificates(path)?,
            None => Vec::new(),
        };
        let (certificate, expires) = read(&files.cert, &chain)?;
        let key = Arc::new(pair::certified(chain.clone(), &files.cert, &files.key)?);
        let open = config(&key, WebPkiClientVerifier::no_client_auth())?;
        let agents = match &files.client_ca {
            Some(path) => config(&key, verifier(path, &authorities)?)?,
            None => Arc::clone(&open),
        };
        Ok(Self { certificate, expires, open, agents, chain, authorities })
    }

    /// Whether both hold the same, though in files of another date.
    pub(super) fn is_as(&self, other: &Self) -> bool {
        self.chain == other.chain && self.authorities == other.authorities
    }
}

/// The first certificate, and when the first of all expires.
fn read(path: &Path, chain: &[CertificateDer<'_>]) -> Result<(Certificate, WallTime), ServerTlsError> {
    let wrong = |reason: String| ServerTlsError::Certificate { path: path.to_owned(), reason };
    let certificates: Result<Vec<_>, _> = chain.iter().map(|der| Certificate::read(der)).collect();
    let certificates = certificates.map_err(|error| wrong(error.to_string()))?;
    let expires = certificates.iter().map(|certificate| certificate.not_after).min();
    let first = certificates.into_iter().next();
    first.zip(expires).ok_or_else(|| wrong("there is none in it".to_owned()))
}

fn verifier(
    path: &Path,
    authorities: &[CertificateDer<'static>],
) -> Result<Arc<dyn ClientCertVerifier>, ServerTlsError> {
    let wrong = |reason: String| ServerTlsError::Certificate { path: path.to_owned(), reason };
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority.clone()).map_err(|error| wrong(error.to_string()))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|error| wrong(error.to_string()))
}

fn config(
    key: &Arc<CertifiedKey>,
    clients: Arc<dyn ClientCertVerifier>,
) -> Result<Arc<ServerConfig>, ServerTlsError> {
    let mut config = ServerConfig::builder_with_details(provider(), Arc::new(OwnClock))
        .with_protocol_versions(VERSIONS)
        .map_err(ServerTlsError::Unusable)?
        .with_client_cert_verifier(clients)
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(key))));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// The time that clients' certificates are judged by.
#[derive(Debug)]
struct OwnClock;

impl TimeProvider for OwnClock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(std::time::Duration::from_millis(clock::wall_now().0)))
    }
}
