//! One sled database: the only module that knows sled.
//!
//! What sled 0.34.7 needs from its user, all of it measured (docs/outbox.md):
//! * its `flush()` does not reach the medium; a commit is `flush()` and then `fdatasync` on `<dir>/db` through one
//!   descriptor that was opened before the first insert, because Linux reports a lost write once per open file;
//! * no flusher thread, no `flush_async`: both can hang; values stay far below the size that makes blob files;
//! * it may panic on damaged files, so every call runs in `catch_unwind` (never build with `panic = "abort"`); what it has
//!   left behind in this process then is unknown, so the database is neither closed nor opened again before a restart;
//! * `open` may leave `snap.*.generating` behind, with which the next open refuses: those are removed first;
//! * after a full disk it may wait for ever when it is dropped: one that failed is closed by a thread that may be left
//!   behind;
//! * it goes by `conf` although that file's checksum is wrong: one that is not as we make it is written anew first;
//! * a snapshot that is damaged is an error of `open`, though the log alone says as much: it is removed then;
//! * a live tree keeps the folder's lock, so trees never leave this module without their database;
//! * to go backwards links a constant of a megabyte, the greatest key there could be: whoever reads knows where it begins;
//! * an open database takes about twice its size of memory, so what a closed one leaves free goes back to the system.

mod folder;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::FallocateFlags;

use crate::limit;
use crate::obs::heap;

use folder::Folder;

use super::host::{Batch, Database, Fault, Scan, Tree, Visit};

/// The file grows by this.
pub(super) const SEGMENT_BYTES: usize = 512 * 1024;
/// A leaf is split when it has more than 16 entries, and one of four may be merged into it before.
const LEAF_ENTRIES_MAX: usize = 20;
/// What an entry takes beside the value it is given: envelope, key, sled's own fields.
const ENTRY_BYTES: usize = 256;
// A leaf above a quarter of a segment becomes a file of its own, which sled never syncs: after a power cut that file is
// empty, and sled drops what follows in its log.
const _: () = assert!(
    LEAF_ENTRIES_MAX * (limit::ROW_BYTES_MAX + ENTRY_BYTES) < SEGMENT_BYTES / 4
        && limit::TREE_BLOCKS_MAX * (limit::BLOCK_BYTES_MAX + ENTRY_BYTES) < SEGMENT_BYTES / 4
);
/// What sled 0.34.7 writes into `conf` for these settings.
const CONF: &[u8] = b"segment_size: 524288\nuse_compression: false\nversion: 0.34\nv\x19Q\xc1";
const CACHE_BYTES: u64 = 1024 * 1024;
/// What a file's length on disk is counted in (stat(2)).
const BLOCK_BYTES: u64 = 512;
/// A closed database's lock may outlive it for a moment, while one of sled's threads drops its last reference.
const LOCK_TRIES: u32 = 200;
const LOCK_PAUSE: Duration = Duration::from_millis(5);

impl From<sled::Error> for Fault {
    fn from(error: sled::Error) -> Self {
        match error {
            sled::Error::Io(error) => error.into(),
            other => Self::Broken(other.to_string()),
        }
    }
}

/// An open database.
#[derive(Debug)]
pub(super) struct SledDatabase {
    /// The numbered tree that was used last.
    open: Option<(u64, sled::Tree)>,
    db: sled::Db,
    file: File,
    folder: Folder,
    dir: PathBuf,
}

impl SledDatabase {
    /// Opens or makes the database in `dir`.
    pub(super) fn open(dir: &Path) -> Result<Self, Fault> {
        remove_snapshots(dir, Snapshots::Half)?;
        restore_conf(dir)?;
        let folder = Folder::open(dir)?;
        let db = folder.guarded(|| open_sled(dir))?;
        let file = OpenOptions::new().read(true).write(true).open(dir.join("db"))?;
        Ok(Self { open: None, db, file, folder, dir: dir.to_owned() })
    }

