//! Opening: what the folder holds, read from names, core rows and each lane's newest generation, whatever the backlog.
//!
//! Where the mark promises more records of a stream than are found, the end of it was lost: a gap says so.

use std::path::Path;
use std::sync::Arc;

use crate::id::{Epoch, Lane, StreamId};
use crate::limit;
use crate::outbox::block::{self, Header};
use crate::outbox::cipher::Cipher;
use crate::outbox::ledger::{Ledger, PerLane, Stream};
use crate::outbox::name::GenerationName;
use crate::outbox::{OpenError, StoreError};
#[cfg(test)]
use crate::sim::mutant::{self, Mutant};
use crate::wire::batch;
use crate::wire::message::{Gap, GapReason, LossReason, LossReport};

use super::ballast::{self, Ballast};
use super::carve::Carved;
use super::core::{self, Core, Need, Rows};
use super::gap;
use super::generation;
use super::generation::{DEAD_PREFIX, NEW_PREFIX};
use super::host::{Fault, Host, Scan};
use super::job::{self, Reservations};
use super::mark::{End, Mark};
use super::spans;

/// Removes what an interrupted process left half made or half removed.
pub(super) fn clean(host: &dyn Host, dir: &Path) -> std::io::Result<()> {
    core::settle_folders(host, dir)?;
    for name in host.list(dir)? {
        if name.starts_with(NEW_PREFIX) || name.starts_with(DEAD_PREFIX) {
            host.remove_folder(&dir.join(name))?;
        }
    }
    Ok(())
}

/// What an opened folder holds.
pub(super) struct Found {
    pub(super) core: Core,
    pub(super) ledger: Ledger,
    pub(super) reservations: Reservations,
    pub(super) ballast: Ballast,
    /// What the hub is to be told of the core.
    pub(super) core_lost: Option<LossReport>,
}

/// Opens the core, finds what is held, draws every lane's epoch and makes that durable. A full disk gets back what was
/// kept for this: the ballast, and what the core has reserved ahead.
pub(super) fn open(
    host: &dyn Host,
    dir: &Path,
    mark: &mut Mark,
    ballast: Ballast,
    cipher: Option<&Arc<Cipher>>,
) -> Result<Found, OpenError> {
    match try_open(host, dir, mark, ballast, cipher) {
        Err(OpenError::Store(StoreError::DiskFull { detail })) => {
            tracing::warn!(detail, path = %dir.display(), "the outbox opens on a full disk");
            let ballast = ballast::give_up(host, dir);
            let path = dir.join("core").join("db");
            host.release_file(&path).map_err(|source| OpenError::Io { action: "cut", path, source })?;
            try_open(host, dir, mark, ballast, cipher)
        }
        other => other,
    }
}

fn try_open(
    host: &dyn Host,
    dir: &Path,
    mark: &mut Mark,
    ballast: Ballast,
    cipher: Option<&Arc<Cipher>>,
) -> Result<Found, OpenError> {
    let unreadable = |fault: Fault| fault.unreadable(dir.join("core"));
    let (mut core, rows) = core::open(host, dir, mark.found_core(), cipher).map_err(unreadable)?;
    let found = recover(host, dir, &mut core, &rows, mark).and_then(|mut ledger| {
        gap::remove_declared(host, dir, &mut ledger).map_err(|fault| fault.unreadable(dir.to_owned()))?;
        let reservations = job::reservations(&mut core, &ledger).map_err(unreadable)?;
        // On a full disk what was reserved before is still there, and more is not to be had.
        let written = reservations.bytes().saturating_mul(limit::CORE_AMPLIFICATION);
        let _ = core.provide(written.saturating_add(limit::CORE_COMMIT_BYTES));
        Ok((ledger, reservations))
    });
    match found {
        Ok((ledger, reservations)) => {
            let core_lost = rows.lost.then(|| core_lost(&ledger));
            Ok(Found { core, ledger, reservations, ballast, core_lost })
        }
        Err(error) => {
            if let Err(fault) = core.close() {
                tracing::debug!(%fault, "the core closed after its failure");
            }
            Err(error)
        }
    }
}

/// What the hub is told of a damaged core: which control records it may be about.
fn core_lost(ledger: &Ledger) -> LossReport {
    let current = ledger.current(Lane::Control);
    let old = ledger.streams().filter(|(id, _)| id.lane == Lane::Control && *id != current).last();
    let (stream, from, to) = old.map_or((current, 1, 1), |(id, held)| {
        let from = held.acked.saturating_add(1);
        (id, from, from.max(held.next.saturating_sub(1)))
    });
    LossReport { stream, from, to, reason: LossReason::CoreLost }
}

