//! One job as it is shown.

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use crate::hub::store::{AgentRef, StoreError, time};
use crate::id::{Epoch, GroupId, JobId, Lane, RecordId, StreamId};
use crate::job::JobState;
use crate::time::HubTime;

/// Every column but the spec and the payload.
pub(super) const COLUMNS: &str =
    "jobs.job, jobs.id, jobs.agent, agents.name, agents.offline_since, jobs.kind,
    jobs.status, jobs.by_hub, jobs.closed_at, jobs.created_at, jobs.not_before, jobs.expires_at, jobs.give_up_after,
    jobs.cancel_requested_at, jobs.accepted_at, jobs.started_at, jobs.finished_at, jobs.run, jobs.exit_code,
    jobs.signal, jobs.reason, jobs.log_epoch, jobs.log_seq, jobs.log_lines, jobs.log_bytes, jobs.output_cut,
    jobs.pipe_held, jobs.progress_at, jobs.progress_permille, jobs.progress_text, jobs.payload_epoch,
    jobs.payload_first, jobs.payload_last, jobs.signature is not null as signed,
    jobs.job_group, jobs.submitted_by, jobs.app,
    (select streams.acked from streams where streams.agent = jobs.agent and streams.lane = 3
        and streams.epoch = jobs.log_epoch) as log_acked";

/// One job; times are milliseconds since 1970 by the hub's clock as far as that is known.
#[derive(Debug, Clone)]
pub struct JobRow {
    /// In the order of submission.
    pub(super) number: i64,
    /// Its id.
    pub id: JobId,
    /// Whose it is.
    pub agent: AgentRef,
    /// The agent's name; `None` where it was removed.
    pub agent_name: Option<String>,
    /// Since when the agent is not registered.
    pub offline_since: Option<i64>,
    /// Which handler runs it.
    pub kind: String,
    /// The app that its output is log lines of.
    pub app: Option<String>,
    /// Whether an operator's signature came with it; agents with operator keys check it.
    pub signed: bool,
    /// Where it is in its life.
    pub status: JobState,
    /// Whether a final status is the hub's own word.
    pub by_hub: bool,
    /// When the hub took it.
    pub created_at: i64,
    /// Not before.
    pub not_before: Option<i64>,
    /// Not after.
    pub expires_at: i64,
    /// Milliseconds its agent may be away.
    give_up_after: Option<i64>,
    /// When somebody asked for its end.
    pub cancel_requested_at: Option<i64>,
    /// When the agent took it.
    pub accepted_at: Option<i64>,
    /// When its newest run started.
    pub started_at: Option<i64>,
    /// When it ended.
    pub finished_at: Option<i64>,
    /// Its newest run.
    pub run: i64,
    /// What its process returned.
    pub exit_code: Option<i64>,
    /// The signal that ended its process.
    pub signal: Option<i64>,
    /// In words.
    pub reason: String,
    /// No record of its log lies beyond.
    pub log_end: Option<RecordId>,
    /// How far that stream is stored or known to be lost.
    log_acked: i64,
    /// Lines of the newest run.
    pub log_lines: Option<i64>,
    /// Bytes of those lines.
    pub log_bytes: Option<i64>,
    /// It wrote more than it may.
    pub output_cut: bool,
    /// Something else still held its output when it had ended.
    pub pipe_held: bool,
    /// How far it is.
    pub progress: Option<Progress>,
    /// Of the submission to several agents that it came with.
    pub group: Option<GroupId>,
    /// Who submitted it, as the audit names them.
    pub submitted_by: Option<String>,
    /// Where its result's payload is, where it is long.
    pub payload_at: Option<(RecordId, u64)>,
}

/// How far a job is.
#[derive(Debug, Clone)]
pub struct Progress {
    /// When.
    pub at: i64,
    /// 0 to 1000.
    pub permille: Option<i64>,
    /// In words.
    pub text: String,
}

/// What the mark of the logs says about a job's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LogState {
    Complete,
    /// The job is not over.
    Growing,
    /// The mark is below the log's end: only a count of all its lines could tell otherwise.
    Behind,
}

