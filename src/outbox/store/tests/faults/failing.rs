//! A machine on which one operation fails, or all that need space from one on.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::outbox::OpenError;
use crate::outbox::store::host::{Batch, Cells, Database, Fault, Held, Host, Tree, Visit};
use crate::sim::disk::Disk;
use crate::time::{BootTime, WallTime};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// One operation finds the disk full.
    FullOnce,
    /// From one operation on, whatever needs space finds the disk full.
    FullFrom,
    /// One operation fails.
    BrokenOnce,
}

/// Whether the operation that fails was carried out all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    Before,
    After,
}

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// It takes space.
    Space,
    /// It reads, removes, or writes where there is space.
    None,
}

#[derive(Debug)]
struct Plan {
    calls: u64,
    at: u64,
    failure: Failure,
    moment: Moment,
    hit: Option<String>,
    healed: bool,
}

/// Called before every operation, with its name.
#[derive(Clone)]
struct Hook(Arc<dyn Fn(&str) + Send + Sync>);

impl std::fmt::Debug for Hook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hook")
    }
}

/// The machine; clones share it.
#[derive(Debug, Clone)]
pub(super) struct Failing {
    pub(super) disk: Disk,
    plan: Arc<Mutex<Plan>>,
    hook: Hook,
}

impl Failing {
    /// The operation `at`, counted from 0, is the one.
    pub(super) fn new(disk: Disk, at: u64, failure: Failure, moment: Moment) -> Self {
        let plan = Plan { calls: 0, at, failure, moment, hit: None, healed: false };
        Self { disk, plan: Arc::new(Mutex::new(plan)), hook: Hook(Arc::new(|_| {})) }
    }

    /// Nothing fails; `hook` is called before every operation.
    pub(super) fn hooked(disk: Disk, hook: impl Fn(&str) + Send + Sync + 'static) -> Self {
        let machine = Self::new(disk, u64::MAX, Failure::BrokenOnce, Moment::Before);
        Self { hook: Hook(Arc::new(hook)), ..machine }
    }

    /// Which operation failed.
    pub(super) fn hit(&self) -> Option<String> {
        self.plan.lock().unwrap().hit.clone()
    }

    /// Nothing fails any more.
    pub(super) fn heal(&self) {
        self.plan.lock().unwrap().healed = true;
    }

    fn error(&self, what: &str, need: Need) -> Option<(io::Error, Moment)> {
        (self.hook.0)(what);
        let mut plan = self.plan.lock().unwrap();
        let call = plan.calls;
        plan.calls += 1;
        if plan.healed {
            return None;
        }
        let fails = match plan.failure {
            Failure::FullOnce | Failure::BrokenOnce => call == plan.at,
            Failure::FullFrom => call >= plan.at && need == Need::Space,
        };
        if !fails {
            return None;
        }
        plan.hit.get_or_insert_with(|| format!("{call}: {what}"));
        let error = match plan.failure {
            Failure::FullOnce | Failure::FullFrom => io::ErrorKind::StorageFull.into(),
            Failure::BrokenOnce => io::Error::other("input/output error"),
        };
        Some((error, plan.moment))
    }

    fn run<T, E: From<io::Error>>(
        &self,
        what: &str,
        need: Need,
        call: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        match self.error(what, need) {
            None => call(),
            Some((error, Moment::Before)) => Err(error.into()),
            Some((error, Moment::After)) => {
                drop(call());
                Err(error.into())
            }
        }
    }
}

impl Host for Failing {
    fn now(&self) -> BootTime {
        self.disk.now()
    }

    fn wall(&self) -> WallTime {
        self.disk.wall()
    }

    fn random(&self) -> u32 {
        self.disk.random()
    }

    fn segment_bytes(&self) -> u64 {
        4096
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        self.run("make_folder", Need::Space, || self.disk.make_folder(path))
    }

