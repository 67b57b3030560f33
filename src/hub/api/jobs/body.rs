//! A request's body, up to a limit. What is longer is read and dropped, so that its sender hears why it is refused.

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;

use crate::hub::api::Failure;
use crate::job::SpecError;
use crate::limit;

pub(super) async fn spec(body: Body) -> Result<Bytes, Failure> {
    let mut stream = body.into_data_stream();
    let mut kept = BytesMut::new();
    let mut bytes = 0usize;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| Failure::bad_request(format!("the body: {error}")))?;
        bytes = bytes.saturating_add(chunk.len());
        if bytes <= limit::JOB_SPEC_BYTES_MAX {
            kept.extend_from_slice(&chunk);
        } else if bytes > limit::REQUEST_DRAIN_BYTES {
            break;
        }
    }
    if bytes > limit::JOB_SPEC_BYTES_MAX {
        return Err(SpecError::TooLong { bytes }.into());
    }
    Ok(kept.freeze())
}
