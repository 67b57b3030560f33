//! `GET /v1/jobs/ID/logs`: a range of a job's output.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serde_json::json;

use crate::hub::api::{Answer, Failure};
use crate::hub::store::{Holes, LinePlace, LogQuery};
use crate::hub::{Shared, view};
use crate::wire::job::OutputStream;

use super::wait::Deadline;
use super::{hub_time, job_id, query};

/// Lines of a page where the caller names no limit.
const PAGE: u32 = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LogParameters {
    /// `N` or `RUN:N`.
    from: Option<String>,
    limit: Option<u32>,
    /// `stdout` or `stderr`.
    stream: Option<String>,
    run: Option<u32>,
    /// Seconds.
    wait: Option<u64>,
}

/// The lines there are. With `wait`, a line that is missing while more may come is waited for, so that following `next`
/// gives every line once and in order.
pub(super) async fn log(
    State(shared): State<Arc<Shared>>,
    Path(job): Path<String>,
    parameters: Result<Query<LogParameters>, QueryRejection>,
) -> Answer {
    let (job, parameters) = (job_id(&job)?, query(parameters)?);
    let from = parameters.from.as_deref().unwrap_or("1");
    let from: LinePlace =
        from.parse().map_err(|error| Failure::bad_request(format!("from: `{from}` {error}")))?;
    let stream = match parameters.stream.as_deref() {
        None => None,
        Some("stdout") => Some(OutputStream::Stdout),
        Some("stderr") => Some(OutputStream::Stderr),
        Some(other) => {
            return Err(Failure::bad_request(format!("stream: `{other}` is not stdout or stderr")));
        }
    };
    let mut changed = shared.store.watch_jobs(shared.store.agent_of_job(job).await?);
    let mut deadline = Deadline::after(parameters.wait);
    loop {
        let row = shared.store.job_at(job, hub_time()).await?;
        // Before the lines are read: what comes later is not missed.
        let complete = shared.store.logs_complete(&row).await?;
        let holes = if complete || parameters.wait.is_none() { Holes::Pass } else { Holes::Stop };
        let range = LogQuery {
            from,
            run: parameters.run.map(i64::from),
            stream,
            count_max: parameters.limit.unwrap_or(PAGE),
            holes,
        };
        let log = shared.store.job_lines(&row, range).await?;
        let done = complete || !log.lines.is_empty() || log.next != from;
        if done || !deadline.wait_for(&shared, &mut changed).await {
            return Ok(Json(json!({
                "lines": log.lines.iter().map(view::job::line).collect::<Vec<_>>(),
                "missing": log.missing.iter().map(|(run, from, to)| json!({"run": run, "from": from, "to": to}))
                    .collect::<Vec<_>>(),
                "next": log.next.to_string(),
                "complete": complete && log.at_end,
            })));
        }
    }
}
