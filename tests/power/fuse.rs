//! A file system with one file, `image`, whose bytes are a [`BlockLog`]: a loop device that stands on it has every write
//! and every flush of the file system above it seen, in order.
//!
//! The file is opened for direct I/O, so no page cache of the kernel holds writes back or joins them: what ext4 writes
//! arrives here as it is issued, and the loop device turns a flush into an fsync of this file.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyEmpty, ReplyEntry, ReplyOpen,
    ReplyWrite, Request, WriteFlags,
};

use crate::block_log::BlockLog;
use crate::inode;

const IMAGE: INodeNo = INodeNo(2);
/// The kernel may keep what it knows of the two inodes: it does not change.
const KEPT: Duration = Duration::from_secs(3600);
/// A loop device lets go of its file a moment after its file system is unmounted.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(30);

/// The mounted file; unmounted when dropped.
pub(crate) struct ImageFile {
    folder: PathBuf,
    shared: Arc<Shared>,
    session: Option<BackgroundSession>,
}

struct Shared {
    log: Mutex<BlockLog>,
    open: Mutex<u32>,
    released: Condvar,
}

struct OneFile(Arc<Shared>);

impl ImageFile {
    /// Mounts a device with these bytes at a folder.
    pub(crate) fn mount(folder: &Path, base: Vec<u8>) -> Self {
        let shared = Arc::new(Shared {
            log: Mutex::new(BlockLog::new(base)),
            open: Mutex::new(0),
            released: Condvar::new(),
        });
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("outpost-power".to_owned()), MountOption::RW];
        let session = fuser::spawn_mount(OneFile(Arc::clone(&shared)), folder, &config)
            .unwrap_or_else(|error| panic!("FUSE does not mount at {}: {error}", folder.display()));
        Self { folder: folder.to_owned(), shared, session: Some(session) }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.join("image")
    }

    /// The log; the device waits while this is held.
    pub(crate) fn log(&self) -> MutexGuard<'_, BlockLog> {
        held(&self.shared.log)
    }
}

impl Drop for ImageFile {
    fn drop(&mut self) {
        let open = held(&self.shared.open);
        let waited = self.shared.released.wait_timeout_while(open, RELEASE_TIMEOUT, |open| *open > 0);
        drop(waited);
        let result = self.session.take().map_or(Ok(()), BackgroundSession::umount_and_join);
        if let Err(error) = result {
            eprintln!("{} stays mounted: {error}", self.folder.display());
        }
    }
}

/// A panic elsewhere says nothing about what these locks guard.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl OneFile {
    fn attributes(&self, inode: INodeNo) -> Option<FileAttr> {
        let (kind, perm, size) = match inode {
            INodeNo::ROOT => (FileType::Directory, 0o700, 0),
            IMAGE => (FileType::RegularFile, 0o600, held(&self.0.log).len() as u64),
            _ => return None,
        };
        Some(inode::attributes(inode, kind, perm, size, UNIX_EPOCH))
    }
}

impl Filesystem for OneFile {
    fn lookup(&self, _request: &Request, _parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.attributes(IMAGE).filter(|_| name == "image") {
            Some(attributes) => reply.entry(&KEPT, &attributes, Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _request: &Request, inode: INodeNo, _file: Option<FileHandle>, reply: ReplyAttr) {
        match self.attributes(inode) {
            Some(attributes) => reply.attr(&KEPT, &attributes),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn open(&self, _request: &Request, _inode: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        *held(&self.0.open) += 1;
        reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
    }

    fn release(
        &self,
        _request: &Request,
        _inode: INodeNo,
        _file: FileHandle,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        *held(&self.0.open) -= 1;
        self.0.released.notify_all();
        reply.ok();
    }

    fn read(
        &self,
        _request: &Request,
        _inode: INodeNo,
        _file: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        reply.data(held(&self.0.log).read(offset, size as usize));
    }

    fn write(
        &self,
        _request: &Request,
        _inode: INodeNo,
        _file: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let taken = usize::try_from(offset).is_ok_and(|offset| held(&self.0.log).write(offset, data));
        match u32::try_from(data.len()) {
            Ok(length) if taken => reply.written(length),
            _ => reply.error(Errno::ENOSPC),
        }
    }

    fn fsync(
        &self,
        _request: &Request,
        _inode: INodeNo,
        _file: FileHandle,
        _datasync: bool,
        reply: ReplyEmpty,
    ) {
        held(&self.0.log).barrier();
        reply.ok();
    }

    /// Said at every close: no barrier.
    fn flush(
        &self,
        _request: &Request,
        _inode: INodeNo,
        _file: FileHandle,
        _owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        reply.ok();
    }
}
