//! `BALLAST`: space that is given up to let a full disk open a generation.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;

use rustix::fs::FallocateFlags;

use crate::limit;

/// Makes the ballast where it is missing. On a full disk there is none: not an error.
pub(super) fn keep(dir: &Path) -> io::Result<()> {
    let path = dir.join("BALLAST");
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path)?;
    match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, limit::BALLAST_BYTES) {
        Ok(()) => Ok(()),
        Err(error) => {
            tracing::warn!(%error, path = %path.display(), "no space for the outbox's ballast");
            Ok(())
        }
    }
}
