//! `/v1/jobs`: submit, list, show, cancel, read the output.
//!
//! A request may wait (`wait=SECONDS`): it is answered when there is something to say, or when the time is over. The
//! store tells when to look again; nothing here polls.

mod body;
mod log;
mod submit;
mod wait;

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::hub::store::{JobCursor, JobError, JobFilter, JobRow};
use crate::hub::{Shared, hub_time, view};
use crate::id::JobId;
use crate::job::{JobState, SpecError};

use super::{Answer, Failure, name, refused};
use wait::{Deadline, Until};

/// Jobs of a page where the caller names no limit.
const PAGE: u32 = 100;

pub(super) fn router() -> Router<Arc<Shared>> {
    Router::new()
        .route("/v1/jobs", get(list).post(submit::submit).layer(DefaultBodyLimit::disable()))
        .route("/v1/jobs/{job}", get(show))
        .route("/v1/jobs/{job}/cancel", post(cancel))
        .route("/v1/jobs/{job}/logs", get(log::log))
}

impl From<JobError> for Failure {
    fn from(error: JobError) -> Self {
        let (status, name) = match error {
            JobError::NoJob(_) => (StatusCode::NOT_FOUND, "no_job"),
            JobError::Final { .. } => (StatusCode::CONFLICT, "job_final"),
            JobError::KeyReused { .. } => (StatusCode::CONFLICT, "idempotency_key_reused"),
            JobError::IdTaken(_) => (StatusCode::CONFLICT, "job_id_taken"),
            JobError::AgentRevoked(_) => (StatusCode::CONFLICT, "agent_revoked"),
            JobError::TooManyOpen { .. } => (StatusCode::TOO_MANY_REQUESTS, "too_many_jobs"),
            JobError::Spec(error) => return error.into(),
            JobError::Store(error) => return error.into(),
        };
        Self { status, name, message: error.to_string() }
    }
}

impl From<SpecError> for Failure {
    fn from(error: SpecError) -> Self {
        let (status, name) = match error {
            SpecError::TooLong { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
            SpecError::Json(_) | SpecError::Field { .. } => (StatusCode::BAD_REQUEST, "bad_spec"),
        };
        Self { status, name, message: error.to_string() }
    }
}

fn job_id(text: &str) -> Result<JobId, Failure> {
    text.parse().map_err(refused)
}

fn query<T>(query: Result<Query<T>, QueryRejection>) -> Result<T, Failure> {
    query.map(|Query(query)| query).map_err(|error| Failure::bad_request(error.body_text()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    agent: Option<String>,
    status: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

async fn list(
    State(shared): State<Arc<Shared>>,
    parameters: Result<Query<ListQuery>, QueryRejection>,
) -> Answer {
    let parameters = query(parameters)?;
    let mut filter = JobFilter::default();
    if let Some(agent) = &parameters.agent {
        filter.agent = Some(shared.store.agent(&name(agent)?).await?.agent);
    }
    if let Some(status) = &parameters.status {
        let words = || JobState::ALL.map(JobState::name).join(", ");
        let unknown = || Failure::bad_request(format!("status: `{status}` is not one of {}", words()));
        filter.status = Some(JobState::from_name(status).ok_or_else(unknown)?);
    }
    if let Some(cursor) = &parameters.cursor {
        let cursor: JobCursor =
            cursor.parse().map_err(|error| Failure::bad_request(format!("cursor: {error}")))?;
        filter.before = Some(cursor);
    }
    let count_max = parameters.limit.unwrap_or(PAGE);
    let mut page = shared.store.jobs(filter, count_max).await?;
    let now = hub_time();
    if page.jobs.iter().any(|row| row.is_due(now)) {
        shared.store.sweep_jobs(now).await?;
        page = shared.store.jobs(filter, count_max).await?;
    }
    let mut jobs = Vec::with_capacity(page.jobs.len());
    for row in &page.jobs {
        jobs.push(view::job::job(row, shared.store.logs_complete(row).await?));
    }
    Ok(Json(json!({"jobs": jobs, "next": page.next.map(|next| next.to_string())})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShowQuery {
    /// Seconds.
    wait: Option<u64>,
    /// What is waited for.
    #[serde(default)]
    until: Until,
}

async fn show(
    State(shared): State<Arc<Shared>>,
    Path(job): Path<String>,
    parameters: Result<Query<ShowQuery>, QueryRejection>,
) -> Answer {
    let (job, parameters) = (job_id(&job)?, query(parameters)?);
    let mut changed = shared.store.watch_jobs(shared.store.agent_of_job(job).await?);
    let mut deadline = Deadline::after(parameters.wait);
    loop {
        let row = shared.store.job_at(job, hub_time()).await?;
        let complete = shared.store.logs_complete(&row).await?;
        let done = match parameters.until {
            Until::Final => row.status.is_final(),
            Until::Complete => complete,
        };
        if done || !deadline.wait_for(&shared, &mut changed).await {
            return Ok(Json(whole(&shared, &row, complete).await?));
        }
    }
}

/// A job with its spec, its result and what it left behind.
async fn whole(shared: &Shared, row: &JobRow, complete: bool) -> Result<Value, Failure> {
    let mut shown = view::job::job(row, complete);
    let (spec, payload) = shared.store.job_content(row).await?;
    let artifacts = shared.store.job_artifacts(row).await?;
    if let Value::Object(shown) = &mut shown {
        shown.insert("spec".to_owned(), spec.map_or(Value::Null, |spec| view::job::spec(&spec)));
        if let Some(payload) = payload {
            let mut result = Map::new();
            view::job::content(&mut result, &payload);
            shown.insert("result".to_owned(), Value::Object(result));
        }
        let artifacts = artifacts.into_iter().map(|(name, run, epoch, seq)| {
            json!({"name": name, "run": run, "record": format!("logs/{:016x}/{seq}", epoch.cast_unsigned())})
        });
        shown.insert("artifacts".to_owned(), artifacts.collect());
    }
    Ok(shown)
}

async fn cancel(State(shared): State<Arc<Shared>>, Path(job): Path<String>) -> Answer {
    let job = job_id(&job)?;
    let agent = shared.store.cancel_job(job, hub_time()).await?;
    if let Some(agent) = shared.store.agent_id(agent).await? {
        shared.registry.ring(agent);
    }
    tracing::info!(%job, "a job is to be cancelled");
    let row = shared.store.job(job).await?;
    let complete = shared.store.logs_complete(&row).await?;
    Ok(Json(view::job::job(&row, complete)))
}
