//! TLS at the hub: its certificate and key from PEM files, which may be replaced while it runs.
//!
//! * The files are taken together or not at all: what is in use always fits together (`material`).
//! * [`ServerTls::look`] sees a replacement; connections made from then on use it, the others keep theirs. A replacement
//!   that cannot be used changes nothing, and is told of once (`watch`).
//! * No session is resumed and nothing is accepted early: a ticket would outlive the certificate it was made under, and
//!   early data can be replayed.

mod expiry;
mod failure;
mod material;
#[cfg(test)]
mod tests;
mod watch;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsStream};

use super::certificate::Certificate;
use super::reader::{NotRead, Reader};
use crate::net::meter::Metered;
use crate::net::stream::Stream;
use crate::time::{BootTime, WallTime};

pub use expiry::Remaining;
pub use failure::{Fault, HandshakeError};
use material::Material;
pub use material::ServerTlsError;
use watch::{Stamps, Watch};

/// The first byte of a TLS connection: a record with a handshake in it.
const HANDSHAKE_RECORD: u8 = 0x16;

/// Where the hub's own certificate is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The chain, the hub's own certificate first.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authorities of the agents' certificates; where they are given, an agent must show one.
    pub client_ca: Option<PathBuf>,
}

/// Whether a peer must show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientCertificate {
    /// It is not asked for one.
    NotAsked,
    /// It must, where [`Files::client_ca`] is given.
    Required,
}

/// What a look at the files came to.
#[derive(Debug)]
pub enum Look {
    /// What is in use is what is there.
    Same,
    /// New ones are used from now on.
    Replaced,
    /// What is there cannot be used, and is not about to be replaced; told once.
    Broken(ServerTlsError),
}

/// Makes TLS out of accepted connections.
#[derive(Debug)]
pub struct ServerTls {
    files: Files,
    current: RwLock<Arc<Material>>,
    watch: Mutex<Watch>,
    reader: Reader,
}

impl Files {
    fn not_read(&self, reason: NotRead) -> ServerTlsError {
        let files = [Some(&self.cert), Some(&self.key), self.client_ca.as_ref()].into_iter().flatten();
        let names: Vec<_> = files.map(|path| path.display().to_string()).collect();
        ServerTlsError::NotRead { files: names.join(", "), reason }
    }
}

impl ServerTls {
    /// Reads the files.
    ///
    /// # Errors
    /// Where one cannot be used, or they do not fit together, or their disk does not answer.
    pub fn load(files: Files) -> Result<Self, ServerTlsError> {
        let (reader, wanted) = (Reader::default(), files.clone());
        // The stamps before the files: what is replaced in between is then seen at the first look.
        let loaded = reader.read_here(move || (Stamps::of(&wanted), Material::load(&wanted)));
        let (stamps, material) = loaded.map_err(|reason| files.not_read(reason))?;
        let (current, watch) = (RwLock::new(Arc::new(material?)), Mutex::new(Watch::new(stamps)));
        Ok(Self { files, current, watch, reader })
    }

    /// Where everything is.
    pub const fn files(&self) -> &Files {
        &self.files
    }

    /// The hub's own certificate, as it is used now.
    pub fn certificate(&self) -> Certificate {
        self.current().certificate.clone()
    }

    /// What peers are shown now, the hub's own certificate first.
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.current().chain.clone()
    }

    /// When the first certificate of the chain that is used now expires.
    pub fn expires(&self) -> WallTime {
        self.current().expires
    }

    /// Looks at the files, and takes what was replaced. A look at a disk that hangs goes on, and no other is begun before
    /// it ends.
    ///
    /// # Errors
    /// Where the disk does not answer in time: what is in use stays so.
    pub async fn look(self: &Arc<Self>, now: BootTime) -> Result<Look, ServerTlsError> {
        let own = Arc::clone(self);
        let look = self.reader.read(move || own.look_here(now)).await;
        look.map_err(|reason| self.files.not_read(reason))
    }

    /// Blocks on the disk.
    fn look_here(&self, now: BootTime) -> Look {
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        let stamps = Stamps::of(&self.files);
        if !watch.wants(&stamps) {
            return Look::Same;
        }
        match Material::load(&self.files) {
            // Replaced again while it was read: the next look sees it whole.
            _ if Stamps::of(&self.files) != stamps => Look::Same,
            Ok(material) => {
                watch.used(stamps);
                let before = self.current();
                let same = material.is_as(&before);
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(material);
                if same { Look::Same } else { Look::Replaced }
            }
            Err(error) => match watch.failed(stamps, now) {
                watch::Verdict::Replacing => Look::Same,
                watch::Verdict::Broken => Look::Broken(error),
            },
        }
    }

    /// The handshake with a peer. The caller bounds its time.
    ///
    /// # Errors
    /// Where it fails; a peer that speaks plain HTTP was told what this port is.
    pub async fn accept(
        &self,
        stream: Metered<TcpStream>,
        clients: ClientCertificate,
    ) -> Result<Stream, HandshakeError> {
        let mut first = [0];
        let count = stream.get_ref().peek(&mut first).await.map_err(HandshakeError::from)?;
        if count == 0 {
            return Err(HandshakeError::Unused);
        }
        if first != [HANDSHAKE_RECORD] {
            return Err(failure::not_tls(stream, first).await);
        }
        let config = self.current().config(clients);
        // Boxed: the future of every connection would have the size of a handshake.
        let stream =
            Box::pin(TlsAcceptor::from(config).accept(stream)).await.map_err(HandshakeError::from)?;
        Ok(Stream::over_tls(TlsStream::Server(stream)))
    }

    fn current(&self) -> Arc<Material> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Material {
    fn config(&self, clients: ClientCertificate) -> Arc<ServerConfig> {
        match clients {
            ClientCertificate::NotAsked => Arc::clone(&self.open),
            ClientCertificate::Required => Arc::clone(&self.agents),
        }
    }
}
