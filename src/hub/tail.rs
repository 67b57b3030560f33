//! Reads a job's log as it grows, for whoever follows it, over server-sent events or over an own stream.
//!
//! Each line once and in order: a line whose number is not the next one is waited for until the log is complete.

use crate::id::JobId;
use crate::limit;
use crate::time::HubTime;
use crate::wire::job::OutputStream;

use super::store::{Holes, JobError, JobLine, JobLog, JobRow, LinePlace, LogQuery, Store};

/// How far somebody is in a job's log.
#[derive(Debug)]
pub(super) struct Tail {
    job: JobId,
    range: LogQuery,
}

/// What came next.
#[derive(Debug)]
pub(super) struct Step {
    /// The job, as it was before the lines were read.
    pub(super) row: JobRow,
    pub(super) log: JobLog,
    pub(super) moved: Moved,
    pub(super) reach: Reach,
}

/// Whether the place in the log is another one now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moved {
    /// There may be more.
    Yes,
    No,
}

/// How far a log is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// More may come.
    Open,
    /// That was all.
    End,
}

/// What a log is made of.
#[derive(Debug, Clone, Copy)]
pub(super) enum Entry<'a> {
    Line(&'a JobLine),
    /// Lines that will not come: run, first, last.
    Missing((i64, i64, i64)),
}

impl Tail {
    /// From `from` on; of one run or stream alone where they are named.
    pub(super) fn new(job: JobId, from: LinePlace, run: Option<i64>, stream: Option<OutputStream>) -> Self {
        let (count_max, bytes_max) = (limit::FOLLOW_CHUNK_LINES, limit::FOLLOW_CHUNK_BYTES);
        Self { job, range: LogQuery { from, run, stream, count_max, bytes_max, holes: Holes::Stop } }
    }

    /// Reads what is there next, one chunk at most.
    pub(super) async fn next(&mut self, store: &Store, now: HubTime) -> Result<Step, JobError> {
        let row = store.job_at(self.job, now).await?;
        // Before the lines are read: what comes later is not missed.
        let complete = store.logs_complete(&row).await?;
        self.range.holes = if complete { Holes::Pass } else { Holes::Stop };
        let log = store.job_lines(&row, self.range).await?;
        let moved = if log.next == self.range.from { Moved::No } else { Moved::Yes };
        self.range.from = log.next;
        let reach = if complete && log.at_end { Reach::End } else { Reach::Open };
        Ok(Step { row, log, moved, reach })
    }
}

impl Step {
    /// Lines and holes in their order.
    pub(super) fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let mut holes = self.log.missing.iter().copied().peekable();
        let mut lines = self.log.lines.iter().peekable();
        std::iter::from_fn(move || {
            let before = |(run, from, _): &(i64, i64, i64)| {
                lines.peek().is_none_or(|line| (*run, *from) < (line.run, line.number))
            };
            if let Some(hole) = holes.next_if(before) {
                return Some(Entry::Missing(hole));
            }
            lines.next().map(Entry::Line)
        })
    }
}
