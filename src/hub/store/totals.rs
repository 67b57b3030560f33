//! Sums over all agents and jobs, for who watches the hub.

use crate::id::Lane;

use super::{Store, StoreError, lane_of};

/// What the whole database says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// Agents by the name of their state.
    pub agents: Vec<(String, u64)>,
    /// Jobs by status.
    pub jobs: Vec<(String, u64)>,
    /// Results of jobs this hub does not know.
    pub job_orphans: u64,
    /// Bytes of all agents' records.
    pub stored_bytes: u64,
    /// Bytes of the one agent that has most.
    pub stored_bytes_most: u64,
    /// Records that gaps stand for, by lane and reason.
    pub lost: Vec<(Lane, String, u64)>,
}

/// What one gap counts for at most: its figure is its agent's word, and a sum of such must not overflow.
const LOST_MAX: i64 = 1 << 40;

/// Sums are never negative but where the database is damaged; they are only shown.
fn shown(sum: i64) -> u64 {
    u64::try_from(sum).unwrap_or_default()
}

impl Store {
    /// Sums of everything, as far as it was committed.
    ///
    /// # Errors
    /// What the database says.
    pub async fn totals(&self) -> Result<Totals, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let agents: Vec<(String, i64)> =
            sqlx::query_as("select state, count(*) from agents where name is not null group by state")
                .fetch_all(&mut *connection)
                .await?;
        let jobs: Vec<(String, i64)> = sqlx::query_as("select status, count(*) from jobs group by status")
            .fetch_all(&mut *connection)
            .await?;
        let (stored, most): (i64, i64) = sqlx::query_as(
            "select cast(coalesce(sum(stored_bytes), 0) as bigint), coalesce(max(stored_bytes), 0) from agents",
        )
        .fetch_one(&mut *connection)
        .await?;
        let lost: Vec<(i64, String, i64)> = sqlx::query_as(
            "select lane, reason, cast(sum(case when records > $1 then $1 else records end) as bigint)
             from gaps group by lane, reason order by lane, reason",
        )
        .bind(LOST_MAX)
        .fetch_all(&mut *connection)
        .await?;
        let (orphans,): (i64,) =
            sqlx::query_as("select count(*) from job_orphans").fetch_one(&mut *connection).await?;
        let counted = |rows: Vec<(String, i64)>| rows.into_iter().map(|(name, count)| (name, shown(count)));
        let lost = lost.into_iter().map(|(lane, reason, sum)| Ok((lane_of(lane)?, reason, shown(sum))));
        Ok(Totals {
            agents: counted(agents).collect(),
            jobs: counted(jobs).collect(),
            job_orphans: shown(orphans),
            stored_bytes: shown(stored),
            stored_bytes_most: shown(most),
            lost: lost.collect::<Result<_, StoreError>>()?,
        })
    }
}
