//! `POST /v1/jobs?agent=NAME`: the body is the job's spec, kept as it comes.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use crate::hub::api::{Failure, name};
use crate::hub::store::{AgentRow, Submission, Submitted};
use crate::hub::{Shared, view};
use crate::job::{JobSpec, SpecError};
use crate::limit;
use crate::wire::operator::{OperatorSignature, SignatureTextError};

use super::{body, hub_time, query};

const KEY: &str = "idempotency-key";
/// Carries an operator's signature over the body.
const SIGNATURE: &str = "x-outpost-signature";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SubmitQuery {
    agent: String,
}

/// 202 once a new job is durable, 200 where it was taken in before.
pub(super) async fn submit(
    State(shared): State<Arc<Shared>>,
    parameters: Result<Query<SubmitQuery>, QueryRejection>,
    headers: HeaderMap,
    content: Body,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let bytes = body::spec(content).await?;
    let agent = shared.store.agent(&name(&query(parameters)?.agent)?).await?;
    let spec = JobSpec::parse(&bytes)?;
    is_for(&spec, &shared, &agent)?;
    let (id, agent_name) = (agent.id, agent.name.clone());
    let open_max = shared.quota.open_jobs_max();
    let (signature, idempotency_key) = (signature(&headers)?, key(&headers)?);
    let submission = Submission { agent, spec, bytes, signature, idempotency_key, open_max };
    let submitted = shared.store.submit_job(submission, hub_time()).await?;
    let status = match submitted {
        Submitted::New(job) => {
            shared.registry.ring(id);
            tracing::info!(%job, agent = %agent_name, "a job was submitted");
            StatusCode::ACCEPTED
        }
        Submitted::Known(_) => StatusCode::OK,
    };
    let row = shared.store.job(submitted.job()).await?;
    let complete = shared.store.logs_complete(&row).await?;
    Ok((status, Json(view::job::job(&row, complete))))
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

fn key(headers: &HeaderMap) -> Result<Option<String>, Failure> {
    let Some(value) = headers.get(KEY) else { return Ok(None) };
    value
        .to_str()
        .ok()
        .filter(|key| (1..=limit::IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len()) && !key.contains('\t'))
        .map(|key| Some(key.to_owned()))
        .ok_or_else(|| {
            let max = limit::IDEMPOTENCY_KEY_BYTES_MAX;
            Failure::bad_request(format!("Idempotency-Key must be 1 to {max} printable ASCII characters"))
        })
}

fn signature(headers: &HeaderMap) -> Result<Option<OperatorSignature>, Failure> {
    let Some(value) = headers.get(SIGNATURE) else { return Ok(None) };
    value
        .to_str()
        .map_err(|_| SignatureTextError)
        .and_then(str::parse)
        .map(Some)
        .map_err(|error| Failure::bad_request(format!("X-Outpost-Signature: {error}")))
}
