//! Refusals that no handler of ours wrote (a wrong method, a body that is too long, a path that is no UTF-8), as problems.

use axum::body::{Body, to_bytes};
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse as _;

use super::problem::{Kind, Problem};

/// What such a refusal says is a line.
const TEXT_BYTES_MAX: usize = 4096;

/// The same answer, as a problem where it is a refusal that is none yet.
pub(super) async fn as_problem(response: Response<Body>) -> Response<Body> {
    let status = response.status();
    let ours =
        response.extensions().get::<Problem>().is_some() || response.extensions().get::<Told>().is_some();
    if ours || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let said = to_bytes(response.into_body(), TEXT_BYTES_MAX).await.unwrap_or_default();
    let said = String::from_utf8_lossy(&said).into_owned();
    let (kind, detail) = match status {
        // axum names the methods on the outside of this.
        StatusCode::METHOD_NOT_ALLOWED => (
            Kind::MethodNotAllowed,
            "this path does not take the method; header Allow has those it takes".to_owned(),
        ),
        StatusCode::PAYLOAD_TOO_LARGE => {
            (Kind::TooLarge, "the body is longer than the API takes (2 MiB)".to_owned())
        }
        other if other.is_client_error() => (Kind::BadRequest, said),
        _ => (Kind::Internal, said),
    };
    Problem::new(kind, detail).into_response()
}

/// Marks an answer with a status of failure that says all there is to say in a form of its own: `/readyz`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told;
