//! Jobs as they are listed and shown.

use bytes::Bytes;
use sqlx::{QueryBuilder, Sqlite};

use crate::hub::store::{AgentRef, Cursor, ItemContent, Store, StoreError};
use crate::id::{AppName, GroupId, JobId, Lane};
use crate::job::JobState;
use crate::limit;
use crate::wire::message::RecordKind;

use super::JobError;
use super::row::{COLUMNS, JobRow};

/// Which jobs.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    /// Of these agents; `None`: of any.
    pub agents: Option<Vec<AgentRef>>,
    /// Whose output is log lines of this app.
    pub app: Option<AppName>,
    /// Of one submission to several agents.
    pub group: Option<GroupId>,
    /// Taken at this time or later, milliseconds since 1970.
    pub since: Option<i64>,
    /// Taken before this time.
    pub until: Option<i64>,
    /// In this state.
    pub status: Option<JobState>,
    /// Older than this place.
    pub before: Option<JobCursor>,
}

/// A place in the list: jobs that are submitted later do not move it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobCursor(pub i64);

/// A page of the list, the newest first.
#[derive(Debug)]
pub struct JobPage {
    /// The jobs.
    pub jobs: Vec<JobRow>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<JobCursor>,
}

impl Store {
    /// One job.
    ///
    /// # Errors
    /// `NoJob`, or what the database says.
    pub async fn job(&self, id: JobId) -> Result<JobRow, JobError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "select {COLUMNS} from jobs join agents on agents.agent = jobs.agent where jobs.id = $1"
        )))
        .bind(id.as_bytes().to_vec())
        .fetch_optional(&self.pool)
        .await?;
        Ok(JobRow::of(&row.ok_or(JobError::NoJob(id))?)?)
    }

    /// At most `count_max` jobs, the newest first.
    ///
    /// # Errors
    /// What the database says.
    pub async fn jobs(&self, filter: &JobFilter, count_max: u32) -> Result<JobPage, StoreError> {
        let count_max = count_max.clamp(1, limit::JOBS_PAGE_MAX);
        if filter.agents.as_ref().is_some_and(Vec::is_empty) {
            return Ok(JobPage { jobs: Vec::new(), next: None });
        }
        // One statement for each set of filters, so that each finds its index.
        let mut query = QueryBuilder::<Sqlite>::new(format!(
            "select {COLUMNS} from jobs join agents on agents.agent = jobs.agent where jobs.job < "
        ));
        query.push_bind(filter.before.map_or(i64::MAX, |before| before.0));
        if let Some(agents) = &filter.agents {
            query.push(" and jobs.agent in (");
            // Numbers of our own: a fleet has more of them than a statement has parameters.
            let mut list = query.separated(",");
            agents.iter().for_each(|agent| {
                list.push(agent.0);
            });
            query.push(")");
        }
        if let Some(status) = filter.status {
            query.push(" and jobs.status = ").push_bind(status.name());
        }
        if let Some(app) = &filter.app {
            query.push(" and jobs.app = ").push_bind(app.to_string());
        }
        if let Some(group) = filter.group {
            query.push(" and jobs.job_group = ").push_bind(group.as_bytes().to_vec());
        }
        if let Some(since) = filter.since {
            query.push(" and jobs.created_at >= ").push_bind(since);
        }
        if let Some(until) = filter.until {
            query.push(" and jobs.created_at < ").push_bind(until);
        }
        query.push(" order by jobs.job desc limit ").push_bind(i64::from(count_max) + 1);
        let rows = query.build().fetch_all(&self.pool).await?;
        let mut jobs = rows.iter().map(JobRow::of).collect::<Result<Vec<_>, _>>()?;
        let page = usize::try_from(count_max).unwrap_or(usize::MAX);
        let more = jobs.len() > page;
        jobs.truncate(page);
        let next = jobs.last().filter(|_| more).map(|job| JobCursor(job.number));
        Ok(JobPage { jobs, next })
    }

    /// The job's spec as it was submitted, secrets included, where it can be read, and its result's payload as far as it
    /// is there.
    ///
    /// # Errors
    /// What the database says.
    pub async fn job_content(&self, job: &JobRow) -> Result<(Option<Bytes>, Option<Bytes>), StoreError> {
        let (spec, sealed, payload): (Vec<u8>, i64, Option<Vec<u8>>) =
            sqlx::query_as("select spec, spec_sealed, payload from jobs where job = $1")
                .bind(job.number)
                .fetch_one(&self.pool)
                .await?;
        let payload =
            match (payload, job.payload_at) {
                (Some(payload), _) => Some(Bytes::from(payload)),
                (None, Some((first, last))) => {
                    let cursor = Cursor { lane: Some(Lane::Logs), from: Some(first) };
                    let page = self.records(job.agent, cursor, 1).await?;
                    page.items.into_iter().next().and_then(|item| match item.content {
                        ItemContent::Record {
                            kind: RecordKind::JobPayload, payload, whole: true, ..
                        } if item.id == first && first.seq <= last => Some(payload),
                        ItemContent::Record { .. } | ItemContent::Gap(_) => None,
                    })
                }
                (None, None) => None,
            };
        Ok((self.kept_spec(job.id, (spec, sealed)), payload))
    }

    /// Names, runs and places of what a job left behind.
    ///
    /// # Errors
    /// What the database says.
    pub async fn job_artifacts(&self, job: &JobRow) -> Result<Vec<(String, i64, i64, i64)>, StoreError> {
        let rows = sqlx::query_as(
            "select name, run, epoch, seq from job_artifacts where job = $1 order by run, name limit $2",
        )
        .bind(job.number)
        .bind(i64::from(limit::JOBS_PAGE_MAX))
        .fetch_all(&self.pool)
        .await?;
        Ok(rows)
    }
}
