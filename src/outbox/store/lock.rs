//! `LOCK`: an flock for the process's life; the file holds the holder's pid, for the error of whoever comes second.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use crate::outbox::OpenError;

use super::host::Held;

/// Held while this lives.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough while a process that was just forked, and has not become its program yet, has the file too.
        if let Err(error) = flock(&self.0, FlockOperation::Unlock) {
            tracing::debug!(%error, "an outbox's lock goes with its file");
        }
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_lock_is_free_although_a_forked_process_has_its_file_too() {
        let dir = tempfile::tempdir().unwrap();
        let lock = Lock::take(dir.path()).unwrap();
        assert!(matches!(Lock::take(dir.path()), Err(OpenError::Locked { pid: Some(_), .. })));
        let _inherited = lock.0.try_clone().unwrap();
        drop(lock);
        drop(Lock::take(dir.path()).unwrap());
    }
}
