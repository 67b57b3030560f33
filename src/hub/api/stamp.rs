//! Every request has an id: the caller's `X-Request-Id` where that is sane, else one of ours. It is in the answer's header,
//! in a problem's body, and on every line that is logged while the request is worked on.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method, Response, StatusCode};
use axum::middleware::Next;
use tracing::Instrument as _;

use crate::limit;
use crate::obs::random;

use super::problem::Problem;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The outermost step of both listeners.
pub(in crate::hub) async fn stamp(request: Request, next: Next) -> Response<Body> {
    let id = id_of(&request);
    let text = id.to_str().unwrap_or_default().to_owned();
    let span = tracing::info_span!("request", id = text);
    let mut response = Problem::stamped(next.run(request).instrument(span).await, &text);
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// OPTIONS asks which methods a path takes. The router says so in the header Allow, with a refusal that is none here, and that
/// must not count as a failure of whoever asks.
pub(super) async fn answer_options(request: Request, next: Next) -> Response<Body> {
    let options = request.method() == Method::OPTIONS;
    let response = next.run(request).await;
    if !options || response.status() != StatusCode::METHOD_NOT_ALLOWED {
        return response;
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

fn id_of(request: &Request) -> HeaderValue {
    let given = request.headers().get(REQUEST_ID).filter(|value| is_sane(value.as_bytes()));
    given.cloned().unwrap_or_else(|| {
        HeaderValue::from_str(&hex::encode(random::bytes::<16>())).unwrap_or(HeaderValue::from_static("-"))
    })
}

/// What goes into logs and answers must not be able to look like anything else in them.
fn is_sane(id: &[u8]) -> bool {
    (1..=limit::REQUEST_ID_BYTES_MAX).contains(&id.len())
        && id.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_taken_over_unless_it_could_forge_a_line() {
        let of = |text: &[u8]| {
            let request = Request::builder().header(REQUEST_ID, HeaderValue::from_bytes(text).unwrap());
            id_of(&request.body(Body::empty()).unwrap())
        };
        assert_eq!(of(b"deploy-17_a.B"), "deploy-17_a.B");
        let longest = [b'x'; limit::REQUEST_ID_BYTES_MAX];
        assert_eq!(of(&longest), HeaderValue::from_bytes(&longest).unwrap());
        for wrong in
            [&b""[..], b"a b", b"a\tlevel=ERROR", b"\xff", &[b'x'; limit::REQUEST_ID_BYTES_MAX + 1], b"a;b"]
        {
            let made = of(wrong);
            assert_eq!(made.len(), 32, "{wrong:?}");
            assert_ne!(made, of(wrong), "each request has its own");
        }
    }
}
