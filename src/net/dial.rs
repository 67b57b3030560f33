//! Dialling a hub: where its bytes go, and a connection there.

mod error;
pub(super) mod progress;
pub(super) mod race;
pub(super) mod resolve;

use std::net::SocketAddr;

use tokio::net::TcpStream;

use super::meter::{Meter, Metered};
use super::options;
use super::proxy::{Proxies, ProxyError, tunnel};
use super::stream::Stream;
use super::tls::client::ClientTls;
pub use error::DialError;
pub use progress::Stalled;
pub use race::Tried;
pub use resolve::{LookupError, Resolver};

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
}

impl Dialer {
    /// Connects: through a proxy where one is set for this route, over TLS where the route says so.
    ///
    /// Bounded: [`crate::limit::LOOKUP_TIMEOUT`] for the name, [`crate::limit::CONNECT_TIMEOUT`] for each address, a stagger apart, and
    /// [`crate::limit::DIAL_STEP_MAX`] each for proxy and TLS, of which [`crate::limit::DIAL_STALL_TIMEOUT`] without a byte moved.
    ///
    /// # Errors
    /// See [`DialError`].
    pub async fn connect(&self, route: &Route) -> Result<Connected, DialError> {
        let stream = match self.proxies.of(route)? {
            Some(proxy) => {
                let away = |source| ProxyError::Away { proxy: proxy.name(), source: Box::new(source) };
                let mut stream = self.reach(&proxy.host(), proxy.port()).await.map_err(away)?;
                let meter = stream.meter();
                let opened = progress::watch(&meter, tunnel::open(&mut stream, proxy, route)).await;
                opened.unwrap_or_else(|stalled| Err(ProxyError::Stalled { proxy: proxy.name(), stalled }))?;
                stream
            }
            None => self.reach(&route.host, route.port).await?,
        };
        let stream = self.secured(route, stream).await?;
        Ok(Connected { stream })
    }

    /// A TCP connection to the first address that answers.
    async fn reach(&self, host: &str, port: u16) -> Result<Metered<TcpStream>, DialError> {
        let addresses = self.resolver.resolve(host).await;
        let addresses = addresses.map_err(|reason| DialError::Lookup { host: host.to_owned(), reason })?;
        let addresses: Vec<_> = addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect();
        let connected = race::first(&addresses, |address| async move {
            let stream = TcpStream::connect(address).await?;
            options::set(&stream)?;
            Ok(stream)
        });
        let failed = |tried| DialError::Connect { host: host.to_owned(), port, tried };
        connected.await.map(|stream| Metered::within(stream, self.traffic.clone())).map_err(failed)
    }

    async fn secured(&self, route: &Route, stream: Metered<TcpStream>) -> Result<Stream, DialError> {
        let Route { host, port, security } = route;
        let failed = |source| DialError::Tls { host: host.clone(), port: *port, source };
        match (security, &self.tls) {
            (Security::Plain, _) => Ok(Stream::Plain(stream)),
            (Security::Tls, Some(tls)) => {
                let meter = stream.meter();
                let secured = progress::watch(&meter, tls.handshake(host, stream)).await;
                let late = |stalled| DialError::Timeout { host: host.clone(), port: *port, stalled };
                secured.map_err(late)?.map_err(failed)
            }
            (Security::Tls, None) => Err(failed(std::io::Error::other("TLS is not set up"))),
        }
    }
}
