//! Jobs as they are listed and shown.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;

use crate::hub::store::{AgentRef, Cursor, ItemContent, Store, StoreError};
use crate::id::{JobId, Lane};
use crate::job::JobState;
use crate::limit;
use crate::wire::message::RecordKind;

use super::JobError;
use super::row::{COLUMNS, JobRow};

/// Which jobs.
#[derive(Debug, Clone, Copy, Default)]
pub struct JobFilter {
    /// Of one agent.
    pub agent: Option<AgentRef>,
    /// In this state.
    pub status: Option<JobState>,
    /// Older than this place.
    pub before: Option<JobCursor>,
}

/// A place in the list. Opaque: text in, text out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobCursor(i64);

impl fmt::Display for JobCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "j{:x}", self.0)
    }
}

impl FromStr for JobCursor {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_prefix('j')
            .and_then(|digits| i64::from_str_radix(digits, 16).ok())
            .filter(|number| *number > 0)
            .map(Self)
            .ok_or("the cursor is not one that this list gave")
    }
}

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
    pub async fn jobs(&self, filter: JobFilter, count_max: u32) -> Result<JobPage, StoreError> {
        let count_max = count_max.clamp(1, limit::JOBS_PAGE_MAX);
        let mut text = format!(
            "select {COLUMNS} from jobs join agents on agents.agent = jobs.agent where jobs.job < $1"
        );
        // One statement for each set of filters, so that each finds its index.
        if filter.agent.is_some() {
            text.push_str(" and jobs.agent = $2");
        }
        if filter.status.is_some() {
            text.push_str(" and jobs.status = $3");
        }
        text.push_str(" order by jobs.job desc limit $4");
        let rows = sqlx::query(sqlx::AssertSqlSafe(text))
            .bind(filter.before.map_or(i64::MAX, |before| before.0))
            .bind(filter.agent.map(|agent| agent.0))
            .bind(filter.status.map(JobState::name))
            .bind(i64::from(count_max) + 1)
            .fetch_all(&self.pool)
            .await?;
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
