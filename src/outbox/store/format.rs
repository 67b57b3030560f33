//! `FORMAT`: whose outbox this is and how it is written, read before any database is opened.
//!
//! ```text
//!  0        8         12         28          44    48
//!  | OUTPOSTB | version | agent id | outbox id | crc |        numbers big-endian, CRC-32C over the first 44 bytes
//! ```
//! The agent id is zero until the first usable key; it is then set once, by a new file that is synced and renamed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::id::{AgentId, OutboxId};
use crate::obs::random;
use crate::outbox::OpenError;

use super::host::Host;

const MAGIC: [u8; 8] = *b"OUTPOSTB";
const VERSION: u32 = 1;
const LEN: usize = 48;

/// The file's content, and where it lies.
#[derive(Debug)]
pub(super) struct Format {
    host: Arc<dyn Host>,
    dir: PathBuf,
    agent: Option<AgentId>,
    outbox: OutboxId,
}

impl Format {
    /// Reads it, or makes it in a folder without one; binds `agent` where one is given.
    pub(super) fn open(host: &Arc<dyn Host>, dir: &Path, agent: Option<AgentId>) -> Result<Self, OpenError> {
        let path = dir.join("FORMAT");
        let mut format = match host.read(&path) {
            Ok(bytes) => parse(host, dir, &path, &bytes)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let outbox = OutboxId::from_bytes(random::bytes());
                let format = Self { host: Arc::clone(host), dir: dir.to_owned(), agent: None, outbox };
                format.write()?;
                format
            }
            Err(source) => return Err(OpenError::Io { action: "read", path, source }),
        };
        if let Some(agent) = agent {
            format.bind(agent)?;
        }
        Ok(format)
    }

    /// Makes the outbox this agent's; another one's is refused.
    pub(super) fn bind(&mut self, agent: AgentId) -> Result<(), OpenError> {
        match self.agent {
            Some(held) if held == agent => Ok(()),
            Some(held) => Err(OpenError::Foreign { path: self.dir.clone(), held, wanted: agent }),
            None => {
                self.agent = Some(agent);
                self.write()
            }
        }
    }

    fn write(&self) -> Result<(), OpenError> {
        let mut bytes = Vec::with_capacity(LEN);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_be_bytes());
        bytes.extend_from_slice(&self.agent.map_or([0; 16], |agent| *agent.as_bytes()));
        bytes.extend_from_slice(self.outbox.as_bytes());
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
    if found > VERSION {
        return Err(OpenError::NewerFormat { path: dir.to_owned(), found, known: VERSION });
    }
    let (agent, rest) = rest.split_first_chunk::<16>().ok_or_else(|| damaged("too short"))?;
    let (outbox, rest) = rest.split_first_chunk::<16>().ok_or_else(|| damaged("too short"))?;
    let crc = crc32c::crc32c(bytes.get(..LEN - 4).unwrap_or_default());
    if rest != crc.to_be_bytes() {
        return Err(damaged("its checksum is wrong"));
    }
    let agent = (*agent != [0; 16]).then(|| AgentId::from_bytes(*agent));
    Ok(Format { host: Arc::clone(host), dir: dir.to_owned(), agent, outbox: OutboxId::from_bytes(*outbox) })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::host::System;
    use super::*;

    fn open(dir: &Path, agent: Option<AgentId>) -> Result<Format, OpenError> {
        let host: Arc<dyn Host> = Arc::new(System);
        Format::open(&host, dir, agent)
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
        newer[11] = 2;
        fs::write(&path, newer).unwrap();
        let error = open(dir.path(), None).unwrap_err();
        assert!(matches!(error, OpenError::NewerFormat { found: 2, known: 1, .. }), "{error}");
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
