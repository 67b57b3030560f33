//! Dialling a hub: where its bytes go, and a connection there.

mod error;
pub(super) mod race;
pub(super) mod resolve;

use std::net::SocketAddr;

use rustls::pki_types::CertificateDer;
use tokio::net::TcpStream;

use crate::limit;

use super::meter::{Meter, Metered};
use super::options;
use super::patience::Patience;
use super::proxy::{Proxies, ProxyError, tunnel};
use super::stream::Stream;
use super::tls::client::{ClientTls, Misfit, OwnCertificate, Secured, TlsError};
use super::tls::trust::Trust;
pub use error::DialError;
pub use race::Tried;
pub use resolve::{LookupError, Resolver};

/// How long each step of making a connection ready may take: proxy, TLS, upgrade.
pub(super) const PATIENCE: Patience =
    Patience { silence: limit::DIAL_STALL_TIMEOUT, whole: limit::DIAL_STEP_MAX };

/// Where bytes go, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Host name or address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Who may read them on the way.
    pub security: Security,
}

/// Whether TLS is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// It is not.
    Plain,
    /// It is.
    Tls,
}

/// Where to dial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Where its bytes go.
    pub route: Route,
    /// `ws://host:port/path` of the upgrade; `wss` over TLS.
    pub connect_url: String,
}

/// Makes connections; what they have in common.
#[derive(Debug, Clone, Default)]
pub struct Dialer {
    /// `None`: only plain routes can be dialled.
    pub tls: Option<ClientTls>,
    /// Which routes lead through a proxy.
    pub proxies: Proxies,
    /// Who knows the addresses.
    pub resolver: Resolver,
    /// Adds up the bytes of all its connections.
    pub traffic: Meter,
}

/// A connection to whoever answers at a route.
#[derive(Debug)]
pub struct Connected {
    /// The bytes.
    pub stream: Stream,
    /// How far the other end is believed.
    pub trust: Trust,
    /// Whether it wanted a certificate of this side.
    pub own: OwnCertificate,
    /// The authority that vouched for it, where the invite's hash named it.
    pub authority: Option<CertificateDer<'static>>,
}

impl Connected {
    const fn plain(stream: Metered<TcpStream>) -> Self {
        let (trust, own) = (Trust::Plain, OwnCertificate::NotAsked);
        Self { stream: Stream::Plain(stream), trust, own, authority: None }
    }

    /// The same for what must not pass before the time is known: credentials outside of a session, enrolment.
    ///
    /// # Errors
    /// [`TlsError::Provisional`] where the certificate is good at another time only.
    pub fn settled(self, host: &str) -> Result<Self, DialError> {
        match self.trust {
            Trust::Plain | Trust::Settled(_) => Ok(self),
            Trust::Provisional { valid, present } => {
                let (host, misfit) = (host.to_owned(), Misfit { valid, present });
                Err(TlsError::Provisional { host, misfit }.into())
            }
        }
    }
}

impl From<Secured> for Connected {
    fn from(secured: Secured) -> Self {
        let Secured { stream, trust, own, authority } = secured;
        Self { stream, trust, own, authority }
    }
}

impl Dialer {
    /// Connects: through a proxy where one is set for this route, over TLS where the route says so.
    ///
    /// Bounded: [`limit::LOOKUP_TIMEOUT`] for the name, [`limit::CONNECT_TIMEOUT`] for each address, a stagger apart, and
    /// [`limit::DIAL_STEP_MAX`] each for proxy and TLS, of which [`limit::DIAL_STALL_TIMEOUT`] without a byte moved.
    ///
    /// # Errors
    /// See [`DialError`].
    pub async fn connect(&self, route: &Route) -> Result<Connected, DialError> {
        let stream = match self.proxies.of(route)? {
            Some(proxy) => {
                let away = |source| ProxyError::Away { proxy: proxy.name(), source: Box::new(source) };
                let mut stream = self.reach(&proxy.host(), proxy.port()).await.map_err(away)?;
                let meter = stream.meter();
                let opened = PATIENCE.wait(&meter, tunnel::open(&mut stream, proxy, route)).await;
                opened.unwrap_or_else(|late| Err(ProxyError::Late { proxy: proxy.name(), late }))?;
                stream
            }
            None => self.reach(&route.host, route.port).await?,
        };
        self.secured(route, stream).await
    }

    /// A TCP connection to the first address that answers.
    async fn reach(&self, host: &str, port: u16) -> Result<Metered<TcpStream>, DialError> {
        let addresses = self.resolver.resolve(host).await;
        let addresses = addresses.map_err(|reason| DialError::Lookup { host: host.to_owned(), reason })?;
        let addresses: Vec<_> = addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect();
        let connected = race::first(&addresses, |address| async move {
            let stream = TcpStream::connect(address).await?;
            if let Err(error) = options::set(&stream) {
                tracing::debug!(%error, "an option of the socket was refused");
            }
            Ok(stream)
        });
        let failed = |tried| DialError::Connect { host: host.to_owned(), port, tried };
        connected.await.map(|stream| Metered::within(stream, self.traffic.clone())).map_err(failed)
    }

    async fn secured(&self, route: &Route, stream: Metered<TcpStream>) -> Result<Connected, DialError> {
        let Route { host, port, security } = route;
        match (security, &self.tls) {
            (Security::Plain, _) => Ok(Connected::plain(stream)),
            (Security::Tls, Some(tls)) => {
                let meter = stream.meter();
                let secured = PATIENCE.wait(&meter, tls.handshake(host, stream)).await;
                let late = |late| DialError::Timeout { host: host.clone(), port: *port, late };
                Ok(secured.map_err(late)??.into())
            }
            (Security::Tls, None) => Err(TlsError::NotSetUp { host: host.clone() }.into()),
        }
    }
}

#[cfg(test)]
mod tests;
