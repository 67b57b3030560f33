//! Gaps on disk: numbers that will not come, kept until the hub has heard of them.
//!
//! A gap is durable before what it covers is removed. A crash between leaves data that a gap covers: the next start
//! removes it.

use std::path::Path;

use crate::id::Lane;
use crate::outbox::StoreError;
use crate::outbox::ledger::{GapChange, Ledger};
use crate::outbox::name::GenerationName;
#[cfg(test)]
use crate::sim::mutant::{self, Mutant};
use crate::wire::message::Gap;

use super::core::{self, Core};
use super::generation;
use super::host::{Fault, Host};
use super::thread::Store;

/// Puts a change of gaps into the next commit.
pub(super) fn put_rows(core: &mut Core, change: &GapChange) {
    change.gone.iter().for_each(|gap| core.remove(&core::gap_row(gap).0));
    for gap in &change.put {
        let (key, value) = core::gap_row(gap);
        core.put(&key, &value);
    }
}

/// As [`put_rows`], for what may wait for any commit: the hub has heard of it.
pub(super) fn put_rows_later(core: &mut Core, change: &GapChange) {
    change.gone.iter().for_each(|gap| core.remove_later(&core::gap_row(gap).0));
    for gap in &change.put {
        let (key, value) = core::gap_row(gap);
        core.put_later(&key, &value);
    }
}

/// Removes generations that gaps cover whole: the process before ended on the way.
pub(super) fn remove_declared(host: &dyn Host, dir: &Path, ledger: &mut Ledger) -> Result<(), Fault> {
    let mut declared = Vec::new();
    for (stream, held) in ledger.streams().filter(|(stream, _)| stream.lane != Lane::Control) {
        for first in held.spans.keys().copied() {
            let from = first.max(held.acked.saturating_add(1));
            let name = GenerationName { stream, first };
            if ledger.is_lost(stream, from, held.end_of(first)) {
                declared.push(name);
            }
        }
    }
    for name in declared {
        generation::remove(host, dir, name)?;
        if let Some(held) = ledger.stream_mut(name.stream) {
            held.spans.remove(&name.first);
        }
    }
    Ok(())
}

impl Store {
    /// Says durably that unacked numbers will not come. Only then may the caller remove what they stand for.
    pub(super) fn declare(&mut self, gap: Gap) -> Result<(), Fault> {
        let change = self.declare_again(gap)?;
        self.ledger.count_losses(&change);
        Ok(())
    }

    /// As [`Self::declare`], of what was counted as lost before.
    pub(super) fn declare_again(&mut self, gap: Gap) -> Result<GapChange, Fault> {
        let change = self.ledger.plan_gap(&gap);
        if change.is_empty() {
            return Ok(change);
        }
        #[cfg(test)]
        if mutant::active(Mutant::GapNotKept) {
            self.ledger.apply_gaps(&change);
            return Ok(change);
        }
        if let Some(core) = &mut self.core {
            put_rows(core, &change);
        }
        self.commit_core(None)?;
        self.ledger.apply_gaps(&change);
        Ok(change)
    }

    /// Keeps what the hub is to be told of numbers it had acked and lost.
    pub(super) fn add_gap(&mut self, gap: Gap) -> Result<(), StoreError> {
        self.check()?;
        self.durably(|store| {
            if let Some(core) = &mut store.core {
                put_rows(core, &GapChange { gone: Vec::new(), put: vec![gap] });
            }
            store.commit_core(None)?;
            store.ledger.insert_gap(gap);
            store.ledger.count_loss(&gap);
            Ok(())
        })
    }
}
