//! `GET /v1/jobs/ID/logs`: a range of a job's output.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;

use crate::hub::api::Answer;
use crate::hub::api::input::{Asked, count, query};
use crate::hub::api::problem::Problem;
use crate::hub::store::{Holes, LinePlace, LogQuery};
use crate::hub::view::job::LogPage;
use crate::hub::{Shared, view};
use crate::limit;
use crate::wire::job::OutputStream;

use super::wait::Deadline;
use super::{hub_time, job_id};

/// Lines of a page where the caller names no limit.
const PAGE: u32 = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::IntoParams))]
#[cfg_attr(test, into_params(parameter_in = Query))]
pub(in crate::hub::api) struct LogParameters {
    /// The first line: `N`, or `RUN:N` as an earlier range's `next` is.
    #[cfg_attr(test, param(pattern = "^[0-9]{1,18}(:[0-9]{1,18})?$"))]
    from: Option<String>,
    /// Lines of this range.
    #[cfg_attr(test, param(minimum = 1))]
    limit: Option<u32>,
    /// Only what was written there.
    #[cfg_attr(test, param(pattern = "^(stdout|stderr)$"))]
    stream: Option<String>,
    /// Only this run.
    run: Option<u32>,
    /// Seconds to wait at most, up to 60. Then a line that is missing while more may come is waited for, too.
    wait: Option<u64>,
}

pub(super) fn place(field: &str, text: &str) -> Result<LinePlace, Problem> {
    text.parse().map_err(|error| {
        let text: String = text.chars().take(40).collect();
        Problem::bad_request(format!("{field}: `{text}` {error}"))
    })
}

pub(super) fn stream(text: Option<&str>) -> Result<Option<OutputStream>, Problem> {
    match text {
        None => Ok(None),
        Some("stdout") => Ok(Some(OutputStream::Stdout)),
        Some("stderr") => Ok(Some(OutputStream::Stderr)),
        Some(other) => {
            let other: String = other.chars().take(40).collect();
            Err(Problem::bad_request(format!("stream: `{other}` is not stdout or stderr")))
        }
    }
}

/// A range of a job's output: the lines there are. With `wait`, following `next` until `complete` gives every line once and in
/// order.
#[cfg_attr(test, utoipa::path(get, path = "/v1/jobs/{job}/logs", params(("job" = String, Path), LogParameters), tag = "jobs",
    responses((status = 200, description = "a range", body = LogPage),
        (status = 400, description = "bad_request"), (status = 404, description = "no_job"))))]
pub(in crate::hub::api) async fn log(
    State(shared): State<Arc<Shared>>,
    Path(job): Path<String>,
    asked: Asked<LogParameters>,
) -> Answer<LogPage> {
    let (job, parameters) = (job_id(&job)?, query(asked)?);
    let from = place("from", parameters.from.as_deref().unwrap_or("1"))?;
    let stream = stream(parameters.stream.as_deref())?;
    let count_max = count(parameters.limit, PAGE, limit::JOB_LINES_PAGE_MAX)?;
    let mut changed = shared.store.watch_jobs(shared.store.agent_of_job(job).await?);
    let mut deadline = Deadline::after(parameters.wait);
    loop {
        let row = shared.store.job_at(job, hub_time()).await?;
        // Before the lines are read: what comes later is not missed.
        let complete = shared.store.logs_complete(&row).await?;
        let holes = if complete || parameters.wait.is_none() { Holes::Pass } else { Holes::Stop };
        let (run, bytes_max) = (parameters.run.map(i64::from), limit::RECORDS_PAGE_BYTES);
        let range = LogQuery { from, run, stream, count_max, bytes_max, holes };
        let log = shared.store.job_lines(&row, range).await?;
        let done = complete || !log.lines.is_empty() || log.next != from;
        if done || !deadline.wait_for(&shared, &mut changed).await {
            return Ok(Json(view::job::log(&log, complete)));
        }
    }
}
