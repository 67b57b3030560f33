//! The file with the key of an encrypted outbox: `[outbox] key_file`, 0600. It lies outside the outbox's folder, on whatever
//! the operator chose, so it does not belong to the machine the store works on.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use zeroize::Zeroizing;

use crate::obs::{folder, random};
use crate::outbox::OpenError;
use crate::outbox::cipher::{key_from_line, key_to_line};
use crate::secret::Secret;

/// A key file is one line; one above this is something else.
const FILE_BYTES_MAX: u64 = 4096;
/// Rights of group and others.
const OTHERS: u32 = 0o077;

fn failed(action: &'static str, path: &Path) -> impl Fn(io::Error) -> OpenError {
    let path = path.to_owned();
    move |source| OpenError::Io { action, path: path.clone(), source }
}

/// The key; `None` where there is no such file.
pub(super) fn read(path: &Path) -> Result<Option<Secret>, OpenError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("read", path)(error)),
    };
    let mode = file.metadata().map_err(failed("read", path))?.mode();
    if mode & OTHERS != 0 {
        return Err(OpenError::KeyFileOpen { key_file: path.to_owned(), mode: mode & 0o777 });
    }
    let mut line = Zeroizing::new(String::new());
    let read = file.take(FILE_BYTES_MAX).read_to_string(&mut line);
    match read {
        Err(error) if error.kind() != io::ErrorKind::InvalidData => Err(failed("read", path)(error)),
        _ => key_from_line(&line).map(Some).ok_or(OpenError::KeyFileMalformed { key_file: path.to_owned() }),
    }
}

/// Draws a key; its file is durable before anything is encrypted with it.
pub(super) fn create(path: &Path) -> Result<Secret, OpenError> {
    let key = Secret::new(random::bytes());
    let write = || {
        // Whole or not at all: half a key would pass for a damaged one at the next start.
        let mut new = path.as_os_str().to_owned();
        new.push(".new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        writeln!(file, "{}", Zeroizing::new(key_to_line(&key)).as_str())?;
        file.sync_all()?;
        std::fs::rename(&new, path)?;
        folder::sync_name(path)
    };
    write().map_err(failed("make", path))?;
    tracing::warn!(path = %path.display(), "made the key of the outbox: keep a copy, nothing else opens what is stored from now on");
    Ok(key)
}
