//! A folder on a disk that can be made to answer nothing any more, as a mount does whose server is gone.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, LockOwner, OpenFlags, ReplyAttr, ReplyData, ReplyEntry, ReplyOpen, Request,
};
use tempfile::TempDir;

use crate::inode;

/// Nothing is remembered: each look at a file asks the disk.
const KEPT: Duration = Duration::ZERO;

/// Unmounted when dropped.
pub(crate) struct HungDisk {
    folder: TempDir,
    shared: Arc<Shared>,
    session: Option<BackgroundSession>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    answers: Condvar,
}

#[derive(Default)]
struct State {
    hangs: bool,
    /// Name, content, and how often it was written, by inode from 2 on.
    files: Vec<(String, Vec<u8>, u64)>,
}

impl HungDisk {
    /// A disk that answers.
    pub(crate) fn mount() -> Self {
        let (folder, shared) = (tempfile::tempdir().unwrap(), Arc::<Shared>::default());
        let session = fuser::spawn_mount(Folder(Arc::clone(&shared)), folder.path(), &Config::default())
            .unwrap_or_else(|error| panic!("FUSE does not mount at {}: {error}", folder.path().display()));
        Self { folder, shared, session: Some(session) }
    }

    /// Writes a file past the mount; where it is.
    pub(crate) fn put(&self, name: &str, content: &[u8]) -> PathBuf {
        let mut state = self.shared.state();
        match state.files.iter_mut().find(|(known, ..)| known == name) {
            Some((_, before, writes)) => (*before, *writes) = (content.to_owned(), *writes + 1),
            None => state.files.push((name.to_owned(), content.to_owned(), 1)),
        }
        self.folder.path().join(name)
    }

    /// From now on nothing is answered.
    pub(crate) fn hang(&self) {
        self.shared.state().hangs = true;
    }

    /// What was asked meanwhile is answered, too.
    pub(crate) fn answer(&self) {
        self.shared.state().hangs = false;
        self.shared.answers.notify_all();
    }
}

impl Drop for HungDisk {
    fn drop(&mut self) {
        self.answer();
        let result = self.session.take().map_or(Ok(()), BackgroundSession::umount_and_join);
        if let Err(error) = result {
            eprintln!("{} stays mounted: {error}", self.folder.path().display());
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the disk answers.
    fn when_it_answers(&self) -> MutexGuard<'_, State> {
        let waited = self.answers.wait_while(self.state(), |state| state.hangs);
        waited.unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn file(&self, inode: INodeNo) -> Option<&(String, Vec<u8>, u64)> {
        self.files.get(usize::try_from(inode.0).ok()?.checked_sub(2)?)
    }

    fn inode(&self, name: &OsStr) -> Option<INodeNo> {
        let at = self.files.iter().position(|(known, ..)| name == known.as_str())?;
        Some(INodeNo(at as u64 + 2))
    }

    fn attributes(&self, inode: INodeNo) -> Option<FileAttr> {
        let (kind, perm, size, writes) = match self.file(inode) {
            Some((_, content, writes)) => (FileType::RegularFile, 0o600, content.len() as u64, *writes),
            None if inode == INodeNo::ROOT => (FileType::Directory, 0o700, 0, 0),
            None => return None,
        };
        let changed = UNIX_EPOCH + Duration::from_secs(writes);
        Some(inode::attributes(inode, kind, perm, size, changed))
    }
}

struct Folder(Arc<Shared>);

impl Filesystem for Folder {
    fn lookup(&self, _request: &Request, _parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let state = self.0.when_it_answers();
        match state.inode(name).and_then(|inode| state.attributes(inode)) {
            Some(attributes) => reply.entry(&KEPT, &attributes, Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _request: &Request, inode: INodeNo, _file: Option<FileHandle>, reply: ReplyAttr) {
        match self.0.when_it_answers().attributes(inode) {
            Some(attributes) => reply.attr(&KEPT, &attributes),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn open(&self, _request: &Request, _inode: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        // Closing asks nothing: else a process that ends with a file open here waits for itself.
        reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO | FopenFlags::FOPEN_NOFLUSH);
    }

    fn read(
        &self,
        _request: &Request,
        inode: INodeNo,
        _file: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let state = self.0.when_it_answers();
        let content = state.file(inode).map_or(&[][..], |(_, content, _)| content);
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
        let to = from.saturating_add(size as usize).min(content.len());
        reply.data(&content[from..to]);
    }
}
