//! `GET /v1/openapi.json`: what this API is, as OpenAPI 3.1.
//!
//! The document is `docs/openapi.json`. It is made out of the handlers, the views and the endpoints' table by a test, which fails
//! where the file is not what the code says (`OUTPOST_WRITE_OPENAPI=1` writes it). So nothing that makes it is in the binary, and
//! a change of the API shows in the diff. It asks for no token: it says nothing of this hub.

#[cfg(test)]
mod document;
#[cfg(test)]
mod tests;

use axum::http::header;
use axum::response::IntoResponse;

use super::endpoint::{Access, Endpoint, Verb};

#[cfg(test)]
pub(super) use document::{AppLogEvent, LogEvent, Spec};

const DOCUMENT: &str = include_str!("../../../docs/openapi.json");

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![Endpoint::new(Verb::Get, "/v1/openapi.json", Access::Open, openapi)]
}

/// This document.
#[cfg_attr(test, utoipa::path(get, path = "/v1/openapi.json", tag = "hub",
    responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value))))]
pub(super) async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT)
}
