//! TLS towards a hub: whom the agent believes, and what it shows of itself.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::pem::{self, PemError};
use super::{ALPN, VERSIONS, provider};
use crate::net::meter::Metered;
use crate::net::stream::Stream;

/// What a config says of TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// The only authorities that are believed; without it, the system's.
    pub ca_file: Option<PathBuf>,
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
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A file.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// The rest.
    #[error("{0}")]
    Unusable(String),
}

/// Makes TLS connections.
#[derive(Debug, Clone)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
}

impl ClientTls {
    /// Reads the files.
    ///
    /// # Errors
    /// Where one cannot be used.
    pub fn new(settings: &Settings) -> Result<Self, SettingsError> {
        let unusable = |error: rustls::Error| SettingsError::Unusable(error.to_string());
        let mut roots = RootCertStore::empty();
        match &settings.ca_file {
            Some(path) => {
                for certificate in pem::certificates(path)? {
                    roots.add(certificate).map_err(unusable)?;
                }
            }
            None => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
        }
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(VERSIONS)
            .map_err(unusable)?
            .with_root_certificates(roots);
        let mut config = match &settings.client {
            Some(files) => builder
                .with_client_auth_cert(pem::certificates(&files.cert)?, pem::private_key(&files.key)?)
                .map_err(unusable)?,
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Self { config: Arc::new(config) })
    }

    /// The handshake; `host` is a name or an address, and what the certificate must be for.
    ///
    /// # Errors
    /// Where it fails.
    pub async fn handshake(&self, host: &str, stream: Metered<TcpStream>) -> std::io::Result<Stream> {
        let name = ServerName::try_from(host.to_owned()).map_err(std::io::Error::other)?;
        let stream = TlsConnector::from(Arc::clone(&self.config)).connect(name, stream).await?;
        Ok(Stream::Tls(Box::new(stream.into())))
    }
}
