//! Dialling a hub: where its bytes go, and a connection there.

use tokio::net::TcpStream;

use crate::limit;

use super::meter::{Meter, Metered};
use super::stream::Stream;
use super::tls::client::ClientTls;
use super::upgrade::Refusal;

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
    /// Adds up the bytes of all its connections.
    pub traffic: Meter,
}

/// A connection to whoever answers at a route.
#[derive(Debug)]
pub struct Connected {
    /// The bytes.
    pub stream: Stream,
}

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// Name resolution or TCP.
    #[error("cannot connect to {host}:{port}: {source}; the agent goes on and tries again")]
    Connect {
        /// The host.
        host: String,
        /// The port.
        port: u16,
        /// Why.
        source: std::io::Error,
    },
    /// The upgrade took too long.
    #[error("{host}:{port} did not answer within {} s; is it an Outpost hub?", limit::HANDSHAKE_TIMEOUT.as_secs())]
    Timeout {
        /// The host.
        host: String,
        /// The port.
        port: u16,
    },
    /// The connection ended in the middle of the upgrade, as it does while a hub starts or stops.
    #[error("the connection ended during the upgrade: {0}; the agent goes on and tries again")]
    Broken(String),
    /// The hub refused the upgrade.
    #[error("{0}")]
    Refused(Refusal),
    /// The answer is no upgrade.
    #[error("the answer is not a WebSocket upgrade ({0}); does the URL lead to an Outpost hub?")]
    NotAHub(String),
}

impl Dialer {
    /// Connects, over TLS where the route says so.
    ///
    /// # Errors
    /// See [`DialError`].
    pub async fn connect(&self, route: &Route) -> Result<Connected, DialError> {
        let Route { host, port, security } = route;
        let failed = |source| DialError::Connect { host: host.clone(), port: *port, source };
        let attempt = async {
            let stream = TcpStream::connect((host.as_str(), *port)).await?;
            stream.set_nodelay(true)?;
            let stream = Metered::within(stream, self.traffic.clone());
            let stream = match (security, &self.tls) {
                (Security::Plain, _) => Stream::Plain(stream),
                (Security::Tls, Some(tls)) => tls.handshake(host, stream).await?,
                (Security::Tls, None) => return Err(std::io::Error::other("TLS is not set up")),
            };
            Ok(Connected { stream })
        };
        tokio::time::timeout(limit::HANDSHAKE_TIMEOUT, attempt)
            .await
            .unwrap_or_else(|_late| Err(std::io::ErrorKind::TimedOut.into()))
            .map_err(failed)
    }
}
