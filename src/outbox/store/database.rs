//! One sled database: the only module that knows sled.
//!
//! What sled 0.34.7 needs from its user, all of it measured (docs/outbox.md):
//! * its `flush()` does not reach the medium; a commit is `flush()` and then `fdatasync` on `<dir>/db` through one
//!   descriptor that was opened before the first insert, because Linux reports a lost write once per open file;
//! * no flusher thread, no `flush_async`: both can hang; values stay far below the size that makes blob files;
//! * it may panic on damaged files, so every call runs in `catch_unwind` (never build with `panic = "abort"`);
//! * `open` may leave `snap.*.generating` behind, with which the next open refuses: those are removed first;
//! * a live tree keeps the folder's lock, so trees never leave this module without their database;
//! * an open database takes about twice its size of memory, so what a closed one leaves free goes back to the system.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::FallocateFlags;

use crate::obs::heap;

const SEGMENT_BYTES: usize = 512 * 1024;
const CACHE_BYTES: u64 = 1024 * 1024;
/// A closed database's lock may outlive it for a moment, while one of sled's threads drops its last reference.
const LOCK_TRIES: u32 = 200;
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// Why a database call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// No space on the device.
    #[error("no space left: {0}")]
    Full(String),
    /// Anything else.
    #[error("{0}")]
    Broken(String),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full(error.to_string()),
            _ => Self::Broken(error.to_string()),
        }
    }
}

impl From<sled::Error> for Fault {
    fn from(error: sled::Error) -> Self {
        match error {
            sled::Error::Io(error) => error.into(),
            other => Self::Broken(other.to_string()),
        }
    }
}

/// Runs one call into sled; a panic becomes a fault.
fn guarded<T>(call: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_else(|| "no message".to_owned());
        Err(Fault::Broken(format!("the database panicked: {text}")))
    })
}

/// An open database.
#[derive(Debug)]
pub(super) struct Database {
    db: sled::Db,
    file: File,
}

/// One tree of a database; dropped before it.
#[derive(Debug)]
pub(super) struct Tree(sled::Tree);

/// Changes that become durable together or not at all.
#[derive(Debug, Default)]
pub(super) struct Batch {
    batch: sled::Batch,
    pub(super) len: usize,
}

/// A key and its value.
pub(super) type Entry = (Vec<u8>, Vec<u8>);

/// Whether a scan goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scan {
    Next,
    Stop,
}

impl Batch {
    pub(super) fn insert(&mut self, key: &[u8], value: Vec<u8>) {
        self.batch.insert(key, value);
        self.len += 1;
    }

    pub(super) fn remove(&mut self, key: &[u8]) {
        self.batch.remove(key);
        self.len += 1;
    }
}

impl Database {
    /// Opens or makes the database in `dir`.
    pub(super) fn open(dir: &Path) -> Result<Self, Fault> {
        remove_half_snapshots(dir)?;
        let db = guarded(|| open_sled(dir))?;
        let file = OpenOptions::new().read(true).write(true).open(dir.join("db"))?;
        Ok(Self { db, file })
    }

    /// The tree of this name, made where it is missing.
    pub(super) fn tree(&self, name: &[u8]) -> Result<Tree, Fault> {
        guarded(|| Ok(Tree(self.db.open_tree(name)?)))
    }

    /// The tree every database has.
    pub(super) fn default_tree(&self) -> Tree {
        Tree((*self.db).clone())
    }

    /// Names of all 8-byte-named trees, as numbers in ascending order.
    pub(super) fn numbered_trees(&self) -> Vec<u64> {
        let names = self.db.tree_names();
        let numbers = names.iter().filter_map(|name| name.as_ref().try_into().ok().map(u64::from_be_bytes));
        let mut numbers: Vec<u64> = numbers.collect();
        numbers.sort_unstable();
        numbers
    }

    /// Returns once everything written before is on the medium.
    pub(super) fn commit(&self) -> Result<(), Fault> {
        guarded(|| Ok(self.db.flush()?))
            .and_then(|_| Ok(rustix::fs::fdatasync(&self.file).map_err(io::Error::from)?))
    }

