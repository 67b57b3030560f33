//! What every request passes before it is looked at: where it comes from, whether that address failed too often, and how
//! long it may take while nobody has proved anything. Afterwards: whether it failed, and when to come back.
//!
//! Who shows a good token of the API is known from here on ([`Caller`]) and is held up by nothing here; the agents that registered lately pass
//! though their address is barred, with their bearer or with a token it bought.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, HttpBody as _};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::middleware::Next;

use crate::hub::socket::Channel;
use crate::hub::upgrade::{Refusal, seconds};
use crate::hub::{Shared, api, bearer, hub_time};
use crate::id::AgentId;
use crate::net::patience::Late;
use crate::wire::error::ErrorCode;
use crate::wire::key::Bearer;

use super::{Admission, Place};

/// The header with the client's address that proxies write.
const FORWARDED: &str = "x-forwarded-for";

/// Everything that comes in at a listener comes through here.
pub(in crate::hub) async fn pass(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Extension(place): Extension<Place>,
    Extension(channel): Extension<Channel>,
    mut request: Request,
    next: Next,
) -> Response<Body> {
    let admission = &shared.admission;
    place.note_request();
    let forwarded = request.headers().get_all(FORWARDED).iter().map(HeaderValue::as_bytes);
    let client = admission.client(peer, forwarded);
    request.extensions_mut().insert(ConnectInfo(client));
    let presented = bearer::presented(request.headers());
    if let Some(caller) = presented.and_then(|text| shared.callers.who(text, hub_time())) {
        place.prove();
        request.extensions_mut().insert(caller);
        let mut response = next.run(request).await;
        say_when(&mut response, admission);
        return response;
    }
    if let Some(wait) = admission.barred_for(client.ip())
        && !presented.is_some_and(|text| is_familiar(&shared, text))
    {
        shared.counters.keep_out(ErrorCode::RateLimited);
        tracing::debug!(address = %client, "an address failed too often and is not listened to for now");
        let detail = "this address failed too often";
        return Refusal { retry_after: Some(wait), ..Refusal::new(ErrorCode::RateLimited, detail) }
            .into_response();
    }
    let (is_whole, most) = (request.body().is_end_stream(), admission.auth_timeout());
    let answer = next.run(request);
    let mut response = if is_whole {
        tokio::time::timeout(most, answer).await.unwrap_or_else(|_| hub_is_late(most))
    } else {
        admission.patience().wait(&channel.meter, answer).await.unwrap_or_else(body_is_late)
    };
    if is_failure(response.status()) {
        admission.note_failure(client.ip());
    }
    say_when(&mut response, admission);
    response
}

/// Whether an agent that registered lately asks, as far as one can tell without the database: a bearer only names it and
/// is still to be checked, a token is genuine.
fn is_familiar(shared: &Shared, presented: &str) -> bool {
    agent_of(shared, presented).is_some_and(|agent| shared.admission.is_familiar(agent))
}

fn agent_of(shared: &Shared, presented: &str) -> Option<AgentId> {
    if let Ok(bearer) = presented.parse::<Bearer>() {
        return Some(bearer.agent_id);
    }
    shared.jwt.verify(presented, hub_time()).ok().map(|claims| claims.agent_id)
}

/// The answer to a request that was there in whole and not answered in time. A slow hub is nobody's failure: a fleet behind one
/// address would have to pay for it.
fn hub_is_late(most: Duration) -> Response<Body> {
    let seconds = most.as_secs();
    tracing::warn!(seconds, "the hub did not come to an answer in time");
    let detail = format!("the hub did not come to an answer within {seconds} s");
    Refusal::new(ErrorCode::Busy, detail).into_response()
}

/// The answer to one whose body did not come.
fn body_is_late(late: Late) -> Response<Body> {
    api::error(408, "timeout", format!("the request is not complete: {late}"))
}

/// What one does not get by doing everything right. A hub without room is nobody's failure.
fn is_failure(status: StatusCode) -> bool {
    status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS
}

/// A hub without room says when to come back, each time another time.
fn say_when(response: &mut Response<Body>, admission: &Admission) {
    let busy = matches!(response.status(), StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS);
    if busy && !response.headers().contains_key(header::RETRY_AFTER) {
        response.headers_mut().insert(header::RETRY_AFTER, seconds(admission.turn()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asked_in_whole_does_not_pay_for_a_hub_that_is_slow() {
        let most = Duration::from_secs(10);
        let (hub, body) = (hub_is_late(most).status(), body_is_late(Late::Silence(most)).status());
        assert_eq!((hub, is_failure(hub)), (StatusCode::SERVICE_UNAVAILABLE, false));
        assert_eq!((body, is_failure(body)), (StatusCode::REQUEST_TIMEOUT, true));
    }

    #[test]
    fn what_went_wrong_is_told_from_what_there_was_no_room_for() {
        for status in [400, 401, 403, 404, 405, 408, 413, 426] {
            assert!(is_failure(StatusCode::from_u16(status).unwrap()), "{status}");
        }
        for status in [101, 200, 202, 429, 500, 503] {
            assert!(!is_failure(StatusCode::from_u16(status).unwrap()), "{status}");
        }
    }
}
