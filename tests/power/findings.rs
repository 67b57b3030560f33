//! What an outbox holds, as a process that opened it found it.

use std::collections::BTreeMap;

use outpost::id::{RecordId, StreamId};
use outpost::wire::message::{Gap, LossReport};
use serde::{Deserialize, Serialize};

use crate::payload::Seen;
use crate::report::place;

/// Everything that reading the outbox from end to end showed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Findings {
    /// Why it did not open.
    pub(crate) refused: Option<String>,
    pub(crate) streams: Vec<Held>,
    pub(crate) gaps: Vec<Loss>,
    /// What failed while it was read and written.
    pub(crate) faults: Vec<String>,
    /// The journal of jobs, a line for each.
    pub(crate) jobs: Vec<String>,
    /// Files that no sync covers.
    pub(crate) blobs: Vec<String>,
}

/// One stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Held {
    /// Its text form.
    pub(crate) stream: String,
    pub(crate) first_unacked: u64,
    pub(crate) next: u64,
    pub(crate) seen: BTreeMap<u64, Seen>,
}

/// A range that was lost, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Loss {
    /// The stream's text form.
    pub(crate) stream: String,
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) reason: String,
}

impl From<Gap> for Loss {
    fn from(gap: Gap) -> Self {
        let reason = gap.reason.name().to_owned();
        Self { stream: gap.stream.to_string(), from: gap.from, to: gap.to, reason }
    }
}

impl From<LossReport> for Loss {
    fn from(report: LossReport) -> Self {
        let reason = report.reason.name().to_owned();
        Self { stream: report.stream.to_string(), from: report.from, to: report.to, reason }
    }
}

impl Loss {
    pub(crate) fn covers(&self, record: RecordId) -> bool {
        self.stream == record.stream.to_string() && (self.from..=self.to).contains(&record.seq)
    }
}

impl Held {
    pub(crate) fn id(&self) -> StreamId {
        stream_id(&self.stream)
    }
}

/// A stream by its text form.
pub(crate) fn stream_id(text: &str) -> StreamId {
    format!("{text}/1").parse::<RecordId>().unwrap().stream
}

impl Findings {
    /// Everything that was read, with its place.
    pub(crate) fn seen(&self) -> impl Iterator<Item = (RecordId, &Seen)> {
        self.streams.iter().flat_map(|held| {
            let id = held.id();
            held.seen.iter().map(move |(seq, seen)| (place(id, *seq), seen))
        })
    }

    /// What is said of losses in the control lane.
    pub(crate) fn reports(&self) -> impl Iterator<Item = &Loss> {
        self.seen().filter_map(|(_, seen)| if let Seen::Report(loss) = seen { Some(loss) } else { None })
    }

    pub(crate) fn gap_at(&self, record: RecordId) -> Option<&Loss> {
        self.gaps.iter().find(|gap| gap.covers(record))
    }
}
