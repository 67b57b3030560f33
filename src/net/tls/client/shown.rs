//! The certificate of our own: shown to whoever asks for one, and whether anybody did.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;

use super::TlsError;

/// What became of it in one handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnCertificate {
    /// Nobody asked.
    NotAsked,
    /// The other end asked, and got one.
    Shown,
    /// The other end asked, and there is none it could take.
    Missing,
}

impl OwnCertificate {
    /// What a connection that just broke most likely broke of: the other end asked for a certificate and got none. Its
    /// alert comes after the handshake, and may be lost.
    pub fn lacking(self, host: &str) -> Option<TlsError> {
        match self {
            Self::Missing => Some(TlsError::OwnMissing { host: host.to_owned() }),
            Self::NotAsked | Self::Shown => None,
        }
    }
}

/// The certificate of one handshake.
#[derive(Debug)]
pub(super) struct Shown {
    own: Option<Arc<CertifiedKey>>,
    asked: AtomicBool,
    given: AtomicBool,
}

impl Shown {
    pub(super) fn new(own: Option<Arc<CertifiedKey>>) -> Self {
        Self { own, asked: AtomicBool::new(false), given: AtomicBool::new(false) }
    }

    pub(super) fn fate(&self) -> OwnCertificate {
        match (self.asked.load(Ordering::Relaxed), self.given.load(Ordering::Relaxed)) {
            (false, _) => OwnCertificate::NotAsked,
            (true, true) => OwnCertificate::Shown,
            (true, false) => OwnCertificate::Missing,
        }
    }
}

impl ResolvesClientCert for Shown {
    fn resolve(&self, _authorities: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        // Shown whatever authorities the hub names: it says what is wrong with it, and we do not guess.
        let own = self.own.as_ref().filter(|own| own.key.choose_scheme(schemes).is_some())?;
        self.given.store(true, Ordering::Relaxed);
        Some(Arc::clone(own))
    }

    fn has_certs(&self) -> bool {
        self.own.is_some()
    }
}
