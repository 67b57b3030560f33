//! Judges the certificate of one connection, by the time of `net/tls/trust` instead of the library's.
//!
//! The library looks at signatures, names, purposes and, at the time it is given, at the dates. What is decided here is
//! which time that is, and what is believed of a chain that only its dates speak against.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use sha2::{Digest as _, Sha256};

use super::error::{Distrust, Misfit, TlsError};
use crate::net::tls::certificate::Certificate;
use crate::net::tls::provider;
use crate::net::tls::trust::{Times, Trust};
use crate::time::{HubTime, Validity};

/// Whom to believe.
#[derive(Debug)]
pub(super) enum Roots {
    /// Whom the system believes.
    System(Arc<WebPkiServerVerifier>),
    /// The authorities of a file.
    File(PathBuf, Arc<WebPkiServerVerifier>),
    /// The authority with this SHA-256, which the other end presents.
    Hash([u8; 32]),
}

/// What the other end is.
#[derive(Debug)]
pub(super) enum Found {
    Believed { trust: Trust, authority: Option<CertificateDer<'static>> },
    Refused(TlsError),
}

/// The judge of one connection.
#[derive(Debug)]
pub(super) struct Verifier {
    roots: Roots,
    times: Times,
    found: Mutex<Option<Found>>,
}

/// What was presented.
struct Chain<'a> {
    leaf: &'a CertificateDer<'a>,
    others: &'a [CertificateDer<'a>],
    name: &'a ServerName<'a>,
}

impl Verifier {
    pub(super) fn new(roots: Roots, times: Times) -> Self {
        Self { roots, times, found: Mutex::new(None) }
    }

    /// What was found, once.
    pub(super) fn found(&self) -> Option<Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn judge(&self, chain: &Chain<'_>) -> Found {
        let host = chain.name.to_str().into_owned();
        let read = Certificate::read(chain.leaf).ok().and_then(|leaf| Some((leaf.valid()?, leaf)));
        let Some((valid, leaf)) = read else { return Found::Refused(TlsError::Unreadable { host }) };
        let refused = |why: Distrust| {
            let leaf = Box::new(leaf.clone());
            Found::Refused(TlsError::Untrusted { host: host.clone(), leaf, why })
        };
        let (verifier, authority) = match self.verifier(chain) {
            Ok(found) => found,
            Err(why) => return refused(why),
        };
        let present = self.times.present();
        let error = match verify(&verifier, chain, present) {
            Ok(()) => return Found::Believed { trust: Trust::Settled(valid), authority },
            Err(error) => error,
        };
        if !is_of_dates(&error) {
            return refused(self.distrust(error));
        }
        // What else may be wrong with it is looked for in any case: set right, a clock would only bring that to light.
        let second = dates(chain).and_then(|dates| self.times.second_look(&dates));
        let second = second.map(|at| verify(&verifier, chain, at));
        let misfit = Misfit { valid, present };
        match (second, &self.roots) {
            (Some(Err(error)), _) if !is_of_dates(&error) => refused(self.distrust(error)),
            (_, Roots::System(_)) => refused(Distrust::Clock(misfit)),
            (Some(Ok(())), Roots::File(..) | Roots::Hash(_)) => {
                Found::Believed { trust: Trust::Provisional { valid, present }, authority }
            }
            (Some(Err(_)) | None, Roots::File(..) | Roots::Hash(_)) => {
                refused(Distrust::Dates { misfit, floor: self.times.floor })
            }
        }
    }

    /// Who looks at the chain, and the authority where it was presented.
    fn verifier(
        &self,
        chain: &Chain<'_>,
    ) -> Result<(Arc<WebPkiServerVerifier>, Option<CertificateDer<'static>>), Distrust> {
        let hash = match &self.roots {
            Roots::System(verifier) | Roots::File(_, verifier) => return Ok((Arc::clone(verifier), None)),
            Roots::Hash(hash) => hash,
        };
        let presented = chain.others.iter().chain([chain.leaf]);
        let named = presented.into_iter().find(|certificate| Sha256::digest(certificate)[..] == hash[..]);
        let authority = named.ok_or(Distrust::NotTheInvites)?.clone().into_owned();
        let mut roots = RootCertStore::empty();
        let unusable = |reason: String| Distrust::Other(reason);
        roots.add(authority.clone()).map_err(|error| unusable(error.to_string()))?;
        let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider());
        let verifier = builder.build().map_err(|error| unusable(error.to_string()))?;
        Ok((verifier, Some(authority)))
    }

    fn distrust(&self, error: Error) -> Distrust {
        match error {
            Error::InvalidCertificate(CertificateError::UnknownIssuer) => match &self.roots {
                Roots::File(path, _) => Distrust::NotIn(path.clone()),
                Roots::Hash(_) => Distrust::NotTheInvites,
                Roots::System(_) => Distrust::UnknownAuthority,
            },
            Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            ) => Distrust::WrongHost,
            Error::InvalidCertificate(error) => Distrust::Other(error.to_string()),
            other => Distrust::Other(other.to_string()),
        }
    }
}

/// The dates of all that was presented; `None` where one of them has none.
fn dates(chain: &Chain<'_>) -> Option<Vec<Validity>> {
    let all = [chain.leaf].into_iter().chain(chain.others);
    all.map(|certificate| Certificate::read(certificate).ok()?.valid()).collect()
}

fn verify(verifier: &WebPkiServerVerifier, chain: &Chain<'_>, at: HubTime) -> Result<(), Error> {
    let at = UnixTime::since_unix_epoch(Duration::from_millis(at.0));
    verifier.verify_server_cert(chain.leaf, chain.others, chain.name, &[], at).map(|_verified| ())
}

fn is_of_dates(error: &Error) -> bool {
    matches!(
        error,
        Error::InvalidCertificate(
            CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. }
        )
    )
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let found = self.judge(&Chain { leaf: end_entity, others: intermediates, name: server_name });
        let answer = match &found {
            Found::Believed { .. } => Ok(ServerCertVerified::assertion()),
            Found::Refused(error) => Err(Error::InvalidCertificate(error.alert())),
        };
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
        answer
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
