//! A hub's own certificate authority, so that TLS needs nothing else.
//!
//! ```text
//! DATA/tls/ca.pem            the authority, 0644, made once and never overwritten: agents know the hub by it
//! DATA/tls/ca.key            its key, 0600, likewise
//! DATA/tls/hub.pem           the hub's certificate and then the authority's, 0644
//! DATA/tls/hub.key           the hub's key, 0600
//! DATA/tls/agents/NAME.pem   an agent's certificate, 0644, never overwritten
//! DATA/tls/agents/NAME.key   its key, 0600, likewise
//! ```
//! A renewal keeps `hub.key` and replaces `hub.pem`, by one rename: there is no moment at which the two do not fit, so a hub
//! that runs may read them at any time. A new key would protect nobody, since `ca.key` lies beside it. Where `hub.key` is
//! missing a new one is made.
//!
//! The authority's certificate is handed to agents within the chain; its key never leaves the folder. It can make nothing
//! but certificates of servers and clients (path length 0).

mod certificate;
mod error;
mod folder;
mod host;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use rcgen::KeyPair;
use rustls::pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};

use crate::id::AgentName;
use crate::limit;
use crate::net::tls::pem;
use crate::obs::whole_file::Readers;
use crate::secret::Secret;
use crate::time::WallTime;

pub(crate) use certificate::date;
use certificate::{Authority, Validity};
pub(crate) use error::CertError;
use folder::Folder;
pub(crate) use host::Host;

/// What a hub's certificate is to be.
#[derive(Debug)]
pub(crate) struct ServerRequest<'a> {
    /// The hub's data folder, which is made where it is not there.
    pub(crate) data: &'a Path,
    /// Names and addresses besides the loopback's; none: those of the present certificate, else the machine's name.
    pub(crate) hosts: Vec<Host>,
    /// How long it is good, at most as long as the authority.
    pub(crate) days: u32,
    /// This machine's date.
    pub(crate) now: WallTime,
}

/// What an agent's certificate is to be.
#[derive(Debug)]
pub(crate) struct ClientRequest<'a> {
    /// The hub's data folder.
    pub(crate) data: &'a Path,
    /// The agent.
    pub(crate) name: &'a AgentName,
    /// Where the files go; `None`: `DATA/tls/agents`.
    pub(crate) out: Option<&'a Path>,
    /// How long it is good; `None`: as long as the authority.
    pub(crate) days: Option<u32>,
    /// This machine's date.
    pub(crate) now: WallTime,
}

/// Whether the authority was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It was not.
    New,
    /// It was.
    Kept,
}

/// A certificate that was written.
#[derive(Debug)]
pub(crate) struct Issued {
    /// Its file.
    pub(crate) certificate: PathBuf,
    /// Its key's.
    pub(crate) key: PathBuf,
    /// Its last second, since 1970.
    pub(crate) expires_at: i64,
    /// The authority's certificate.
    pub(crate) ca: PathBuf,
    /// SHA-256 of it (DER).
    pub(crate) ca_sha256: [u8; 32],
    /// The authority's last second, since 1970.
    pub(crate) ca_expires_at: i64,
}

/// A hub's certificate that was written.
#[derive(Debug)]
pub(crate) struct Server {
    /// The files.
    pub(crate) issued: Issued,
    /// What it is for.
    pub(crate) hosts: Vec<Host>,
    /// Of the authority.
    pub(crate) authority: Origin,
}

/// Makes the authority where there is none, and a certificate for the hub.
///
/// # Errors
/// See [`CertError`]; nothing that was there is harmed.
pub(crate) fn init(request: ServerRequest<'_>) -> Result<Server, CertError> {
    let ServerRequest { data, hosts, days, now } = request;
    let now = seconds(now)?;
    let folder = Folder::of(data);
    let hosts = host::complete(hosts, || folder.hosts())?;
    folder.make()?;
    let (authority, origin) = match folder.authority()? {
        Some(authority) => (authority, Origin::Kept),
        None => (begin(&folder, now)?, Origin::New),
    };
    let key = match folder.server_key()? {
        Some(key) => key,
        None => {
            let key = certificate::new_key()?;
            folder.put_server_key(&key)?;
            key
        }
    };
    let validity = authority.validity(now, Some(days))?;
    let chain = authority.server(&hosts, validity, &key)?;
    folder.put_chain(&chain)?;
    let issued = issued(&folder, &authority, validity, folder.server_files());
    Ok(Server { issued, hosts, authority: origin })
}

