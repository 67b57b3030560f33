//! `/ws` at the hub's listener of the API: own streams without a broker. Judged as at the broker's public listener.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{ConnectInfo, State};
use axum::http::{Request, Response};
use hyper::upgrade::OnUpgrade;

use crate::hub::Shared;
use crate::hub::admission::Place;
use crate::hub::live::Topic;
use crate::hub::live::client::{Client, Hall};
use crate::hub::live::standing::Standing;
use crate::hub::live::topic::Owner;
use crate::hub::live::upgrade::{self, Refusal, first_of};

use super::follower::Wanted;

/// Lets a subscriber in.
pub(in crate::hub) async fn connect(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    Extension(place): Extension<Place>,
    mut request: Request<Body>,
) -> Response<Body> {
    let (topic, wanted, accept) = match judge(&shared, &request) {
        Ok(judged) => judged,
        Err(refusal) => {
            tracing::debug!(%address, refusal = refusal.1, "a subscriber was not let in");
            return refusal.to_response().map(Body::new);
        }
    };
    let Some(upgrade) = request.extensions_mut().remove::<OnUpgrade>() else {
        return Refusal::BAD_REQUEST.to_response().map(Body::new);
    };
    let (stop, tasks) = (shared.stop.clone(), shared.tasks.clone());
    let standing = Standing::Place { place, shared, address: address.ip() };
    tasks.spawn(async move {
        if let Some(socket) = upgrade::socket(upgrade, &standing, &stop).await {
            let (hall, address) = (Hall::Own(Box::new(wanted)), address.ip());
            Client { hall, topic, address, client: None, standing, stop }.serve(socket).await;
        }
    });
    upgrade::switching(&accept).map(Body::new)
}

fn judge(shared: &Arc<Shared>, request: &Request<Body>) -> Result<(Topic, Wanted, String), Refusal> {
    let (method, uri, headers) = (request.method(), request.uri(), request.headers());
    if *method != axum::http::Method::GET {
        return Err(Refusal::METHOD);
    }
    let topic = first_of(uri, "topic").ok_or(Refusal::NO_TOPIC)?;
    let topic: Topic = topic.parse().map_err(|_| Refusal::UNKNOWN)?;
    if topic.owner() != Owner::Outpost {
        return Err(Refusal::UNKNOWN);
    }
    let wanted = Wanted::of(shared, &topic, first_of(uri, "after").as_deref())?;
    let origins = shared.config.live.as_ref().map_or(&[][..], |live| &live.origins);
    if !upgrade::takes_origin(origins, headers) {
        return Err(Refusal::FORBIDDEN);
    }
    let accept = upgrade::accept(method, headers)?;
    if !wanted.has_room() {
        return Err(Refusal::FULL);
    }
    Ok((topic, wanted, accept))
}
