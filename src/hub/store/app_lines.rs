//! Numbers of the apps' log lines, given in the transaction that stores them, and the way from a number back to its batch.
//!
//! Numbers count over all apps, in the order of storing, and are never given twice. A row of `app_batches` says which numbers a
//! batch's lines have; it is kept as long as an app's ring reaches back. What an app's lines are is not known here.

use std::num::NonZeroU32;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use sqlx::SqliteConnection;

use crate::id::AppName;
use crate::limit;
use crate::time::{ClockOffset, HubTime};

use super::audit::{self, Action};
use super::ingest::Ingest;
use super::jobs::Changed;
use super::{Store, StoreError, number, time};

/// Numbers that one transaction gives.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    /// The next one; only read where there are lines.
    next: Option<i64>,
}

impl Numbers {
    /// Numbers the lines of a piece that is stored.
    pub(super) async fn give(
        &mut self,
        connection: &mut SqliteConnection,
        ingest: &Ingest,
    ) -> Result<(), StoreError> {
        let Some(lines) = NonZeroU32::new(ingest.app_lines()) else { return Ok(()) };
        let first = match self.next {
            Some(next) => next,
            None => next(connection).await?,
        };
        let after = first.saturating_add(lines.get().into());
        sqlx::query(
            "insert into app_batches (first, last, agent, epoch, record, received_at, bytes)
             values ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(first)
        .bind(after.saturating_sub(1))
        .bind(ingest.agent.0)
        .bind(ingest.mark.stream.epoch.as_u64().cast_signed())
        .bind(number(ingest.previous)?.saturating_add(1))
        .bind(time(ingest.received_at))
        .bind(i64::try_from(ingest.len()).unwrap_or(i64::MAX))
        .execute(connection)
        .await?;
        self.next = Some(after);
        Ok(())
    }

    /// Keeps where the next transaction goes on.
    pub(super) async fn write(self, connection: &mut SqliteConnection) -> Result<(), StoreError> {
        let Some(next) = self.next else { return Ok(()) };
        sqlx::query("update app_numbers set next = $1 where one = 1").bind(next).execute(connection).await?;
        Ok(())
    }
}

async fn next(connection: &mut SqliteConnection) -> Result<i64, StoreError> {
    let (next,): (i64,) =
        sqlx::query_as("select next from app_numbers where one = 1").fetch_one(connection).await?;
    Ok(next)
}

/// A stored batch that has lines of apps.
#[derive(Debug)]
pub struct AppBatch {
    /// The first line's number.
    pub first: i64,
    /// The last one's.
    pub last: i64,
    /// The agent it came from; `None` where that was removed.
    pub agent: Option<String>,
    /// Hub time less the agent's clock, where that was known.
    pub offset: Option<ClockOffset>,
    /// When it came.
    pub received_at: i64,
    /// Its records' encoding.
    pub bytes: Bytes,
    /// How many they are.
    pub count: u32,
}

/// How far back lines are worth reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppReach {
    /// Lines from this number on.
    pub from: i64,
    /// The number the next new line gets.
    pub next: i64,
}

/// first, last, name, offset, received_at, batch, first record, last record
type Row = (i64, i64, Option<String>, Option<i64>, i64, Vec<u8>, i64, i64);

impl Store {
    /// From now on every commit that brings lines of apps is told.
    pub fn watch_app_lines(&self) -> Changed {
        self.changes.subscribe_lines()
    }

    /// At most `count_max` batches that have lines from this number on, in order; fewer where they are long.
    ///
    /// # Errors
    /// What the database says.
    pub async fn app_batches(&self, from: i64, count_max: u32) -> Result<Vec<AppBatch>, StoreError> {
        let mut rows = sqlx::query_as::<_, Row>(
            "select a.first, a.last, agents.name, b.clock_offset, a.received_at, b.batch, b.first, b.last
             from app_batches a
             join agents on agents.agent = a.agent
             join batches b on b.agent = a.agent and b.lane = 3 and b.epoch = a.epoch and b.first = a.record
             where a.first >= $1 order by a.first limit $2",
        )
        .bind(from)
        .bind(i64::from(count_max))
        .fetch(&self.pool);
        let batch = |row: Row| -> Result<_, StoreError> {
            let (first, last, agent, offset, received_at, bytes, begin, end) = row;
            let count = u32::try_from(end.saturating_sub(begin).saturating_add(1));
            let count = count.map_err(|_| StoreError::Damaged("batch"))?;
            let (offset, bytes) = (offset.map(ClockOffset), Bytes::from(bytes));
            Ok(AppBatch { first, last, agent, offset, received_at, bytes, count })
        };
        let (mut page, mut together) = (Vec::new(), 0usize);
        while let Some(row) = rows.try_next().await? {
            let batch = batch(row)?;
            together = together.saturating_add(batch.bytes.len());
            page.push(batch);
            if together >= limit::RECORDS_PAGE_BYTES {
                break;
            }
        }
        Ok(page)
    }

