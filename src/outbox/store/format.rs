//! `FORMAT`: whose outbox this is and how it is written, read before any database is opened.
//!
//! ```text
//!  0        8         12         28          44    48
//!  | OUTPOSTB | version | agent id | outbox id | crc |        numbers big-endian, CRC-32C over everything before it
//! ```
//! Version 1 is this. Version 2, that of an encrypted outbox, has the key's check value (see `key_check`) before the CRC;
//! the same value lies in the file `KEY`, so that one damaged file never makes an encrypted outbox pass for a new one.
//!
//! The agent id is zero until the first usable key; it is then set once, by a new file that is synced and renamed. Every
//! version begins with magic and version and ends with the checksum of all before it: what a later program wrote is
//! refused, what is damaged is not taken for that. A damaged file never keeps the outbox from opening: it is written anew,
//! and whose records they are is then for the next key to say.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::id::{AgentId, OutboxId};
use crate::obs::random;
use crate::outbox::OpenError;
use crate::outbox::cipher::Cipher;

use super::carve;
use super::host::Host;
use super::key_check::KeyCheck;

const MAGIC: [u8; 8] = *b"OUTPOSTB";
/// In the clear.
const PLAIN: u32 = 1;
/// Encrypted.
const ENCRYPTED: u32 = 2;

/// The file's content, and where it lies.
#[derive(Debug)]
pub(super) struct Format {
    host: Arc<dyn Host>,
    dir: PathBuf,
    agent: Option<AgentId>,
    outbox: OutboxId,
    key_check: Option<KeyCheck>,
}

/// How the file was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Sound,
    Missing,
    Damaged,
}

impl Format {
    /// Reads it, or makes it in a folder without one; binds `agent` where one is given, and opens with the key in `key_file`.
    /// Nothing is written before agent and key are known to be the right ones.
    pub(super) fn open(
        host: &Arc<dyn Host>,
        dir: &Path,
        agent: Option<AgentId>,
        key_file: Option<&Path>,
    ) -> Result<(Self, Option<Cipher>), OpenError> {
        let (mut format, found) = Self::find(host, dir)?;
        if let Some((held, wanted)) = format.agent.zip(agent).filter(|(held, wanted)| held != wanted) {
            return Err(OpenError::Foreign { path: format.dir, held, wanted });
        }
        let before = (format.agent, format.key_check);
        let copy = KeyCheck::read(&**host, dir)?;
        format.key_check = format.key_check.or(copy);
        let cipher = KeyCheck::unlock(&mut format.key_check, dir, key_file)?;
        if let Some(check) = format.key_check.filter(|check| copy.as_ref() != Some(check)) {
            check.write(&**host, dir)?;
        }
        format.agent = format.agent.or(agent);
        match found {
            Found::Damaged => format.repair(),
            Found::Sound if before == (format.agent, format.key_check) => {}
            Found::Sound | Found::Missing => format.write()?,
        }
        Ok((format, cipher))
    }

    fn find(host: &Arc<dyn Host>, dir: &Path) -> Result<(Self, Found), OpenError> {
        let path = dir.join("FORMAT");
        let damaged = || (Self::new(host, dir), Found::Damaged);
        match host.read(&path) {
            Ok(bytes) => Ok(parse(host, dir, &bytes)?.map_or_else(damaged, |format| (format, Found::Sound))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let new = !host.exists(&dir.join("core"));
                Ok(if new { (Self::new(host, dir), Found::Missing) } else { damaged() })
            }
            Err(error) if carve::is_damage(&error) => Ok(damaged()),
            Err(source) => Err(OpenError::Io { action: "read", path, source }),
        }
    }

    fn new(host: &Arc<dyn Host>, dir: &Path) -> Self {
        let outbox = OutboxId::from_bytes(random::bytes());
        Self { host: Arc::clone(host), dir: dir.to_owned(), agent: None, outbox, key_check: None }
    }

