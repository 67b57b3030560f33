//! Ranges of a job's output, each line once, in order of run and number.
//!
//! `job_output` says which record has which lines; the lines themselves are in the batches. Lines that came twice (an
//! agent whose epoch was rolled back sends them again) are told by their numbers.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;

use crate::hub::store::{AgentRef, Store, StoreError};
use crate::limit;
use crate::time::{ClockOffset, HubTime};
use crate::wire::batch;
use crate::wire::job::{JobOutput, JobRecord, OutputStream};
use crate::wire::message::RecordKind;

use super::row::{JobRow, LogState};

/// Where a range begins. Text form: `N`, line N of the first run, or `RUN:N`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinePlace {
    /// The run; lines of later ones follow.
    pub run: i64,
    /// The line, from 1.
    pub line: i64,
}

impl fmt::Display for LinePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.run, self.line)
    }
}

impl FromStr for LinePlace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (run, line) = text.split_once(':').unwrap_or(("1", text));
        run.parse()
            .ok()
            .zip(line.parse().ok())
            .filter(|(run, line)| *run >= 0 && *line >= 0)
            .map(|(run, line)| Self { run, line })
            .ok_or_else(|| "must be a line's number, or RUN:NUMBER".to_owned())
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct LogQuery {
    /// The first line.
    pub from: LinePlace,
    /// Only this run.
    pub run: Option<i64>,
    /// Only what was written there.
    pub stream: Option<OutputStream>,
    /// Lines of the answer.
    pub count_max: u32,
    /// Bytes of those lines; the one that reaches it is the last.
    pub bytes_max: usize,
    /// What to do where a line is missing.
    pub holes: Holes,
}

/// What to do where a line's number is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holes {
    /// Go on behind it.
    Pass,
    /// End before it: it may be on its way.
    Stop,
}

/// A range of a job's output.
#[derive(Debug)]
pub struct JobLog {
    /// The lines.
    pub lines: Vec<JobLine>,
    /// Numbers that were passed because they are not here: run, first, last.
    pub missing: Vec<(i64, i64, i64)>,
    /// Where the next range begins.
    pub next: LinePlace,
    /// Whether nothing more is stored beyond, as far as this query goes.
    pub at_end: bool,
}

/// One line.
#[derive(Debug, Clone)]
pub struct JobLine {
    /// Its run.
    pub run: i64,
    /// Its number.
    pub number: i64,
    /// Where it was written.
    pub stream: OutputStream,
    /// When it was read: corrected to hub time where the offset is known.
    pub at: HubTime,
    /// Its bytes.
    pub text: Bytes,
    /// Whether it goes on in the next line of its stream.
    pub continues: bool,
}

/// run, first_line, last_line, epoch, seq
type Place = (i64, i64, i64, i64, i64);

impl Store {
    /// Lines of a job from `query.from` on.
    ///
    /// # Errors
    /// What the database says.
    pub async fn job_lines(&self, job: &JobRow, query: LogQuery) -> Result<JobLog, StoreError> {
        let count_max = usize::try_from(query.count_max.clamp(1, limit::JOB_LINES_PAGE_MAX)).unwrap_or(1);
        let mut next = query.from;
        if let Some(run) = query.run
            && next.run != run
        {
            next = LinePlace { run, line: next.line };
        }
        next.line = next.line.max(1);
        let begin = next;
        // One place more than there are lines tells whether this is the end.
        let places_max = count_max.saturating_add(1);
        let places = self.places(job, next, query.run, places_max).await?;
        let more = places.len() >= places_max;
        let (mut lines, mut missing) = (Vec::new(), Vec::new());
        let mut bytes = 0;
        let mut reader = Reader::default();
        for (run, first, last, epoch, seq) in places {
            if run > next.run {
                next = LinePlace { run, line: 1 };
            }
            if last < next.line {
                continue;
            }
            if first > next.line && query.holes == Holes::Stop {
                break;
            }
            if lines.len() >= count_max {
                return Ok(JobLog { lines, missing, next, at_end: false });
            }
            if first > next.line {
                missing.push((run, next.line, first - 1));
                next.line = first;
            }
            let Some((output, offset)) = reader.output(self, job.agent, epoch, seq).await? else { continue };
            for (number, line) in (first..=last).zip(output.lines) {
                if number < next.line {
                    continue;
                }
                if lines.len() >= count_max || bytes >= query.bytes_max {
                    return Ok(JobLog { lines, missing, next, at_end: false });
                }
                next.line = number.saturating_add(1);
                if query.stream.is_some_and(|stream| stream != line.stream) {
                    continue;
                }
                bytes += line.text.len();
                let at = offset.map_or(HubTime(line.at.0), |offset| offset.correct(line.at));
                let (stream, text, continues) = (line.stream, line.text, line.continues);
                lines.push(JobLine { run, number, stream, at, text, continues });
            }
        }
        // Where not one of them could be read, going on from the same place would never end.
        if more && next != begin {
            return Ok(JobLog { lines, missing, next, at_end: false });
        }
        // What the agent wrote and never arrived; what is missing of an unfinished job may still come.
        if let Some(written) = job.log_lines
            && query.holes == Holes::Pass
            && job.log_state() == LogState::Complete
            && next.run == job.run
            && next.line <= written
        {
            missing.push((next.run, next.line, written));
            next.line = written.saturating_add(1);
        }
        Ok(JobLog { lines, missing, next, at_end: true })
    }

