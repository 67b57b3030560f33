//! The content of a model database: a log of changes, of which a part is durable, and what it amounts to.

use std::collections::BTreeMap;

use bytes::Bytes;
use fastrand::Rng;

use crate::outbox::store::host::{Fault, Tree};

/// Bytes each change takes in the file beside its keys and values.
const FRAME_BYTES: usize = 16;

/// One thing of a change: a key and its new value.
pub(super) type Put = (Tree, Bytes, Option<Bytes>);

/// What becomes durable whole or not at all.
#[derive(Debug, Clone)]
pub(super) struct Change(pub(super) Vec<Put>);

impl Change {
    fn len(&self) -> usize {
        let puts = self.0.iter().map(|(_, key, value)| key.len() + value.as_ref().map_or(0, Bytes::len));
        FRAME_BYTES + puts.sum::<usize>()
    }
}

/// What damage has done to a database, beside the bytes that changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Sickness {
    /// Reads give what is there.
    #[default]
    None,
    /// It does not open.
    Unopenable,
    /// Reads of the damaged place fail.
    Unreadable,
}

/// A database on the model disk.
#[derive(Debug, Clone, Default)]
pub(super) struct Data {
    log: Vec<Change>,
    durable: usize,
    /// Changes that the system has: they outlive the process.
    written: usize,
    view: BTreeMap<Tree, BTreeMap<Bytes, Bytes>>,
    bytes: u64,
    pub(super) reserved: u64,
    pub(super) sickness: Sickness,
    /// Keys whose values damage has changed.
    sick: Vec<(Tree, Bytes)>,
    /// Set by a failed write, until the database is closed.
    pub(super) failed: Option<Fault>,
    pub(super) open: bool,
}

impl Data {
    pub(super) fn write(&mut self, puts: Vec<Put>) {
        let change = Change(puts);
        self.bytes += change.len() as u64;
        Self::apply(&mut self.view, &change);
        self.log.push(change);
    }

    fn apply(view: &mut BTreeMap<Tree, BTreeMap<Bytes, Bytes>>, change: &Change) {
        for (tree, key, value) in &change.0 {
            let tree = view.entry(*tree).or_default();
            match value {
                Some(value) => tree.insert(key.clone(), value.clone()),
                None => tree.remove(key),
            };
        }
    }

    fn rebuild(&mut self) {
        self.view.clear();
        self.bytes = 0;
        for change in &self.log {
            self.bytes += change.len() as u64;
            Self::apply(&mut self.view, change);
        }
    }

    pub(super) fn tree(&self, tree: Tree) -> Option<&BTreeMap<Bytes, Bytes>> {
        self.view.get(&tree)
    }

    pub(super) fn is_sick(&self, tree: Tree, key: &[u8]) -> bool {
        self.sickness == Sickness::Unreadable && self.sick.iter().any(|(sick, at)| *sick == tree && at == key)
    }

    /// The first place from `key` on that cannot be read.
    pub(super) fn first_sick(&self, tree: Tree, key: &[u8]) -> Option<&Bytes> {
        let sick = self.sick.iter().filter(|(sick, at)| *sick == tree && at[..] >= *key);
        sick.map(|(_, at)| at).min().filter(|_| self.sickness == Sickness::Unreadable)
    }

    pub(super) const fn len(&self) -> u64 {
        self.bytes
    }

    /// Bytes of the disk it takes.
    pub(super) fn takes(&self) -> u64 {
        self.bytes.max(self.reserved)
    }

    pub(super) fn commit(&mut self) {
        self.durable = self.log.len();
        self.written = self.durable;
    }

    pub(super) fn is_committed(&self) -> bool {
        self.durable == self.log.len()
    }

    /// The process is gone: what it had handed to the system stays, a part of what it had not.
    pub(super) fn kill(&mut self, rng: &mut Rng) {
        (self.open, self.failed) = (false, None);
        let kept = rng.usize(self.written..=self.log.len());
        self.keep(kept);
    }

    fn keep(&mut self, changes: usize) {
        if changes < self.log.len() {
            self.log.truncate(changes);
            self.rebuild();
        }
        self.written = changes;
    }

    /// The power is gone: what is left is on the medium.
    pub(super) fn cut(&mut self, rng: &mut Rng) {
        (self.open, self.failed) = (false, None);
        let kept = rng.usize(self.durable..=self.log.len());
        self.keep(kept);
        self.durable = kept;
    }

    /// The file's bytes.
    pub(super) fn raw(&self) -> Vec<u8> {
        let mut raw = Vec::with_capacity(usize::try_from(self.bytes).unwrap_or_default());
        for change in &self.log {
            raw.extend_from_slice(&[0xF5; FRAME_BYTES]);
            for (_, key, value) in &change.0 {
                raw.extend_from_slice(key);
                raw.extend_from_slice(value.as_deref().unwrap_or_default());
            }
        }
        raw
    }

    /// Changes bytes of a value that was written; says whether there was one.
    pub(super) fn damage(&mut self, rng: &mut Rng, sickness: Sickness) -> bool {
        let values: usize = self.log.iter().map(|change| change.0.len()).sum();
        if values == 0 {
            return false;
        }
        let chosen = rng.usize(0..values);
        let put = self.log.iter_mut().flat_map(|change| change.0.iter_mut()).nth(chosen);
        let Some((tree, key, Some(value))) = put else { return false };
        if value.is_empty() {
            return false;
        }
        let mut bytes = value.to_vec();
        let at = rng.usize(0..bytes.len());
        if rng.bool() {
            bytes[at] ^= 1 << rng.u8(0..8);
        } else {
            let end = (at + rng.usize(1..=64)).min(bytes.len());
            bytes[at..end].fill(0);
        }
        *value = bytes.into();
        self.sick.push((*tree, key.clone()));
        self.sickness = sickness;
        self.rebuild();
        true
    }
}
