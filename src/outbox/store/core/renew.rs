//! `core.new`: the core written anew, when it has grown far beyond what lives in it, or when it is damaged.
//!
//! Its last row, `x/complete`, is written when everything before is durable. Then `core` becomes `dead-core`, `core.new`
//! becomes `core`, and the dead one goes. A start that finds `core` drops the others; without it a complete `core.new`
//! takes its place, else `dead-core` comes back.

use std::io;
use std::path::Path;

use crate::limit;
use crate::outbox::store::carve;
use crate::outbox::store::host::{Batch, Database, Fault, Host, Scan, Tree};

use super::Core;
use super::envelope::{self, unseal};
use super::sum::{self, Sum};

const CORE: &str = "core";
const NEW: &str = "core.new";
const DEAD: &str = "dead-core";
/// The last row of a core that was written anew.
const COMPLETE: &[u8] = b"x/complete";
/// Bytes written at once.
const BATCH_BYTES: usize = 256 * 1024;

impl Core {
    /// Whether far more bytes lie in its file than its rows have.
    pub(in crate::outbox::store) fn is_bloated(&self) -> bool {
        let length = self.length().unwrap_or_default();
        length > limit::CORE_BYTES_LIVELY && length / limit::CORE_GROWTH_MAX > self.sum.bytes && !self.dirty()
    }

    /// Writes the durable rows anew, in a file without what they once were. What waits for a commit goes on waiting.
    pub(in crate::outbox::store) fn renew(&mut self, host: &dyn Host, dir: &Path) -> Result<(), Fault> {
        let mut renewal = Renewal::begin(host, dir)?;
        let mut put = Ok(());
        self.database()?.scan(Tree::Main, &[], &mut |key, sealed| {
            put = unseal(key, sealed).and_then(|_| renewal.put(key, sealed));
            if put.is_ok() { Scan::Next } else { Scan::Stop }
        })?;
        put?;
        renewal.finish(self.durable)?;
        self.database.take().map_or(Ok(()), Database::close)?;
        self.move_in(host, dir)
    }

    /// Goes on with a complete `core.new`, when the old database is given up.
    pub(super) fn move_in(&mut self, host: &dyn Host, dir: &Path) -> Result<(), Fault> {
        swap(host, dir)?;
        self.database = Some(host.open_database(&self.path)?);
        self.reserved = 0;
        self.find_ahead()?;
        self.sum = self.stored_sum()?;
        Ok(())
    }
}

/// A core on its way.
#[derive(Debug)]
pub(super) struct Renewal<'a> {
    host: &'a dyn Host,
    dir: &'a Path,
    database: Box<dyn Database>,
    batch: Batch,
    batch_bytes: usize,
    sum: Sum,
}

impl<'a> Renewal<'a> {
    pub(super) fn begin(host: &'a dyn Host, dir: &'a Path) -> Result<Self, Fault> {
        let path = dir.join(NEW);
        host.remove_folder(&path)?;
        host.create_folder(&path)?;
        let database = host.open_database(&path)?;
        Ok(Self { host, dir, database, batch: Batch::new(), batch_bytes: 0, sum: Sum::default() })
    }

    /// Takes a row as it was sealed; those that every core has of its own are left out.
    pub(super) fn put(&mut self, key: &[u8], sealed: &[u8]) -> Result<(), Fault> {
        if key == sum::KEY || key == COMPLETE {
            return Ok(());
        }
        self.sum.add(key, sealed);
        self.write(key, sealed.to_vec())
    }

    /// Takes a row in the place of one that was put before.
    pub(super) fn replace(&mut self, key: &[u8], before: &[u8], sealed: &[u8]) -> Result<(), Fault> {
        self.sum.remove(key, before);
        self.put(key, sealed)
    }

    fn write(&mut self, key: &[u8], sealed: Vec<u8>) -> Result<(), Fault> {
        self.batch_bytes += sealed.len();
        self.batch.push((key.to_vec(), Some(sealed)));
        if self.batch_bytes < BATCH_BYTES {
            return Ok(());
        }
        self.batch_bytes = 0;
        self.database.apply(std::mem::take(&mut self.batch))
    }

    /// What was put so far.
    pub(super) const fn sum(&self) -> Sum {
        self.sum
    }

    /// Makes it durable, then complete; commits go on from `commit`.
    pub(super) fn finish(mut self, commit: u64) -> Result<(), Fault> {
        self.database.apply(std::mem::take(&mut self.batch))?;
        self.database.commit()?;
        self.database.sync_new()?;
        self.host.sync_folder(self.dir)?;
        let complete = envelope::seal(COMPLETE, commit, &[]);
        self.sum.add(COMPLETE, &complete);
        let sum = self.sum.seal(commit);
        let last = vec![(COMPLETE.to_vec(), Some(complete)), (sum::KEY.to_vec(), Some(sum))];
        self.database.apply(last)?;
        self.database.commit()?;
        self.database.close()
    }
}

/// Puts a complete `core.new` in the place of `core`, whose database is closed.
pub(super) fn swap(host: &dyn Host, dir: &Path) -> Result<(), Fault> {
    let (core, dead) = (dir.join(CORE), dir.join(DEAD));
    host.remove_folder(&dead)?;
    if host.exists(&core) {
        host.rename(&core, &dead)?;
    }
    host.rename(&dir.join(NEW), &core)?;
    host.sync_folder(dir)?;
    Ok(host.remove_folder(&dead)?)
}

/// Ends what an interrupted process had begun.
pub(in crate::outbox::store) fn settle(host: &dyn Host, dir: &Path) -> io::Result<()> {
    let (core, new, dead) = (dir.join(CORE), dir.join(NEW), dir.join(DEAD));
    if !host.exists(&core) {
        if is_complete(host, &new)? {
            host.rename(&new, &core)?;
        } else if host.exists(&dead) {
            host.rename(&dead, &core)?;
        }
        host.sync_folder(dir)?;
    }
    host.remove_folder(&new)
}

fn is_complete(host: &dyn Host, folder: &Path) -> io::Result<bool> {
    let mut complete = false;
    carve::scan(host, &folder.join("db"), envelope::MAGIC, envelope::BYTES_MAX, &mut |_, bytes| {
        let (key, _, length) = envelope::open_first(bytes)?;
        complete |= key == COMPLETE;
        Some(length)
    })?;
    Ok(complete)
}
