//! A generation: one database with consecutive blocks of one stream of events or logs.
//!
//! Blocks go into trees named by the number of their first record (8 bytes, big-endian); the key of a block is epoch and
//! first number. A fresh tree is begun often, so that sled never rewrites a leaf. Only the newest generation of a lane is
//! written, by the process that made it; every other one is read raw, see `carve`.

use std::path::Path;

use bytes::BufMut;

use crate::id::StreamId;
use crate::limit;
use crate::outbox::block::{self, Header};
use crate::outbox::name::GenerationName;
#[cfg(test)]
use crate::sim::mutant::{self, Mutant};

use super::host::{Database, Fault, Host, Scan, Tree};

/// Prefix of a generation that is being made.
pub(super) const NEW_PREFIX: &str = "new-";
/// Prefix of one that is being removed.
pub(super) const DEAD_PREFIX: &str = "dead-";
/// Prefix of one in which something is missing.
pub(super) const QUARANTINE_PREFIX: &str = "quarantine-";

/// An open generation.
#[derive(Debug)]
pub(super) struct Generation {
    pub(super) name: GenerationName,
    trees: Vec<u64>,
    /// First numbers of its blocks, ascending: sled finds no key before another without a megabyte of key of its own.
    blocks: Vec<u64>,
    tree_blocks: usize,
    tree_bytes: usize,
    reserved: u64,
    database: Box<dyn Database>,
}

impl Generation {
    /// Makes a new one with `bytes` reserved for it. A failure leaves nothing but a `new-` folder.
    pub(super) fn create(
        host: &dyn Host,
        dir: &Path,
        name: GenerationName,
        bytes: u64,
    ) -> Result<Self, Fault> {
        let new = dir.join(format!("{NEW_PREFIX}{name}"));
        let path = dir.join(name.to_string());
        let reserved = Self::reservation(host, bytes);
        // What an earlier attempt left; nothing of it was accepted, or this one had another name.
        host.remove_folder(&new)?;
        if host.exists(&path) {
            remove(host, dir, name)?;
        }
        host.create_folder(&new)?;
        let made = host.open_database(&new).and_then(|mut database| {
            let named = database
                .reserve(reserved)
                .and_then(|()| database.sync_new())
                .and_then(|()| Ok(host.rename(&new, &path)?))
                .and_then(|()| sync_name(host, dir));
            match named {
                Ok(()) => Ok(database),
                Err(fault) => {
                    let _ = database.close();
                    Err(fault)
                }
            }
        });
        match made {
            Ok(database) => {
                let (trees, blocks) = (Vec::new(), Vec::new());
                Ok(Self { name, trees, blocks, tree_blocks: 0, tree_bytes: 0, reserved, database })
            }
            Err(fault) => {
                // Tried again under the same name when there is room.
                let _ = host.remove_folder(&new);
                Err(fault)
            }
        }
    }

    /// Bytes of the disk that making one of `bytes` takes: some more, for what the database writes beside the blocks.
    pub(super) fn reservation(host: &dyn Host, bytes: u64) -> u64 {
        bytes.saturating_add(Self::slack(host))
    }

    /// See [`Self::reservation`].
    pub(super) fn slack(host: &dyn Host) -> u64 {
        host.segment_bytes() / 2
    }

    /// Writes one block; durable after [`Self::commit`].
    pub(super) fn insert(&mut self, header: &Header, value: &[u8]) -> Result<(), Fault> {
        let full = self.tree_blocks >= limit::TREE_SMALL_BLOCKS_MAX
            || self.tree_blocks >= limit::TREE_BLOCKS_MAX && self.tree_bytes >= limit::TREE_BYTES_MAX;
        if full || self.trees.is_empty() {
            self.trees.push(header.first);
            (self.tree_blocks, self.tree_bytes) = (0, 0);
        }
        self.tree_blocks += 1;
        self.tree_bytes += value.len();
        let name = self.trees.last().copied().unwrap_or(header.first);
        let key = key(header.stream, header.first);
        self.database.insert(Tree::Numbered(name), &key, value)?;
        self.blocks.push(header.first);
        Ok(())
    }

    /// Whether the list of its trees, written again with each new one, has become as long as it may.
    pub(super) fn is_full(&self) -> bool {
        self.trees.len() >= limit::GENERATION_TREES_MAX
    }

