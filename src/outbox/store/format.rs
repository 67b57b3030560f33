//! `FORMAT`: whose outbox this is and how it is written, read before any database is opened.
//!
//! ```text
//!  0        8         12         28          44    48
//!  | OUTPOSTB | version | agent id | outbox id | crc |        numbers big-endian, CRC-32C over everything before it
//! ```
//! Version 1 is this; version 2 has 40 bytes between outbox id and CRC: nothing, sealed with the outbox's key under the
//! outbox id. It tells a wrong key from damage, before anything else is read. An outbox that is encrypted stays so: what
//! was written before the key was set is read as it is, and the key is needed from then on.
//!
//! The agent id is zero until the first usable key; it is then set once, by a new file that is synced and renamed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::id::{AgentId, OutboxId};
use crate::obs::random;
use crate::outbox::OpenError;
use crate::outbox::cipher::{Cipher, SEAL_BYTES};

use super::host::Host;
use super::key_file;

const MAGIC: [u8; 8] = *b"OUTPOSTB";
/// Without a key.
const PLAIN: u32 = 1;
/// With the check value of one.
const ENCRYPTED: u32 = 2;
const CRC_BYTES: usize = 4;

/// The file's content, and where it lies.
#[derive(Debug)]
pub(super) struct Format {
    host: Arc<dyn Host>,
    dir: PathBuf,
    agent: Option<AgentId>,
    outbox: OutboxId,
    /// Nothing, sealed with the key of an encrypted outbox.
    key_check: Option<[u8; SEAL_BYTES]>,
}

impl Format {
    /// Reads it, or makes it in a folder without one; binds `agent` where one is given. Nothing is written before agent and
    /// key are known to be the right ones.
    pub(super) fn open(
        host: &Arc<dyn Host>,
        dir: &Path,
        agent: Option<AgentId>,
        key_file: Option<&Path>,
    ) -> Result<(Self, Option<Cipher>), OpenError> {
        let path = dir.join("FORMAT");
        let (mut format, fresh) = match host.read(&path) {
            Ok(bytes) => (parse(host, dir, &path, &bytes)?, false),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let (host, dir) = (Arc::clone(host), dir.to_owned());
                let outbox = OutboxId::from_bytes(random::bytes());
                (Self { host, dir, agent: None, outbox, key_check: None }, true)
            }
            Err(source) => return Err(OpenError::Io { action: "read", path, source }),
        };
        if let Some((held, wanted)) = format.agent.zip(agent).filter(|(held, wanted)| held != wanted) {
            return Err(OpenError::Foreign { path: format.dir, held, wanted });
        }
        let before = (format.agent, format.key_check);
        let cipher = format.unlock(key_file)?;
        format.agent = format.agent.or(agent);
        if fresh || before != (format.agent, format.key_check) {
            format.write()?;
        }
        Ok((format, cipher))
    }

    /// Opens with the key in `key_file`; an outbox without a key gets one.
    fn unlock(&mut self, key_file: Option<&Path>) -> Result<Option<Cipher>, OpenError> {
        let outbox = || self.dir.clone();
        let Some(path) = key_file else {
            return if self.key_check.is_none() {
                Ok(None)
            } else {
                Err(OpenError::KeyUnset { path: outbox() })
            };
        };
        let key_file = path.to_owned();
        let Some(check) = &self.key_check else {
            let cipher = Cipher::new(&key_file::read(path)?.map_or_else(|| key_file::create(path), Ok)?);
            self.key_check = cipher.seal(random::bytes(), self.outbox.as_bytes(), &[]).try_into().ok();
            return Ok(Some(cipher));
        };
        let key = key_file::read(path)?
            .ok_or_else(|| OpenError::KeyFileMissing { path: outbox(), key_file: key_file.clone() })?;
        let cipher = Cipher::new(&key);
        match cipher.open(self.outbox.as_bytes(), check) {
            Some(_) => Ok(Some(cipher)),
            None => Err(OpenError::WrongKey { path: outbox(), key_file }),
        }
    }

    /// Makes the outbox this agent's; another one's is refused.
    pub(super) fn bind(&mut self, agent: AgentId) -> Result<(), OpenError> {
        match self.agent {
            Some(held) if held == agent => Ok(()),
            Some(held) => Err(OpenError::Foreign { path: self.dir.clone(), held, wanted: agent }),
            None => {
                self.agent = Some(agent);
                self.write().inspect_err(|_| self.agent = None)
            }
        }
    }

    fn write(&self) -> Result<(), OpenError> {
        let version = if self.key_check.is_some() { ENCRYPTED } else { PLAIN };
        let mut bytes = Vec::with_capacity(88);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&version.to_be_bytes());
        bytes.extend_from_slice(&self.agent.map_or([0; 16], |agent| *agent.as_bytes()));
        bytes.extend_from_slice(self.outbox.as_bytes());
        bytes.extend_from_slice(self.key_check.as_ref().map_or(&[], |check| check.as_slice()));
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_be_bytes());
        let path = self.dir.join("FORMAT");
        let written = self.host.replace(&path, &bytes);
        written.map_err(|source| OpenError::Io { action: "write", path, source })
    }
}