    /// Real length of the data file.
    pub(super) fn length(&self) -> Result<u64, Fault> {
        Ok(self.file.metadata()?.len())
    }

    /// Reserves disk space up to `bytes` without changing the file's length.
    pub(super) fn reserve(&self, bytes: u64) -> Result<(), Fault> {
        let result = rustix::fs::fallocate(&self.file, FallocateFlags::KEEP_SIZE, 0, bytes);
        match result {
            // A file system without fallocate: the reservation is a help, not a promise.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => Ok(()),
            other => Ok(other.map_err(io::Error::from)?),
        }
    }

    /// Gives back what was reserved beyond the file's length.
    pub(super) fn release(&self) -> Result<(), Fault> {
        Ok(self.file.set_len(self.file.metadata()?.len())?)
    }

    /// Syncs what a new database consists of, the folder last.
    pub(super) fn sync_new(&self, dir: &Path) -> Result<(), Fault> {
        self.db.flush()?;
        self.file.sync_all()?;
        File::open(dir.join("conf"))?.sync_all()?;
        File::open(dir.join("blobs"))?.sync_all()?;
        Ok(File::open(dir)?.sync_all()?)
    }

    /// Closes it; the lock is free afterwards or in a moment.
    pub(super) fn close(self) -> Result<(), Fault> {
        let Self { db, file } = self;
        guarded(move || {
            drop(db);
            Ok(())
        })?;
        drop(file);
        heap::trim();
        Ok(())
    }

    /// Leaves it as it is, without the writes a drop would make.
    pub(super) fn abandon(self) {
        std::mem::forget(self);
    }
}

impl Tree {
    pub(super) fn insert(&self, key: &[u8], value: &[u8]) -> Result<(), Fault> {
        guarded(|| {
            self.0.insert(key, value)?;
            Ok(())
        })
    }

    pub(super) fn apply(&self, batch: Batch) -> Result<(), Fault> {
        guarded(|| Ok(self.0.apply_batch(batch.batch)?))
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        guarded(|| Ok(self.0.get(key)?.map(|value| value.to_vec())))
    }

    /// The last entry whose key is `key` or before it.
    pub(super) fn at_or_before(&self, key: &[u8]) -> Result<Option<Entry>, Fault> {
        guarded(|| {
            let found = self.0.range(..=key).next_back().transpose()?;
            Ok(found.map(|(key, value)| (key.to_vec(), value.to_vec())))
        })
    }

    /// The last entry.
    pub(super) fn last(&self) -> Result<Option<Entry>, Fault> {
        guarded(|| Ok(self.0.last()?.map(|(key, value)| (key.to_vec(), value.to_vec()))))
    }

    /// Visits entries from `key` on in order.
    pub(super) fn scan(&self, key: &[u8], mut visit: impl FnMut(&[u8], &[u8]) -> Scan) -> Result<(), Fault> {
        guarded(|| {
            for entry in self.0.range(key..) {
                let (key, value) = entry?;
                if visit(&key, &value) == Scan::Stop {
                    break;
                }
            }
            Ok(())
        })
    }
}

fn open_sled(dir: &Path) -> Result<sled::Db, Fault> {
    let config = || {
        sled::Config::new()
            .path(dir)
            .segment_size(SEGMENT_BYTES)
            .cache_capacity(CACHE_BYTES)
            .flush_every_ms(None)
    };
    for _ in 0..LOCK_TRIES {
        match config().open() {
            Err(sled::Error::Io(error)) if is_lock(&error) => std::thread::park_timeout(LOCK_PAUSE),
            other => return Ok(other?),
        }
    }
    Ok(config().open()?)
}

fn is_lock(error: &io::Error) -> bool {
    // sled wraps what flock says into an error of kind Other.
    error.to_string().contains("could not acquire lock")
}

fn remove_half_snapshots(dir: &Path) -> io::Result<()> {
    if !dir.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(dir)? {
        let path: PathBuf = entry?.path();
        let half = path
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.starts_with("snap.") && name.ends_with(".generating"));
        if half {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}
