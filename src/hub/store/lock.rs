//! `DATA/hub.lock`: one hub at a time works in a folder. Tools that open the database beside it need no lock.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::StoreError;

/// Holds the folder until it is dropped.
#[derive(Debug)]
pub struct FolderLock {
    file: File,
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Closing is not enough while a process that was just forked has the file too.
        if let Err(error) = flock(&self.file, FlockOperation::Unlock) {
            tracing::debug!(%error, "the hub's lock goes with its file");
        }
    }
}

impl FolderLock {
    /// Takes the folder, making it where it is not there.
    ///
    /// # Errors
    /// `InUse` with the holder's pid, or `Folder`.
    pub fn take(folder: &Path) -> Result<Self, StoreError> {
        super::make_folder(folder)?;
        let wrong = |error| StoreError::Folder { path: folder.to_owned(), error };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(folder.join("hub.lock"))
            .map_err(wrong)?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut holder = String::new();
            let read = (&file).take(20).read_to_string(&mut holder);
            let holder = if read.is_ok() { holder.trim().to_owned() } else { "unknown".to_owned() };
            return Err(StoreError::InUse { path: folder.to_owned(), holder });
        }
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        write(&mut file).map_err(wrong)?;
        Ok(Self { file })
    }
}
