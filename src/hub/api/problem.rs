//! What went wrong, as RFC 9457 has it: `application/problem+json` with a `type` that stays the same, and the request's id.
//!
//! ```json
//! {"type": "urn:outpost:problem:no_job", "title": "There is no such job", "status": 404, "detail": "there is no job ...",
//!  "request_id": "8c0f...", "error": "no_job", "message": "there is no job ..."}
//! ```
//! `error` and `message` are what this API said before it spoke of problems; clients of then go on working. The last step,
//! [`Problem::stamped`], belongs to `stamp`, which knows the request's id.

use std::borrow::Cow;

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse;
use serde_json::json;

use crate::hub::import::ImportError;
use crate::hub::store::{JobError, StoreError};
use crate::job::SpecError;

/// The media type of a problem.
const MEDIA_TYPE: &str = "application/problem+json";

macro_rules! problem_table {
    ($($variant:ident = $code:literal, $status:literal, $title:literal;)*) => {
        /// A kind of problem. A code never changes its meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(in crate::hub) enum Kind {
            $(#[doc = $title] $variant,)*
        }

        impl Kind {
            /// All of them.
            pub(in crate::hub) const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The last part of its type.
            pub(in crate::hub) const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// The HTTP status.
            pub(in crate::hub) const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// What it is in general; `detail` says what it is this time.
            pub(in crate::hub) const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }
        }
    };
}

problem_table! {
    BadRequest = "bad_request", 400, "The request is not as it must be";
    BadSpec = "bad_spec", 400, "The job's spec is not as it must be";
    BadCursor = "bad_cursor", 400, "The cursor is not one that this list gave";
    BadSelector = "bad_selector", 400, "The label selector cannot be read";
    BadBundle = "bad_bundle", 400, "The bundle cannot be read";
    NewerBundle = "newer_bundle", 400, "A newer version wrote the bundle";
    CutOff = "cut_off", 400, "The bundle did not come to its end";
    Unauthorized = "unauthorized", 401, "No good token was shown";
    Forbidden = "forbidden", 403, "The token may not do this";
    NotVerified = "not_verified", 403, "The bundle is not what the agent wrote";
    OtherHub = "other_hub", 403, "The bundle is for another hub";
    UnknownAgent = "unknown_agent", 403, "The bundle is of no agent of this hub";
    KeyUnknown = "key_unknown", 403, "The bundle was made with a key that is gone";
    BundleRevoked = "revoked", 403, "The agent is revoked";
    NotFound = "not_found", 404, "There is nothing at this path";
    NoAgent = "no_agent", 404, "There is no such agent";
    NoJob = "no_job", 404, "There is no such job";
    NoToken = "no_token", 404, "There is no such token";
    MethodNotAllowed = "method_not_allowed", 405, "The path does not take this method";
    Timeout = "timeout", 408, "The request did not come in time";
    JobFinal = "job_final", 409, "The job is over";
    IdempotencyKeyReused = "idempotency_key_reused", 409, "The Idempotency-Key stands for something else";
    JobIdTaken = "job_id_taken", 409, "The job_id stands for something else";
    AgentRevoked = "agent_revoked", 409, "A revoked agent takes no jobs";
    NothingSelected = "nothing_selected", 409, "No agent is selected";
    AgentNotActive = "not_active", 409, "The agent is revoked";
    NameTaken = "name_taken", 409, "The name is taken";
    TooManyTokens = "too_many_tokens", 409, "The hub has as many tokens as it takes";
    TooManyLabels = "too_many_labels", 409, "The agent has as many labels as it may";
    EarlierMissing = "earlier_bundle_missing", 409, "An earlier bundle is missing";
    RolledBack = "rolled_back", 409, "The agent's outbox went back in time";
    TooLarge = "too_large", 413, "The body is too long";
    TooManyJobs = "too_many_jobs", 429, "As many jobs are open as the quota allows";
    RateLimited = "rate_limited", 429, "Too many requests";
    TooManyFollowers = "too_many_followers", 429, "As many logs are followed as the hub serves at once, or one token may";
    Internal = "internal", 500, "The hub failed";
    Store = "store", 503, "The database does not answer now";
    StorageFull = "storage_full", 503, "The hub's disk takes nothing now";
    Busy = "busy", 503, "The hub does not come to it in time";
    GoingAway = "going_away", 503, "The hub is shutting down";
}

/// One problem.
#[derive(Debug, Clone)]
pub(in crate::hub) struct Problem {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    detail: Cow<'static, str>,
}

