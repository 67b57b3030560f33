//! The file with the key of an encrypted outbox: `[outbox] key_file`, 0600. It lies outside the outbox's folder, on whatever
//! the operator chose, so it does not belong to the machine the store works on.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::limit;
use crate::obs::{random, secret_file};
use crate::outbox::OpenError;
use crate::outbox::cipher::{key_from_line, key_to_line};
use crate::secret::Secret;

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
    if let Some(mode) = secret_file::open_to_others(&file).map_err(failed("read", path))? {
        return Err(OpenError::KeyFileOpen { key_file: path.to_owned(), mode });
    }
    let line = Secret::read(file, limit::SECRET_FILE_BYTES_MAX).map_err(failed("read", path))?.into_text();
    let key = line.and_then(|line| key_from_line(line.expose()));
    key.map(Some).ok_or(OpenError::KeyFileMalformed { key_file: path.to_owned() })
}

/// Draws a key; its file is durable before anything is encrypted with it.
pub(super) fn create(path: &Path) -> Result<Secret, OpenError> {
    let key = Secret::new(random::bytes());
    let line = Secret::new(format!("{}\n", key_to_line(&key).expose()));
    secret_file::write(path, line.expose().as_bytes()).map_err(failed("make", path))?;
    tracing::warn!(path = %path.display(), "made the key of the outbox: keep a copy, nothing else opens what is stored from now on");
    Ok(key)
}
