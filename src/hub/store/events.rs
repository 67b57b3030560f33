//! What the own live streams tell: events of agents and jobs, numbered in the order of their commits.
//!
//! Triggers (migration 0010) write an event in the transaction that makes the change, so none is missing and none is of a
//! change that was rolled back; nothing of what is handed over as records touches the table but a job's status, a gap and a
//! loss. Numbers have no holes and only the oldest go (`trim_events`): whoever has the number of one event knows whether
//! anything behind it is missing. A commit that a power cut undid gives its numbers anew, as does a database that was put
//! back; the time tells those apart.

use crate::limit;
use crate::time::{HubTime, millis};

use super::jobs::JobRow;
use super::{AgentRef, Store, StoreError, time};

/// An event's name: its number, and when it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventMark {
    /// Counts up.
    pub number: i64,
    /// Milliseconds since 1970.
    pub at: i64,
}

/// One event.
#[derive(Debug, Clone)]
pub struct Event {
    /// Which.
    pub mark: EventMark,
    /// `added`, `connected`, `disconnected`, `revoked`, `restored`, `removed`, `label`, `gap`, `loss` or `job`.
    pub kind: String,
    /// A JSON object.
    pub body: String,
}

/// Whose events are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// Of an agent and its jobs.
    Agent(AgentRef),
    /// Of one job.
    Job(i64),
    /// Of all agents and jobs, but for what was lost.
    Fleet,
}

/// How many agents and jobs there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FleetCounts {
    /// That may come in.
    pub active: i64,
    /// Of them, those that have a session.
    pub connected: i64,
    /// That may not.
    pub revoked: i64,
    /// Jobs that are not over, by status.
    pub jobs: Vec<(String, i64)>,
}

/// The number of the oldest event, and an event where there is one.
type Row = (i64, Option<i64>, Option<i64>, Option<String>, Option<String>);

impl JobRow {
    /// Its events.
    pub fn events(&self) -> Whose {
        Whose::Job(self.number())
    }
}

impl Store {
    /// The newest event; there always is one.
    ///
    /// # Errors
    /// What the database says.
    pub async fn last_event(&self) -> Result<EventMark, StoreError> {
        let (number, at) = sqlx::query_as("select event, at from stream_events order by event desc limit 1")
            .fetch_one(&self.pool)
            .await?;
        Ok(EventMark { number, at })
    }

    /// Whether this event is kept.
    ///
    /// # Errors
    /// What the database says.
    pub async fn has_event(&self, mark: EventMark) -> Result<bool, StoreError> {
        let (there,): (bool,) =
            sqlx::query_as("select exists (select 1 from stream_events where event = $1 and at = $2)")
                .bind(mark.number)
                .bind(mark.at)
                .fetch_one(&self.pool)
                .await?;
        Ok(there)
    }

    /// At most `count_max` events behind number `after`, up to number `until`, the oldest first; `None` where events behind
    /// `after` are not kept any more.
    ///
    /// # Errors
    /// What the database says.
    pub async fn events(
        &self,
        whose: Whose,
        after: i64,
        until: i64,
        count_max: u32,
    ) -> Result<Option<Vec<Event>>, StoreError> {
        let (condition, id) = match whose {
            Whose::Agent(agent) => ("agent = $1", agent.0),
            Whose::Job(job) => ("job = $1", job),
            // The parameter is there in every form.
            Whose::Fleet => ("$1 = 0 and kind not in ('begun', 'gap', 'loss')", 0),
        };
        // One statement sees one state: no event can go between the two looks.
        let rows: Vec<Row> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "select oldest.event, found.event, found.at, found.kind, found.body
                 from (select min(event) as event from stream_events) as oldest
                 left join (select event, at, kind, body from stream_events
                     where {condition} and event > $2 and event <= $3 order by event limit $4) as found
                 order by found.event"
        )))
        .bind(id)
        .bind(after)
        .bind(until)
        .bind(i64::from(count_max))
        .fetch_all(&self.pool)
        .await?;
        if rows.first().is_some_and(|(oldest, ..)| *oldest > after.saturating_add(1)) {
            return Ok(None);
        }
        let event = |(_, number, at, kind, body): Row| {
            let mark = EventMark { number: number?, at: at? };
            Some(Event { mark, kind: kind?, body: body? })
        };
        Ok(Some(rows.into_iter().filter_map(event).collect()))
    }

    /// Forgets the oldest events, as many as are above `kept_max` or older than `limit::STREAM_EVENTS_AGE`, but at most
    /// `limit::STREAM_TRIM_BATCH` in one transaction, and never the newest one. Says how many.
    ///
    /// # Errors
    /// What the database says.
    pub async fn trim_events(&self, kept_max: u32, now: HubTime) -> Result<u64, StoreError> {
        let old = HubTime(now.0.saturating_sub(millis(limit::STREAM_EVENTS_AGE)));
        // Looking takes no lock: mostly there is nothing.
        let oldest: (i64, i64) = sqlx::query_as("select event, at from stream_events order by event limit 1")
            .fetch_one(&self.pool)
            .await?;
        let last = self.last_event().await?.number;
        let too_many = last.saturating_sub(oldest.0) >= i64::from(kept_max);
        if !too_many && (oldest.1 >= time(old) || oldest.0 == last) {
            return Ok(0);
        }
        // Up to the last one that has to go: a clock that was set back leaves no hole. It may be forgotten in a power cut.
        let done = sqlx::query(
            "delete from stream_events where event < $4 and event <=
                 (select max(event) from (select event, at from stream_events order by event limit $3)
                  where event <= $4 - $1 or at < $2)",
        )
        .bind(i64::from(kept_max))
        .bind(time(old))
        .bind(i64::from(limit::STREAM_TRIM_BATCH))
        .bind(last)
        .execute(&self.lazy)
        .await?;
        Ok(done.rows_affected())
    }

    /// How the fleet is.
    ///
    /// # Errors
    /// What the database says.
    pub async fn fleet(&self) -> Result<FleetCounts, StoreError> {
        let (active, connected, revoked) = sqlx::query_as(
            "select coalesce(sum(state = 'active'), 0), coalesce(sum(state = 'active' and session is not null), 0),
                 coalesce(sum(state = 'revoked'), 0) from agents where state <> 'removed'",
        )
        .fetch_one(&self.pool)
        .await?;
        let jobs = sqlx::query_as(
            "select status, count(*) from jobs where closed_at is null group by status order by status",
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(FleetCounts { active, connected, revoked, jobs })
    }

    /// Whether the run of the job has given this line, or knows that it will not come.
    ///
    /// # Errors
    /// What the database says.
    pub async fn has_line(&self, job: &JobRow, run: i64, line: i64) -> Result<bool, StoreError> {
        let (last,): (Option<i64>,) =
            sqlx::query_as("select max(last_line) from job_output where job = $1 and run = $2")
                .bind(job.number())
                .bind(run)
                .fetch_one(&self.pool)
                .await?;
        let written = job.log_lines.filter(|_| run == job.run);
        let known =
            if line == 0 { run <= job.run.max(1) } else { line <= last.max(written).unwrap_or_default() };
        Ok(known)
    }
}
