//! A request's body, before its handler is asked: whole, up to a bound, and waited for as long as bytes move.
//!
//! What is longer is read and dropped, so that its sender hears why it is refused. Who has a good token is waited for no longer
//! than anybody else.

use axum::body::Body;
use axum::extract::Request;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use serde::Deserialize;

use crate::limit;
use crate::net::meter::Meter;
use crate::net::patience::Patience;

use super::input;
use super::problem::{Kind, Problem};

/// What the body of a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// Nothing, or null, or an object without fields: what clients send that always send something.
    Nothing,
    /// A document, read whole.
    Document {
        /// Its bytes at most.
        bytes_max: usize,
    },
    /// As long as it likes; its handler reads it, and bounds the silence.
    Stream,
}

/// No field is known.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoFields {}

impl Content {
    /// The request with its body in memory, where that is to be there before the handler.
    pub(super) async fn of(
        self,
        request: Request,
        meter: &Meter,
        patience: Patience,
    ) -> Result<Request, Problem> {
        let bytes_max = match self {
            Self::Nothing => limit::NO_CONTENT_BYTES_MAX,
            Self::Document { bytes_max } => bytes_max,
            Self::Stream => return Ok(request),
        };
        let (head, body) = request.into_parts();
        let late = |late| Err(Problem::new(Kind::Timeout, format!("the request is not complete: {late}")));
        let body = patience.wait(meter, read(body, bytes_max)).await.unwrap_or_else(late)?;
        if self == Self::Nothing {
            input::optional_body::<NoFields>(&body)?;
        }
        Ok(Request::from_parts(head, Body::from(body)))
    }
}

async fn read(body: Body, bytes_max: usize) -> Result<Bytes, Problem> {
    let mut stream = body.into_data_stream();
    let mut kept = BytesMut::new();
    let mut bytes = 0usize;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| Problem::bad_request(format!("the body: {error}")))?;
        bytes = bytes.saturating_add(chunk.len());
        if bytes <= bytes_max {
            kept.extend_from_slice(&chunk);
        } else if bytes > limit::REQUEST_DRAIN_BYTES {
            break;
        }
    }
    if bytes > bytes_max {
        let detail = format!("the body has {bytes} bytes or more; the limit is {bytes_max}");
        return Err(Problem::new(Kind::TooLarge, detail));
    }
    Ok(kept.freeze())
}
