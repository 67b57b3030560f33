//! What the file system says of a file, by which a replacement is seen.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// One file; behind links, the file itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    /// Seconds and nanoseconds of its content and of its name.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// `None` where there is nothing to be seen.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    /// One that differs from every other number's.
    #[cfg(all(test, feature = "hub"))]
    pub(super) const fn numbered(number: u64) -> Self {
        Self { device: 1, inode: number, bytes: 1, modified: (0, 0), changed: (0, 0) }
    }
}
