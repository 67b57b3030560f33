//! Taking a job in: once for each Idempotency-Key, once for each id.

use std::num::NonZeroU32;

use bytes::Bytes;
use sqlx::SqliteConnection;

use crate::hub::store::{AgentRow, AgentState, Store, StoreError, time};
use crate::id::JobId;
use crate::job::{JobSpec, SpecError};
use crate::obs::random;
use crate::time::{HubTime, millis};
use crate::wire::operator::OperatorSignature;

use super::JobError;

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

impl Store {
    /// Takes a job in; it is durable when this returns.
    ///
    /// # Errors
    /// `KeyReused` and `IdTaken` where key or id stand for another job, `Spec` where its time is over, or what the
    /// database says.
    pub async fn submit_job(&self, submission: Submission, now: HubTime) -> Result<Submitted, JobError> {
        let Submission { agent, spec, bytes, signature, idempotency_key, open_max } = submission;
        if agent.state == AgentState::Revoked {
            return Err(JobError::AgentRevoked(agent.name));
        }
        let mut transaction = self.write().await?;
        let signature = signature.map(|signature| signature.as_bytes().to_vec());
        let wanted = Wanted { store: self, agent: &agent, bytes: &bytes, signature: signature.as_deref() };
        if let Some(key) = &idempotency_key
            && let Some((id, same)) = wanted.find_key(&mut transaction, key).await?
        {
            return if same {
                Ok(Submitted::Known(id))
            } else {
                Err(JobError::KeyReused { key: key.clone(), job: id })
            };
        }
        if let Some(id) = spec.job_id
            && let Some((id, same)) = wanted.find_id(&mut transaction, id).await?
        {
            return if same { Ok(Submitted::Known(id)) } else { Err(JobError::IdTaken(id)) };
        }
        check_open(&mut transaction, &agent, open_max).await?;
        let expires_at = spec.expires_at_ms(now.0)?;
        if spec.not_before_ms.is_some_and(|not_before| not_before >= expires_at) {
            let reason = format!("is not before the job expires, at {expires_at}");
            return Err(SpecError::Field { field: "not_before_ms", reason }.into());
        }
        let id = spec.job_id.unwrap_or_else(|| JobId::from_time(now.0, random::bytes()));
        let (kept, sealed) = self.keep_spec(id, &spec, &bytes)?;
        sqlx::query(
            "insert into jobs (job, id, agent, kind, spec, idempotency_key, status, created_at, not_before,
                 expires_at, give_up_after, signature, spec_sealed)
             select coalesce(max(job), 0) + 1, $1, $2, $3, $4, $5, 'queued', $6, $7, $8, $9, $10, $11 from jobs",
        )
        .bind(id.as_bytes().to_vec())
        .bind(agent.agent.0)
        .bind(&spec.kind)
        .bind(kept)
        .bind(idempotency_key)
        .bind(time(now))
        .bind(spec.not_before_ms.map(|at| time(HubTime(at))))
        .bind(time(HubTime(expires_at)))
        .bind(spec.give_up_after.map(|after| time(HubTime(millis(after)))))
        .bind(&signature)
        .bind(sealed)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        self.changes.note(agent.agent);
        Ok(Submitted::New(id))
    }
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

/// A job that is to be compared with those that are there.
struct Wanted<'a> {
    store: &'a Store,
    agent: &'a AgentRow,
    bytes: &'a [u8],
    signature: Option<&'a [u8]>,
}

type Found = (Vec<u8>, i64, Vec<u8>, i64, Option<Vec<u8>>);

impl Wanted<'_> {
    async fn find_key(
        &self,
        connection: &mut SqliteConnection,
        key: &str,
    ) -> Result<Option<(JobId, bool)>, StoreError> {
        let found: Option<Found> = sqlx::query_as(
            "select id, agent, spec, spec_sealed, signature from jobs where idempotency_key = $1",
        )
        .bind(key)
        .fetch_optional(connection)
        .await?;
        self.compare(found)
    }

    async fn find_id(
        &self,
        connection: &mut SqliteConnection,
        id: JobId,
    ) -> Result<Option<(JobId, bool)>, StoreError> {
        let found: Option<Found> =
            sqlx::query_as("select id, agent, spec, spec_sealed, signature from jobs where id = $1")
                .bind(id.as_bytes().to_vec())
                .fetch_optional(connection)
                .await?;
        self.compare(found)
    }

    fn compare(&self, found: Option<Found>) -> Result<Option<(JobId, bool)>, StoreError> {
        let Some((id, agent, spec, sealed, signature)) = found else { return Ok(None) };
        let id = JobId::try_from(id.as_slice()).map_err(|_| StoreError::Damaged("job id"))?;
        // One that cannot be read is not known to be the same.
        let spec = self.store.kept_spec(id, (spec, sealed));
        let same = agent == self.agent.agent.0
            && spec.is_some_and(|spec| spec == self.bytes)
            && signature.as_deref() == self.signature;
        Ok(Some((id, same)))
    }
}
