//! The machine the store works on, as a trait: files, databases, clock and randomness. [`System`] is the real one; a
//! simulation brings its own, so that the same store runs on a disk that forgets, fills up and breaks.
//!
//! Paths are whole paths. What a name stands for survives a power cut only after [`Host::sync_folder`] of its folder,
//! bytes only after the file's or database's own sync.

mod system;

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};

use crate::outbox::{OpenError, StoreError};
use crate::time::{BootTime, WallTime};

pub(crate) use system::System;

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// No space on the device.
    #[error("no space left: {0}")]
    Full(String),
    /// Anything else.
    #[error("{0}")]
    Broken(String),
}

impl Fault {
    /// What a reader of `path` hears.
    pub(super) fn unreadable(self, path: PathBuf) -> StoreError {
        match self {
            Self::Full(detail) => StoreError::DiskFull { detail: format!("{}: {detail}", path.display()) },
            Self::Broken(detail) => StoreError::Unreadable { path, detail },
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full(error.to_string()),
            _ => Self::Broken(error.to_string()),
        }
    }
}

/// What the store needs of its machine.
pub(crate) trait Host: Debug + Send + Sync {
    /// Time since boot.
    fn now(&self) -> BootTime;

    /// This machine's own date, right or wrong.
    fn wall(&self) -> WallTime;

    /// Random bits, for the low half of an epoch.
    fn random(&self) -> u32;

    /// A database grows by so much at least: a generation that is to take less makes no sense.
    fn segment_bytes(&self) -> u64;

    /// Makes a folder and those above it where they are missing, durably.
    fn make_folder(&self, path: &Path) -> io::Result<()>;

    /// Holds the folder for this process until what is given back is dropped.
    fn lock(&self, dir: &Path) -> Result<Box<dyn Held>, OpenError>;

    /// Names in a folder, in no order.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Whether a file or folder is there.
    fn exists(&self, path: &Path) -> bool;

    /// Makes one folder that must not be there yet.
    fn create_folder(&self, path: &Path) -> io::Result<()>;

    /// Gives a file or folder another name; a file of that name is replaced.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a folder with everything in it; one that is not there is fine.
    fn remove_folder(&self, path: &Path) -> io::Result<()>;

    /// Removes a file; one that is not there is fine.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a folder durable.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;

    /// A small file's content.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// A small file's new content: a new file, synced, renamed over the old one, its name synced.
    fn replace(&self, path: &Path, content: &[u8]) -> io::Result<()>;

    /// Copies a file; the copy need not outlive the process.
    fn copy_file(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// A file's length.
    fn length(&self, path: &Path) -> io::Result<u64>;

    /// Bytes of a file from `offset` on, as many as `buffer` takes; fewer at the end, whatever state the file is in.
    fn read_at(&self, path: &Path, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Makes a file that takes `bytes` of the disk, or sees to it that one does.
    fn reserve_file(&self, path: &Path, bytes: u64) -> io::Result<()>;

    /// Gives back what a file or database has reserved beyond its length; one that is not there is fine.
    fn release_file(&self, path: &Path) -> io::Result<()>;

    /// Bytes of the file system that are free for this process.
    fn free_bytes(&self, dir: &Path) -> io::Result<u64>;

    /// Bytes of the whole file system.
    fn disk_bytes(&self, dir: &Path) -> io::Result<u64>;

    /// Opens a file that is written in place, made where it is missing.
    fn open_cells(&self, path: &Path) -> io::Result<Box<dyn Cells>>;

    /// Opens or makes the database in a folder that exists.
    fn open_database(&self, dir: &Path) -> Result<Box<dyn Database>, Fault>;
}

/// A folder held for this process.
pub(crate) trait Held: Debug + Send {}

/// A small file of fixed places.
pub(crate) trait Cells: Debug + Send {
    /// Fills `buffer` from `offset` on.
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Writes in place.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes what was written durable.
    fn sync(&mut self) -> io::Result<()>;
}

/// A tree of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tree {
    /// The one every database has.
    Main,
    /// One named by a number.
    Numbered(u64),
}

/// Whether a scan goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scan {
    Next,
    Stop,
}

/// Changes that become durable together or not at all; a value of `None` removes the key.
pub(crate) type Batch = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// Visits an entry.
pub(crate) type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> Scan + 'a;

/// An open database. Keys are ordered bytes; one process has it open at a time.
pub(crate) trait Database: Debug + Send {
    /// Writes one entry; the tree is made where it is missing. Durable after [`Self::commit`].
    fn insert(&mut self, tree: Tree, key: &[u8], value: &[u8]) -> Result<(), Fault>;

    /// Writes a batch into the main tree. Durable after [`Self::commit`].
    fn apply(&mut self, batch: Batch) -> Result<(), Fault>;

    /// A key's value.
    fn get(&mut self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, Fault>;

    /// Visits entries from `key` on in order.
    fn scan(&mut self, tree: Tree, key: &[u8], visit: &mut Visit<'_>) -> Result<(), Fault>;

    /// Returns once everything written before is on the medium.
    fn commit(&mut self) -> Result<(), Fault>;

    /// Real length of the data file.
    fn length(&self) -> Result<u64, Fault>;

    /// Reserves disk space up to `bytes` without changing the file's length.
    fn reserve(&mut self, bytes: u64) -> Result<(), Fault>;

    /// Gives back what was reserved beyond the file's length.
    fn release(&mut self) -> Result<(), Fault>;

    /// Makes a new database durable with the names of its files.
    fn sync_new(&mut self) -> Result<(), Fault>;

    /// Closes it; another open may follow at once.
    fn close(self: Box<Self>) -> Result<(), Fault>;

    /// Leaves it as it is, for good: closing would write.
    fn abandon(self: Box<Self>);
}