    /// How far back lines are worth reading that came at `since` or later, in batches of at most `bytes_max` together.
    ///
    /// # Errors
    /// What the database says.
    pub async fn app_reach(&self, since: HubTime, bytes_max: i64) -> Result<AppReach, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let next = next(&mut connection).await?;
        let (from,): (Option<i64>,) = sqlx::query_as(
            // From the newest one back, and no further than that: what lies before is not even looked at.
            "with recursive back (first, received_at, together) as (
                 select first, received_at, bytes from
                     (select first, received_at, bytes from app_batches order by first desc limit 1) as newest
                     where bytes <= $2
                 union all
                 select a.first, a.received_at, back.together + a.bytes from back join app_batches a
                     on a.first = (select max(first) from app_batches where first < back.first)
                     where back.together + a.bytes <= $2)
             select min(first) from back where received_at >= $1",
        )
        .bind(time(since))
        .bind(bytes_max)
        .fetch_one(&mut *connection)
        .await?;
        Ok(AppReach { from: from.unwrap_or(next), next })
    }

    /// Forgets which lines are in batches that came before; the batches stay. How many it forgot, no more than
    /// `limit::APP_SWEEP_BATCH` at once.
    ///
    /// # Errors
    /// What the database says.
    pub async fn forget_app_batches(&self, before: HubTime) -> Result<u64, StoreError> {
        // Nothing waits for it, and what a power cut brings back is deleted the next time.
        let done = sqlx::query(
            "delete from app_batches where first in
                 (select first from app_batches where received_at < $1 order by first limit $2)",
        )
        .bind(time(before))
        .bind(i64::from(limit::APP_SWEEP_BATCH))
        .execute(&self.lazy)
        .await?;
        Ok(done.rows_affected())
    }

    /// The number of the newest line; 0 where there is none.
    ///
    /// # Errors
    /// What the database says.
    pub async fn newest_app_line(&self) -> Result<i64, StoreError> {
        Ok(next(&mut *self.pool.acquire().await?).await?.saturating_sub(1))
    }

    /// Drops the lines there are of an app; the records they came in stay. The number up to which they are dropped.
    ///
    /// # Errors
    /// What the database says.
    pub async fn drop_app_lines(&self, app: &AppName, now: HubTime) -> Result<i64, StoreError> {
        let mut transaction = self.write().await?;
        let upto = next(&mut transaction).await?.saturating_sub(1);
        sqlx::query(
            "insert into app_drops (app, upto, at) values ($1, $2, $3)
             on conflict (app) do update set upto = excluded.upto, at = excluded.at",
        )
        .bind(app.as_str())
        .bind(upto)
        .bind(time(now))
        .execute(&mut *transaction)
        .await?;
        // No line from before is asked for any more.
        sqlx::query("delete from app_drops where upto < (select coalesce(min(first), 0) from app_batches)")
            .execute(&mut *transaction)
            .await?;
        audit::note(&mut transaction, &self.actor, Action::AppLogsDropped, app.as_str(), &upto.to_string())
            .await?;
        transaction.commit().await?;
        Ok(upto)
    }

    /// The numbers up to which lines of apps were dropped.
    ///
    /// # Errors
    /// What the database says.
    pub async fn app_drops(&self) -> Result<Vec<(AppName, i64)>, StoreError> {
        let rows: Vec<(String, i64)> =
            sqlx::query_as("select app, upto from app_drops").fetch_all(&self.pool).await?;
        let drop = |(app, upto): (String, i64)| {
            app.parse().map(|app| (app, upto)).map_err(|_| StoreError::Damaged("app"))
        };
        rows.into_iter().map(drop).collect()
    }
}