    /// Runs a call on one of its trees, made where it is missing.
    fn on<T>(&mut self, tree: Tree, call: impl FnOnce(&sled::Tree) -> Result<T, Fault>) -> Result<T, Fault> {
        let Self { open, db, folder, .. } = self;
        folder.guarded(|| match tree {
            Tree::Main => call(db),
            Tree::Numbered(number) => {
                let found = match open.take().filter(|(open, _)| *open == number) {
                    Some(found) => found,
                    None => (number, db.open_tree(number.to_be_bytes())?),
                };
                call(&open.insert(found).1)
            }
        })
    }
}

impl Database for SledDatabase {
    fn insert(&mut self, tree: Tree, key: &[u8], value: &[u8]) -> Result<(), Fault> {
        self.on(tree, |tree| {
            tree.insert(key, value)?;
            Ok(())
        })
    }

    fn apply(&mut self, batch: Batch) -> Result<(), Fault> {
        let mut changes = sled::Batch::default();
        for (key, value) in batch {
            match value {
                Some(value) => changes.insert(key, value),
                None => changes.remove(key),
            }
        }
        self.on(Tree::Main, |tree| Ok(tree.apply_batch(changes)?))
    }

    fn get(&mut self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        self.on(tree, |tree| Ok(tree.get(key)?.map(|value| value.to_vec())))
    }

    fn scan(&mut self, tree: Tree, key: &[u8], visit: &mut Visit<'_>) -> Result<(), Fault> {
        self.on(tree, |tree| {
            for entry in tree.range(key..) {
                let (key, value) = entry?;
                if visit(&key, &value) == Scan::Stop {
                    break;
                }
            }
            Ok(())
        })
    }

    fn commit(&mut self) -> Result<(), Fault> {
        let flushed = self.folder.guarded(|| Ok(self.db.flush()?));
        flushed.and_then(|_| Ok(rustix::fs::fdatasync(&self.file).map_err(io::Error::from)?))
    }

    fn length(&self) -> Result<u64, Fault> {
        Ok(self.file.metadata()?.len())
    }

    fn reserve(&mut self, bytes: u64) -> Result<(), Fault> {
        // One that fails half way leaves a part behind (ext4) or takes earlier reservations away (tmpfs): it is not tried.
        let disk = rustix::fs::fstatvfs(&self.file).map_err(io::Error::from)?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        let wanted = bytes.saturating_sub(self.file.metadata()?.blocks().saturating_mul(BLOCK_BYTES));
        if wanted > free {
            return Err(Fault::Full(format!("{wanted} bytes are to be reserved, {free} are free")));
        }
        let result = rustix::fs::fallocate(&self.file, FallocateFlags::KEEP_SIZE, 0, bytes);
        match result {
            // A file system without fallocate: the reservation is a help, not a promise.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => Ok(()),
            other => Ok(other.map_err(io::Error::from)?),
        }
    }

    fn release(&mut self) -> Result<(), Fault> {
        Ok(self.file.set_len(self.file.metadata()?.len())?)
    }

    fn sync_new(&mut self) -> Result<(), Fault> {
        self.folder.guarded(|| Ok(self.db.flush()?))?;
        self.file.sync_all()?;
        File::open(self.dir.join("conf"))?.sync_all()?;
        File::open(self.dir.join("blobs"))?.sync_all()?;
        Ok(File::open(&self.dir)?.sync_all()?)
    }

    fn close(self: Box<Self>) -> Result<(), Fault> {
        if let Err(fault) = self.folder.check() {
            // Closing would write, from a state nobody knows.
            self.abandon();
            return Err(fault);
        }
        let Self { open, db, file, folder, .. } = *self;
        if folder.has_failed() {
            close_failed((open, db))?;
        } else {
            folder.guarded(move || {
                drop((open, db));
                Ok(())
            })?;
        }
        drop(file);
        heap::trim();
        Ok(())
    }

    fn abandon(self: Box<Self>) {
        std::mem::forget(self);
    }
}

