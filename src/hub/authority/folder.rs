//! `DATA/tls` and what lies in it.

use std::io;
use std::path::{Path, PathBuf};

use rcgen::KeyPair;

use crate::id::AgentName;
use crate::net::tls::pem;
use crate::obs::whole_file::{self, Readers};
use crate::obs::{folder, secret_file};

use super::certificate::{self, Authority};
use super::{CertError, Host, pem_of};

const NEW_AUTHORITY: &str =
    "move the folder away to begin a new authority, which every agent has to be told of";

/// The folder.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn of(data: &Path) -> Self {
        Self(data.join("tls"))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn authority_file(&self) -> PathBuf {
        self.0.join("ca.pem")
    }

    fn authority_key_file(&self) -> PathBuf {
        self.0.join("ca.key")
    }

    /// The hub's certificate and its key.
    pub(super) fn server_files(&self) -> (PathBuf, PathBuf) {
        (self.0.join("hub.pem"), self.0.join("hub.key"))
    }

    /// The same of an agent; the folder is made, and neither is there.
    pub(super) fn client_files(
        &self,
        out: Option<&Path>,
        name: &AgentName,
    ) -> Result<(PathBuf, PathBuf), CertError> {
        let into = out.map_or_else(|| self.0.join("agents"), Path::to_owned);
        make(&into)?;
        let files = (into.join(format!("{name}.pem")), into.join(format!("{name}.key")));
        for file in [&files.0, &files.1] {
            if std::fs::symlink_metadata(file).is_ok() {
                return Err(CertError::Present(file.clone()));
            }
        }
        Ok(files)
    }

    pub(super) fn make(&self) -> Result<(), CertError> {
        make(&self.0)
    }

    /// The authority, where both of its files are there.
    pub(super) fn authority(&self) -> Result<Option<Authority>, CertError> {
        let path = self.authority_file();
        if !path.exists() {
            return Ok(None);
        }
        let incomplete = || CertError::Incomplete { folder: self.0.clone(), missing: "ca.key" };
        let key = self.authority_key()?.ok_or_else(incomplete)?;
        let damaged =
            |reason: String| CertError::Damaged { path: path.clone(), reason, remedy: NEW_AUTHORITY };
        let found = pem::certificates(&path).map_err(|error| damaged(error.to_string()))?;
        let count = found.len();
        let (Some(certificate), 1) = (found.into_iter().next(), count) else {
            return Err(damaged(format!("it has {count} certificates instead of one")));
        };
        let text = std::fs::read_to_string(&path).map_err(|error| file(&path, error))?;
        Authority::new(certificate, text, key).map(Some).map_err(damaged)
    }

    /// The authority's key.
    pub(super) fn authority_key(&self) -> Result<Option<KeyPair>, CertError> {
        key(&self.authority_key_file(), NEW_AUTHORITY)
    }

    /// The hub's key.
    pub(super) fn server_key(&self) -> Result<Option<KeyPair>, CertError> {
        key(&self.server_files().1, "remove it, and a new one is made")
    }

    /// What the hub's present certificate is for.
    pub(super) fn hosts(&self) -> Result<Option<Vec<Host>>, CertError> {
        let path = self.server_files().0;
        if !path.exists() {
            return Ok(None);
        }
        let damaged = |reason: String| CertError::Damaged {
            path: path.clone(),
            reason,
            remedy: "say what the new one is for with --host",
        };
        let found = pem::certificates(&path).map_err(|error| damaged(error.to_string()))?;
        found
            .first()
            .map(|leaf| certificate::hosts(leaf).map_err(|error| damaged(error.to_string())))
            .transpose()
    }

    pub(super) fn put_authority_key(&self, key: &KeyPair) -> Result<(), CertError> {
        // Without a certificate it has made nothing; with other ones of the hub it has lost its own.
        if self.server_files().0.exists() {
            return Err(CertError::Incomplete { folder: self.0.clone(), missing: "ca.pem and ca.key" });
        }
        create(&self.authority_key_file(), pem_of(key).expose(), Readers::Owner)
    }

    pub(super) fn put_authority(&self, certificate: &str) -> Result<(), CertError> {
        if self.server_files().0.exists() {
            return Err(CertError::Incomplete { folder: self.0.clone(), missing: "ca.pem" });
        }
        create(&self.authority_file(), certificate, Readers::All)
    }

    pub(super) fn put_server_key(&self, key: &KeyPair) -> Result<(), CertError> {
        create(&self.server_files().1, pem_of(key).expose(), Readers::Owner)
    }

    pub(super) fn put_chain(&self, chain: &str) -> Result<(), CertError> {
        let path = self.server_files().0;
        whole_file::replace(&path, chain.as_bytes(), Readers::All).map_err(|error| file(&path, error))
    }
}

/// A file that must not be there yet.
pub(super) fn create(path: &Path, content: &str, readers: Readers) -> Result<(), CertError> {
    whole_file::create(path, content.as_bytes(), readers).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => CertError::Present(path.to_owned()),
        _ => file(path, error),
    })
}

fn make(path: &Path) -> Result<(), CertError> {
    folder::make(path).map_err(|error| file(path, error))
}

fn key(path: &Path, remedy: &'static str) -> Result<Option<KeyPair>, CertError> {
    let damaged = |reason: String| CertError::Damaged { path: path.to_owned(), reason, remedy };
    match secret_file::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(damaged(error.to_string())),
        Err(error) => Err(file(path, error)),
        Ok(text) => {
            if let Some(exposure) = secret_file::exposure(path) {
                return Err(CertError::Exposed(exposure));
            }
            let parsed = KeyPair::from_pem(text.expose());
            parsed.map(Some).map_err(|error| damaged(format!("it is not a usable private key ({error})")))
        }
    }
}

fn file(path: &Path, source: io::Error) -> CertError {
    CertError::File { path: path.to_owned(), source }
}
