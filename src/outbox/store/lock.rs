//! `LOCK`: an flock for the process's life; the file holds the holder's pid, for the error of whoever comes second.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use crate::outbox::OpenError;

use super::host::Held;

/// Held while this lives.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "holds the lock until it is dropped")] File);

impl Held for Lock {}

impl Lock {
    pub(super) fn take(dir: &Path) -> Result<Self, OpenError> {
        let path = dir.join("LOCK");
        let io = |action| {
            let path = path.clone();
            move |source| OpenError::Io { action, path, source }
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(io("open"))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut text = String::new();
                let pid = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
                return Err(OpenError::Locked { path: dir.to_owned(), pid });
            }
            Err(error) => return Err(io("lock")(error.into())),
        }
        if let Err(error) = note_pid(&mut file) {
            // Only for the text of an error; on a full disk it stays the last holder's.
            tracing::debug!(%error, path = %path.display(), "the lock's holder could not be noted");
        }
        Ok(Self(file))
    }
}

/// Written over the old one and cut then, so that a full disk does not take its place away.
fn note_pid(file: &mut File) -> std::io::Result<()> {
    let text = format!("{}\n", std::process::id());
    file.seek(SeekFrom::Start(0))?;
    file.write_all(text.as_bytes())?;
    file.set_len(text.len() as u64)
}
