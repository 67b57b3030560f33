//! The public listener: `/ws?topic=T`. What can be refused is refused before the upgrade, in this order: path (404), method
//! (405), topic missing (400) or unknown (404), origin (403), the upgrade itself (400), room (503).

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::hub::Shared;
use crate::limit;
use crate::net::meter::Metered;
use crate::net::stream::Stream;
use crate::net::tls::server::{ClientCertificate, ServerTls};

use super::audience::Form;
use super::broker::Broker;
use super::client::{Client, Hall};
use super::entrance::{Host, Seat};
use super::label::Label;
use super::own;
use super::standing::Standing;
use super::topic::{Owner, Topic};
use super::upgrade::{self, ADDRESS_HEADER, Refusal, first_of};

/// The one path.
pub(in crate::hub) const PATH: &str = "/ws";

/// Who lets subscribers in.
pub(super) struct Door {
    pub(super) broker: Arc<Broker>,
    pub(super) tls: Option<Arc<ServerTls>>,
    pub(super) stop: CancellationToken,
    /// Of the hub that this broker is a part of: its own streams are here, too.
    pub(super) hub: Option<Arc<Shared>>,
}

/// A request that may become a subscriber.
struct Wanted {
    topic: Topic,
    hall: Hall,
    /// The answer to `Sec-WebSocket-Key`.
    accept: String,
}

impl Host for Door {
    async fn receive(&self, stream: TcpStream, address: SocketAddr, seat: Seat) {
        let stream = Metered::new(stream);
        let stream = match &self.tls {
            None => Stream::Plain(stream),
            Some(tls) => {
                let accepting = tls.accept(stream, ClientCertificate::NotAsked);
                match tokio::time::timeout(limit::HANDSHAKE_TIMEOUT, accepting).await {
                    Ok(Ok(stream)) => stream,
                    Ok(Err(error)) => {
                        tracing::debug!(%address, %error, "a TLS handshake of a subscriber failed");
                        return;
                    }
                    Err(_late) => return,
                }
            }
        };
        let service =
            service_fn(|request| async { Ok::<_, Infallible>(self.answer(request, address, &seat).await) });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limit::HANDSHAKE_TIMEOUT)
            .max_header_size(limit::REQUEST_HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        if let Err(error) = connection.await {
            tracing::debug!(%error, %address, "a subscriber's connection ended");
        }
    }
}

impl Door {
    async fn answer(
        &self,
        mut request: Request<Incoming>,
        address: SocketAddr,
        seat: &Seat,
    ) -> Response<Full<Bytes>> {
        let client = request.headers().get(ADDRESS_HEADER);
        let client = client.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let wanted = match self.judge(request.method(), request.uri(), request.headers()).await {
            Ok(wanted) => wanted,
            Err(refusal) => {
                let client = client.as_deref().map(Label).map(tracing::field::display);
                tracing::debug!(%address, client, refusal = refusal.1, "a subscriber was not let in");
                return refusal.to_response();
            }
        };
        let Some(upgrade) = request.extensions_mut().remove::<OnUpgrade>() else {
            return Refusal::BAD_REQUEST.to_response();
        };
        let Wanted { topic, hall, accept } = wanted;
        let (standing, stop) = (Standing::Seat(seat.clone()), self.stop.clone());
        seat.spawn(async move {
            if let Some(socket) = upgrade::socket(upgrade, &standing, &stop).await {
                let address = address.ip();
                Client { hall, topic, address, client, standing, stop }.serve(socket).await;
            }
        });
        upgrade::switching(&accept)
    }

    async fn judge(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Wanted, Refusal> {
        if uri.path() != PATH {
            return Err(Refusal::NOT_FOUND);
        }
        if *method != Method::GET {
            return Err(Refusal::METHOD);
        }
        let topic = first_of(uri, "topic").ok_or(Refusal::NO_TOPIC)?;
        let topic: Topic = topic.parse().map_err(|_| Refusal::UNKNOWN)?;
        let (hall, room) = match (&self.hub, topic.owner()) {
            (Some(hub), Owner::Outpost) => {
                let wanted = own::Wanted::of(hub, &topic, first_of(uri, "after").as_deref())?;
                let room = wanted.has_room();
                (Hall::Own(Box::new(wanted)), room)
            }
            (None, Owner::Outpost) | (_, Owner::Workers | Owner::Broker) => {
                let access = self.broker.access(&topic).await.map_err(|_| Refusal::UNKNOWN)?;
                let numbered = first_of(uri, "offsets").is_some_and(|value| value == "1");
                let form = if numbered { Form::Numbered } else { Form::Plain };
                (Hall::Broker { broker: Arc::clone(&self.broker), access, form }, self.broker.has_room())
            }
        };
        if !upgrade::takes_origin(self.broker.origins(), headers) {
            return Err(Refusal::FORBIDDEN);
        }
        let accept = upgrade::accept(method, headers)?;
        if !room {
            return Err(Refusal::FULL);
        }
        Ok(Wanted { topic, hall, accept })
    }
}
