//! What agents say about jobs, applied in the transaction that stores the records they said it with.
//!
//! Every statement names the agent: nobody speaks for another one's jobs. None of them can fail for what a peer sent, so
//! no record holds up those behind it.

use bytes::Bytes;
use sqlx::SqliteConnection;

use crate::hub::store::{AgentRef, StoreError};
use crate::id::{Epoch, JobId, Lane};
use crate::job::JobState;
use crate::time::{ClockOffset, HubTime, WallTime};
use crate::wire::job::{Answer, JobProgress, JobRecord, JobResult, JobStatusChange, ResultPayload};
use crate::wire::message::Record;

/// What one record says about a job.
#[derive(Debug, Clone)]
pub enum Fact {
    /// It is in the agent's journal.
    Accepted {
        /// Which.
        job: JobId,
        /// When that was recorded.
        at: WallTime,
    },
    /// It started.
    Running(JobStatusChange),
    /// It is over.
    Result(Box<JobResult>),
    /// How far it is.
    Progress(JobProgress),
    /// Lines of it.
    Output {
        /// Which.
        job: JobId,
        /// Which run.
        run: u32,
        /// Number of the first line.
        first: u64,
        /// Number of the last.
        last: u64,
    },
    /// Something it leaves behind.
    Artifact {
        /// Which.
        job: JobId,
        /// Which run.
        run: u32,
        /// Its name.
        name: String,
    },
}

/// What the records of a batch say about jobs, each with its number. What does not decode, or stands in a lane it does
/// not belong to, stays a record like any other.
pub(in crate::hub) fn facts<'a>(
    lane: Lane,
    records: impl Iterator<Item = (u64, &'a Record)>,
) -> Vec<(u64, Fact)> {
    let fact = |(seq, record): (u64, &Record)| match fact(lane, record) {
        Ok(fact) => fact.map(|fact| (seq, fact)),
        Err(error) => {
            // Kept as a record; ending the session would only bring the same bytes again.
            tracing::warn!(%error, %lane, seq, "a job record does not decode");
            None
        }
    };
    records.filter_map(fact).collect()
}

fn fact(lane: Lane, record: &Record) -> Result<Option<Fact>, crate::wire::error::WireError> {
    let decoded = match record.part {
        None => JobRecord::decode(record.kind, &record.payload)?,
        // Only an artifact is longer than a part, and its first part says what it is.
        Some(part) if part.index == 1 => {
            JobRecord::decode_first_part(record.kind, &record.payload).map(JobRecord::Artifact)
        }
        Some(_) => None,
    };
    Ok(match (lane, decoded) {
        (Lane::Control, Some(JobRecord::Ack(ack))) => match ack.answer {
            Answer::Accepted(_) => Some(Fact::Accepted { job: ack.job, at: record.recorded_at }),
            Answer::Refused { .. } => None,
        },
        (Lane::Control, Some(JobRecord::Status(change))) => match change.state {
            JobState::Running => Some(Fact::Running(change)),
            JobState::Accepted => Some(Fact::Accepted { job: change.job, at: change.at }),
            // Not the agent's to say, or a result's to say.
            JobState::Queued
            | JobState::Offered
            | JobState::Succeeded
            | JobState::Failed
            | JobState::Cancelled
            | JobState::TimedOut
            | JobState::Interrupted
            | JobState::Expired
            | JobState::Rejected
            | JobState::Lost => None,
        },
        (Lane::Control, Some(JobRecord::Result(result))) => Some(Fact::Result(result)),
        (Lane::Events, Some(JobRecord::Progress(progress))) => Some(Fact::Progress(progress)),
        (Lane::Logs, Some(JobRecord::Output(output))) => Some(Fact::Output {
            job: output.job,
            run: output.run,
            first: output.first_line,
            last: output.last_line(),
        }),
        (Lane::Logs, Some(JobRecord::Artifact(artifact))) => {
            Some(Fact::Artifact { job: artifact.job, run: artifact.run, name: artifact.name })
        }
        (Lane::Control | Lane::Events | Lane::Logs, _) => None,
    })
}

