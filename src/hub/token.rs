//! What the API asks for: a token, and what each may do.
//!
//! The first one is `DATA/admin.token`, 0600, made at the first start; it may do everything and has no end. Others are made
//! with `hub token add` ([`ApiToken`]): named, with a [`Scope`], and the store keeps a digest of them only.

mod named;
mod scope;

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::obs::{folder, random, secret_file};
use crate::secret::Secret;
use crate::wire::key::encode32;

pub use named::{ApiToken, ParseTokenError};
pub use scope::{ParseScopeError, Scope};

/// The name that the first token goes by; no other can have it.
pub const FIRST_TOKEN: &str = "admin.token";

/// Knows the right token when it sees it.
#[derive(Debug, Clone)]
pub struct AdminToken(Secret);

/// Where the token of the hub in `data` is.
pub fn path(data: &Path) -> PathBuf {
    data.join(FIRST_TOKEN)
}

impl AdminToken {
    /// Reads the token, or makes one; also whether it was made.
    ///
    /// # Errors
    /// Where the file cannot be read or written, or is empty.
    pub fn open_or_create(path: &Path) -> io::Result<(Self, bool)> {
        match secret_file::read(path) {
            Ok(text) if text.expose().trim().is_empty() => {
                Err(io::Error::new(ErrorKind::InvalidData, "the file is empty; remove it to get a new token"))
            }
            Ok(text) => {
                secret_file::warn_of(path);
                Ok((Self::of(text.expose().trim()), false))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let text = Secret::new(encode32(Secret::new(random::bytes()).expose()));
                let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
                writeln!(file, "{}", text.expose())?;
                file.sync_all()?;
                folder::sync_name(path)?;
                Ok((Self::of(text.expose()), true))
            }
            Err(error) => Err(error),
        }
    }

    pub(super) fn of(text: &str) -> Self {
        Self(Secret::new(Sha256::digest(text.as_bytes()).into()))
    }

    /// Tells it from one that came in its place, and says nothing else of it.
    pub(super) fn fingerprint(&self) -> String {
        let digest = Sha256::new().chain_update("outpost/v1 first token").chain_update(self.0.expose());
        let digest: [u8; 32] = digest.finalize().into();
        format!("first-{}", hex::encode(digest.first_chunk::<8>().unwrap_or(&[0; 8])))
    }

    /// Whether `text` is the token; digests are compared in constant time.
    pub fn is(&self, text: &str) -> bool {
        self.0 == Self::of(text).0
    }
}
