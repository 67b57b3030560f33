//! A no to an upgrade or a request, of a hub or of whoever stands in its place.

use std::time::Duration;

use crate::net::answer::Head;
use crate::net::dial::Route;
use crate::time::HubTime;
use crate::wire::error::ErrorCode;

use super::{ERROR_HEADER, TIME_HEADER};

/// An HTTP answer other than 101. Unverified.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", match code {
    Some(code) => format!("the hub refused with HTTP {status}, {code}"),
    None => format!("whoever answers at {by} refused with HTTP {status}; {}", advice(*status)),
})]
pub struct Refusal {
    /// Host and port that were asked.
    pub by: String,
    /// The HTTP status.
    pub status: u16,
    /// The entry of the error table that `X-Outpost-Error` names.
    pub code: Option<ErrorCode>,
    /// `Retry-After`.
    pub retry_after: Option<Duration>,
    /// `X-Outpost-Time`.
    pub hub_time: Option<HubTime>,
}

impl Refusal {
    /// What this answer says; what is not understood counts as missing.
    pub(in crate::net) fn of(route: &Route, head: &Head<'_>) -> Self {
        Self::read(route, head.status, |name| head.text(name))
    }

    /// From the status and the headers' texts by their names.
    pub(in crate::net) fn read<'a>(
        route: &Route,
        status: u16,
        text: impl Fn(&'static str) -> Option<&'a str>,
    ) -> Self {
        let number = |name| text(name).and_then(|text| text.trim().parse().ok());
        Self {
            by: route.to_string(),
            status,
            code: text(ERROR_HEADER).and_then(ErrorCode::from_name),
            retry_after: number("retry-after").map(Duration::from_secs),
            hub_time: number(TIME_HEADER).map(HubTime),
        }
    }
}

/// What to do where no hub said why.
const fn advice(status: u16) -> &'static str {
    match status {
        404 | 405 | 410 => "check the path in the hub's URL",
        401 | 403 | 407 => {
            "a proxy, gateway or portal on the way may have answered: ask who runs it to let agents through"
        }
        429 => "it wants to be asked less often",
        502..=504 => {
            "what stands before the hub does not reach it: look at the hub, and at the gateway's log"
        }
        _ => "does the URL lead to an Outpost hub?",
    }
}
