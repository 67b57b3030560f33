//! `POST /v1/jobs`: the body is the job's spec, kept as it comes. For one agent a job, for several a group of jobs: all or none.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use serde::Deserialize;

use crate::hub::api::agents::selector;
use crate::hub::api::endpoint::Acting;
use crate::hub::api::input::{self, name, query};
use crate::hub::api::problem::{Kind, Problem};
use crate::hub::labels::Selector;
use crate::hub::store::{AgentRow, Asked, GroupSubmission, GroupSubmitted, JobFilter, Submission, Submitted};
use crate::hub::view::job::{GroupView, SubmittedView};
use crate::hub::{Shared, view};
use crate::id::{AgentName, GroupId, JobId};
use crate::job::{JobSpec, SpecError};
use crate::limit;
use crate::wire::operator::{OperatorSignature, SignatureTextError};

use super::{hub_time, views};

const KEY: &str = "idempotency-key";
/// Carries an operator's signature over the body.
const SIGNATURE: &str = "x-outpost-signature";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::IntoParams))]
#[cfg_attr(test, into_params(parameter_in = Query))]
pub(in crate::hub::api) struct SubmitQuery {
    /// For this agent.
    #[cfg_attr(test, param(pattern = "^[a-z0-9][a-z0-9-]{0,62}$"))]
    agent: Option<String>,
    /// For each of these, with commas between them; at most 12 KiB.
    agents: Option<String>,
    /// For each that has such labels and is not revoked, as `GET /v1/agents` has it.
    #[cfg_attr(test, param(max_length = 1024))]
    selector: Option<String>,
}

/// For whom.
enum Target {
    One(AgentName),
    /// In order, each once.
    List(BTreeSet<AgentName>),
    Selected(Selector),
}

impl Target {
    fn of(asked: &SubmitQuery) -> Result<Self, Problem> {
        match (&asked.agent, &asked.agents, &asked.selector) {
            (Some(agent), None, None) => Ok(Self::One(name(agent)?)),
            (None, Some(agents), None) => {
                let bytes = agents.len();
                if bytes > limit::AGENTS_LIST_BYTES_MAX {
                    let max = limit::AGENTS_LIST_BYTES_MAX;
                    let detail =
                        format!("agents: {bytes} bytes, at most {max}; label the agents and name a selector");
                    return Err(Problem::bad_request(detail));
                }
                let names = agents.split(',').map(|text| name(text.trim())).collect::<Result<_, _>>()?;
                Ok(Self::List(names))
            }
            (None, None, Some(text)) => Ok(Self::Selected(selector(text)?)),
            _ => Err(Problem::bad_request("name one of agent, agents and selector")),
        }
    }
}

/// Takes a job in, or one for each of several agents: all of them or none.
#[cfg_attr(test, utoipa::path(post, path = "/v1/jobs", tag = "jobs",
    params(SubmitQuery,
        ("Idempotency-Key" = Option<String>, Header, description = "Stands for this submission: repeated, it gives the same job or group",
            min_length = 1, max_length = 128, pattern = "^[ -~]+$"),
        ("X-Outpost-Signature" = Option<String>, Header, description = "An operator's signature over the body, as `outpost job sign` writes one")),
    request_body(content = crate::hub::api::openapi::Spec, content_type = "application/json"),
    responses((status = 202, description = "it is durable", body = SubmittedView),
        (status = 200, description = "it was taken in before", body = SubmittedView),
        (status = 400, description = "bad_request, bad_spec, bad_selector"), (status = 404, description = "no_agent"),
        (status = 409, description = "idempotency_key_reused, job_id_taken, agent_revoked, nothing_selected"),
        (status = 413, description = "too_large"), (status = 429, description = "too_many_jobs"))))]
