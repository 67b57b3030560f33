//! What a start reads from the core.

use std::collections::BTreeMap;

use crate::id::{Epoch, StreamId};
use crate::outbox::block::{self, Header};
use crate::outbox::ledger::PerLane;
use crate::outbox::store::host::Fault;
use crate::wire::message::Gap;

use super::broken;
use super::envelope::Row;
use super::key::{cursor, gap, is_asked_for, number, stream};
use super::rescue;
use super::sum::{self, Sum};

/// Everything a start needs to know.
#[derive(Debug, Default)]
pub(in crate::outbox::store) struct Rows {
    pub(in crate::outbox::store) epochs: PerLane<Option<Epoch>>,
    pub(in crate::outbox::store) nexts: BTreeMap<StreamId, u64>,
    pub(in crate::outbox::store) cursors: BTreeMap<StreamId, (u64, u32)>,
    pub(in crate::outbox::store) gaps: Vec<Gap>,
    /// Control blocks: header and bytes.
    pub(in crate::outbox::store) control: Vec<(Header, u64)>,
    /// Control and job rows, and ends of epochs, of a commit that was refused: key and value.
    pub(in crate::outbox::store) refused: Vec<(Vec<u8>, Vec<u8>)>,
    /// The greatest commit number.
    pub(super) commit: u64,
    /// Up to which commit rows were carved out of a damaged core; a job's row that old may have been followed by others.
    pub(in crate::outbox::store) carved_upto: Option<u64>,
    /// Something of the core may be lost, and the hub was not told yet.
    pub(in crate::outbox::store) lost: bool,
    refused_above: u64,
    counted: Sum,
    stored: Option<Sum>,
}

impl Rows {
    pub(super) fn new(refused_above: Option<u64>) -> Self {
        Self { refused_above: refused_above.unwrap_or(u64::MAX), ..Self::default() }
    }

    /// Counts a sealed row.
    pub(super) fn count(&mut self, key: &[u8], sealed: &[u8]) {
        if key != sum::KEY {
            self.counted.add(key, sealed);
        }
    }

    /// Whether every row is there that the last commit left.
    pub(super) fn is_whole(&self) -> bool {
        self.stored.unwrap_or_default() == self.counted
    }

    pub(super) fn take(&mut self, key: &[u8], row: Row<'_>) -> Result<(), Fault> {
        let short = || Fault::Broken(format!("core row `{}` is damaged", key.escape_ascii()));
        let (prefix, rest) = key.split_first_chunk::<2>().ok_or_else(short)?;
        self.commit = self.commit.max(row.commit);
        if row.commit > self.refused_above && is_asked_for(key, row.value) {
            self.refused.push((key.to_vec(), row.value.to_vec()));
            return Ok(());
        }
        let value = row.value;
        match prefix {
            b"e/" => {
                let lane = rest.first().and_then(|code| block::lane_from_code(*code)).ok_or_else(short)?;
                *self.epochs.of_mut(lane) = Some(Epoch::from_u64(number(value).ok_or_else(short)?.0));
            }
            b"n/" => {
                self.nexts.insert(stream(rest).ok_or_else(short)?.0, number(value).ok_or_else(short)?.0);
            }
            b"c/" => {
                let (stream, cursor) = cursor(key, row).ok_or_else(short)?;
                self.cursors.insert(stream, cursor);
            }
            b"g/" => self.gaps.push(gap(rest, value).ok_or_else(short)?),
            b"r/" => {
                let (header, _) = block::decode(value).map_err(broken)?;
                self.control.push((header, value.len() as u64));
            }
            b"m/" => self.stored = Some(Sum::parse(row).ok_or_else(short)?),
            b"x/" if key == rescue::CARVED => self.carved_upto = Some(number(value).ok_or_else(short)?.0),
            b"x/" if key == rescue::LOST => self.lost = true,
            // What a later version of this format keeps here is not ours to judge.
            _ => {}
        }
        Ok(())
    }
}
