//! `/v1/jobs`: submit, list, show, cancel, read the output.
//!
//! A request may wait (`wait=SECONDS`): it is answered when there is something to say, or when the time is over. The
//! store tells when to look again; nothing here polls.

pub(super) mod follow;
pub(super) mod log;
pub(super) mod submit;
mod wait;

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;

use crate::hub::store::{JobCursor, JobFilter, JobRow};
use crate::hub::token::Scope;
use crate::hub::view::job::{Artifact, Content, JobPageView, JobView, WholeJob};
use crate::hub::{Shared, hub_time, view};
use crate::id::{AppName, GroupId, JobId};
use crate::job::JobState;
use crate::limit;

use super::Answer;
use super::agents::selector;
use super::cursor::{self, List};
use super::endpoint::{Access, Acting, Endpoint, Verb};
use super::input::{Asked, count, name, query, refused};
use super::problem::Problem;
pub(super) use wait::Deadline;
use wait::Until;

/// Jobs of a page where the caller names no limit.
const PAGE: u32 = 100;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let (read, submit) = (Access::Token(Scope::Read), Access::Token(Scope::Submit));
    vec![
        Endpoint::new(Verb::Get, "/v1/jobs", read, list).with_parameters(),
        Endpoint::new(Verb::Post, "/v1/jobs", submit, submit::submit)
            .with_parameters()
            .with_document_of(limit::JOB_SPEC_BYTES_MAX),
        Endpoint::new(Verb::Get, "/v1/jobs/{job}", read, show).with_parameters(),
        Endpoint::new(Verb::Post, "/v1/jobs/{job}/cancel", submit, cancel),
        Endpoint::new(Verb::Get, "/v1/jobs/{job}/logs", read, log::log).with_parameters(),
        Endpoint::new(Verb::Get, "/v1/jobs/{job}/logs/follow", read, follow::follow).with_parameters(),
    ]
}

fn job_id(text: &str) -> Result<JobId, Problem> {
    text.parse().map_err(refused)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::IntoParams))]
#[cfg_attr(test, into_params(parameter_in = Query))]
pub(super) struct ListQuery {
    /// Only those of this agent.
    #[cfg_attr(test, param(pattern = "^[a-z0-9][a-z0-9-]{0,62}$"))]
    agent: Option<String>,
    /// Only those of agents with such labels, as `GET /v1/agents` has it.
    #[cfg_attr(test, param(max_length = 1024))]
    selector: Option<String>,
    /// Only those in this state.
    #[cfg_attr(
        test,
        param(
            pattern = "^(queued|offered|accepted|running|succeeded|failed|cancelled|timed_out|interrupted|expired|rejected|lost)$"
        )
    )]
    status: Option<String>,
    /// Only those whose output is log lines of this app.
    #[cfg_attr(test, param(pattern = "^[a-z0-9][a-z0-9-]{0,62}$"))]
    app: Option<String>,
    /// Only those of one submission to several agents.
    #[cfg_attr(test, param(pattern = "^[0-9a-f]{32}$"))]
    group: Option<String>,
    /// Only those that the hub took at this time or later, milliseconds since 1970.
    since_ms: Option<i64>,
    /// Only those that the hub took before this time.
    until_ms: Option<i64>,
    /// Jobs on this page.
    #[cfg_attr(test, param(minimum = 1))]
    limit: Option<u32>,
    /// Where an earlier page ended: its `next`.
    cursor: Option<String>,
}

/// Which jobs a query means.
async fn filter(shared: &Shared, asked: &ListQuery) -> Result<JobFilter, Problem> {
    let mut agents = None;
    if let Some(text) = &asked.selector {
        let selected = shared.store.selected(&selector(text)?).await?;
        agents = Some(selected.iter().map(|row| row.agent).collect::<Vec<_>>());
    }
    if let Some(text) = &asked.agent {
        let agent = shared.store.agent(&name(text)?).await?.agent;
        let chosen = agents.is_none_or(|agents: Vec<_>| agents.contains(&agent));
        agents = Some(if chosen { vec![agent] } else { Vec::new() });
    }
    let mut status = None;
    if let Some(text) = &asked.status {
        let unknown = || {
            let (text, words) =
                (text.chars().take(40).collect::<String>(), JobState::ALL.map(JobState::name).join(", "));
            Problem::bad_request(format!("status: `{text}` is not one of {words}"))
        };
        status = Some(JobState::from_name(text).ok_or_else(unknown)?);
    }
    let app: Option<AppName> = asked.app.as_deref().map(str::parse).transpose().map_err(refused)?;
    let group: Option<GroupId> = asked.group.as_deref().map(str::parse).transpose().map_err(refused)?;
    let before = asked.cursor.as_deref().map(|text| cursor::decode_number(List::Jobs, text)).transpose()?;
    let (since, until, before) = (asked.since_ms, asked.until_ms, before.map(JobCursor));
    Ok(JobFilter { agents, app, group, since, until, status, before })
}