/// Closes a database that has failed. sled flushes when it is dropped, and after a full disk that may wait for ever for a
/// write that nobody does any more: so on a thread of its own, which is left behind then.
fn close_failed(database: (Option<(u64, sled::Tree)>, sled::Db)) -> Result<(), Fault> {
    let (sender, closed) = std::sync::mpsc::sync_channel(1);
    let work = move || {
        let result = catch_unwind(AssertUnwindSafe(|| drop(database)));
        let _ = sender.send(result.is_ok());
    };
    std::thread::Builder::new().name("outbox-close".to_owned()).spawn(work)?;
    match closed.recv_timeout(limit::DATABASE_CLOSE_TIMEOUT) {
        Ok(true) => Ok(()),
        Ok(false) | Err(_) => {
            let text = "the database does not close after its failure: restart the process to open it again";
            Err(Fault::Broken(text.to_owned()))
        }
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
            Err(sled::Error::Corruption { .. }) if remove_snapshots(dir, Snapshots::All)? > 0 => {
                tracing::warn!(path = %dir.display(), "a database is opened without its damaged snapshot");
            }
            other => return Ok(other?),
        }
    }
    Ok(config().open()?)
}

fn is_lock(error: &io::Error) -> bool {
    // sled wraps what flock says into an error of kind Other.
    error.to_string().contains("could not acquire lock")
}

/// Which snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Snapshots {
    /// Those that were not finished.
    Half,
    All,
}

fn remove_snapshots(dir: &Path, which: Snapshots) -> io::Result<u32> {
    let mut removed = 0;
    if !dir.exists() {
        return Ok(removed);
    }
    for entry in fs::read_dir(dir)? {
        let path: PathBuf = entry?.path();
        let is_one = path.file_name().and_then(|name| name.to_str()).is_some_and(|name| {
            name.starts_with("snap.") && (which == Snapshots::All || name.ends_with(".generating"))
        });
        if is_one {
            fs::remove_file(&path)?;
            removed += 1;
        }
    }
    Ok(removed)
}

fn restore_conf(dir: &Path) -> io::Result<()> {
    let path = dir.join("conf");
    match fs::read(&path) {
        Ok(bytes) if bytes != CONF => fs::write(&path, CONF),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conf_is_what_a_new_database_writes_and_a_damaged_one_is_written_anew() {
        let dir = tempfile::tempdir().unwrap();
        Box::new(SledDatabase::open(dir.path()).unwrap()).close().unwrap();
        let path = dir.path().join("conf");
        assert_eq!(fs::read(&path).unwrap(), CONF);
        for at in 0..CONF.len() {
            let mut damaged = CONF.to_vec();
            damaged[at] ^= 0x11;
            fs::write(&path, damaged).unwrap();
            Box::new(SledDatabase::open(dir.path()).unwrap()).close().unwrap();
            assert_eq!(fs::read(&path).unwrap(), CONF, "{at}");
        }
    }

    /// Whatever sled left behind in memory (locks, threads, half a write): it is not met again.
    #[test]
    fn a_folder_whose_database_panicked_is_not_opened_again_under_any_name() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("one"), dir.path().join("two"));
        fs::create_dir(&path).unwrap();
        let mut database = SledDatabase::open(&path).unwrap();
        database.insert(Tree::Main, b"key", b"value").unwrap();
        let fault = database.scan(Tree::Main, b"", &mut |_, _| panic!("as sled does")).unwrap_err();
        assert_eq!(fault, Fault::Broken("the database panicked: as sled does".to_owned()));
        assert!(database.get(Tree::Main, b"key").unwrap_err().to_string().contains("restart"));
        assert!(Box::new(database).close().is_err());
        fs::rename(&path, &other).unwrap();
        assert!(SledDatabase::open(&other).unwrap_err().to_string().contains("restart"));
        fs::create_dir(&path).unwrap();
        assert!(SledDatabase::open(&path).is_ok(), "another folder of that name is not concerned");
    }
}
