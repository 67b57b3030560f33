//! Whether a job's log is complete.

use futures_util::TryStreamExt as _;

use crate::hub::store::{Store, StoreError};

use super::row::{JobRow, LogState};

impl Store {
    /// Whether every line that will ever come is here: the job is over, and either the logs are stored up to its log's
    /// end (what was lost counts as stored) or all lines that its result counts are here.
    ///
    /// # Errors
    /// What the database says.
    pub async fn logs_complete(&self, job: &JobRow) -> Result<bool, StoreError> {
        match job.log_state() {
            LogState::Complete => Ok(true),
            LogState::Growing => Ok(false),
            LogState::Behind => match job.log_lines {
                Some(lines) => self.has_lines(job, lines).await,
                None => Ok(false),
            },
        }
    }

    /// Whether lines 1 to `lines` of the newest run are here, under whatever epoch they came.
    async fn has_lines(&self, job: &JobRow, lines: i64) -> Result<bool, StoreError> {
        let mut rows = sqlx::query_as::<_, (i64, i64)>(
            "select first_line, last_line from job_output where job = $1 and run = $2 order by first_line",
        )
        .bind(job.number)
        .bind(job.run)
        .fetch(&self.pool);
        let mut here = 0;
        while let Some((first, last)) = rows.try_next().await? {
            if first > here + 1 {
                return Ok(false);
            }
            here = here.max(last);
        }
        Ok(here >= lines)
    }
}
