//! What requests bring: queries, bodies and names, and what is said of those that are not as they must be.

use std::time::Duration;

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::id::{AgentName, ParseIdError};
use crate::time::millis;
use crate::wire::message::SignatureMode;

use super::problem::Problem;

/// A query as it was parsed, or why it was not.
pub(super) type Asked<T> = Result<Query<T>, QueryRejection>;

pub(super) fn query<T>(query: Asked<T>) -> Result<T, Problem> {
    query.map(|Query(query)| query).map_err(|error| Problem::bad_request(error.body_text()))
}

/// The fields of a body. A list is no object, though the parser would take its entries for the fields.
pub(super) fn body<T: DeserializeOwned>(body: &Bytes) -> Result<T, Problem> {
    if body.trim_ascii_start().first() == Some(&b'[') {
        return Err(Problem::bad_request("the body: a list, expected an object"));
    }
    serde_json::from_slice(body).map_err(|error| Problem::bad_request(format!("the body: {error}")))
}

/// The fields of a body; none at all and null are as good as none given.
pub(super) fn optional_body<T: DeserializeOwned + Default>(bytes: &Bytes) -> Result<T, Problem> {
    if bytes.is_empty() { Ok(T::default()) } else { body::<Option<T>>(bytes).map(Option::unwrap_or_default) }
}

/// A duration of 1 ms to `max`.
pub(super) fn within(
    field: &str,
    given_ms: Option<u64>,
    default: Duration,
    max: Duration,
) -> Result<Duration, Problem> {
    let asked = given_ms.map_or(default, Duration::from_millis);
    if asked.is_zero() || asked > max {
        return Err(Problem::bad_request(format!("{field} must be 1 to {}", millis(max))));
    }
    Ok(asked)
}

/// How many entries a page has at most: as many as were asked for, up to `max`.
pub(super) fn count(asked: Option<u32>, default: u32, max: u32) -> Result<u32, Problem> {
    match asked {
        Some(0) => Err(Problem::bad_request("limit must be 1 or more")),
        asked => Ok(asked.unwrap_or(default).min(max)),
    }
}

pub(super) fn signature(text: &str) -> Result<SignatureMode, Problem> {
    SignatureMode::from_name(text)
        .ok_or_else(|| Problem::bad_request("signature must be none, optional or required"))
}

pub(super) fn name(text: &str) -> Result<AgentName, Problem> {
    text.parse().map_err(refused)
}

pub(super) fn refused(error: ParseIdError) -> Problem {
    Problem::bad_request(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_as_many_entries_as_were_asked_for_up_to_its_bound() {
        for (asked, expected) in [(None, 5), (Some(1), 1), (Some(9), 9), (Some(10), 9), (Some(u32::MAX), 9)] {
            assert_eq!(count(asked, 5, 9).unwrap(), expected, "{asked:?}");
        }
        assert_eq!(count(None, 10, 9).unwrap(), 9);
        assert!(count(Some(0), 5, 9).is_err());
    }
}