fn recover(
    host: &dyn Host,
    dir: &Path,
    core: &mut Core,
    rows: &Rows,
    mark: &mut Mark,
) -> Result<Ledger, OpenError> {
    let unreadable = |fault: Fault| fault.unreadable(dir.join("core"));
    for (key, value) in &rows.refused {
        job::undo(core, key, value).map_err(unreadable)?;
    }
    let mut streams = spans::spans(host, dir, rows).map_err(|source| OpenError::Io {
        action: "list",
        path: dir.to_owned(),
        source,
    })?;
    let mut epochs = PerLane::from_fn(|_| Epoch::from_u64(0));
    for lane in Lane::ALL {
        let marked = mark.found(lane).map(|durable| durable.epoch);
        if let Some(epoch) = marked.filter(|_| rows.lost) {
            // All that tells of it may be the mark.
            streams.entry(StreamId { lane, epoch }).or_default();
        }
        let held = streams.keys().filter(|stream| stream.lane == lane).map(|stream| stream.epoch).max();
        let greatest = held.max(*rows.epochs.of(lane)).max(marked);
        let random = host.random();
        let epoch = Epoch::after(greatest, random);
        #[cfg(test)]
        let epoch = if mutant::active(Mutant::EpochUsedAgain) { greatest.or(epoch) } else { epoch };
        *epochs.of_mut(lane) = epoch.ok_or(OpenError::EpochsUsedUp { lane })?;
    }
    let mut lost = Vec::new();
    for (id, stream) in &mut streams {
        lost.extend(complete(host, dir, rows, core, mark, *id, stream)?);
    }
    let mut ledger = Ledger::new(epochs);
    for gap in rows.gaps.iter().chain(&lost) {
        ledger.insert_gap(*gap);
    }
    for gap in &lost {
        ledger.count_loss(gap);
        let (key, value) = core::gap_row(gap);
        core.put(&key, &value);
    }
    for lane in Lane::ALL {
        core.put(&core::epoch_key(lane), &epochs.of(lane).as_u64().to_be_bytes());
    }
    for (id, stream) in streams {
        core.put(&core::next_key(id), &core::next_value(stream.next));
        let mut stream = stream;
        for first in stream.spans.split_off(&stream.next).into_keys() {
            if id.lane == Lane::Control {
                core.remove(&core::control_key(id, first));
            } else {
                drop_unfinished(host, dir, mark, GenerationName { stream: id, first })?;
            }
        }
        ledger.insert(id, stream);
        if ledger.forget_if_done(id) {
            core.remove(&core::next_key(id));
            core.remove(&core::cursor_key(id));
        }
    }
    let commit = core.commit(Need::Last).map_err(unreadable)?;
    // Always: an earlier start may have said the same and ended before its sync, with a seal still on the medium.
    let marked = mark.write_core(commit).and_then(|()| mark.sync());
    marked.map_err(|error| unreadable(error.into()))?;
    core.settle();
    Ok(ledger)
}

/// Removes a generation in which no record was ever whole, or none at all: the process ended on the way to its first
/// commit.
fn drop_unfinished(host: &dyn Host, dir: &Path, mark: &Mark, name: GenerationName) -> Result<(), OpenError> {
    if promised(mark, name.stream) >= name.first {
        return Ok(());
    }
    let removed = generation::remove(host, dir, name);
    removed.map_err(|fault| fault.unreadable(dir.join(name.to_string())).into())
}

/// The last number of a stream that the process before had reported durable, as far as its mark was written.
fn promised(mark: &Mark, id: StreamId) -> u64 {
    mark.found(id.lane).filter(|durable| durable.epoch == id.epoch).map_or(0, |durable| durable.upto)
}

/// Finds a stream's `next`: as its row says where its epoch was closed in order, else from its last block. Gives what the
/// mark promises beyond that.
fn complete(
    host: &dyn Host,
    dir: &Path,
    rows: &Rows,
    core: &mut Core,
    mark: &Mark,
    id: StreamId,
    stream: &mut Stream,
) -> Result<Option<Gap>, OpenError> {
    // What lies in a gap was numbered, though nothing of it may be left.
    let lost = rows.gaps.iter().filter(|gap| gap.stream == id).map(|gap| gap.to.saturating_add(1)).max();
    let least = stream.acked.saturating_add(1).max(lost.unwrap_or_default());
    if let Some(next) = rows.nexts.get(&id) {
        stream.next = (*next).max(least);
        return Ok(None);
    }
    // What lies above a seal was refused, whatever of it reached the disk.
    let sealed = mark.found(id.lane).filter(|found| found.epoch == id.epoch && found.end == End::Sealed);
    let upto = sealed.map_or(u64::MAX, |sealed| sealed.upto);
    if let Some(first) = stream.spans.range(..=upto).next_back().map(|(first, _)| *first) {
        let (path, last) = if id.lane == Lane::Control {
            (dir.join("core"), last_control(core, id, first))
        } else {
            let name = GenerationName { stream: id, first };
            (dir.join(name.to_string()), last_number(host, dir, name, core.cipher().as_deref()))
        };
        stream.next = last.map_err(|fault| fault.unreadable(path))?.unwrap_or(first);
    }
    stream.next = stream.next.min(upto.saturating_add(1)).max(least);
    let (from, to) = (stream.next, promised(mark, id));
    if to < from {
        return Ok(None);
    }
    tracing::error!(stream = %id, from, to, "the end of a stream is missing on disk");
    stream.next = to.saturating_add(1);
    Ok(Some(Gap { stream: id, from, to, reason: GapReason::CutTail, records: to - from + 1, bytes: 0 }))
}

