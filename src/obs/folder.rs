//! Making folders and names in them: for their owner alone, and there to stay.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::Path;

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

/// Warns of a folder that others can enter or list: files in it may be theirs to read.
pub fn warn_of(path: &Path) {
    let Ok(mode) = std::fs::metadata(path).map(|folder| folder.mode() & 0o777) else { return };
    if mode & 0o077 != 0 {
        let path = path.display();
        tracing::warn!(
            "others than its owner can enter the data folder {path} (its mode is {mode:03o}): run `chmod 700 {path}`"
        );
    }
}

/// Syncs the folder that `path` stands in: a new file that is synced itself may still lose its name with the power.
///
/// # Errors
/// What the system says.
pub fn sync_name(path: &Path) -> io::Result<()> {
    File::open(parent(path))?.sync_all()
}

/// The folder that `path` stands in.
pub(super) fn parent(path: &Path) -> &Path {
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