impl Problem {
    pub(in crate::hub) fn new(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::named(kind.status(), kind.code(), kind.title(), detail)
    }

    /// One of another table: of the wire's errors, or of an enrolment's.
    pub(in crate::hub) fn named(
        status: u16,
        code: &'static str,
        title: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, code, title, detail: detail.into() }
    }

    pub(super) fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::BadRequest, detail)
    }

    /// Its text, with the request's id where that is known.
    fn body(&self, request: Option<&str>) -> Body {
        let mut body = json!({
            "type": format!("urn:outpost:problem:{}", self.code),
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": self.detail,
            "error": self.code,
            "message": self.detail,
        });
        if let (Some(request), Some(body)) = (request, body.as_object_mut()) {
            body.insert("request_id".to_owned(), json!(request));
        }
        Body::from(body.to_string())
    }

    /// The answer that carries a problem, with the request's id in it; any other answer as it is.
    pub(super) fn stamped(mut response: Response<Body>, request: &str) -> Response<Body> {
        if let Some(problem) = response.extensions_mut().remove::<Self>() {
            response.headers_mut().remove(header::CONTENT_LENGTH);
            *response.body_mut() = problem.body(Some(request));
        }
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response<Body> {
        let mut response = Response::new(self.body(None));
        *response.status_mut() = self.status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let kind = match &error {
            StoreError::NoAgent(_) => Kind::NoAgent,
            StoreError::NoToken(_) => Kind::NoToken,
            StoreError::NotActive(_) => Kind::AgentNotActive,
            StoreError::NameTaken(_) | StoreError::TokenNameTaken(_) => Kind::NameTaken,
            StoreError::TooManyTokens(_) => Kind::TooManyTokens,
            StoreError::TooManyLabels { .. } => Kind::TooManyLabels,
            StoreError::NameReserved(_) => Kind::BadRequest,
            other => {
                tracing::error!(error = %other, "the store failed for the API");
                Kind::Store
            }
        };
        Self::new(kind, error.to_string())
    }
}

impl From<JobError> for Problem {
    fn from(error: JobError) -> Self {
        let kind = match error {
            JobError::NoJob(_) => Kind::NoJob,
            JobError::Final { .. } => Kind::JobFinal,
            JobError::KeyReused { .. } | JobError::GroupKeyReused { .. } => Kind::IdempotencyKeyReused,
            JobError::IdTaken(_) => Kind::JobIdTaken,
            JobError::AgentRevoked(_) => Kind::AgentRevoked,
            JobError::TooManyOpen { .. } => Kind::TooManyJobs,
            JobError::Spec(error) => return error.into(),
            JobError::Store(error) => return error.into(),
        };
        Self::new(kind, error.to_string())
    }
}

impl From<SpecError> for Problem {
    fn from(error: SpecError) -> Self {
        let kind = match error {
            SpecError::TooLong { .. } => Kind::TooLarge,
            SpecError::Json(_) | SpecError::Field { .. } => Kind::BadSpec,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<ImportError> for Problem {
    fn from(error: ImportError) -> Self {
        let (status, code) = error.code();
        if status >= 500 {
            tracing::error!(%error, "a bundle could not be taken in");
        }
        let known = Kind::ALL.iter().find(|kind| kind.code() == code && kind.status() == status);
        Self::named(
            status,
            code,
            known.map_or(Kind::BadBundle.title(), |kind| kind.title()),
            error.to_string(),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use axum::body::to_bytes;
    use serde_json::Value;

    use super::*;

    #[test]
    fn every_code_stands_once_and_is_a_failure() {
        let codes: BTreeSet<_> = Kind::ALL.iter().map(|kind| kind.code()).collect();
        assert_eq!(codes.len(), Kind::ALL.len());
        for kind in Kind::ALL {
            assert!((400..600).contains(&kind.status()), "{kind:?}");
            assert!(!kind.title().ends_with('.'), "{kind:?}");
        }
    }

    #[tokio::test]
    async fn an_answer_says_which_request_it_is_for() {
        let response = Problem::new(Kind::NoJob, "there is no job 7").into_response();
        let response = Problem::stamped(response, "r-1");
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert_eq!(response.headers()["content-type"], MEDIA_TYPE);
        let body = to_bytes(response.into_body(), 4096).await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        let expected = json!({"type": "urn:outpost:problem:no_job", "title": "There is no such job", "status": 404,
            "detail": "there is no job 7", "request_id": "r-1", "error": "no_job", "message": "there is no job 7"});
        assert_eq!(body, expected);
    }
}
