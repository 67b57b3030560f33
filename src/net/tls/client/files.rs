//! The files of TLS as they are now: read once, and again when one of them changes.
//!
//! What the system believes is read for the whole process, and only when somebody needs it: it is most of the memory
//! that TLS takes. It is read again where somebody was not believed ([`super::system`]).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::sign::CertifiedKey;

use super::settings::{ClientFiles, Settings, SettingsError};
use super::system::Shared;
use super::verifier::Roots;
use crate::net::tls::stamp::Stamp;
use crate::net::tls::{pair, pem, provider};
use crate::obs::clock;

static SYSTEM: Mutex<Shared<Arc<WebPkiServerVerifier>>> = Mutex::new(Shared::new());

/// What the settings name, read.
#[derive(Debug)]
pub(super) struct Loaded {
    believed: Believed,
    own: Option<Arc<CertifiedKey>>,
    stamps: Vec<(PathBuf, Option<Stamp>)>,
}

#[derive(Debug)]
enum Believed {
    System,
    /// An error only where it is not the settings that name the file, but it is what an enrolment left.
    File(PathBuf, Result<Arc<WebPkiServerVerifier>, SettingsError>),
    Hash([u8; 32]),
}

impl Loaded {
    /// Reads all of them. An authority that was pinned `before` stays pinned: a file that goes away is no reason to
    /// believe everybody. Nor is one that an enrolment left and that was damaged since a reason not to start: it is pinned as
    /// it is, and each handshake fails until it is mended.
    pub(super) fn read(settings: &Settings, before: Option<&Self>) -> Result<Self, SettingsError> {
        let pinned = match (&settings.ca_file, before.map(|before| &before.believed)) {
            (Some(path), _) | (None, Some(Believed::File(path, _))) => Some(path),
            (None, _) => settings.ca_default.as_ref().filter(|path| is_there(path)),
        };
        // Before they are read: what changes meanwhile is read again.
        let client = settings.client.as_ref();
        let own_paths = client.into_iter().flat_map(|client| [&client.cert, &client.key]);
        let paths = pinned.or(settings.ca_default.as_ref()).into_iter().chain(own_paths);
        let stamps = paths.map(|path| (path.clone(), Stamp::of(path))).collect();
        let believed = match (settings.ca_hash, pinned) {
            (Some(hash), _) => Believed::Hash(hash),
            (None, Some(path)) => {
                let authorities = authorities(path);
                if settings.ca_file.is_some() || before.is_some() {
                    authorities.as_ref().map_err(Clone::clone)?;
                }
                Believed::File(path.clone(), authorities)
            }
            (None, None) => Believed::System,
        };
        Ok(Self { believed, own: client.map(own).transpose()?, stamps })
    }

    /// Whether the files are still those that were read.
    pub(super) fn is_current(&self) -> bool {
        self.stamps.iter().all(|(path, read)| *read == Stamp::of(path))
    }

    /// Why nobody can be believed for now.
    pub(super) fn damage(&self) -> Option<&SettingsError> {
        match &self.believed {
            Believed::File(_, verifier) => verifier.as_ref().err(),
            Believed::System | Believed::Hash(_) => None,
        }
    }

    /// The certificate of our own, with its key.
    pub(super) fn own(&self) -> Option<Arc<CertifiedKey>> {
        self.own.clone()
    }

    /// Whom to believe.
    pub(super) fn roots(&self) -> Result<Roots, SettingsError> {
        Ok(match &self.believed {
            Believed::File(path, verifier) => Roots::File(path.clone(), verifier.clone()?),
            Believed::Hash(hash) => Roots::Hash(*hash),
            Believed::System => Roots::System(system()?),
        })
    }
}

/// What cannot be looked at counts as there: reading it says why.
fn is_there(path: &Path) -> bool {
    !matches!(fs::metadata(path), Err(error) if error.kind() == io::ErrorKind::NotFound)
}

fn authorities(path: &Path) -> Result<Arc<WebPkiServerVerifier>, SettingsError> {
    let unusable = |reason: String| SettingsError::NotAnAuthority { path: path.to_owned(), reason };
    let mut roots = RootCertStore::empty();
    for certificate in pem::certificates(path)? {
        roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
    }
    verifier(roots).map_err(unusable)
}

fn own(files: &ClientFiles) -> Result<Arc<CertifiedKey>, SettingsError> {
    let chain = pem::certificates(&files.cert)?;
    Ok(Arc::new(pair::certified(chain, &files.cert, &files.key)?))
}

/// The system's authorities did not vouch for somebody.
pub(super) fn doubt_system() {
    SYSTEM.lock().unwrap_or_else(PoisonError::into_inner).doubt();
}

fn system() -> Result<Arc<WebPkiServerVerifier>, SettingsError> {
    let mut shared = SYSTEM.lock().unwrap_or_else(PoisonError::into_inner);
    shared.current(clock::boot_now(), read_system).cloned()
}

/// The system's authorities. Those it has and we cannot read do not count; it must have one that we can.
fn read_system() -> Result<Arc<WebPkiServerVerifier>, SettingsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    let reason = found.errors.first().map(ToString::to_string);
    verifier(roots).map_err(|_none| SettingsError::NoAuthorities { reason: reason.unwrap_or_default() })
}

fn verifier(roots: RootCertStore) -> Result<Arc<WebPkiServerVerifier>, String> {
    let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider());
    builder.build().map_err(|error| error.to_string())
}