/// Makes a certificate that an agent shows.
///
/// # Errors
/// See [`CertError`]; nothing is overwritten.
pub(crate) fn issue(request: &ClientRequest<'_>) -> Result<Issued, CertError> {
    let ClientRequest { data, name, out, days, now } = request;
    let now = seconds(*now)?;
    let folder = Folder::of(data);
    let authority = folder.authority()?.ok_or_else(|| CertError::NoAuthority(folder.path().to_owned()))?;
    let validity = authority.validity(now, *days)?;
    let files = folder.client_files(*out, name)?;
    let key = certificate::new_key()?;
    let certificate = authority.client(name, validity, &key)?;
    // The key is worth nothing without its certificate: the pair is there once the second file is.
    folder::create(&files.1, pem_of(&key).expose(), Readers::Owner)?;
    folder::create(&files.0, &certificate, Readers::All)?;
    Ok(issued(&folder, &authority, validity, files))
}

/// The digest of the authority that agents are to believe, where this chain of certificates ends with one that vouches for
/// itself: what a hub shows. An authority that the hub does not show is one that everybody knows.
pub(crate) fn anchor(chain: &[CertificateDer<'_>]) -> Option<[u8; 32]> {
    let last = chain.last().filter(|last| certificate::is_root(last));
    last.map(|last| Sha256::digest(last).into())
}

/// The same of the chain that [`init`] wrote for the hub of this folder; `None` where it did not.
///
/// # Errors
/// Where the file cannot be read.
pub(crate) fn own_anchor(data: &Path) -> Result<Option<[u8; 32]>, CertError> {
    let path = Folder::of(data).server_files().0;
    if path.exists() { Ok(anchor(&pem::certificates(&path)?)) } else { Ok(None) }
}

/// The file of the authority that [`init`] made in this folder, where this chain ends with it.
pub(crate) fn own_file(data: &Path, chain: &[CertificateDer<'_>]) -> Option<PathBuf> {
    let path = Folder::of(data).authority_file();
    let own = pem::certificates(&path).ok()?;
    (own.first()? == chain.last()?).then_some(path)
}

/// The same of the chain that [`init`] wrote for the hub of this folder.
pub(crate) fn own_file_of(data: &Path) -> Option<PathBuf> {
    own_file(data, &pem::certificates(&Folder::of(data).server_files().0).ok()?)
}

fn begin(folder: &Folder, now: i64) -> Result<Authority, CertError> {
    // One that was cut off before its certificate was written has made nothing yet: it goes on with its key.
    let key = match folder.authority_key()? {
        Some(key) => key,
        None => {
            let key = certificate::new_key()?;
            folder.put_authority_key(&key)?;
            key
        }
    };
    let certificate = certificate::root(&key, Validity::new(now, limit::CA_DAYS))?;
    folder.put_authority(&certificate)?;
    folder.authority()?.ok_or_else(|| CertError::NoAuthority(folder.path().to_owned()))
}

fn issued(folder: &Folder, authority: &Authority, validity: Validity, files: (PathBuf, PathBuf)) -> Issued {
    Issued {
        certificate: files.0,
        key: files.1,
        expires_at: validity.not_after,
        ca: folder.authority_file(),
        ca_sha256: authority.digest(),
        ca_expires_at: authority.expires_at(),
    }
}

/// A clock that cannot be right makes certificates that nobody can use.
fn seconds(now: WallTime) -> Result<i64, CertError> {
    let seconds = certificate::seconds(now);
    if seconds < limit::CLOCK_PLAUSIBLE_FROM { Err(CertError::Clock(seconds)) } else { Ok(seconds) }
}

fn pem_of(key: &KeyPair) -> Secret<String> {
    Secret::new(key.serialize_pem())
}
