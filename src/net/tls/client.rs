//! TLS towards a hub: whom this side believes, and what it shows of itself.
//!
//! * Every connection is verified anew: nothing is resumed, so that a certificate is judged by the time and the files there
//!   are now. `client/files` reads them again when they change, and the system's authorities when they do not vouch for
//!   somebody (`client/system`); `client/verifier` judges.
//! * Whatever goes wrong has a message of its own (`client/error`), with the host, the certificate and what to do.

mod error;
mod files;
mod settings;
mod shown;
mod system;
mod verifier;

use std::sync::{Arc, Mutex, PoisonError};

use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::reader::Reader;
use super::trust::{TimeFloor, Times, Trust, build_date};
use super::{ALPN, VERSIONS, provider};
use crate::net::meter::Metered;
use crate::net::stream::Stream;
use crate::obs::clock;
use crate::time::WallTime;

pub use error::{Distrust, Misfit, TlsError};
use files::Loaded;
pub use settings::{ClientFiles, Settings, SettingsError};
pub use shown::OwnCertificate;
use shown::Shown;
use verifier::{Found, Verifier};

/// Makes TLS connections. Every clone shares the files and the floor.
#[derive(Debug, Clone)]
pub struct ClientTls {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: Settings,
    wall_clock: fn() -> WallTime,
    floor: TimeFloor,
    loaded: Mutex<Arc<Loaded>>,
    reader: Reader,
}

/// A connection whose other end was verified.
#[derive(Debug)]
pub struct Secured {
    /// The bytes.
    pub stream: Stream,
    /// How far the other end is believed.
    pub trust: Trust,
    /// Whether it wanted a certificate of this side.
    pub own: OwnCertificate,
    /// The authority that vouched for it, where [`Settings::ca_hash`] named one.
    pub authority: Option<CertificateDer<'static>>,
}

impl ClientTls {
    /// Reads the files, by this machine's clock and without a floor.
    ///
    /// # Errors
    /// Where a file cannot be used.
    pub fn new(settings: &Settings) -> Result<Self, SettingsError> {
        Self::with_time(settings, clock::wall_now, TimeFloor::default())
    }

    /// The same by another clock, and from a floor on that rises as its owner learns the time.
    ///
    /// # Errors
    /// Where a file cannot be used.
    pub fn with_time(
        settings: &Settings,
        wall_clock: fn() -> WallTime,
        floor: TimeFloor,
    ) -> Result<Self, SettingsError> {
        let (settings, reader) = (settings.clone(), Reader::default());
        let wanted = settings.clone();
        let loaded = reader.read_here(move || Loaded::read(&wanted, None));
        let loaded = loaded.map_err(|reason| settings.not_read(reason))??;
        let loaded = Mutex::new(Arc::new(loaded));
        Ok(Self { shared: Arc::new(Shared { settings, wall_clock, floor, loaded, reader }) })
    }

    /// What is wrong with the authority that an enrolment left: each handshake fails until it is mended.
    pub fn damage(&self) -> Option<SettingsError> {
        self.shared.loaded.lock().unwrap_or_else(PoisonError::into_inner).damage().cloned()
    }

    /// The handshake; `host` is a name or an address, and what the certificate must be for. Has no time limit of its own.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub async fn handshake(&self, host: &str, stream: Metered<TcpStream>) -> Result<Secured, TlsError> {
        let unusable = |_| TlsError::Name { host: host.to_owned() };
        let name = ServerName::try_from(host.to_owned()).map_err(unusable)?;
        let shared = Arc::clone(&self.shared);
        let found = self.shared.reader.read(move || shared.verifier()).await;
        let found = found.unwrap_or_else(|reason| Err(self.shared.settings.not_read(reason)));
        let (verifier, shown) = found.map_err(TlsError::Settings)?;
        let config = config(Arc::clone(&verifier), Arc::clone(&shown)).map_err(TlsError::library(host))?;
        match TlsConnector::from(Arc::new(config)).connect(name, stream).await {
            Ok(stream) => {
                let Some(Found::Believed { trust, authority }) = verifier.found() else {
                    return Err(TlsError::NotVerified { host: host.to_owned() });
                };
                let stream = Stream::over_tls(stream.into());
                Ok(Secured { stream, trust, own: shown.fate(), authority })
            }
            Err(error) => match verifier.found() {
                Some(Found::Refused(refused)) => {
                    // The other reason is what an authority of the same name says whose key is another one.
                    if let TlsError::Untrusted {
                        why: Distrust::UnknownAuthority | Distrust::Other(_), ..
                    } = refused
                    {
                        files::doubt_system();
                    }
                    Err(refused)
                }
                Some(Found::Believed { .. }) | None => Err(TlsError::of_handshake(host, &error)),
            },
        }
    }
}

impl Shared {
    /// What one connection is verified with, by the files and clocks of now. Blocks.
    fn verifier(&self) -> Result<(Arc<Verifier>, Arc<Shown>), SettingsError> {
        let loaded = {
            let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
            if !loaded.is_current() {
                *loaded = Arc::new(Loaded::read(&self.settings, Some(&loaded))?);
                tracing::info!("the files of TLS changed; the new ones are used");
            }
            Arc::clone(&loaded)
        };
        let (wall, floor) = ((self.wall_clock)(), self.floor.now());
        let times = Times { wall, build: build_date(), floor };
        let shown = Arc::new(Shown::new(loaded.own()));
        Ok((Arc::new(Verifier::new(loaded.roots()?, times)), shown))
    }
}

fn config(verifier: Arc<Verifier>, shown: Arc<Shown>) -> Result<ClientConfig, rustls::Error> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(VERSIONS)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_cert_resolver(shown);
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}

#[cfg(test)]
mod tests;
