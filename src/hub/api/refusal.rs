//! Refusals that no handler of ours wrote (a wrong method, a body that is too long, a path that is no UTF-8), in the
//! API's form.

use axum::body::{Body, to_bytes};
use axum::http::{Response, StatusCode, header};

/// What such a refusal says is a line.
const TEXT_BYTES_MAX: usize = 4096;

/// The same answer, as `{"error", "message"}` where it is a refusal that is not JSON yet.
pub(super) async fn as_json(response: Response<Body>) -> Response<Body> {
    let status = response.status();
    let json = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/json"));
    if json || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let said = to_bytes(response.into_body(), TEXT_BYTES_MAX).await.unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    let (name, message) = match status {
        // axum names the methods on the outside of this.
        StatusCode::METHOD_NOT_ALLOWED => (
            "method_not_allowed",
            "this path does not take the method; header Allow has those it takes".to_owned(),
        ),
        StatusCode::PAYLOAD_TOO_LARGE => {
            ("too_large", "the body is longer than the API takes (2 MiB)".to_owned())
        }
        other if other.is_client_error() => ("bad_request", said.into_owned()),
        _ => ("internal", said.into_owned()),
    };
    super::error(status.as_u16(), name, &message)
}
