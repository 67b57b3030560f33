//! Files that appear whole or not at all, with the rights they keep, and durable when the call returns.
//!
//! What is being written stands beside the file as `NAME.XXXXXXXX.new`, eight random digits, and is made where nothing is:
//! two writers never share it, and a link that somebody planted is not followed. What a kill left of it is removed by a
//! later writer, once no writer can still be at work on it.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::limit;

use super::{clock, folder, random};

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

/// Makes a file, or puts it in the place of the one that is there. Of several writers at once the last one's stays, whole.
///
/// # Errors
/// What the system says; the old file is there still.
pub fn replace(path: &Path, content: &[u8], readers: Readers) -> io::Result<()> {
    sweep(path);
    let draft = Draft::write(path, content, readers)?;
    fs::rename(&draft.0, path)?;
    folder::sync_name(path)
}

/// Makes a file where none is; of several processes one.
///
/// # Errors
/// `AlreadyExists`, which stays as it is, or what the system says.
pub fn create(path: &Path, content: &[u8], readers: Readers) -> io::Result<()> {
    sweep(path);
    let draft = Draft::write(path, content, readers)?;
    // A second name, unlike a rename, never takes the place of what is there.
    fs::hard_link(&draft.0, path)?;
    drop(draft);
    folder::sync_name(path)
}

/// Behind a file's name, before the random digits, and behind those.
const DRAFT: (&[u8], &[u8]) = (b".", b".new");
const DRAFT_DIGITS: usize = 8;

/// Removes what writers of this file left that were killed. Where that fails, it stays: it is in nobody's way.
fn sweep(path: &Path) {
    let Some(name) = path.file_name() else { return };
    let old = clock::wall_now().0.saturating_sub(crate::time::millis(limit::DRAFT_AGE_MIN));
    let Ok(entries) = fs::read_dir(folder::parent(path)) else { return };
    for entry in entries.flatten().filter(|entry| is_draft(&entry.file_name(), name)) {
        let changed = entry.metadata().map_or(0, |metadata| metadata.mtime()).max(0).unsigned_abs();
        if changed.saturating_mul(1000) < old {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Whether `entry` is the name of a draft of the file `name`.
fn is_draft(entry: &OsStr, name: &OsStr) -> bool {
    let digits = entry.as_bytes().strip_prefix(name.as_bytes());
    let digits = digits.and_then(|rest| rest.strip_prefix(DRAFT.0)?.strip_suffix(DRAFT.1));
    digits.is_some_and(|digits| digits.len() == DRAFT_DIGITS && digits.iter().all(u8::is_ascii_hexdigit))
}

/// Content under a name that is not its own yet, and that goes with this.
struct Draft(PathBuf);

impl Draft {
    fn write(path: &Path, content: &[u8], readers: Readers) -> io::Result<Self> {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}.new", hex::encode(random::bytes::<{ DRAFT_DIGITS / 2 }>())));
        let name = PathBuf::from(name);
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
        replace(&path, b"three", Readers::Owner).unwrap();
        assert_eq!((fs::read(&path).unwrap().as_slice(), mode()), (b"three".as_slice(), 0o600));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left");
        assert!(replace(&folder.path().join("none/file"), b"", Readers::All).is_err());
    }

    #[test]
    fn writers_at_the_same_time_leave_one_of_their_files_whole_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::thread::scope(|scope| {
            for letter in b'a'..=b'h' {
                let path = &path;
                scope.spawn(move || {
                    for _ in 0..20 {
                        replace(path, &vec![letter; 10_000], Readers::Owner).unwrap();
                    }
                });
            }
        });
        let content = fs::read(&path).unwrap();
        assert!(content.len() == 10_000 && content.iter().all(|letter| *letter == content[0]));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_that_was_planted_beside_the_file_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, victim) = (folder.path().join("key"), folder.path().join("victim"));
        fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, folder.path().join("key.new")).unwrap();
        replace(&path, b"secret", Readers::Owner).unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
        assert!(!fs::symlink_metadata(&path).unwrap().is_symlink());
    }

    #[test]
    fn what_a_kill_left_goes_once_nobody_can_be_at_work_on_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let put = |name: &str, age: std::time::Duration| {
            let file = fs::File::create(folder.path().join(name)).unwrap();
            let now = std::time::UNIX_EPOCH + std::time::Duration::from_millis(clock::wall_now().0);
            file.set_modified(now - age).unwrap();
        };
        let old = limit::DRAFT_AGE_MIN + std::time::Duration::from_secs(5);
        put("key.0123abcd.new", old);
        put("key.89abcdef.new", std::time::Duration::ZERO);
        // Not of this file, or not of this kind.
        for name in ["key.old.new", "other.0123abcd.new", "key.0123abcd", "key.new"] {
            put(name, old);
        }
        replace(&path, b"secret", Readers::Owner).unwrap();
        let mut names: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        let expected =
            ["key", "key.0123abcd", "key.89abcdef.new", "key.new", "key.old.new", "other.0123abcd.new"];
        assert_eq!(names, expected);
    }

    #[test]
    fn a_name_that_leads_nowhere_is_taken_as_well() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("link");
        std::os::unix::fs::symlink("nowhere", &path).unwrap();
        assert_eq!(create(&path, b"", Readers::All).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    }
}
