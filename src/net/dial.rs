//! Dialling a hub: where its bytes go, and a connection there.

mod error;
pub(super) mod race;
pub(super) mod resolve;
mod setbacks;

use std::fmt;
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
pub use setbacks::{Setbacks, Trial, Way};

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

/// `host:port`, an IPv6 address in brackets.
impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, .. } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
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
    /// Which addresses were of no use.
    pub setbacks: Setbacks,
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
    /// The address, to be told once it served.
    pub trial: Trial,
}

impl Connected {
    const fn plain(stream: Metered<TcpStream>, trial: Trial) -> Self {
        let (trust, own) = (Trust::Plain, OwnCertificate::NotAsked);
        Self { stream: Stream::Plain(stream), trust, own, authority: None, trial }
    }

    fn over_tls(secured: Secured, trial: Trial) -> Self {
        let Secured { stream, trust, own, authority } = secured;
        Self { stream, trust, own, authority, trial }
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

impl Dialer {
    /// Connects: through a proxy where one is set for this route, over TLS where the route says so. An address that let
    /// somebody in and was of no use ([`Connected::trial`]) is asked after the others.
    ///
    /// Bounded: [`limit::LOOKUP_TIMEOUT`] for the name, twice [`limit::CONNECT_TIMEOUT`] and a stagger for each address, and
    /// [`limit::DIAL_STEP_MAX`] each for proxy and TLS, of which [`limit::DIAL_STALL_TIMEOUT`] without a byte moved.
    ///
    /// # Errors
    /// See [`DialError`].
    pub async fn connect(&self, route: &Route) -> Result<Connected, DialError> {
        let Some(proxy) = self.proxies.of(route)? else {
            let (stream, address) = self.reach(&route.host, route.port).await?;
            return self.secured(route, stream, self.trial(address, Way::to(&route.host, address))).await;
        };
        let away = |source| ProxyError::Away { proxy: proxy.name(), source: Box::new(source) };
        let (mut stream, address) = self.reach(&proxy.host(), proxy.port()).await.map_err(away)?;
        let trial = self.trial(address, Way::Proxy(address));
        let meter = stream.meter();
        let opened = PATIENCE.wait(&meter, tunnel::open(&mut stream, proxy, route)).await;
        let at = Way::to(&proxy.host(), address);
        opened
            .unwrap_or_else(|late| Err(ProxyError::Late { proxy: format!("{}{at}", proxy.name()), late }))?;
        self.secured(route, stream, trial).await
    }

    fn trial(&self, address: SocketAddr, way: Way) -> Trial {
        Trial::new(self.setbacks.clone(), address, way)
    }

    /// A TCP connection to the first address that answers.
    async fn reach(&self, host: &str, port: u16) -> Result<(Metered<TcpStream>, SocketAddr), DialError> {
        let addresses = self.resolver.resolve(host).await;
        let addresses = addresses.map_err(|reason| DialError::Lookup { host: host.to_owned(), reason })?;
        let addresses: Vec<_> = addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect();
        let connect = |address| async move {
            let stream = TcpStream::connect(address).await?;
            options::ask(&stream);
            Ok((stream, address))
        };
        let (first, then) = self.setbacks.split(&addresses);
        let connected = match race::first(&first, connect).await {
            Ok(connected) => Ok(connected),
            Err(tried) => race::first(&then, connect).await.map_err(|others| tried.and(others)),
        };
        let failed = |tried| DialError::Connect { host: host.to_owned(), port, tried };
        let (stream, address) = connected.map_err(failed)?;
        Ok((Metered::within(stream, self.traffic.clone()), address))
    }

    async fn secured(
        &self,
        route: &Route,
        stream: Metered<TcpStream>,
        trial: Trial,
    ) -> Result<Connected, DialError> {
        let Route { host, port, security } = route;
        match (security, &self.tls) {
            (Security::Plain, _) => Ok(Connected::plain(stream, trial)),
            (Security::Tls, Some(tls)) => {
                let (meter, way) = (stream.meter(), trial.way());
                let secured = PATIENCE.wait(&meter, tls.handshake(host, stream)).await;
                let late = |late| DialError::Timeout { host: host.clone(), port: *port, way, late };
                let secured = secured.map_err(late)?.map_err(|error| error.on(way))?;
                Ok(Connected::over_tls(secured, trial))
            }
            (Security::Tls, None) => Err(TlsError::NotSetUp { host: host.clone() }.into()),
        }
    }
}

#[cfg(test)]
mod tests;
