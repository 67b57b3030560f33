//! What tells whether a key is the one an outbox is encrypted with, before anything else is read.
//!
//! ```text
//! check = nothing, sealed with the key under the label "outpost outbox key": nonce[24] | tag[16]
//! KEY   = check[40] | CRC-32C                  the same check lies in FORMAT: one sound copy will do
//! ```
//! An encrypted outbox stays so: what was written before the key was set is read as it is, and the key is needed from then
//! on.

use std::io::ErrorKind;
use std::path::Path;

use crate::obs::random;
use crate::outbox::OpenError;
use crate::outbox::cipher::{Cipher, SEAL_BYTES};

use super::host::Host;
use super::{carve, key_file};

const FILE: &str = "KEY";
const LABEL: &[u8] = b"outpost outbox key";

/// The check value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyCheck([u8; SEAL_BYTES]);

impl KeyCheck {
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    pub(super) const fn as_bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// The copy in `KEY`; `None` where there is no sound one.
    pub(super) fn read(host: &dyn Host, dir: &Path) -> Result<Option<Self>, OpenError> {
        let path = dir.join(FILE);
        match host.read(&path) {
            Ok(bytes) => {
                let sound = bytes
                    .split_last_chunk::<4>()
                    .filter(|(check, crc)| crc32c::crc32c(check).to_be_bytes() == **crc);
                Ok(sound.and_then(|(check, _)| Self::from_bytes(check)))
            }
            Err(error) if error.kind() == ErrorKind::NotFound || carve::is_damage(&error) => Ok(None),
            Err(source) => Err(OpenError::Io { action: "read", path, source }),
        }
    }

    pub(super) fn write(&self, host: &dyn Host, dir: &Path) -> Result<(), OpenError> {
        let mut bytes = self.0.to_vec();
        bytes.extend_from_slice(&crc32c::crc32c(&self.0).to_be_bytes());
        let path = dir.join(FILE);
        host.replace(&path, &bytes).map_err(|source| OpenError::Io { action: "write", path, source })
    }

    /// Opens with the key in `key_file`; an outbox without a key gets one, and its check.
    pub(super) fn unlock(
        check: &mut Option<Self>,
        dir: &Path,
        key_file: Option<&Path>,
    ) -> Result<Option<Cipher>, OpenError> {
        let outbox = || dir.to_owned();
        let (held, path) = match (*check, key_file) {
            (None, None) => return Ok(None),
            (Some(_), None) => return Err(OpenError::KeyUnset { path: outbox() }),
            (held, Some(path)) => (held, path),
        };
        let Some(Self(held)) = held else {
            let key = key_file::read(path)?.map_or_else(|| key_file::create(path), Ok)?;
            let cipher = Cipher::new(&key);
            *check = cipher.seal(random::bytes(), LABEL, &[]).try_into().ok().map(Self);
            return Ok(Some(cipher));
        };
        let missing = || OpenError::KeyFileMissing { path: outbox(), key_file: path.to_owned() };
        let cipher = Cipher::new(&key_file::read(path)?.ok_or_else(missing)?);
        match cipher.open(LABEL, &held) {
            Some(_) => Ok(Some(cipher)),
            None => Err(OpenError::WrongKey { path: outbox(), key_file: path.to_owned() }),
        }
    }
}
