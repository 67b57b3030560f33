//! Tokens for Outpost's own streams. The streams themselves are at `/ws`, which is no endpoint of this API (`live/own`).

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Response, header};
use axum::response::IntoResponse as _;
use bytes::Bytes;
use serde::Deserialize;

use crate::hub::Shared;
use crate::hub::live::{Selling, Stream, Topic};
use crate::hub::token::Scope;
use crate::hub::view::StreamToken;
use crate::limit;

use super::endpoint::{Access, Acting, Endpoint, Verb};
use super::input::body;
use super::problem::{Kind, Problem};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![Endpoint::new(Verb::Post, "/v1/streams/token", Access::Token(Scope::Read), token).with_document()]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(super) struct StreamWanted {
    /// `agent.<id>`, `job.<id>`, `job.<id>.logs` or `fleet`.
    #[cfg_attr(
        test,
        schema(
            pattern = "^(fleet|agent\\.[0-9a-f]{32}|job\\.[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(\\.logs)?)$"
        )
    )]
    topic: String,
    /// Seconds that it is good, at most 86400; where absent, 3600.
    #[cfg_attr(test, schema(minimum = 1, maximum = 86400))]
    ttl_s: Option<u64>,
}

/// A token with which one live stream may be read, no longer than the token that asks for it is good.
#[cfg_attr(test, utoipa::path(post, path = "/v1/streams/token", request_body = StreamWanted, tag = "streams",
    responses((status = 200, description = "the only copy of it", body = StreamToken),
        (status = 400, description = "bad_request"), (status = 404, description = "no_agent, no_job"),
        (status = 413, description = "too_large"))))]
pub(super) async fn token(
    State(shared): State<Arc<Shared>>,
    acting: Acting,
    bytes: Bytes,
) -> Result<Response<Body>, Problem> {
    let wanted: StreamWanted = body(&bytes)?;
    let topic: Topic =
        wanted.topic.parse().map_err(|error| Problem::bad_request(format!("topic: {error}")))?;
    check_there(&shared, &topic).await?;
    let most = limit::STREAM_TOKEN_TTL_MAX;
    let ttl = wanted.ttl_s.map_or(limit::STREAM_TOKEN_TTL, Duration::from_secs);
    if ttl.is_zero() || ttl > most {
        return Err(Problem::bad_request(format!("ttl_s must be 1 to {}", most.as_secs())));
    }
    let selling = Selling { topic: &topic, buyer: &acting.0, ttl };
    let (token, expires_at) =
        selling.mint(&shared).map_err(|error| Problem::new(Kind::Internal, error.to_string()))?;
    let view = StreamToken { token, topic: topic.as_str().to_owned(), expires_ms: expires_at.0 };
    let mut response = Json(view).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Whether there is anything that the stream could tell of.
async fn check_there(shared: &Shared, topic: &Topic) -> Result<(), Problem> {
    let wrong = || {
        Problem::bad_request(
            "topic: must be agent.<id>, job.<id>, job.<id>.logs or fleet; ids as the API has them",
        )
    };
    match Stream::of(topic).ok_or_else(wrong)? {
        Stream::Fleet => {}
        Stream::Agent(id) => {
            let unknown = || Problem::new(Kind::NoAgent, format!("there is no agent with the id {id}"));
            shared.store.agent_with_id(id).await?.ok_or_else(unknown)?;
        }
        Stream::Job(job) | Stream::JobLogs(job) => {
            shared.store.agent_of_job(job).await?;
        }
    }
    Ok(())
}
