//! `core/`: one long-lived database, one tree, rows under prefixed keys.
//!
//! ```text
//!  e/<lane>                  greatest epoch ever drawn            n/<lane><epoch>        `next` of a closed epoch
//!  c/<lane><epoch>           cursor: acked u64, crc u32           g/<lane><epoch><from>  gap: to, reason, records, bytes
//!  r/<epoch><first>          a block of control records           k/<name>               small values of the agent
//!  j/<job>...                the journal of jobs, see `job`  m/                     what all rows come to, see `sum`
//!  x/complete                the core was written anew       x/carved, x/lost       it was damaged, see `rescue`
//! ```
//! Lanes are one byte, numbers big-endian; a row's value lies in an envelope, see `envelope`. Changes gather in one batch
//! of two kinds: what [`Core::commit`] is asked to make durable now, and what follows from things that happened anyway
//! (cursors, rows of what was acked), which waits for the next commit and outlives one that failed.
//!
//! Commits are numbered, for ever upwards. One that failed may be on the disk all the same. What its rows held before is
//! kept until [`Core::restore`] has put that back, and nothing is committed in between.

mod ahead;
mod envelope;
mod key;
mod renew;
mod rescue;
mod restore;
mod rows;
mod sum;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::id::StreamId;
use crate::outbox::block::{self, Header};
use crate::outbox::cipher::Cipher;

use super::host::{Batch, Database, Fault, Host, Scan, Tree};
use envelope::unseal;
use sum::Sum;

pub(super) use ahead::Need;
pub(super) use envelope::Row;
pub(super) use key::{
    closing_value, control_key, cursor_key, cursor_value, epoch_key, gap_row, name_key, next_key, next_value,
};
pub(super) use renew::settle as settle_folders;
pub(super) use rescue::{LOST, open};
pub(super) use rows::Rows;

/// The core.
#[derive(Debug)]
pub(super) struct Core {
    path: PathBuf,
    /// `None` while a full disk does not let it be opened again.
    database: Option<Box<dyn Database>>,
    /// What the next commit is asked for.
    wanted: Batch,
    /// What waits for any commit.
    lazy: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// After a commit that failed: the sealed rows it was asked for, as they were before.
    undo: Option<BTreeMap<Vec<u8>, Option<Vec<u8>>>>,
    reserved: u64,
    /// What the rows of the last commit come to, and of the last attempt.
    sum: Sum,
    attempted_sum: Sum,
    /// Number of the last attempt.
    attempts: u64,
    /// Number of the last commit.
    durable: u64,
    cipher: Option<Arc<Cipher>>,
}

impl Core {
    /// Opens or makes it. Commits go on from `commit`, and from the greatest number in its rows.
    /// With `cipher` what is put is sealed, and what was sealed is opened.
    pub(super) fn open(
        host: &dyn Host,
        dir: &Path,
        commit: u64,
        cipher: Option<Arc<Cipher>>,
    ) -> Result<Self, Fault> {
        let path = dir.join("core");
        // One in which nothing counts yet may be what a start left that ended before its name was durable.
        let fresh = commit == 0 || !host.exists(&path.join("db"));
        if !host.exists(&path) {
            host.create_folder(&path)?;
        }
        let mut database = host.open_database(&path)?;
        if fresh {
            database.sync_new()?;
            host.sync_folder(dir)?;
        }
        let mut core = Self {
            path,
            database: Some(database),
            wanted: Batch::default(),
            lazy: BTreeMap::new(),
            undo: None,
            reserved: 0,
            sum: Sum::default(),
            attempted_sum: Sum::default(),
            attempts: commit,
            durable: commit,
            cipher,
        };
        core.find_ahead()?;
        core.sum = core.stored_sum()?;
        Ok(core)
    }

    /// What rows and blocks are opened with.
    pub(super) fn cipher(&self) -> Option<Arc<Cipher>> {
        self.cipher.clone()
    }

