//! The oracle: what was reported, against what is found.
//!
//! Found must be every payload that was reported durable before the cut and that no ack covers which was begun before
//! it, at its number and with its bytes, or else a Gap that says it was evicted or expired. A payload whose append was
//! refused must not be there, nor one twice; a stream's numbers have no holes; each lane has a new epoch; and the outbox
//! opened, was read to the end and took new records.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Bound;
use std::time::Duration;

use outpost::id::{Lane, RecordId, StreamId};
use outpost::time::BootTime;

use crate::findings::{Findings, stream_id};
use crate::payload::{Piece, Seen};
use crate::report::{Event, Report, place};

/// What a workload said.
#[derive(Debug, Clone, Default)]
pub(crate) struct Account {
    durable: BTreeMap<RecordId, (Piece, BootTime)>,
    acking: Vec<(RecordId, BootTime)>,
    refused: BTreeMap<u64, BootTime>,
    /// Since when each is known to be in use.
    streams: BTreeMap<StreamId, BootTime>,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Violation {
    /// It did not open, or something failed on the way.
    Fault(String),
    /// A durable record is not there.
    Lost(RecordId, Piece),
    /// Something else is there in its place.
    Changed(RecordId, Seen),
    /// A refused payload was delivered.
    Refused(RecordId, Piece),
    /// A payload is there twice.
    Twice(RecordId, Piece),
    /// A hole without a Gap.
    Hole(RecordId),
    /// A loss was declared that a cut or a crash does not excuse.
    Declared(String),
    /// A file that is never synced holds part of a database.
    Unsynced(String),
    /// A lane goes on with an epoch that was there before.
    OldEpoch(StreamId),
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault(text) => write!(f, "fault: {text}"),
            Self::Lost(place, piece) => {
                write!(f, "{place} is lost: payload {} part {}", piece.number, piece.part)
            }
            Self::Changed(place, seen) => write!(f, "{place} holds {seen:?}"),
            Self::Refused(place, piece) => {
                write!(f, "{place} delivers payload {}, which was refused", piece.number)
            }
            Self::Twice(place, piece) => {
                write!(f, "{place} delivers payload {} part {} again", piece.number, piece.part)
            }
            Self::Hole(place) => write!(f, "{place} is a hole that no gap declares"),
            Self::Declared(text) => write!(f, "declared lost: {text}"),
            Self::Unsynced(file) => write!(f, "{file} is never synced"),
            Self::OldEpoch(stream) => write!(f, "{stream} is the current stream once more"),
        }
    }
}

impl Account {
    /// Takes a report in.
    pub(crate) fn take(&mut self, report: Report) {
        let at = report.at;
        match report.event {
            Event::Appended { first, numbers } => {
                self.streams.entry(first.stream).or_insert(at);
                for (seq, piece) in (first.seq..).zip(Piece::of(first.stream.lane, numbers)) {
                    self.durable.insert(place(first.stream, seq), (piece, at));
                }
            }
            Event::Refused { numbers, .. } => self.refused.extend(numbers.map(|number| (number, at))),
            Event::Acking { upto } => self.acking.push((upto, at)),
            Event::Opened | Event::Step { .. } | Event::Failed { .. } => {}
        }
    }

    /// How many numbers were reported durable.
    pub(crate) fn len(&self) -> usize {
        self.durable.len()
    }

    /// How many payloads were refused.
    pub(crate) fn refused(&self) -> usize {
        self.refused.len()
    }

    /// Of each message in parts that nobody acked: where its first and where its second part lies.
    pub(crate) fn cut_messages(&self, lane: Lane) -> Vec<(RecordId, RecordId)> {
        let acked = self.acked(BootTime(Duration::MAX));
        let waits = |place: &RecordId| acked.get(&place.stream).is_none_or(|acked| *acked < place.seq);
        let seconds =
            self.durable.iter().filter(|(place, (piece, _))| place.stream.lane == lane && piece.part == 2);
        let both = seconds.map(|(second, _)| (RecordId { seq: second.seq - 1, ..*second }, *second));
        both.filter(|(first, _)| waits(first)).collect()
    }

    fn acked(&self, cut_at: BootTime) -> BTreeMap<StreamId, u64> {
        let mut acked = BTreeMap::new();
        for (upto, at) in &self.acking {
            if *at <= cut_at {
                let seq = acked.entry(upto.stream).or_insert(0);
                *seq = upto.seq.max(*seq);
            }
        }
        acked
    }

    /// Everything that is wrong with what was found after a cut at this time.
    pub(crate) fn check(&self, findings: &Findings, cut_at: BootTime) -> Vec<Violation> {
        let mut violations: Vec<Violation> =
            findings.refused.iter().chain(&findings.faults).cloned().map(Violation::Fault).collect();
        violations.extend(findings.blobs.iter().cloned().map(Violation::Unsynced));
        if findings.refused.is_some() {
            return violations;
        }
        let found: BTreeMap<RecordId, &Seen> = findings.seen().collect();
        self.check_durable(&found, findings, cut_at, &mut violations);
        self.check_found(&found, cut_at, &mut violations);
        check_holes(&found, findings, &mut violations);
        let losses = findings.gaps.iter().filter(|gap| !is_policy(&gap.reason)).chain(findings.reports());
        violations.extend(losses.map(|loss| Violation::Declared(format!("{loss:?}"))));
        violations.extend(self.old_epochs(findings, cut_at).map(Violation::OldEpoch));
        violations
    }

