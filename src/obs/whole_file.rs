//! Files that appear whole or not at all, with the rights they keep, and durable when the call returns.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::{folder, random};

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Its owner alone: 0600.
    Owner,
    /// Everybody: 0644, as far as the umask lets them.
    All,
}

impl Readers {
    const fn mode(self) -> u32 {
        match self {
            Self::Owner => 0o600,
            Self::All => 0o644,
        }
    }
}

/// Makes a file, or puts it in the place of the one that is there. One process at a time does so.
///
/// # Errors
/// What the system says; the old file is there still.
pub fn replace(path: &Path, content: &[u8], readers: Readers) -> io::Result<()> {
    let name = beside(path, ".new");
    // What a kill left, which may have other rights.
    match fs::remove_file(&name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let draft = Draft::write(name, content, readers)?;
    fs::rename(&draft.0, path)?;
    folder::sync_name(path)
}

/// Makes a file where none is; of several processes one.
///
/// # Errors
/// `AlreadyExists`, which stays as it is, or what the system says.
pub fn create(path: &Path, content: &[u8], readers: Readers) -> io::Result<()> {
    let name = beside(path, &format!(".{}.new", hex::encode(random::bytes::<4>())));
    let draft = Draft::write(name, content, readers)?;
    // A second name, unlike a rename, never takes the place of what is there.
    fs::hard_link(&draft.0, path)?;
    drop(draft);
    folder::sync_name(path)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Content under a name that is not its own yet, and that goes with this.
struct Draft(PathBuf);

impl Draft {
    fn write(name: PathBuf, content: &[u8], readers: Readers) -> io::Result<Self> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(readers.mode()).open(&name)?;
        let draft = Self(name);
        file.write_all(content)?;
        file.sync_all()?;
        Ok(draft)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Not there any more where it was renamed.
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_or_made_where_none_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mode = || fs::metadata(&path).unwrap().mode() & 0o777;
        create(&path, b"one", Readers::All).unwrap();
        assert_eq!((fs::read(&path).unwrap().as_slice(), mode()), (b"one".as_slice(), 0o644));
        let error = create(&path, b"two", Readers::All).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"one");
        // What a kill left.
        fs::write(folder.path().join("file.new"), "half").unwrap();
        replace(&path, b"three", Readers::Owner).unwrap();
        assert_eq!((fs::read(&path).unwrap().as_slice(), mode()), (b"three".as_slice(), 0o600));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left");
        assert!(replace(&folder.path().join("none/file"), b"", Readers::All).is_err());
    }

    #[test]
    fn a_name_that_leads_nowhere_is_taken_as_well() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("link");
        std::os::unix::fs::symlink("nowhere", &path).unwrap();
        assert_eq!(create(&path, b"", Readers::All).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    }
}