fn last_number(
    host: &dyn Host,
    dir: &Path,
    name: GenerationName,
    cipher: Option<&Cipher>,
) -> Result<Option<u64>, Fault> {
    let folder = spans::folder(host, dir, name);
    let last = Carved::open(host, &folder, name, u64::MAX)?.last_block(host)?;
    Ok(last.map(|(header, body)| whole_end(&header, &body, cipher)))
}

fn last_control(core: &mut Core, id: StreamId, first: u64) -> Result<Option<u64>, Fault> {
    let mut end = None;
    let cipher = core.cipher();
    let cipher = cipher.as_deref();
    core.visit_control(id, first, first, |header, body| {
        end = Some(whole_end(header, body, cipher));
        Scan::Next
    })?;
    Ok(end)
}

/// The number after the last whole record: a set of parts that was cut short by a crash was never reported durable.
fn whole_end(header: &Header, body: &[u8], cipher: Option<&Cipher>) -> u64 {
    let (mut last, end) = (None, header.end());
    // One that does not open is declared lost when reading reaches it.
    let Ok(body) = block::open(header, body, cipher) else { return end };
    let mut rest: &[u8] = &body;
    while let Some((lying, after)) = batch::split_first(rest) {
        last = Some(lying.encoded);
        rest = after;
    }
    let part = last
        .and_then(|encoded| batch::decode(&bytes::Bytes::copy_from_slice(encoded), 1).ok())
        .and_then(|records| records.into_iter().next())
        .and_then(|record| record.part)
        .filter(|part| part.index < part.of);
    part.map_or(end, |part| end.saturating_sub(u64::from(part.index)))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::generation::Generation;
    use super::super::host::System;
    use super::*;
    use crate::outbox::{NewRecord, Options, Outbox};
    use crate::time::WallTime;
    use crate::wire::message::{RecordKind, StreamMark};

    fn record() -> NewRecord {
        let payload = Bytes::from_static(b"record");
        NewRecord {
            recorded_at: WallTime(1),
            source: "test".to_owned(),
            kind: RecordKind::Opaque,
            payload,
            app: None,
        }
    }

    fn open(dir: &Path) -> Outbox {
        Outbox::open(dir, Options::default()).unwrap()
    }

    fn generations(dir: &Path) -> usize {
        let names = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_str().unwrap().parse::<GenerationName>().is_ok()).count()
    }

    /// A kill between a rotation and the first record of the new generation.
    #[tokio::test]
    async fn a_generation_without_a_record_is_removed_and_never_passes_for_a_backlog() {
        let dir = tempfile::tempdir().unwrap();
        let outbox = open(dir.path());
        let last = outbox.append(Lane::Events, vec![record(), record()]).await.unwrap().last;
        let lost = outbox.append(Lane::Logs, vec![record()]).await.unwrap().last.stream;
        outbox.ack(vec![StreamMark { stream: lost, acked: 1, acked_crc: 0 }]).await.unwrap();
        outbox.close().await.unwrap();
        for name in [
            GenerationName { stream: last.stream, first: last.seq + 1 },
            GenerationName { stream: StreamId { lane: Lane::Logs, epoch: Epoch::from_u64(7) }, first: 1 },
        ] {
            Generation::create(&System, dir.path(), name, 1 << 20).unwrap().close().unwrap();
        }
        let outbox = open(dir.path());
        assert_eq!(generations(dir.path()), 1, "only the one with records is left");
        outbox.ack(vec![StreamMark { stream: last.stream, acked: 2, acked_crc: 0 }]).await.unwrap();
        assert_eq!(generations(dir.path()), 0);
        outbox.close().await.unwrap();
        let outbox = open(dir.path());
        assert_eq!(outbox.ranges().await.unwrap(), [], "nothing waits");
        outbox.close().await.unwrap();
    }
}
