//! Generations that are read raw, and what becomes of one in which something is missing.
//!
//! Such a generation is reported once, in the control lane, and set aside: its folder is renamed, so that a later start
//! knows that the hub was told. What is sound in it is served like any other record, what is missing is declared lost
//! when reading reaches it, and it goes when it is acked. Nothing is written into it or copied out of it.

use std::path::PathBuf;

use crate::id::{Lane, StreamId};
use crate::outbox::StoreError;
use crate::outbox::admit::Encoded;
use crate::outbox::name::GenerationName;
use crate::wire::batch;
use crate::wire::message::{Gap, GapReason, LossReason, LossReport};

use super::carve::Carved;
use super::core;
use super::generation::{Generation, QUARANTINE_PREFIX};
use super::host::Fault;
use super::thread::Store;

impl Store {
    /// Where a generation lies.
    pub(super) fn folder(&self, name: GenerationName) -> PathBuf {
        let prefix = if self.quarantined.contains(&name) { QUARANTINE_PREFIX } else { "" };
        self.dir.join(format!("{prefix}{name}"))
    }

    /// The one generation that is read raw; another one takes its place.
    pub(super) fn carved(&mut self, name: GenerationName) -> Result<&mut Carved, StoreError> {
        let carved = match self.reader.take() {
            Some(carved) if carved.name == name => carved,
            _ => {
                let end = self.ledger.stream(name.stream).map_or(name.first, |held| held.end_of(name.first));
                let folder = self.folder(name);
                let mut carved = Carved::open(&*self.host, &folder, name, end)
                    .map_err(|error| StoreError::Unreadable { path: folder, detail: error.to_string() })?;
                self.set_aside(&mut carved)?;
                carved
            }
        };
        Ok(self.reader.insert(carved))
    }

    /// Goes on without a writer whose database cannot be read: what it holds is read raw from now on.
    pub(super) fn give_up_writer(&mut self, name: GenerationName, fault: &Fault) {
        tracing::error!(generation = %name, %fault, "a database cannot be read any more: its file is read raw");
        *self.drained_since.of_mut(name.stream.lane) = None;
        // Closing would write.
        self.writers.of_mut(name.stream.lane).take().into_iter().for_each(Generation::abandon);
    }

    /// Reports a generation in which unacked records are missing, and renames it; once.
    fn set_aside(&mut self, carved: &mut Carved) -> Result<(), StoreError> {
        let name = carved.name;
        let Some(held) = self.ledger.stream(name.stream) else { return Ok(()) };
        let (from, end) = (name.first.max(held.acked.saturating_add(1)), held.end_of(name.first));
        let holes = carved.holes(from).into_iter();
        let undeclared = holes.filter(|(first, last)| !self.ledger.is_lost(name.stream, *first, last + 1));
        let missing: u64 = undeclared.map(|(first, last)| last - first + 1).sum();
        if missing == 0 || self.poisoned.is_some() || self.quarantined.contains(&name) {
            return Ok(());
        }
        tracing::error!(generation = %name, missing, "records are damaged on disk: their generation is set aside");
        let reason = if carved.holds_any(from) { LossReason::Quarantined } else { LossReason::Unreadable };
        let report = LossReport { stream: name.stream, from, to: end.saturating_sub(1), reason };
        // A full disk may take the report and not the new name, which is then tried again.
        if !self.told.contains(&name) {
            self.report(report)?;
            self.told.insert(name);
        }
        let (folder, aside) = (self.folder(name), self.dir.join(format!("{QUARANTINE_PREFIX}{name}")));
        self.durably(|store| {
            if store.host.exists(&folder) {
                store.host.rename(&folder, &aside)?;
            } else {
                // It vanished. The name stays, so that this is reported once.
                store.host.create_folder(&aside)?;
            }
            Ok(store.host.sync_folder(&store.dir)?)
        })?;
        self.quarantined.insert(name);
        carved.moved(&aside);
        Ok(())
    }

    /// Tells the hub of a loss, durably.
    pub(super) fn report(&mut self, report: LossReport) -> Result<(), StoreError> {
        let mut encoded = Encoded::default();
        encoded.push(batch::loss_record(report, self.host.wall()));
        self.append_encoded(Lane::Control, &encoded)?;
        self.durable.send_replace(self.ledger.current_states());
        Ok(())
    }

    /// Tells the hub of a damaged core; in the commit that says that it was told.
    pub(super) fn report_core_lost(&mut self, report: LossReport) {
        if let Some(core) = &mut self.core {
            core.remove(core::LOST);
        }
        if let Err(error) = self.report(report) {
            tracing::warn!(%error, "the hub is told of the damaged core after the next start");
        }
    }

    /// What is to be said of numbers that nothing sound is left of.
    pub(super) fn lost(&self, stream: StreamId, from: u64, to: u64) -> Gap {
        let next = self.ledger.stream(stream).map_or(0, |held| held.next);
        // Where nothing follows, the end is missing rather than something between.
        let reason = if to.saturating_add(1) >= next { GapReason::CutTail } else { GapReason::Corrupt };
        let records = to.saturating_sub(from).saturating_add(1);
        let record_bytes = self.reader.as_ref().filter(|carved| carved.name.stream == stream);
        let bytes = records.saturating_mul(record_bytes.map_or(0, Carved::record_bytes));
        Gap { stream, from, to, reason, records, bytes }
    }
}