    fn lock(&self, dir: &Path) -> Result<Box<dyn Held>, OpenError> {
        self.disk.lock(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.run("list", Need::None, || self.disk.list(dir))
    }

    fn exists(&self, path: &Path) -> bool {
        self.disk.exists(path)
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.run("create_folder", Need::Space, || self.disk.create_folder(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.run("rename", Need::None, || self.disk.rename(from, to))
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.run("remove_folder", Need::None, || self.disk.remove_folder(path))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.run("remove_file", Need::None, || self.disk.remove_file(path))
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.run("sync_folder", Need::None, || self.disk.sync_folder(path))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.run("read", Need::None, || self.disk.read(path))
    }

    fn replace(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.run("replace", Need::Space, || self.disk.replace(path, content))
    }

    fn length(&self, path: &Path) -> io::Result<u64> {
        self.run("length", Need::None, || self.disk.length(path))
    }

    fn copy_file(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.run("copy_file", Need::Space, || self.disk.copy_file(from, to))
    }

    fn read_at(&self, path: &Path, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.run("read_at", Need::None, || self.disk.read_at(path, offset, buffer))
    }

    fn reserve_file(&self, path: &Path, bytes: u64) -> io::Result<()> {
        self.run("reserve_file", Need::Space, || self.disk.reserve_file(path, bytes))
    }

    fn release_file(&self, path: &Path) -> io::Result<()> {
        self.run("release_file", Need::None, || self.disk.release_file(path))
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        self.run("free_bytes", Need::None, || self.disk.free_bytes(dir))
    }

    fn disk_bytes(&self, dir: &Path) -> io::Result<u64> {
        self.run("disk_bytes", Need::None, || self.disk.disk_bytes(dir))
    }

    fn open_cells(&self, path: &Path) -> io::Result<Box<dyn Cells>> {
        let cells = self.run("open_cells", Need::None, || self.disk.open_cells(path))?;
        Ok(Box::new(FailingCells { cells, host: self.clone() }))
    }

    fn open_database(&self, dir: &Path) -> Result<Box<dyn Database>, Fault> {
        let what = format!("open_database {}", dir.display());
        let database = self.run(&what, Need::Space, || self.disk.open_database(dir))?;
        Ok(Box::new(FailingDatabase { database, host: self.clone(), failed: None }))
    }
}

#[derive(Debug)]
struct FailingCells {
    cells: Box<dyn Cells>,
    host: Failing,
}

impl Cells for FailingCells {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.host.run("cells read", Need::None, || self.cells.read_exact_at(offset, buffer))
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let Self { cells, host } = self;
        host.run("cells write", Need::None, || cells.write_at(offset, bytes))
    }

    fn sync(&mut self) -> io::Result<()> {
        let Self { cells, host } = self;
        host.run("cells sync", Need::None, || cells.sync())
    }
}

/// As sled: after a write that failed nothing works until it is opened again.
#[derive(Debug)]
struct FailingDatabase {
    database: Box<dyn Database>,
    host: Failing,
    failed: Option<Fault>,
}

impl FailingDatabase {
    fn write(
        &mut self,
        what: &str,
        call: impl FnOnce(&mut Box<dyn Database>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.read(what, Need::Space, call).inspect_err(|fault| self.failed = Some(fault.clone()))
    }

    fn read<T>(
        &mut self,
        what: &str,
        need: Need,
        call: impl FnOnce(&mut Box<dyn Database>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        if let Some(fault) = &self.failed {
            return Err(fault.clone());
        }
        let Self { database, host, .. } = self;
        host.run(what, need, || call(database))
    }
}

impl Database for FailingDatabase {
    fn insert(&mut self, tree: Tree, key: &[u8], value: &[u8]) -> Result<(), Fault> {
        self.write("insert", |database| database.insert(tree, key, value))
    }

    fn apply(&mut self, batch: Batch) -> Result<(), Fault> {
        self.write("apply", |database| database.apply(batch))
    }

    fn get(&mut self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        self.read("get", Need::None, |database| database.get(tree, key))
    }

    fn scan(&mut self, tree: Tree, key: &[u8], visit: &mut Visit<'_>) -> Result<(), Fault> {
        self.read("scan", Need::None, |database| database.scan(tree, key, visit))
    }

    fn commit(&mut self) -> Result<(), Fault> {
        self.write("commit", |database| database.commit())
    }

    fn length(&self) -> Result<u64, Fault> {
        self.host.run("database length", Need::None, || self.database.length())
    }

    fn reserve(&mut self, bytes: u64) -> Result<(), Fault> {
        self.read("reserve", Need::Space, |database| database.reserve(bytes))
    }

    fn release(&mut self) -> Result<(), Fault> {
        self.read("release", Need::None, |database| database.release())
    }

    fn sync_new(&mut self) -> Result<(), Fault> {
        self.write("sync_new", |database| database.sync_new())
    }

    fn close(self: Box<Self>) -> Result<(), Fault> {
        let Self { database, host, .. } = *self;
        match host.error("close", Need::None) {
            None => database.close(),
            Some((error, _)) => {
                let _ = database.close();
                Err(error.into())
            }
        }
    }

    fn abandon(self: Box<Self>) {
        self.database.abandon();
    }
}