    fn check_durable(
        &self,
        found: &BTreeMap<RecordId, &Seen>,
        findings: &Findings,
        cut_at: BootTime,
        violations: &mut Vec<Violation>,
    ) {
        let acked = self.acked(cut_at);
        let held: BTreeMap<StreamId, u64> =
            findings.streams.iter().map(|held| (held.id(), held.first_unacked)).collect();
        for (place, (piece, at)) in &self.durable {
            match found.get(place) {
                Some(Seen::Piece(seen)) if seen == piece => {}
                // Its beginning was acked, so that nobody can tell which payload it belongs to.
                Some(Seen::Tail)
                    if piece.part > 1 && held.get(&place.stream).is_some_and(|first| first <= &place.seq) => {
                }
                Some(seen) => violations.push(Violation::Changed(*place, (*seen).clone())),
                None => {
                    let acked = acked.get(&place.stream).is_some_and(|acked| *acked >= place.seq);
                    let declared = findings.gap_at(*place).is_some_and(|gap| is_policy(&gap.reason));
                    if *at <= cut_at && !acked && !declared {
                        violations.push(Violation::Lost(*place, *piece));
                    }
                }
            }
        }
    }

    fn check_found(
        &self,
        found: &BTreeMap<RecordId, &Seen>,
        cut_at: BootTime,
        violations: &mut Vec<Violation>,
    ) {
        let mut pieces = BTreeSet::new();
        for (place, seen) in found {
            match seen {
                Seen::Piece(piece) => {
                    if self.refused.get(&piece.number).is_some_and(|at| *at <= cut_at) {
                        violations.push(Violation::Refused(*place, *piece));
                    }
                    if !pieces.insert(*piece) {
                        violations.push(Violation::Twice(*place, *piece));
                    }
                }
                Seen::Wrong(_) => violations.push(Violation::Changed(*place, (*seen).clone())),
                Seen::Tail | Seen::Report(_) => {}
            }
        }
    }

    /// Current streams that were in use before the cut, or are older than one that was.
    fn old_epochs(&self, findings: &Findings, cut_at: BootTime) -> impl Iterator<Item = StreamId> {
        let newest = Lane::ALL.map(|lane| {
            let held = findings.streams.iter().map(|held| held.id());
            held.filter(|stream| stream.lane == lane).max()
        });
        newest.into_iter().flatten().filter(move |stream| {
            let mut used = self.streams.iter().filter(|(old, at)| old.lane == stream.lane && **at <= cut_at);
            used.any(|(old, _)| old >= stream) || self.streams.contains_key(stream)
        })
    }

    /// What is wrong with what was found in a damaged outbox, where the damage excuses the loss of `excused`: nothing else
    /// is missing but what was to be one with it, what is missing is declared, and nothing is there that nobody wrote.
    pub(crate) fn check_damaged(&self, findings: &Findings, excused: &BTreeSet<RecordId>) -> Vec<Violation> {
        let mut violations: Vec<Violation> =
            findings.refused.iter().chain(&findings.faults).cloned().map(Violation::Fault).collect();
        if findings.refused.is_some() {
            return violations;
        }
        let found: BTreeMap<RecordId, &Seen> = findings.seen().collect();
        let acked = self.acked(BootTime(Duration::MAX));
        // The last lost part of each message: what it leaves of its message at a stream's end was never whole, to whoever
        // opens it.
        let cut: BTreeMap<_, _> = self
            .durable
            .iter()
            .filter(|(place, _)| excused.contains(place))
            .map(|(_, (piece, _))| (piece.number, piece.part))
            .collect();
        let is_last = |place: &RecordId| {
            let later = found.range((Bound::Excluded(*place), Bound::Unbounded));
            later.into_iter().all(|(later, _)| later.stream != place.stream)
        };
        for (place, (piece, _)) in &self.durable {
            let lost = cut.get(&piece.number);
            let excused =
                excused.contains(place) || lost.is_some_and(|lost| piece.part < *lost) && is_last(place);
            match found.get(place) {
                Some(Seen::Piece(seen)) if seen == piece => {}
                // What its beginning would tell is lost.
                Some(Seen::Tail) if piece.part > 1 => {}
                Some(seen) => violations.push(Violation::Changed(*place, (*seen).clone())),
                None if acked.get(&place.stream).is_some_and(|acked| *acked >= place.seq) => {}
                None if !excused => violations.push(Violation::Lost(*place, *piece)),
                None if !is_declared(findings, *place) => violations.push(Violation::Hole(*place)),
                None => {}
            }
        }
        self.check_found(&found, BootTime(Duration::MAX), &mut violations);
        violations.extend(self.old_epochs(findings, BootTime(Duration::MAX)).map(Violation::OldEpoch));
        violations
    }

    /// Begins anew with what was found: from here on that is what must be there.
    pub(crate) fn settle(&mut self, findings: &Findings) {
        self.acking.clear();
        self.durable.clear();
        for (place, seen) in findings.seen() {
            if let Seen::Piece(piece) = seen {
                self.durable.insert(place, (*piece, BootTime::default()));
            }
        }
        let streams = findings.streams.iter().map(|held| (stream_id(&held.stream), BootTime::default()));
        self.streams.extend(streams);
    }
}

fn is_policy(reason: &str) -> bool {
    matches!(reason, "evicted" | "expired")
}

/// By a Gap, or by a report where the stream itself is not there any more.
fn is_declared(findings: &Findings, place: RecordId) -> bool {
    let mut reports = findings.reports();
    findings.gap_at(place).is_some()
        || reports.any(|report| report.covers(place) || report.reason == "core_lost")
}

fn check_holes(found: &BTreeMap<RecordId, &Seen>, findings: &Findings, violations: &mut Vec<Violation>) {
    for held in &findings.streams {
        let places = (held.first_unacked..held.next).map(|seq| place(held.id(), seq));
        let holes = places.filter(|place| !found.contains_key(place) && findings.gap_at(*place).is_none());
        violations.extend(holes.map(Violation::Hole));
    }
}