/// The jobs, the newest first.
#[cfg_attr(test, utoipa::path(get, path = "/v1/jobs", params(ListQuery), tag = "jobs",
    responses((status = 200, description = "a page", body = JobPageView),
        (status = 400, description = "bad_request, bad_selector, bad_cursor"),
        (status = 404, description = "no_agent"))))]
pub(super) async fn list(State(shared): State<Arc<Shared>>, asked: Asked<ListQuery>) -> Answer<JobPageView> {
    let asked = query(asked)?;
    let count_max = count(asked.limit, PAGE, limit::JOBS_PAGE_MAX)?;
    let filter = filter(&shared, &asked).await?;
    let mut page = shared.store.jobs(&filter, count_max).await?;
    let now = hub_time();
    if page.jobs.iter().any(|row| row.is_due(now)) {
        shared.store.sweep_jobs(now).await?;
        page = shared.store.jobs(&filter, count_max).await?;
    }
    let next = page.next.map(|JobCursor(place)| cursor::encode(List::Jobs, &place.to_be_bytes()));
    Ok(Json(JobPageView { jobs: views(&shared, &page.jobs).await?, next }))
}

async fn views(shared: &Shared, rows: &[JobRow]) -> Result<Vec<JobView>, Problem> {
    let mut jobs = Vec::with_capacity(rows.len());
    for row in rows {
        jobs.push(view::job::job(row, shared.store.logs_complete(row).await?));
    }
    Ok(jobs)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::IntoParams))]
#[cfg_attr(test, into_params(parameter_in = Query))]
pub(super) struct ShowQuery {
    /// Seconds to wait at most, up to 60.
    wait: Option<u64>,
    /// What is waited for.
    #[serde(default)]
    #[cfg_attr(test, param(inline))]
    until: Until,
}

/// A job with its spec, its result and what it left behind.
#[cfg_attr(test, utoipa::path(get, path = "/v1/jobs/{job}", params(("job" = String, Path), ShowQuery), tag = "jobs",
    responses((status = 200, description = "the job", body = WholeJob),
        (status = 400, description = "bad_request"), (status = 404, description = "no_job"))))]
pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    Path(job): Path<String>,
    asked: Asked<ShowQuery>,
) -> Answer<WholeJob> {
    let (job, parameters) = (job_id(&job)?, query(asked)?);
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

async fn whole(shared: &Shared, row: &JobRow, complete: bool) -> Result<WholeJob, Problem> {
    let (spec, payload) = shared.store.job_content(row).await?;
    let artifacts = shared.store.job_artifacts(row).await?;
    let artifact = |(name, run, epoch, seq): (String, i64, i64, i64)| {
        let record = format!("logs/{:016x}/{seq}", epoch.cast_unsigned());
        Artifact { name, run, record }
    };
    Ok(WholeJob {
        job: view::job::job(row, complete),
        spec: spec.map(|spec| view::job::spec(&spec)).unwrap_or_default(),
        result: payload.map(|payload| Content::of(&payload)),
        artifacts: artifacts.into_iter().map(artifact).collect(),
    })
}

/// Asks for a job's end. One that no agent has is cancelled at once.
#[cfg_attr(test, utoipa::path(post, path = "/v1/jobs/{job}/cancel", params(("job" = String, Path)), tag = "jobs",
    responses((status = 200, description = "the job", body = JobView),
        (status = 400, description = "bad_request"), (status = 404, description = "no_job"),
        (status = 409, description = "job_final"))))]
pub(super) async fn cancel(
    State(shared): State<Arc<Shared>>,
    acting: Acting,
    Path(job): Path<String>,
) -> Answer<JobView> {
    let job = job_id(&job)?;
    let agent = shared.store.cancel_job(job, hub_time()).await?;
    if let Some(agent) = shared.store.agent_id(agent).await? {
        shared.registry.ring(agent);
    }
    tracing::info!(%job, by = %acting.0.name, "a job is to be cancelled");
    let row = shared.store.job(job).await?;
    let complete = shared.store.logs_complete(&row).await?;
    Ok(Json(view::job::job(&row, complete)))
}
