//! The HTTP API: JSON, a token as bearer, refusals as problems (RFC 9457).
//!
//! `endpoints` is all of it: the router is made of that list, and `docs/openapi.json`, which this serves, is made of the same
//! handlers and held against it by a test. `/healthz` (the process answers) and `/readyz` (the database commits) ask for no
//! token; `/metrics` does, as it is for those who have no listener of their own for it.

mod agents;
mod apps;
mod bundles;
mod content;
mod cursor;
mod endpoint;
mod events;
mod identity;
mod input;
mod jobs;
mod openapi;
pub(super) mod problem;
mod refusal;
pub(super) mod stamp;
mod state;
mod streams;
mod tokens;

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::http::Response;
use axum::middleware::{from_fn, map_response};
use axum::response::IntoResponse;

use super::Shared;
use endpoint::Endpoint;
use problem::{Kind, Problem};

/// An answer of the API.
type Answer<T> = Result<Json<T>, Problem>;

/// All of the API.
fn endpoints() -> Vec<Endpoint> {
    let mut all = state::endpoints();
    all.extend(agents::endpoints());
    all.extend(identity::endpoints());
    all.extend(jobs::endpoints());
    all.extend(apps::endpoints());
    all.extend(bundles::endpoints());
    all.extend(tokens::endpoints());
    all.extend(streams::endpoints());
    all.extend(openapi::endpoints());
    all
}

pub(super) fn router(shared: &Arc<Shared>) -> Router {
    endpoints()
        .into_iter()
        .fold(Router::new(), |router, endpoint| endpoint.add_to(router, shared))
        .layer(map_response(refusal::as_problem))
        .layer(from_fn(stamp::answer_options))
        .with_state(Arc::clone(shared))
}

/// An answer that says what went wrong, by a name of another table than the API's own.
pub(super) fn error(status: u16, name: &'static str, message: String) -> Response<Body> {
    let known = Kind::ALL.iter().find(|kind| kind.code() == name);
    let title = known.map_or("The agent's request was refused", |kind| kind.title());
    Problem::named(status, name, title, message).into_response()
}

pub(super) async fn not_found() -> Response<Body> {
    Problem::new(Kind::NotFound, "there is nothing at this path").into_response()
}
