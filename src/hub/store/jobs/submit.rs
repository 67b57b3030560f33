//! Taking a job in: once for each Idempotency-Key, once for each id.

use std::num::NonZeroU32;

use bytes::Bytes;
use sqlx::SqliteConnection;

use crate::hub::store::{AgentRow, AgentState, Store, StoreError, audit, time};
use crate::id::{AgentId, AgentName, AppName, GroupId, JobId};
use crate::job::{JobSpec, SpecError};
use crate::obs::random;
use crate::time::{HubTime, millis};
use crate::wire::operator::OperatorSignature;

use super::{JobError, group};

/// What is to be taken in. The bytes may hold secrets: there is no `Debug`.
#[derive(Clone)]
pub struct Submission {
    /// For whom.
    pub agent: AgentRow,
    /// As it was parsed from `bytes`.
    pub spec: JobSpec,
    /// As it came.
    pub bytes: Bytes,
    /// An operator's, over `bytes`; what it is worth is the agent's business.
    pub signature: Option<OperatorSignature>,
    /// Stands for this submission, so that it can be repeated.
    pub idempotency_key: Option<String>,
    /// Jobs of this agent that may be open, this one included.
    pub open_max: Option<NonZeroU32>,
}

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Submitted {
    /// A new job.
    New(JobId),
    /// It was taken in before.
    Known(JobId),
}

impl Submitted {
    /// The job's id.
    pub const fn job(self) -> JobId {
        match self {
            Self::New(job) | Self::Known(job) => job,
        }
    }
}

/// What makes two submissions the same one.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// For whom, as it was asked for: what has become of the agent since makes it no other submission.
    pub agent: &'a AgentName,
    /// As it came.
    pub bytes: &'a [u8],
    /// An operator's, over `bytes`.
    pub signature: Option<&'a OperatorSignature>,
    /// Stands for the submission.
    pub idempotency_key: Option<&'a str>,
    /// The id that the spec wants.
    pub job_id: Option<JobId>,
}

impl Submission {
    fn asked(&self) -> Asked<'_> {
        Asked {
            agent: &self.agent.name,
            bytes: &self.bytes,
            signature: self.signature.as_ref(),
            idempotency_key: self.idempotency_key.as_deref(),
            job_id: self.spec.job_id,
        }
    }
}

impl Store {
    /// The job that this submission made when it came before.
    ///
    /// # Errors
    /// `KeyReused`, `GroupKeyReused` and `IdTaken` where key or id stand for something else, or what the database says.
    pub async fn known_job(&self, asked: Asked<'_>) -> Result<Option<JobId>, JobError> {
        let mut connection = self.pool.acquire().await?;
        self.find_job(&mut connection, asked).await
    }

    /// Takes a job in; it is durable when this returns.
    ///
    /// # Errors
    /// As [`Self::known_job`]; `AgentRevoked`, `TooManyOpen`, `Spec` where its time is over, or what the database says.
    pub async fn submit_job(&self, submission: Submission, now: HubTime) -> Result<Submitted, JobError> {
        let mut transaction = self.write().await?;
        if let Some(job) = self.find_job(&mut transaction, submission.asked()).await? {
            return Ok(Submitted::Known(job));
        }
        let Submission { agent, spec, bytes, signature, idempotency_key, open_max } = submission;
        if agent.state == AgentState::Revoked {
            return Err(JobError::AgentRevoked(agent.name));
        }
        let signature = signature.map(|signature| signature.as_bytes().to_vec());
        let fresh = Fresh {
            spec: &spec,
            bytes: &bytes,
            signature: signature.as_deref(),
            idempotency_key: idempotency_key.as_deref(),
            open_max,
            group: None,
        };
        let id = self.insert_job(&mut transaction, &agent, &fresh, now).await?;
        transaction.commit().await?;
        self.changes.note(agent.agent);
        Ok(Submitted::New(id))
    }

    async fn find_job(
        &self,
        connection: &mut SqliteConnection,
        asked: Asked<'_>,
    ) -> Result<Option<JobId>, JobError> {
        if let Some(key) = asked.idempotency_key {
            if let Some((group, _)) = group::with_key(&mut *connection, key).await? {
                return Err(JobError::GroupKeyReused { key: key.to_owned(), group });
            }
            let found = sqlx::query_as(sqlx::AssertSqlSafe(format!("{FOUND} where idempotency_key = $1")))
                .bind(key)
                .fetch_optional(&mut *connection)
                .await?;
            match self.compare(&mut *connection, asked, found).await? {
                Some((job, Same::Yes)) => return Ok(Some(job)),
                Some((job, Same::No)) => return Err(JobError::KeyReused { key: key.to_owned(), job }),
                None => {}
            }
        }
        let Some(id) = asked.job_id else { return Ok(None) };
        let found = sqlx::query_as(sqlx::AssertSqlSafe(format!("{FOUND} where jobs.id = $1")))
            .bind(id.as_bytes().to_vec())
            .fetch_optional(&mut *connection)
            .await?;
        match self.compare(connection, asked, found).await? {
            Some((job, Same::Yes)) => Ok(Some(job)),
            Some((job, Same::No)) => Err(JobError::IdTaken(job)),
            None => Ok(None),
        }
    }

