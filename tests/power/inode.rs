//! What a file system of the tests says of a file or folder of its own.

use std::time::SystemTime;

use fuser::{FileAttr, FileType, INodeNo};

/// Of the test's user, changed last at that time.
pub(crate) fn attributes(
    inode: INodeNo,
    kind: FileType,
    perm: u16,
    size: u64,
    changed: SystemTime,
) -> FileAttr {
    FileAttr {
        ino: inode,
        size,
        blocks: size.div_ceil(512),
        atime: changed,
        mtime: changed,
        ctime: changed,
        crtime: changed,
        kind,
        perm,
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}