pub(in crate::hub::api) async fn submit(
    State(shared): State<Arc<Shared>>,
    acting: Acting,
    asked: input::Asked<SubmitQuery>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<(StatusCode, Json<SubmittedView>), Problem> {
    let target = Target::of(&query(asked)?)?;
    let spec = JobSpec::parse(&bytes)?;
    let (signature, idempotency_key) = (signature(&headers)?, key(&headers)?);
    let open_max = shared.quota.open_jobs_max();
    if let Target::One(name) = &target {
        let asked = Asked {
            agent: name,
            bytes: &bytes,
            signature: signature.as_ref(),
            idempotency_key: idempotency_key.as_deref(),
            job_id: spec.job_id,
        };
        if let Some(job) = shared.store.known_job(asked).await? {
            return Ok((StatusCode::OK, one_shown(&shared, job).await?));
        }
        let agent = shared.store.agent(name).await?;
        is_for(&spec, &shared, &agent)?;
        let submission = Submission { agent, spec, bytes, signature, idempotency_key, open_max };
        return one(&shared, &acting, submission).await;
    }
    if spec.job_id.is_some() {
        let reason = "stands for one job; leave it out for several agents".to_owned();
        return Err(SpecError::Field { field: "job_id", reason }.into());
    }
    let submission = GroupSubmission {
        target: match &target {
            Target::Selected(selector) => format!("selector:{selector}"),
            Target::One(_) => String::new(),
            Target::List(names) => {
                let names: Vec<_> = names.iter().map(AgentName::as_str).collect();
                format!("agents:{}", names.join(","))
            }
        },
        spec,
        bytes,
        signature,
        idempotency_key,
        open_max,
    };
    if let Some(group) = shared.store.known_group(&submission).await? {
        return Ok((StatusCode::OK, Json(shown(&shared, group).await?)));
    }
    let agents = resolve(&shared, &target).await?;
    several(&shared, &acting, &agents, submission).await
}

async fn one(
    shared: &Shared,
    acting: &Acting,
    submission: Submission,
) -> Result<(StatusCode, Json<SubmittedView>), Problem> {
    let (id, agent) = (submission.agent.id, submission.agent.name.clone());
    let submitted = acting.store(shared).submit_job(submission, hub_time()).await?;
    let status = match submitted {
        Submitted::New(job) => {
            shared.registry.ring(id);
            tracing::info!(%job, %agent, by = %acting.0.name, "a job was submitted");
            StatusCode::ACCEPTED
        }
        Submitted::Known(_) => StatusCode::OK,
    };
    Ok((status, one_shown(shared, submitted.job()).await?))
}

async fn one_shown(shared: &Shared, job: JobId) -> Result<Json<SubmittedView>, Problem> {
    let row = shared.store.job(job).await?;
    let complete = shared.store.logs_complete(&row).await?;
    Ok(Json(SubmittedView::One(view::job::job(&row, complete))))
}

async fn several(
    shared: &Shared,
    acting: &Acting,
    agents: &[AgentRow],
    submission: GroupSubmission,
) -> Result<(StatusCode, Json<SubmittedView>), Problem> {
    let bytes = submission.bytes.len().saturating_mul(agents.len());
    if agents.len() > limit::JOB_GROUP_MAX || bytes > limit::JOB_GROUP_BYTES_MAX {
        let detail = format!(
            "{} jobs of {} bytes are more than one submission takes: {} jobs and {} bytes in all; submit to fewer agents at once",
            agents.len(),
            submission.bytes.len(),
            limit::JOB_GROUP_MAX,
            limit::JOB_GROUP_BYTES_MAX
        );
        return Err(Problem::new(Kind::TooLarge, detail));
    }
    for agent in agents {
        is_for(&submission.spec, shared, agent)?;
    }
    let submitted = acting.store(shared).submit_group(agents, &submission, hub_time()).await?;
    let group = submitted.group();
    let status = match submitted {
        GroupSubmitted::New(group) => {
            agents.iter().for_each(|agent| shared.registry.ring(agent.id));
            tracing::info!(%group, jobs = agents.len(), by = %acting.0.name, "jobs were submitted");
            StatusCode::ACCEPTED
        }
        GroupSubmitted::Known(_) => StatusCode::OK,
    };
    Ok((status, Json(shown(shared, group).await?)))
}

async fn shown(shared: &Shared, group: GroupId) -> Result<SubmittedView, Problem> {
    let filter = JobFilter { group: Some(group), ..JobFilter::default() };
    let mut page = shared.store.jobs(&filter, limit::JOBS_PAGE_MAX).await?;
    page.jobs.reverse();
    Ok(SubmittedView::Group(GroupView { group: group.to_string(), jobs: views(shared, &page.jobs).await? }))
}

async fn resolve(shared: &Shared, target: &Target) -> Result<Vec<AgentRow>, Problem> {
    let agents = match target {
        Target::Selected(selector) => shared.store.selected_active(selector).await?,
        Target::One(name) => vec![shared.store.agent(name).await?],
        Target::List(names) => {
            let mut agents = Vec::with_capacity(names.len());
            for name in names {
                agents.push(shared.store.agent(name).await?);
            }
            agents
        }
    };
    if agents.is_empty() {
        return Err(Problem::new(Kind::NothingSelected, "the selector means no agent that is not revoked"));
    }
    Ok(agents)
}

/// A spec may name the hub and the agents it is for.
fn is_for(spec: &JobSpec, shared: &Shared, agent: &AgentRow) -> Result<(), SpecError> {
    let wrong = |field: &'static str, reason: String| Err(SpecError::Field { field, reason });
    if let Some(hub) = spec.hub_id
        && hub != shared.store.hub_id()
    {
        return wrong("hub_id", format!("{hub} is another hub; this one is {}", shared.store.hub_id()));
    }
    let id = agent.id.to_string();
    let named = |entry: &String| *entry == id || entry == agent.name.as_str();
    if spec.agents.as_ref().is_some_and(|agents| !agents.iter().any(named)) {
        return wrong("agents", format!("agent `{}` is not among them", agent.name));
    }
    Ok(())
}

fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(KEY) else { return Ok(None) };
    value
        .to_str()
        .ok()
        .filter(|key| (1..=limit::IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len()) && !key.contains('\t'))
        .map(|key| Some(key.to_owned()))
        .ok_or_else(|| {
            let max = limit::IDEMPOTENCY_KEY_BYTES_MAX;
            Problem::bad_request(format!("Idempotency-Key must be 1 to {max} printable ASCII characters"))
        })
}

fn signature(headers: &HeaderMap) -> Result<Option<OperatorSignature>, Problem> {
    let Some(value) = headers.get(SIGNATURE) else { return Ok(None) };
    value
        .to_str()
        .map_err(|_| SignatureTextError)
        .and_then(str::parse)
        .map(Some)
        .map_err(|error| Problem::bad_request(format!("X-Outpost-Signature: {error}")))
}
