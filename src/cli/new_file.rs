//! A file that appears whole or not at all, and in place of nothing that must stay.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::obs::{folder, random};

use super::exit::{CliError, Exit};

/// A file under a name that is not its own yet. Dropped before [`NewFile::keep`] it leaves nothing.
pub(super) struct NewFile {
    path: PathBuf,
    temporary: PathBuf,
    file: File,
    kept: bool,
}

impl NewFile {
    /// Begins a file that will be `path`; 0600.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub(super) fn create(path: &Path) -> Result<Self, CliError> {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}.new", hex::encode(random::bytes::<4>())));
        let temporary = PathBuf::from(name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary);
        let file = file.map_err(|error| wrong(path, &error))?;
        Ok(Self { path: path.to_owned(), temporary, file, kept: false })
    }

    /// Refuses a name that is taken.
    ///
    /// # Errors
    /// Something is there.
    pub(super) fn refuse_existing(path: &Path) -> Result<(), CliError> {
        if std::fs::symlink_metadata(path).is_err() {
            return Ok(());
        }
        let message =
            format!("{} is there already and is not overwritten; name another file", path.display());
        Err(CliError::new(Exit::Io, message))
    }

    /// Syncs the file and gives it its name.
    ///
    /// # Errors
    /// The disk refuses; nothing is left then.
    pub(super) fn keep(mut self) -> Result<(), CliError> {
        let Self { path, temporary, file, .. } = &self;
        let kept = file
            .sync_all()
            .and_then(|()| std::fs::rename(temporary, path))
            .and_then(|()| folder::sync_name(path));
        kept.map_err(|error| wrong(path, &error))?;
        self.kept = true;
        Ok(())
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.kept {
            // It may have been taken away by somebody else.
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}

pub(super) fn wrong(path: &Path, error: &io::Error) -> CliError {
    CliError::new(Exit::Io, format!("cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let mut file = NewFile::create(&path).unwrap();
        file.write_all(b"half").unwrap();
        drop(file);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        NewFile::refuse_existing(&path).unwrap();
        let mut file = NewFile::create(&path).unwrap();
        file.write_all(b"whole").unwrap();
        assert!(!path.exists());
        file.keep().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"whole");
        assert!(NewFile::refuse_existing(&path).unwrap_err().to_string().contains("not overwritten"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