    fn stored_sum(&mut self) -> Result<Sum, Fault> {
        let sealed = self.database()?.get(Tree::Main, sum::KEY)?;
        let row = sealed.as_ref().map(|sealed| unseal(sum::KEY, sealed)).transpose()?;
        Ok(row.and_then(Sum::parse).unwrap_or_default())
    }

    fn database(&mut self) -> Result<&mut Box<dyn Database>, Fault> {
        let path = &self.path;
        self.database
            .as_mut()
            .ok_or_else(|| Fault::Full(format!("{} waits for space to be opened again", path.display())))
    }

    /// Reads every row; control blocks only as far as their headers. Control and job rows of commits above `refused_above`
    /// are given apart: they were refused.
    pub(super) fn rows(&mut self, refused_above: Option<u64>) -> Result<Rows, Fault> {
        let mut rows = Rows::new(refused_above);
        let mut fault = None;
        let cipher = self.cipher();
        self.database()?.scan(Tree::Main, &[], &mut |key, sealed| {
            let taken = with_open(key, sealed, cipher.as_deref(), |row| rows.take(key, row));
            rows.count(key, sealed);
            match taken {
                Ok(()) => Scan::Next,
                Err(found) => {
                    fault = Some(found);
                    Scan::Stop
                }
            }
        })?;
        self.attempts = self.attempts.max(rows.commit);
        self.durable = self.attempts;
        fault.map_or(Ok(rows), Err)
    }

    /// Asks the next commit for a row.
    pub(super) fn put(&mut self, key: &[u8], value: &[u8]) {
        self.wanted.push((key.to_vec(), Some(value.to_vec())));
    }

    /// Asks the next commit to remove a row.
    pub(super) fn remove(&mut self, key: &[u8]) {
        self.wanted.push((key.to_vec(), None));
    }

    /// A row that may wait for any commit.
    pub(super) fn put_later(&mut self, key: &[u8], value: &[u8]) {
        self.lazy.insert(key.to_vec(), Some(value.to_vec()));
    }

    /// A removal that may wait for any commit.
    pub(super) fn remove_later(&mut self, key: &[u8]) {
        self.lazy.insert(key.to_vec(), None);
    }

    /// Forgets what the next commit was asked for.
    pub(super) fn drop_wanted(&mut self) {
        self.wanted.clear();
    }

    /// Whether changes wait for a commit.
    pub(super) fn changed(&self) -> bool {
        !self.wanted.is_empty() || !self.lazy.is_empty()
    }

    /// Whether a commit failed and was not yet undone.
    pub(super) fn dirty(&self) -> bool {
        self.database.is_none() || self.undo.is_some()
    }

    /// The number of the last commit that is durable.
    pub(super) const fn durable(&self) -> u64 {
        self.durable
    }

    /// Makes every change durable; gives the commit's number. Without [`Self::settle`] after it nothing of what was asked
    /// for counts, and nothing more is committed before [`Self::restore`].
    pub(super) fn commit(&mut self, need: Need) -> Result<u64, Fault> {
        let wanted = std::mem::take(&mut self.wanted);
        if self.dirty() {
            return Err(Fault::Full(format!("{} waits for space to be put right", self.path.display())));
        }
        self.keep_ahead()?;
        // The database is not let meet a full disk: it may hang then, and would have to be opened anew.
        let sizes = wanted.iter().map(|(key, value)| (key, value)).chain(&self.lazy);
        let bytes: usize = sizes.map(|(key, value)| key.len() + value.as_ref().map_or(0, Vec::len)).sum();
        // What follows from acks gives space back, so it may take what the rest leaves.
        let need = if wanted.is_empty() { Need::Last } else { need };
        self.provide_commit(bytes, need)?;
        let number = self.attempts.saturating_add(1);
        let mut rows: BTreeMap<Vec<u8>, Option<Vec<u8>>> = self.lazy.clone();
        let asked: BTreeSet<Vec<u8>> = wanted.iter().map(|(key, _)| key.clone()).collect();
        rows.extend(wanted);
        let (mut undo, mut sum, mut batch) = (BTreeMap::new(), self.sum, Batch::new());
        for (key, value) in rows {
            let before = self.database()?.get(Tree::Main, &key)?;
            let sealed =
                value.map(|value| envelope::seal_secret(&key, number, &value, self.cipher.as_deref()));
            before.iter().for_each(|before| sum.remove(&key, before));
            sealed.iter().for_each(|sealed| sum.add(&key, sealed));
            if asked.contains(&key) {
                undo.insert(key.clone(), before);
            }
            batch.push((key, sealed));
        }
        batch.push((sum::KEY.to_vec(), Some(sum.seal(number))));
        self.attempted_sum = sum;
        self.attempts = number;
        self.undo = Some(undo);
        let database = self.database()?;
        database.apply(batch)?;
        database.commit()?;
        Ok(number)
    }