fn parse(host: &Arc<dyn Host>, dir: &Path, path: &Path, bytes: &[u8]) -> Result<Format, OpenError> {
    let damaged = |detail: &str| OpenError::Damaged { path: path.to_owned(), detail: detail.to_owned() };
    let (magic, rest) = bytes.split_first_chunk().ok_or_else(|| damaged("too short"))?;
    if *magic != MAGIC {
        return Err(damaged("it is no outbox format file"));
    }
    let (version, rest) = rest.split_first_chunk().ok_or_else(|| damaged("too short"))?;
    let found = u32::from_be_bytes(*version);
    if found > ENCRYPTED {
        return Err(OpenError::NewerFormat { path: dir.to_owned(), found, known: ENCRYPTED });
    }
    let (agent, rest) = rest.split_first_chunk::<16>().ok_or_else(|| damaged("too short"))?;
    let (outbox, rest) = rest.split_first_chunk::<16>().ok_or_else(|| damaged("too short"))?;
    let (key_check, rest) = match found {
        ENCRYPTED => {
            let (check, rest) = rest.split_first_chunk().ok_or_else(|| damaged("too short"))?;
            (Some(*check), rest)
        }
        _ => (None, rest),
    };
    let crc = crc32c::crc32c(bytes.get(..bytes.len().saturating_sub(CRC_BYTES)).unwrap_or_default());
    if rest != crc.to_be_bytes() {
        return Err(damaged("its checksum is wrong"));
    }
    let agent = (*agent != [0; 16]).then(|| AgentId::from_bytes(*agent));
    let (host, dir, outbox) = (Arc::clone(host), dir.to_owned(), OutboxId::from_bytes(*outbox));
    Ok(Format { host, dir, agent, outbox, key_check })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::host::System;
    use super::*;

    fn open(dir: &Path, agent: Option<AgentId>) -> Result<Format, OpenError> {
        let host: Arc<dyn Host> = Arc::new(System);
        Format::open(&host, dir, agent, None).map(|(format, _)| format)
    }

    #[test]
    fn an_outbox_is_bound_once() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (AgentId::from_bytes([1; 16]), AgentId::from_bytes([2; 16]));
        drop(open(dir.path(), None).unwrap());
        drop(open(dir.path(), Some(one)).unwrap());
        drop(open(dir.path(), None).unwrap());
        let error = open(dir.path(), Some(two)).unwrap_err();
        assert!(matches!(error, OpenError::Foreign { held, wanted, .. } if held == one && wanted == two));
    }

    #[test]
    fn a_newer_or_damaged_format_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        drop(open(dir.path(), None).unwrap());
        let path = dir.path().join("FORMAT");
        let sound = fs::read(&path).unwrap();
        let mut newer = sound.clone();
        newer[11] = 3;
        fs::write(&path, newer).unwrap();
        let error = open(dir.path(), None).unwrap_err();
        assert!(matches!(error, OpenError::NewerFormat { found: 3, known: 2, .. }), "{error}");
        for at in [0, 12, 30, 47] {
            let mut flipped = sound.clone();
            flipped[at] ^= 1;
            fs::write(&path, flipped).unwrap();
            let error = open(dir.path(), None).unwrap_err();
            assert!(matches!(error, OpenError::Damaged { .. }), "{at}: {error}");
        }
        for cut in 0..sound.len() {
            fs::write(&path, &sound[..cut]).unwrap();
            assert!(open(dir.path(), None).is_err(), "{cut}");
        }
    }
}
