//! How the hub is: status, figures, health.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode, header};
use axum::response::IntoResponse as _;
use serde_json::{Value, json};

use crate::hub::live::Live;
use crate::hub::token::Scope;
use crate::hub::{Shared, tls};
use crate::net::monitor::{Readiness, Watched as _};
use crate::obs::exposition;

use super::Answer;
use super::endpoint::{Access, Endpoint, Verb};
use super::refusal::Told;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(Verb::Get, "/healthz", Access::Open, health),
        Endpoint::new(Verb::Get, "/readyz", Access::Open, ready),
        Endpoint::new(Verb::Get, "/metrics", Access::Token(Scope::Read), metrics),
        Endpoint::new(Verb::Get, "/v1/status", Access::Token(Scope::Read), status),
    ]
}

/// The process answers.
#[cfg_attr(test, utoipa::path(get, path = "/healthz", tag = "hub",
    responses((status = 200, description = "ok", body = String, content_type = "text/plain; charset=utf-8"))))]
pub(super) async fn health() -> &'static str {
    "ok\n"
}

/// Whether the database commits.
#[cfg_attr(test, utoipa::path(get, path = "/readyz", tag = "hub",
    responses((status = 200, description = "it does", body = Value),
        (status = 503, description = "it does not, or the hub stops", body = Value))))]
pub(super) async fn ready(State(shared): State<Arc<Shared>>) -> Response<Body> {
    match shared.readiness().await {
        Readiness::Ready(body) => Json(body).into_response(),
        Readiness::NotReady(body) => {
            let mut response = (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response();
            response.extensions_mut().insert(Told);
            response
        }
    }
}

/// Figures in Prometheus' text format; docs/metrics.md names them.
#[cfg_attr(test, utoipa::path(get, path = "/metrics", tag = "hub",
    responses((status = 200, description = "the page", body = String, content_type = "text/plain; version=0.0.4"))))]
pub(super) async fn metrics(State(shared): State<Arc<Shared>>) -> Response<Body> {
    let page = shared.page().await.into_text();
    ([(header::CONTENT_TYPE, exposition::CONTENT_TYPE)], page).into_response()
}

/// Version, sessions, counters.
#[cfg_attr(test, utoipa::path(get, path = "/v1/status", tag = "hub",
    responses((status = 200, description = "how the hub is", body = Value))))]
pub(super) async fn status(State(shared): State<Arc<Shared>>) -> Answer<Value> {
    Ok(Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "commit": env!("OUTPOST_COMMIT"),
        "hub_id": shared.store.hub_id().to_string(),
        "sessions": shared.registry.len(),
        "counters": shared.counters.to_json(),
        "tls": shared.tls.as_deref().map(tls::to_json),
        "admission": shared.admission.to_json(),
        "live": shared.live.as_ref().map(Live::status),
        "job_orphans": shared.store.job_orphans().await?,
    })))
}