    /// The commit counts: its number is in the mark.
    pub(super) fn settle(&mut self) {
        self.undo = None;
        self.lazy.clear();
        self.sum = self.attempted_sum;
        self.durable = self.attempts;
    }

    pub(super) fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        let sealed = self.database()?.get(Tree::Main, key)?;
        let cipher = self.cipher();
        sealed
            .map(|sealed| with_open(key, &sealed, cipher.as_deref(), |row| Ok(row.value.to_vec())))
            .transpose()
    }

    /// Up to which commit its rows were carved out of a damaged core.
    pub(super) fn carved_upto(&mut self) -> Result<Option<u64>, Fault> {
        Ok(self.get(rescue::CARVED)?.and_then(|value| key::number(&value).map(|(upto, _)| upto)))
    }

    /// Visits the rows under a prefix in their order.
    pub(super) fn visit(
        &mut self,
        prefix: &[u8],
        mut visit: impl FnMut(&[u8], Row<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut fault = None;
        let cipher = self.cipher();
        self.database()?.scan(Tree::Main, prefix, &mut |key, sealed| {
            if !key.starts_with(prefix) {
                return Scan::Stop;
            }
            match with_open(key, sealed, cipher.as_deref(), |row| visit(key, row)) {
                Ok(()) => Scan::Next,
                Err(found) => {
                    fault = Some(found);
                    Scan::Stop
                }
            }
        })?;
        fault.map_or(Ok(()), Err)
    }

    /// Visits control blocks in order from the one that begins with `first`, without those that end before `from`.
    pub(super) fn visit_control(
        &mut self,
        stream: StreamId,
        first: u64,
        from: u64,
        mut visit: impl FnMut(&Header, &[u8]) -> Scan,
    ) -> Result<(), Fault> {
        let mut fault = None;
        self.database()?.scan(Tree::Main, &control_key(stream, first), &mut |key, sealed| {
            if !key.starts_with(b"r/") {
                return Scan::Stop;
            }
            let block = unseal(key, sealed).and_then(|row| block::decode(row.value).map_err(broken));
            match block {
                Ok((header, _)) if header.stream != stream => Scan::Stop,
                Ok((header, _)) if header.end() <= from => Scan::Next,
                Ok((header, body)) => visit(&header, body),
                Err(found) => {
                    fault = Some(found);
                    Scan::Stop
                }
            }
        })?;
        fault.map_or(Ok(()), Err)
    }

    pub(super) fn length(&self) -> Result<u64, Fault> {
        self.database.as_ref().map_or(Ok(0), |database| database.length())
    }

    pub(super) fn close(self) -> Result<(), Fault> {
        self.database.map_or(Ok(()), Database::close)
    }

    pub(super) fn abandon(self) {
        if let Some(database) = self.database {
            database.abandon();
        }
    }
}

/// Opens a row for whoever needs its value.
fn with_open<T>(
    key: &[u8],
    sealed: &[u8],
    cipher: Option<&Cipher>,
    with: impl FnOnce(Row<'_>) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let row = unseal(key, sealed)?;
    let value = row.open(key, cipher)?;
    with(Row { value: &value, ..row })
}

fn broken(error: block::BlockError) -> Fault {
    Fault::Broken(error.to_string())
}