/// Who said something, and where.
pub(in crate::hub::store) struct Said {
    pub(in crate::hub::store) agent: AgentRef,
    pub(in crate::hub::store) epoch: Epoch,
    pub(in crate::hub::store) seq: i64,
    pub(in crate::hub::store) offset: Option<ClockOffset>,
    pub(in crate::hub::store) received_at: i64,
}

impl Said {
    /// The agent's time as the hub's clock had it, where that is known.
    fn time(&self, at: WallTime) -> i64 {
        let at = self.offset.map_or(HubTime(at.0), |offset| offset.correct(at));
        saturated(at.0)
    }

    fn epoch(&self) -> i64 {
        self.epoch.as_u64().cast_signed()
    }
}

pub(in crate::hub::store) async fn apply(
    connection: &mut SqliteConnection,
    said: &Said,
    fact: &Fact,
) -> Result<(), StoreError> {
    match fact {
        Fact::Accepted { job, at } => accepted(connection, said, *job, *at).await,
        Fact::Running(change) => running(connection, said, change).await,
        Fact::Result(result) => finished(connection, said, result).await,
        Fact::Progress(progress) => progressed(connection, said, progress).await,
        Fact::Output { job, run, first, last } => {
            sqlx::query(
                "insert into job_output (job, run, first_line, last_line, epoch, seq)
                 select job, $3, $4, $5, $6, $7 from jobs where id = $1 and agent = $2
                 on conflict (job, run, first_line) do update
                 set last_line = excluded.last_line, epoch = excluded.epoch, seq = excluded.seq
                 where excluded.last_line > job_output.last_line",
            )
            .bind(job.as_bytes().to_vec())
            .bind(said.agent.0)
            .bind(i64::from(*run))
            .bind(saturated(*first))
            .bind(saturated(*last))
            .bind(said.epoch())
            .bind(said.seq)
            .execute(connection)
            .await?;
            Ok(())
        }
        Fact::Artifact { job, run, name } => {
            sqlx::query(
                "insert into job_artifacts (job, run, name, epoch, seq)
                 select job, $3, $4, $5, $6 from jobs where id = $1 and agent = $2
                 on conflict (job, run, name) do nothing",
            )
            .bind(job.as_bytes().to_vec())
            .bind(said.agent.0)
            .bind(i64::from(*run))
            .bind(text(name))
            .bind(said.epoch())
            .bind(said.seq)
            .execute(connection)
            .await?;
            Ok(())
        }
    }
}

/// A job the agent says it has is open again, unless it was given up: then only its result counts.
const OPENS: &str = "(status in ('queued', 'offered') or (by_hub = 1 and status <> 'lost'))";

async fn accepted(
    connection: &mut SqliteConnection,
    said: &Said,
    job: JobId,
    at: WallTime,
) -> Result<(), StoreError> {
    sqlx::query(sqlx::AssertSqlSafe(format!(
        "update jobs set accepted_at = case when accepted_at < $3 then accepted_at else $3 end,
             closed_at = case when {OPENS} then null else closed_at end,
             finished_at = case when {OPENS} then null else finished_at end,
             reason = case when {OPENS} then '' else reason end,
             by_hub = case when {OPENS} then 0 else by_hub end,
             status = case when {OPENS} then 'accepted' else status end
         where id = $1 and agent = $2"
    )))
    .bind(job.as_bytes().to_vec())
    .bind(said.agent.0)
    .bind(said.time(at))
    .execute(connection)
    .await?;
    Ok(())
}

async fn running(
    connection: &mut SqliteConnection,
    said: &Said,
    change: &JobStatusChange,
) -> Result<(), StoreError> {
    let opens = format!("(status = 'accepted' or {OPENS})");
    sqlx::query(sqlx::AssertSqlSafe(format!(
        "update jobs set
             started_at = case when started_at is null or run < $4 then $3 else started_at end,
             run = case when run < $4 then $4 else run end,
             closed_at = case when {opens} then null else closed_at end,
             finished_at = case when {opens} then null else finished_at end,
             reason = case when {opens} then '' else reason end,
             by_hub = case when {opens} then 0 else by_hub end,
             status = case when {opens} then 'running' else status end
         where id = $1 and agent = $2 and (closed_at is null or by_hub = 1)"
    )))
    .bind(change.job.as_bytes().to_vec())
    .bind(said.agent.0)
    .bind(said.time(change.at))
    .bind(i64::from(change.run))
    .execute(connection)
    .await?;
    Ok(())
}

