//! Files that hold a secret: read within a bound, made for their owner alone, and looked at for others who may read them.
//!
//! Keys that only this product writes are refused where others can read them (`hub.key`, the outbox's key); those that
//! people put in place are warned of at each start instead: an agent far away must not be locked out by a copy's rights.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::limit;
use crate::secret::Secret;

use super::whole_file::{self, Readers};

/// Rights of group and others.
const OTHERS: u32 = 0o077;

/// A file's rights where group or others have any; `None` where it is its owner's alone.
///
/// # Errors
/// What the system says.
pub fn open_to_others(file: &File) -> io::Result<Option<u32>> {
    let mode = file.metadata()?.mode();
    Ok((mode & OTHERS != 0).then_some(mode & 0o777))
}

/// What to say of a file that others may read; `None` where they may not, or where it is not there.
pub fn exposure(path: &Path) -> Option<String> {
    let mode = open_to_others(&File::open(path).ok()?).ok()??;
    Some(format!(
        "others than its owner can use the secret file {} (its mode is {mode:03o}): run `chmod 600 {}`, and take a new key if somebody may have read it",
        path.display(),
        path.display()
    ))
}

/// Warns of a file that others may read.
pub fn warn_of(path: &Path) {
    if let Some(exposure) = exposure(path) {
        tracing::warn!("{exposure}");
    }
}

/// Reads a short secret text.
///
/// # Errors
/// What the system says; `InvalidData` where it is longer than `limit::SECRET_FILE_BYTES_MAX` or not UTF-8.
pub fn read(path: &Path) -> io::Result<Secret<String>> {
    let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
    let file = File::open(path)?;
    let bytes = file.metadata()?.len();
    let max = limit::SECRET_FILE_BYTES_MAX;
    let secret = Secret::read(file, max)?;
    if secret.expose().len() > max {
        let bytes = bytes.max(max as u64 + 1);
        return Err(invalid(format!("{bytes} bytes are more than a key has")));
    }
    secret.into_text().ok_or_else(|| invalid("it is not a text".to_owned()))
}

/// Makes a file, or replaces it: for its owner alone, whole or not at all, and durable when this returns.
///
/// # Errors
/// What the system says.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    whole_file::replace(path, content, Readers::Owner)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_secret_file_is_its_owners_and_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        assert_eq!(exposure(&path), None);
        for content in ["one", "another"] {
            write(&path, content.as_bytes()).unwrap();
            assert_eq!(read(&path).unwrap().expose(), content);
            assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        }
        assert_eq!(exposure(&path), None);
        for mode in [0o640, 0o604, 0o620] {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let said = exposure(&path).unwrap();
            assert!(said.contains(&format!("{mode:o}")) && said.contains("chmod 600"), "{said}");
        }
    }

    #[test]
    fn what_is_no_key_is_not_read_as_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, vec![b'x'; 5000]).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("5000 bytes"));
        std::fs::write(&path, [0xff]).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("not a text"));
        assert_eq!(read(&folder.path().join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
