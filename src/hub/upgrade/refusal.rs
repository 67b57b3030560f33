//! Why a request of an agent is refused before the upgrade: an HTTP status, and headers that name the row of the error
//! table, the hub's time and when to come back.

use std::borrow::Cow;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Response, header};

use crate::hub::api;
use crate::hub::store::{Denied, StoreError};
use crate::time::{HubTime, millis};
use crate::wire::SUBPROTOCOL;
use crate::wire::error::ErrorCode;

/// A row of the error table and its particulars.
#[derive(Debug)]
pub(in crate::hub) struct Refusal {
    pub(in crate::hub) code: ErrorCode,
    pub(in crate::hub) detail: Cow<'static, str>,
    /// For an agent whose clock is off: what it shall reckon with next time.
    pub(in crate::hub) hub_time: Option<HubTime>,
    /// The floor of the next attempt's delay.
    pub(in crate::hub) retry_after: Option<Duration>,
}

impl Refusal {
    pub(in crate::hub) fn new(code: ErrorCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: detail.into(), hub_time: None, retry_after: None }
    }

    pub(in crate::hub) fn into_response(self) -> Response<Body> {
        let code = self.code;
        let text = format!("{}: {}", code.text(), self.detail);
        let mut response = api::error(code.http_status(), code.name(), text);
        let headers = response.headers_mut();
        headers.insert("x-outpost-error", HeaderValue::from_static(code.name()));
        if let Some(at) = self.hub_time {
            headers.insert(HeaderName::from_static("x-outpost-time"), HeaderValue::from(at.0));
        }
        if let Some(wait) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds(wait));
        }
        if code == ErrorCode::UnsupportedVersion {
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        }
        response
    }
}

/// A wait as a header has it: in whole seconds, upwards, so that nobody comes back before.
pub(in crate::hub) fn seconds(wait: Duration) -> HeaderValue {
    HeaderValue::from(millis(wait).div_ceil(1000))
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        let detail = match denied {
            Denied::UnknownAgent => "no such agent",
            Denied::KeyUnknown => "no such key",
            Denied::Unauthorized => "the bearer's secret is wrong",
            Denied::Revoked => "the agent was revoked",
        };
        Self::new(denied.code(), detail)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        if let StoreError::CannotCommit(_) = error {
            return Self::new(ErrorCode::StorageFull, "the database cannot commit");
        }
        tracing::error!(%error, "the store failed for an agent's request");
        Self::new(ErrorCode::Internal, "the store failed")
    }
}