/// The agent's final word; the first one counts.
async fn finished(
    connection: &mut SqliteConnection,
    said: &Said,
    result: &JobResult,
) -> Result<(), StoreError> {
    let (payload, payload_at) = match &result.payload {
        ResultPayload::Inline(bytes) => ((!bytes.is_empty()).then(|| bytes.clone()), None),
        ResultPayload::At { first, last } => (None, Some((*first, *last))),
    };
    let done = sqlx::query(
        "update jobs set status = $3, by_hub = 0, closed_at = $4, run = $5, exit_code = $6, signal = $7,
             reason = $8, started_at = coalesce($9, started_at), finished_at = $10, log_epoch = $11, log_seq = $12,
             log_lines = $13, log_bytes = $14, output_cut = $15, pipe_held = $16, payload = $17,
             payload_epoch = $18, payload_first = $19, payload_last = $20
         where id = $1 and agent = $2 and (closed_at is null or by_hub = 1)",
    )
    .bind(result.job.as_bytes().to_vec())
    .bind(said.agent.0)
    .bind(result.state.name())
    .bind(said.received_at)
    .bind(i64::from(result.run))
    .bind(result.exit_code.map(i64::from))
    .bind(result.signal.map(i64::from))
    .bind(text(&result.reason))
    .bind(result.started_at.map(|at| said.time(at)))
    .bind(said.time(result.finished_at))
    .bind(result.log.end.map(|end| end.stream.epoch.as_u64().cast_signed()))
    .bind(result.log.end.map(|end| saturated(end.seq)))
    .bind(result.log.lines.map(saturated))
    .bind(saturated(result.log.bytes))
    .bind(i64::from(result.log.cut))
    .bind(i64::from(result.log.pipe_held))
    .bind(payload.as_ref().map(Bytes::as_ref))
    .bind(payload_at.map(|(first, _)| first.stream.epoch.as_u64().cast_signed()))
    .bind(payload_at.map(|(first, _)| saturated(first.seq)))
    .bind(payload_at.map(|(_, last)| saturated(last.seq)))
    .execute(&mut *connection)
    .await?;
    if done.rows_affected() == 0 {
        keep_orphan(connection, said, result.job).await?;
    }
    Ok(())
}

/// Keeps a result that belongs to no job of that agent.
async fn keep_orphan(connection: &mut SqliteConnection, said: &Said, job: JobId) -> Result<(), StoreError> {
    let kept = sqlx::query(
        "insert into job_orphans (agent, epoch, seq, id, received_at)
         select $2, $3, $4, $1, $5 where not exists (select 1 from jobs where id = $1 and agent = $2)
         on conflict (agent, epoch, seq) do nothing",
    )
    .bind(job.as_bytes().to_vec())
    .bind(said.agent.0)
    .bind(said.epoch())
    .bind(said.seq)
    .bind(said.received_at)
    .execute(connection)
    .await?;
    if kept.rows_affected() > 0 {
        tracing::warn!(%job, seq = said.seq, "a result of a job that the hub does not know is kept");
    }
    Ok(())
}

async fn progressed(
    connection: &mut SqliteConnection,
    said: &Said,
    progress: &JobProgress,
) -> Result<(), StoreError> {
    sqlx::query(
        "update jobs set progress_run = $3, progress_at = $4, progress_permille = $5, progress_text = $6
         where id = $1 and agent = $2
         and (progress_run is null or progress_run < $3 or (progress_run = $3 and progress_at <= $4))",
    )
    .bind(progress.job.as_bytes().to_vec())
    .bind(said.agent.0)
    .bind(i64::from(progress.run))
    .bind(said.time(progress.at))
    .bind(progress.permille.map(i64::from))
    .bind(text(&progress.text))
    .execute(connection)
    .await?;
    Ok(())
}

fn saturated(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Postgres takes no NUL in a text.
fn text(text: &str) -> String {
    text.replace('\0', "")
}