    /// Where lines are, from `from` on. Not streamed: the batches are read meanwhile, and readers that hold one
    /// connection of the pool while they wait for another would wait for each other.
    async fn places(
        &self,
        job: &JobRow,
        from: LinePlace,
        run: Option<i64>,
        count_max: usize,
    ) -> Result<Vec<Place>, StoreError> {
        let places = sqlx::query_as(
            "select run, first_line, last_line, epoch, seq from job_output
             where job = $1 and (run > $2 or (run = $2 and last_line >= $3)) and run <= $4
             order by run, first_line limit $5",
        )
        .bind(job.number)
        .bind(from.run)
        .bind(from.line)
        .bind(run.unwrap_or(i64::MAX))
        .bind(i64::try_from(count_max).unwrap_or(i64::MAX))
        .fetch_all(&self.pool);
        Ok(places.await?)
    }
}

/// Reads records out of their batches; consecutive ones mostly lie in the same.
#[derive(Default)]
struct Reader {
    /// epoch, first, last, offset, bytes
    batch: Option<(i64, i64, i64, Option<ClockOffset>, Bytes)>,
}

type Batch = (i64, i64, Option<i64>, Vec<u8>);

impl Reader {
    async fn output(
        &mut self,
        store: &Store,
        agent: AgentRef,
        epoch: i64,
        seq: i64,
    ) -> Result<Option<(JobOutput, Option<ClockOffset>)>, StoreError> {
        let here = |batch: &(i64, i64, i64, _, _)| batch.0 == epoch && (batch.1..=batch.2).contains(&seq);
        if !self.batch.as_ref().is_some_and(here) {
            let row: Option<Batch> = sqlx::query_as(
                "select first, last, clock_offset, batch from batches
                 where agent = $1 and lane = 3 and epoch = $2 and first <= $3 and last >= $3
                 order by first desc limit 1",
            )
            .bind(agent.0)
            .bind(epoch)
            .bind(seq)
            .fetch_optional(&store.pool)
            .await?;
            self.batch = row.map(|(first, last, offset, bytes)| {
                (epoch, first, last, offset.map(ClockOffset), Bytes::from(bytes))
            });
        }
        let Some((_, first, _, offset, bytes)) = &self.batch else { return Ok(None) };
        let damaged = || StoreError::Damaged("batch");
        let index = usize::try_from(seq.saturating_sub(*first)).map_err(|_| damaged())?;
        let at = batch::offset_of(bytes, index).ok_or_else(damaged)?;
        let end = batch::offset_of(bytes, index.saturating_add(1)).ok_or_else(damaged)?;
        let records = batch::decode(&bytes.slice(at..end), 1).map_err(|_| damaged())?;
        let record = records.into_iter().next().ok_or_else(damaged)?;
        match JobRecord::decode(RecordKind::JobOutput, &record.payload) {
            Ok(Some(JobRecord::Output(output))) => Ok(Some((output, *offset))),
            Ok(_) | Err(_) => Err(damaged()),
        }
    }
}
