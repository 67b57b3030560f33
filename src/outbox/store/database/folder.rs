//! A database's folder, and which ones panicked: those are left alone until the process restarts.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::outbox::store::host::Fault;

/// Folders whose database panicked in this process. Each is held open, so that no other one gets its number.
static PANICKED: Mutex<BTreeMap<FolderId, Option<File>>> = Mutex::new(BTreeMap::new());

/// A folder whatever its name, which changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct FolderId {
    device: u64,
    inode: u64,
}

impl FolderId {
    fn of(folder: &File) -> io::Result<Self> {
        let metadata = folder.metadata()?;
        Ok(Self { device: metadata.dev(), inode: metadata.ino() })
    }

    fn has_panicked(self) -> bool {
        PANICKED.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&self)
    }
}

/// A database's folder, held open while it is used.
#[derive(Debug)]
pub(super) struct Folder {
    id: FolderId,
    file: File,
    /// Whether a call has failed.
    health: AtomicU8,
}

const SOUND: u8 = 0;
const FAILED: u8 = 1;

impl Folder {
    pub(super) fn open(dir: &Path) -> Result<Self, Fault> {
        let file = File::open(dir)?;
        let folder = Self { id: FolderId::of(&file)?, file, health: AtomicU8::new(SOUND) };
        folder.check()?;
        Ok(folder)
    }

    pub(super) fn check(&self) -> Result<(), Fault> {
        if self.id.has_panicked() {
            let text = "its database panicked before in this process: restart it to open the folder again";
            return Err(Fault::Broken(text.to_owned()));
        }
        Ok(())
    }

    /// Runs one call into sled; a panic becomes a fault, and nothing calls into this database again.
    pub(super) fn guarded<T>(&self, call: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
        self.check()?;
        let result = self.caught(call);
        if result.is_err() {
            self.health.store(FAILED, Ordering::Relaxed);
        }
        result
    }

    /// Whether a call has failed.
    pub(super) fn has_failed(&self) -> bool {
        self.health.load(Ordering::Relaxed) == FAILED
    }

    fn caught<T>(&self, call: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
        catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
            let mut panicked = PANICKED.lock().unwrap_or_else(PoisonError::into_inner);
            panicked.insert(self.id, self.file.try_clone().ok());
            drop(panicked);
            let text = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
                .unwrap_or_else(|| "no message".to_owned());
            Err(Fault::Broken(format!("the database panicked: {text}")))
        })
    }
}
