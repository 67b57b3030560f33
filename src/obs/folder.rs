//! Making folders, and files and names in them: for their owner alone, and there to stay.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Makes `path` and what is missing above it, readable by nobody else. Each new entry is synced in its parent: what is
/// synced in a folder whose own name is lost with the power is lost as well. A folder that is there stays as it is.
///
/// # Errors
/// What the system says.
pub fn make(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> =
        path.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists()).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    for folder in missing {
        sync_name(folder)?;
    }
    Ok(())
}

/// Syncs the folder that `path` stands in: a new file that is synced itself may still lose its name with the power.
///
/// # Errors
/// What the system says.
pub fn sync_name(path: &Path) -> io::Result<()> {
    File::open(parent(path))?.sync_all()
}

/// Writes a file for its owner alone that appears whole or not at all, in the place of one that was there. Durable when
/// it returns.
///
/// # Errors
/// What the system says; what was there is there then.
pub fn put_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let temporary = PathBuf::from(name);
    // What an attempt left that was cut off: it may have another mode.
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    sync_name(path)
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn new_folders_are_their_owners_and_old_ones_stay_as_they_are() {
        let base = tempfile::tempdir().unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let open = base.path().join("open");
        std::fs::create_dir(&open).unwrap();
        std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o755)).unwrap();
        make(&open.join("a/b")).unwrap();
        make(&open.join("a/b")).unwrap();
        assert_eq!([mode(&open), mode(&open.join("a")), mode(&open.join("a/b"))], [0o755, 0o700, 0o700]);
        std::fs::write(open.join("file"), "").unwrap();
        sync_name(&open.join("file")).unwrap();
        sync_name(Path::new("file")).unwrap();
        assert_eq!(sync_name(&open.join("none/file")).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(make(&open.join("file")).is_err());
    }
}