    pub(super) fn commit(&mut self) -> Result<(), Fault> {
        #[cfg(test)]
        if mutant::active(Mutant::AnswerBeforeSync) {
            return Ok(());
        }
        self.database.commit()
    }

    /// Real bytes of its data file.
    pub(super) fn length(&self) -> Result<u64, Fault> {
        self.database.length()
    }

    /// Bytes it takes on disk, what is reserved and not written yet included.
    pub(super) fn disk_bytes(&self) -> Result<u64, Fault> {
        Ok(self.length()?.max(self.reserved))
    }

    /// Closes it; what was reserved and not used goes back where it was the writer's.
    pub(super) fn close(self) -> Result<(), Fault> {
        let Self { mut database, .. } = self;
        database.release()?;
        database.close()
    }

    /// Leaves it as it is, for good.
    pub(super) fn abandon(self) {
        self.database.abandon();
    }

    /// Visits blocks in order, beginning with the one that holds `from`, until told to stop.
    pub(super) fn visit(
        &mut self,
        from: u64,
        mut visit: impl FnMut(&Header, &[u8]) -> Scan,
    ) -> Result<(), Fault> {
        let stream = self.name.stream;
        let mut next = from;
        // The tree and the block that begin at `from` or before it.
        let trees = self.trees.partition_point(|name| *name <= from).saturating_sub(1);
        let block = self.blocks.partition_point(|first| *first <= from).checked_sub(1);
        let mut start = block.and_then(|block| self.blocks.get(block)).copied().unwrap_or(from);
        for name in self.trees.iter().skip(trees).copied() {
            let (mut fault, mut scan) = (None, Scan::Next);
            self.database.scan(Tree::Numbered(name), &key(stream, start), &mut |_, value| {
                scan = match decode(stream, value) {
                    Ok((header, _)) if header.end() <= next => Scan::Next,
                    Ok((header, _)) if header.first > next => {
                        fault = Some(Fault::Broken(format!(
                            "records {next} to {} are missing",
                            header.first - 1
                        )));
                        Scan::Stop
                    }
                    Ok((header, body)) => {
                        next = header.end();
                        visit(&header, body)
                    }
                    Err(error) => {
                        fault = Some(error);
                        Scan::Stop
                    }
                };
                scan
            })?;
            if let Some(fault) = fault {
                return Err(fault);
            }
            if scan == Scan::Stop {
                break;
            }
            start = next;
        }
        Ok(())
    }
}

/// Makes a new generation's name durable.
fn sync_name(host: &dyn Host, dir: &Path) -> Result<(), Fault> {
    #[cfg(test)]
    if mutant::active(Mutant::NameNotSynced) {
        return Ok(());
    }
    Ok(host.sync_folder(dir)?)
}

/// A value as a block of this stream.
fn decode(stream: StreamId, value: &[u8]) -> Result<(Header, &[u8]), Fault> {
    let (header, body) = block::decode(value).map_err(|error| Fault::Broken(error.to_string()))?;
    if header.stream != stream {
        return Err(Fault::Broken(format!("a block of stream {} lies in {stream}", header.stream)));
    }
    Ok((header, body))
}

/// A block's key.
pub(super) fn key(stream: StreamId, first: u64) -> [u8; 16] {
    let mut key = [0; 16];
    let mut rest = key.as_mut_slice();
    rest.put_u64(stream.epoch.as_u64());
    rest.put_u64(first);
    key
}

/// Removes a generation's folder, whichever name it has: renamed first, so that a half removed one is never read. One that
/// vanished by itself is removed as well, and one that was removed half way the rest of it.
pub(super) fn remove(host: &dyn Host, dir: &Path, name: GenerationName) -> Result<(), Fault> {
    let dead = dir.join(format!("{DEAD_PREFIX}{name}"));
    for folder in [dir.join(name.to_string()), dir.join(format!("{QUARANTINE_PREFIX}{name}"))] {
        if host.exists(&folder) {
            host.remove_folder(&dead)?;
            host.rename(&folder, &dead)?;
        }
    }
    host.sync_folder(dir)?;
    Ok(host.remove_folder(&dead)?)
}
