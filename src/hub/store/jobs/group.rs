//! One submission to several agents: a job for each, or none at all, under one key.
//!
//! What is compared when the key comes again is what was asked for (the names, or the selector's text), not which agents that
//! were: a label that changed since does not make it another submission.

use std::num::NonZeroU32;

use bytes::Bytes;
use sqlx::SqliteConnection;

use crate::hub::store::{AgentRow, AgentState, Store, StoreError, time};
use crate::id::{GroupId, JobId};
use crate::job::JobSpec;
use crate::obs::random;
use crate::time::HubTime;
use crate::wire::operator::OperatorSignature;

use super::JobError;
use super::submit::Fresh;

/// What is to be taken in for several agents. The bytes may hold secrets: there is no `Debug`.
#[derive(Clone)]
pub struct GroupSubmission {
    /// What was asked for, in one form.
    pub target: String,
    /// As it was parsed from `bytes`.
    pub spec: JobSpec,
    /// As it came.
    pub bytes: Bytes,
    /// An operator's, over `bytes`.
    pub signature: Option<OperatorSignature>,
    /// Stands for this submission, so that it can be repeated.
    pub idempotency_key: Option<String>,
    /// Jobs that each agent may have open, this one included.
    pub open_max: Option<NonZeroU32>,
}

/// id, spec, spec_sealed, signature
type Columns = (Vec<u8>, Vec<u8>, i64, Option<Vec<u8>>);

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupSubmitted {
    /// New jobs.
    New(GroupId),
    /// They were taken in before.
    Known(GroupId),
}

impl GroupSubmitted {
    /// The group's id.
    pub const fn group(self) -> GroupId {
        match self {
            Self::New(group) | Self::Known(group) => group,
        }
    }
}

impl Store {
    /// The group that this submission made when it came before.
    ///
    /// # Errors
    /// `KeyReused` and `GroupKeyReused` where the key stands for something else, or what the database says.
    pub async fn known_group(&self, submission: &GroupSubmission) -> Result<Option<GroupId>, JobError> {
        let mut connection = self.pool.acquire().await?;
        self.find_group(&mut connection, submission).await
    }

    /// Takes a job in for each of these agents; all are durable when this returns, or there is none.
    ///
    /// # Errors
    /// As [`Self::known_group`]; `AgentRevoked`, `TooManyOpen`, `Spec`, or what the database says.
    pub async fn submit_group(
        &self,
        agents: &[AgentRow],
        submission: &GroupSubmission,
        now: HubTime,
    ) -> Result<GroupSubmitted, JobError> {
        let mut transaction = self.write().await?;
        if let Some(group) = self.find_group(&mut transaction, submission).await? {
            return Ok(GroupSubmitted::Known(group));
        }
        let group = GroupId::from_bytes(random::bytes());
        sqlx::query(
            "insert into job_groups (id, created_at, idempotency_key, target) values ($1, $2, $3, $4)",
        )
        .bind(group.as_bytes().to_vec())
        .bind(time(now))
        .bind(&submission.idempotency_key)
        .bind(&submission.target)
        .execute(&mut *transaction)
        .await?;
        let signature = submission.signature.as_ref().map(|signature| signature.as_bytes().to_vec());
        let fresh = Fresh {
            spec: &submission.spec,
            bytes: &submission.bytes,
            signature: signature.as_deref(),
            idempotency_key: None,
            open_max: submission.open_max,
            group: Some(group),
        };
        for agent in agents {
            if agent.state == AgentState::Revoked {
                return Err(JobError::AgentRevoked(agent.name.clone()));
            }
            self.insert_job(&mut transaction, agent, &fresh, now).await?;
        }
        transaction.commit().await?;
        agents.iter().for_each(|agent| self.changes.note(agent.agent));
        Ok(GroupSubmitted::New(group))
    }

    async fn find_group(
        &self,
        connection: &mut SqliteConnection,
        submission: &GroupSubmission,
    ) -> Result<Option<GroupId>, JobError> {
        let Some(key) = &submission.idempotency_key else { return Ok(None) };
        let single: Option<(Vec<u8>,)> = sqlx::query_as("select id from jobs where idempotency_key = $1")
            .bind(key)
            .fetch_optional(&mut *connection)
            .await?;
        if let Some((id,)) = single {
            let job = JobId::try_from(id.as_slice()).map_err(|_| StoreError::Damaged("job id"))?;
            return Err(JobError::KeyReused { key: key.clone(), job });
        }
        let Some((group, target)) = with_key(&mut *connection, key).await? else { return Ok(None) };
        if target == submission.target && self.is_of(connection, group, submission).await? {
            return Ok(Some(group));
        }
        Err(JobError::GroupKeyReused { key: key.clone(), group })
    }

    /// Whether the group's jobs have the submission's spec and signature: all have the same.
    async fn is_of(
        &self,
        connection: &mut SqliteConnection,
        group: GroupId,
        submission: &GroupSubmission,
    ) -> Result<bool, StoreError> {
        let first: Option<Columns> = sqlx::query_as(
            "select id, spec, spec_sealed, signature from jobs where job_group = $1 order by job limit 1",
        )
        .bind(group.as_bytes().to_vec())
        .fetch_optional(connection)
        .await?;
        let Some((id, spec, sealed, signature)) = first else { return Ok(false) };
        let job = JobId::try_from(id.as_slice()).map_err(|_| StoreError::Damaged("job id"))?;
        let asked = submission.signature.as_ref().map(|signature| signature.as_bytes().as_slice());
        Ok(self.kept_spec(job, (spec, sealed)).is_some_and(|spec| spec == submission.bytes)
            && signature.as_deref() == asked)
    }
}

/// The group that a key stands for, and what was asked for with it.
pub(super) async fn with_key(
    connection: &mut SqliteConnection,
    key: &str,
) -> Result<Option<(GroupId, String)>, StoreError> {
    let row: Option<(Vec<u8>, String)> =
        sqlx::query_as("select id, target from job_groups where idempotency_key = $1")
            .bind(key)
            .fetch_optional(connection)
            .await?;
    let Some((id, target)) = row else { return Ok(None) };
    let group = GroupId::try_from(id.as_slice()).map_err(|_| StoreError::Damaged("job group"))?;
    Ok(Some((group, target)))
}
