//! The sealing key: `DATA/hub.key`, 32 random bytes that are never in the database.
//!
//! A sealed value is `nonce[12] || AES-256-GCM(value)`, bound to where it stands by its label, so that a row copied to
//! another agent does not open. A database without its key file is refused: going on with a new key would lock every
//! agent out for good.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};

use crate::id::{AgentId, HubId, JobId, KeyId};
use crate::obs::{random, secret_file};
use crate::secret::Secret;
use crate::wire::browser_token;
use crate::wire::invite::Claim;
use crate::wire::jwt::JwtKey;
use crate::wire::key::{AgentKey, MacRoot};
use crate::wire::mac::MacKey;

use super::error::StoreError;

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;
const CHECK_TEXT: &[u8; 32] = b"outpost hub.key belongs to this ";

/// Seals and unseals what the database must not hold in the open.
pub(super) struct Sealer {
    cipher: Aes256Gcm,
    /// For what else follows from it.
    key: Secret,
}

impl Sealer {
    /// Reads the key file; `None` where there is none.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, StoreError> {
        let unreadable = |error| StoreError::KeyFile { path: path.to_owned(), error };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(error)),
        };
        if let Some(mode) = secret_file::open_to_others(&file).map_err(unreadable)? {
            return Err(StoreError::KeyFileOpen { path: path.to_owned(), mode });
        }
        let bytes = Secret::read(file, KEY_BYTES).map_err(unreadable)?;
        let key = bytes.expose().as_slice().try_into().map(Secret::new);
        key.map(|key| Some(Self::new(&key))).map_err(|_| StoreError::KeyFileDamaged(path.to_owned()))
    }

    /// Draws a key and makes its file durable before anything is sealed with it.
    pub(super) fn create(path: &Path) -> Result<Self, StoreError> {
        let key = Secret::new(random::bytes());
        secret_file::write(path, key.expose())
            .map_err(|error| StoreError::KeyFile { path: path.to_owned(), error })?;
        Ok(Self::new(&key))
    }

    fn new(key: &Secret) -> Self {
        Self { cipher: Aes256Gcm::new(key.expose().into()), key: key.clone() }
    }

    /// What signs tokens.
    pub(super) fn jwt_key(&self, hub: HubId) -> JwtKey {
        JwtKey::new(&self.key, hub)
    }

    /// What signs the tokens of Outpost's own live streams: no secret that a worker has.
    pub(super) fn stream_key(&self, hub: HubId) -> MacKey {
        browser_token::own_key(&self.key, hub)
    }

    /// The key that an invite is worth to who claimed it.
    pub(super) fn enrolled_key(&self, claim: &Claim<'_>, key_id: &KeyId) -> AgentKey {
        claim.agent_key(&self.key, key_id)
    }

    /// Seals an agent's MAC root.
    pub(super) fn seal_root(
        &self,
        root: &MacRoot,
        agent: AgentId,
        key: &KeyId,
    ) -> Result<Vec<u8>, StoreError> {
        self.seal(root.expose(), &label(agent, key))
    }

    /// Opens an agent's MAC root.
    pub(super) fn open_root(
        &self,
        sealed: &[u8],
        agent: AgentId,
        key: &KeyId,
    ) -> Result<MacRoot, StoreError> {
        let root = self.open(sealed, &label(agent, key))?;
        let root = root.expose().as_slice().try_into().map_err(|_| StoreError::Unsealable)?;
        Ok(MacRoot::new(root))
    }

    /// Seals the spec of a job that has secrets.
    pub(super) fn seal_spec(&self, spec: &[u8], job: JobId) -> Result<Vec<u8>, StoreError> {
        self.seal(spec, &spec_label(job))
    }

    /// Opens the spec of a job that has secrets.
    pub(super) fn open_spec(&self, sealed: &[u8], job: JobId) -> Result<Secret<Vec<u8>>, StoreError> {
        self.open(sealed, &spec_label(job))
    }

    /// What the database keeps to recognise its key file.
    pub(super) fn check_value(&self) -> Result<Vec<u8>, StoreError> {
        self.seal(CHECK_TEXT, b"check")
    }

    /// Whether this key made the check value.
    pub(super) fn matches(&self, check_value: &[u8]) -> bool {
        self.open(check_value, b"check").is_ok_and(|text| text.expose().as_slice() == CHECK_TEXT)
    }

    fn seal(&self, value: &[u8], label: &[u8]) -> Result<Vec<u8>, StoreError> {
        let nonce = random::bytes::<NONCE_BYTES>();
        let sealed = self
            .cipher
            .encrypt(&Nonce::from(nonce), Payload { msg: value, aad: label })
            .map_err(|_| StoreError::Unsealable)?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    fn open(&self, sealed: &[u8], label: &[u8]) -> Result<Secret<Vec<u8>>, StoreError> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or(StoreError::Unsealable)?;
        let value = self
            .cipher
            .decrypt(&Nonce::from(*nonce), Payload { msg: sealed, aad: label })
            .map_err(|_| StoreError::Unsealable)?;
        Ok(Secret::new(value))
    }
}

fn label(agent: AgentId, key: &KeyId) -> Vec<u8> {
    [b"mac_root ".as_slice(), agent.as_bytes(), key.as_str().as_bytes()].concat()
}

fn spec_label(job: JobId) -> Vec<u8> {
    [b"job_spec ".as_slice(), job.as_bytes()].concat()
}
