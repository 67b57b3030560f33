//! The second pass: from a verified bundle to pieces that go on from the marks.

use std::collections::HashMap;

use tokio::sync::mpsc;

use crate::hub::ingest::Intake;
use crate::hub::store::{AgentRow, Feed, Ingest, StoreError};
use crate::id::StreamId;
use crate::outbox::bundle::{Header, Range};
use crate::time::HubTime;
use crate::wire::batch;
use crate::wire::entry::Entry;
use crate::wire::message::{Gap, Records, StreamMark};

use super::ImportError;
use super::spool::Pass;

/// What was new, and what was not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) records: u64,
    pub(super) gaps: u64,
    pub(super) known: u64,
}

/// Feeds everything above the marks to the writer.
pub(super) fn feed(
    mut pass: Pass,
    header: &Header,
    agent: &AgentRow,
    marks: &[StreamMark],
    pieces: &mpsc::Sender<Feed>,
    now: HubTime,
) -> Result<Counts, ImportError> {
    for range in &header.ranges {
        check_begin(range, marks)?;
    }
    // The writer answers for all pieces at once: nobody listens for each.
    let (reply, _unheard) = mpsc::channel(1);
    let mut feeder = Feeder {
        intake: Intake::new(agent.agent, marks, reply),
        marks: marks.iter().map(|mark| (mark.stream, *mark)).collect(),
        counts: Counts::default(),
        now,
    };
    while let Some(entries) = pass.next()? {
        for entry in entries {
            if let Some(piece) = feeder.take(entry)? {
                send(pieces, Feed::Piece(piece))?;
            }
        }
    }
    let Counts { records, gaps, known } = feeder.counts;
    let detail = format!(
        "agent {} bundle {}: {records} records, {gaps} gaps, {known} numbers known before",
        header.agent_id, header.bundle
    );
    send(pieces, Feed::Complete(detail))?;
    Ok(feeder.counts)
}

/// The writer says itself why it takes no more.
fn send(pieces: &mpsc::Sender<Feed>, feed: Feed) -> Result<(), ImportError> {
    pieces.blocking_send(feed).map_err(|_| ImportError::Store(StoreError::Closed))
}

/// A range must go on from the mark or lie below it, and from the same record.
fn check_begin(range: &Range, marks: &[StreamMark]) -> Result<(), ImportError> {
    let stream = range.stream;
    let mark = marks.iter().find(|mark| mark.stream == stream).copied();
    let mark = mark.unwrap_or(StreamMark::none(stream.lane, stream.epoch));
    if range.first > mark.acked.saturating_add(1) {
        return Err(ImportError::EarlierMissing { stream, first: range.first, mark: mark.acked });
    }
    let meets = range.first == mark.acked.saturating_add(1);
    if meets && differs(range.crc_before, mark.acked_crc) {
        return Err(ImportError::RolledBack { stream, seq: mark.acked });
    }
    Ok(())
}

/// 0 stands for "not known" at either end.
const fn differs(one: u32, other: u32) -> bool {
    one != 0 && other != 0 && one != other
}

struct Feeder {
    intake: Intake,
    marks: HashMap<StreamId, StreamMark>,
    counts: Counts,
    now: HubTime,
}

impl Feeder {
    /// The part of an entry above its stream's mark, where there is one.
    fn take(&mut self, entry: Entry) -> Result<Option<Ingest>, ImportError> {
        let (stream, first, last) = (entry.stream(), entry.first(), entry.last());
        let mark = self.marks.get(&stream).copied().unwrap_or(StreamMark::none(stream.lane, stream.epoch));
        if let Entry::Records(records) = &entry {
            check_mark(records, &mark)?;
        }
        let known = mark.acked.saturating_add(1).saturating_sub(first);
        let numbers = last.saturating_sub(first).saturating_add(1);
        self.counts.known = self.counts.known.saturating_add(known.min(numbers));
        if known >= numbers {
            return Ok(None);
        }
        let piece = match entry {
            Entry::Records(records) => {
                self.counts.records = self.counts.records.saturating_add(numbers.saturating_sub(known));
                let skip = u32::try_from(known).unwrap_or(u32::MAX);
                self.intake.records(&records, skip, self.now)
            }
            Entry::Gap(gap) => {
                self.counts.gaps = self.counts.gaps.saturating_add(1);
                let left = numbers.saturating_sub(known);
                let gap = Gap { from: first.saturating_add(known), records: gap.records.min(left), ..gap };
                self.intake.gap(gap, self.now)
            }
        };
        let wrong = |error: crate::wire::error::WireError| ImportError::Records {
            stream,
            first,
            detail: error.detail,
        };
        let piece = piece.map_err(wrong)?;
        self.marks.insert(stream, piece.mark);
        Ok(Some(piece))
    }
}

/// Where the mark stands on one of these records, it must be the same record.
fn check_mark(records: &Records, mark: &StreamMark) -> Result<(), ImportError> {
    let Some(index) = mark.acked.checked_sub(records.first).filter(|_| mark.acked <= records.last()) else {
        return Ok(());
    };
    let found = usize::try_from(index)
        .ok()
        .and_then(|index| batch::offset_of(&records.batch, index))
        .and_then(|at| records.batch.get(at..))
        .and_then(batch::split_first)
        .map_or(0, |(lying, _)| batch::record_crc(mark.acked, lying.payload));
    if differs(found, mark.acked_crc) {
        return Err(ImportError::RolledBack { stream: records.stream, seq: mark.acked });
    }
    Ok(())
}