impl JobRow {
    pub(super) fn of(row: &SqliteRow) -> Result<Self, StoreError> {
        let id: Vec<u8> = row.try_get("id")?;
        let status: String = row.try_get("status")?;
        let record = |epoch: &str, seq: &str| -> Result<Option<RecordId>, StoreError> {
            let (epoch, seq): (Option<i64>, Option<i64>) = (row.try_get(epoch)?, row.try_get(seq)?);
            Ok(epoch.zip(seq).map(|(epoch, seq)| RecordId {
                stream: StreamId { lane: Lane::Logs, epoch: Epoch::from_u64(epoch.cast_unsigned()) },
                seq: seq.cast_unsigned(),
            }))
        };
        let progress_at: Option<i64> = row.try_get("progress_at")?;
        let progress = match progress_at {
            Some(at) => Some(Progress {
                at,
                permille: row.try_get("progress_permille")?,
                text: row.try_get::<Option<String>, _>("progress_text")?.unwrap_or_default(),
            }),
            None => None,
        };
        let group: Option<Vec<u8>> = row.try_get("job_group")?;
        let payload_last: Option<i64> = row.try_get("payload_last")?;
        Ok(Self {
            number: row.try_get("job")?,
            id: JobId::try_from(id.as_slice()).map_err(|_| StoreError::Damaged("job id"))?,
            agent: AgentRef(row.try_get("agent")?),
            agent_name: row.try_get("name")?,
            offline_since: row.try_get("offline_since")?,
            kind: row.try_get("kind")?,
            app: row.try_get("app")?,
            signed: row.try_get::<i64, _>("signed")? == 1,
            status: JobState::from_name(&status).ok_or(StoreError::Damaged("job status"))?,
            by_hub: row.try_get::<i64, _>("by_hub")? == 1,
            created_at: row.try_get("created_at")?,
            not_before: row.try_get("not_before")?,
            expires_at: row.try_get("expires_at")?,
            give_up_after: row.try_get("give_up_after")?,
            cancel_requested_at: row.try_get("cancel_requested_at")?,
            accepted_at: row.try_get("accepted_at")?,
            started_at: row.try_get("started_at")?,
            finished_at: row.try_get("finished_at")?,
            run: row.try_get("run")?,
            exit_code: row.try_get("exit_code")?,
            signal: row.try_get("signal")?,
            reason: row.try_get("reason")?,
            log_end: record("log_epoch", "log_seq")?,
            log_acked: row.try_get::<Option<i64>, _>("log_acked")?.unwrap_or_default(),
            log_lines: row.try_get("log_lines")?,
            log_bytes: row.try_get("log_bytes")?,
            output_cut: row.try_get::<i64, _>("output_cut")? == 1,
            pipe_held: row.try_get::<i64, _>("pipe_held")? == 1,
            progress,
            group: group
                .map(|id| GroupId::try_from(id.as_slice()).map_err(|_| StoreError::Damaged("job group")))
                .transpose()?,
            submitted_by: row.try_get("submitted_by")?,
            payload_at: record("payload_epoch", "payload_first")?.zip(payload_last.map(i64::cast_unsigned)),
        })
    }

    /// Whether the hub has to close it at `now`: it has expired or is to be given up.
    pub fn is_due(&self, now: HubTime) -> bool {
        let now = time(now);
        let away = self.offline_since.zip(self.give_up_after);
        let lost = away.is_some_and(|(since, after)| since.saturating_add(after) <= now);
        match self.status {
            JobState::Queued => self.expires_at <= now,
            JobState::Offered => self.expires_at <= now || lost,
            JobState::Accepted | JobState::Running => lost,
            JobState::Succeeded
            | JobState::Failed
            | JobState::Cancelled
            | JobState::TimedOut
            | JobState::Interrupted
            | JobState::Expired
            | JobState::Rejected
            | JobState::Lost => false,
        }
    }

    /// Its place in the order of submission.
    pub(in crate::hub::store) const fn number(&self) -> i64 {
        self.number
    }

    pub(super) fn log_state(&self) -> LogState {
        if !self.status.is_final() {
            return LogState::Growing;
        }
        match self.log_end {
            Some(end) if !self.by_hub && self.log_acked.cast_unsigned() < end.seq => LogState::Behind,
            Some(_) | None => LogState::Complete,
        }
    }
}