    fn repair(&self) {
        let written = self.write();
        let state = if written.is_ok() { "written anew" } else { "not written anew yet" };
        let path = self.dir.join("FORMAT");
        tracing::error!(
            path = %path.display(), state, "the outbox's FORMAT is damaged: its records go to the agent of the next key"
        );
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
        bytes.extend_from_slice(self.key_check.as_ref().map_or(&[], KeyCheck::as_bytes));
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_be_bytes());
        let path = self.dir.join("FORMAT");
        let written = self.host.replace(&path, &bytes);
        written.map_err(|source| OpenError::Io { action: "write", path, source })
    }
}

/// `None` where the file is damaged.
fn parse(host: &Arc<dyn Host>, dir: &Path, bytes: &[u8]) -> Result<Option<Format>, OpenError> {
    let Some((fields, _)) =
        bytes.split_last_chunk::<4>().filter(|(fields, crc)| crc32c::crc32c(fields).to_be_bytes() == **crc)
    else {
        return Ok(None);
    };
    let version = fields.strip_prefix(&MAGIC).and_then(<[u8]>::split_first_chunk);
    let Some((version, rest)) = version else { return Ok(None) };
    let found = u32::from_be_bytes(*version);
    if found > ENCRYPTED {
        return Err(OpenError::NewerFormat { path: dir.to_owned(), found, known: ENCRYPTED });
    }
    let ids =
        rest.split_first_chunk::<16>().and_then(|(agent, rest)| Some((agent, rest.split_first_chunk()?)));
    let fields = ids.and_then(|(agent, (outbox, rest))| {
        let key_check = match found {
            ENCRYPTED => Some(KeyCheck::from_bytes(rest)?),
            _ => None,
        };
        Some((agent, outbox, key_check)).filter(|_| found == ENCRYPTED || rest.is_empty())
    });
    Ok(fields.map(|(agent, outbox, key_check)| Format {
        host: Arc::clone(host),
        dir: dir.to_owned(),
        agent: (*agent != [0; 16]).then(|| AgentId::from_bytes(*agent)),
        outbox: OutboxId::from_bytes(*outbox),
        key_check,
    }))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::host::System;
    use super::*;

    const LEN: usize = 48;

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
    fn a_newer_format_is_refused_and_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        drop(open(dir.path(), None).unwrap());
        let path = dir.path().join("FORMAT");
        let mut newer = fs::read(&path).unwrap();
        newer.truncate(LEN - 4);
        newer[11] = 3;
        newer.extend_from_slice(b"more");
        newer.extend_from_slice(&crc32c::crc32c(&newer).to_be_bytes());
        fs::write(&path, &newer).unwrap();
        let error = open(dir.path(), None).unwrap_err();
        assert!(matches!(error, OpenError::NewerFormat { found: 3, known: 2, .. }), "{error}");
        assert_eq!(fs::read(&path).unwrap(), newer);
    }

    #[test]
    fn a_damaged_format_is_written_anew_and_bound_again() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (AgentId::from_bytes([1; 16]), AgentId::from_bytes([2; 16]));
        drop(open(dir.path(), Some(one)).unwrap());
        let path = dir.path().join("FORMAT");
        let sound = fs::read(&path).unwrap();
        let flipped = (0..LEN).map(|at| {
            let mut bytes = sound.clone();
            bytes[at] ^= 1;
            bytes
        });
        let cut = (0..LEN).map(|end| sound[..end].to_vec());
        for damaged in flipped.chain(cut) {
            fs::write(&path, &damaged).unwrap();
            drop(open(dir.path(), None).unwrap());
            assert_eq!(open(dir.path(), None).unwrap().agent, None, "{damaged:?}");
            assert!(open(dir.path(), Some(one)).is_ok());
            let error = open(dir.path(), Some(two)).unwrap_err();
            assert!(matches!(error, OpenError::Foreign { held, .. } if held == one), "{error}");
        }
    }
}