    async fn compare(
        &self,
        connection: &mut SqliteConnection,
        asked: Asked<'_>,
        found: Option<Found>,
    ) -> Result<Option<(JobId, Same)>, StoreError> {
        let Some((id, agent, name, spec, sealed, signature)) = found else { return Ok(None) };
        let id = JobId::try_from(id.as_slice()).map_err(|_| StoreError::Damaged("job id"))?;
        // One that cannot be read is not known to be the same.
        let spec = self.kept_spec(id, (spec, sealed));
        let mut same = spec.is_some_and(|spec| spec == asked.bytes)
            && signature.as_deref() == asked.signature.map(|signature| signature.as_bytes().as_slice());
        if same {
            same = match name {
                Some(name) => name == asked.agent.as_str(),
                None => {
                    let agent =
                        AgentId::try_from(agent.as_slice()).map_err(|_| StoreError::Damaged("agent id"))?;
                    audit::was_removed(connection, asked.agent, agent).await?
                }
            };
        }
        Ok(Some((id, if same { Same::Yes } else { Same::No })))
    }

    /// One more row, where the agent's quota and the spec's times allow it.
    pub(super) async fn insert_job(
        &self,
        connection: &mut SqliteConnection,
        agent: &AgentRow,
        job: &Fresh<'_>,
        now: HubTime,
    ) -> Result<JobId, JobError> {
        let spec = job.spec;
        check_open(&mut *connection, agent, job.open_max).await?;
        let expires_at = spec.expires_at_ms(now.0)?;
        if spec.not_before_ms.is_some_and(|not_before| not_before >= expires_at) {
            let reason = format!("is not before the job expires, at {expires_at}");
            return Err(SpecError::Field { field: "not_before_ms", reason }.into());
        }
        let id = spec.job_id.unwrap_or_else(|| JobId::from_time(now.0, random::bytes()));
        let (kept, sealed) = self.keep_spec(id, spec, job.bytes)?;
        sqlx::query(
            "insert into jobs (job, id, agent, kind, spec, idempotency_key, status, created_at, not_before,
                 expires_at, give_up_after, signature, spec_sealed, job_group, submitted_by, app)
             select coalesce(max(job), 0) + 1, $1, $2, $3, $4, $5, 'queued', $6, $7, $8, $9, $10, $11, $12, $13, $14
             from jobs",
        )
        .bind(id.as_bytes().to_vec())
        .bind(agent.agent.0)
        .bind(&spec.kind)
        .bind(kept)
        .bind(job.idempotency_key)
        .bind(time(now))
        .bind(spec.not_before_ms.map(|at| time(HubTime(at))))
        .bind(time(HubTime(expires_at)))
        .bind(spec.give_up_after.map(|after| time(HubTime(millis(after)))))
        .bind(job.signature)
        .bind(sealed)
        .bind(job.group.map(|group| group.as_bytes().to_vec()))
        .bind(self.actor.to_string())
        .bind(spec.app.as_ref().map(AppName::as_str))
        .execute(connection)
        .await?;
        Ok(id)
    }
}

/// A job that is not there yet.
pub(super) struct Fresh<'a> {
    pub(super) spec: &'a JobSpec,
    pub(super) bytes: &'a [u8],
    pub(super) signature: Option<&'a [u8]>,
    pub(super) idempotency_key: Option<&'a str>,
    /// Jobs that the agent may have open with it.
    pub(super) open_max: Option<NonZeroU32>,
    pub(super) group: Option<GroupId>,
}

/// Whether the agent may have one more.
async fn check_open(
    connection: &mut SqliteConnection,
    agent: &AgentRow,
    most: Option<NonZeroU32>,
) -> Result<(), JobError> {
    let Some(most) = most else { return Ok(()) };
    let (open,): (i64,) = sqlx::query_as("select count(*) from jobs where agent = $1 and closed_at is null")
        .bind(agent.agent.0)
        .fetch_one(connection)
        .await?;
    if open < i64::from(most.get()) {
        return Ok(());
    }
    Err(JobError::TooManyOpen { agent: agent.name.clone(), open, most })
}

/// id, and the agent's id and name, spec, spec_sealed, signature
type Found = (Vec<u8>, Vec<u8>, Option<String>, Vec<u8>, i64, Option<Vec<u8>>);

const FOUND: &str = "select jobs.id, agents.id, agents.name, jobs.spec, jobs.spec_sealed, jobs.signature
    from jobs join agents on agents.agent = jobs.agent";

/// Whether a job is what was asked for.
enum Same {
    Yes,
    No,
}
