//! Dialling a hub: where its bytes go, and a connection there.

use rustls::pki_types::CertificateDer;
use tokio::net::TcpStream;

use crate::limit;

use super::meter::Metered;
use super::stream::Stream;
use super::tls::client::{ClientTls, Misfit, OwnCertificate, Secured, TlsError};
use super::tls::trust::Trust;
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
    /// No TLS, or none that is believed.
    #[error(transparent)]
    Tls(#[from] TlsError),
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
    /// Bytes came without TLS that are no HTTP.
    #[error(
        "what {host}:{port} answers is no HTTP; where that is a TLS port, begin the hub's URL with https://"
    )]
    NotHttp {
        /// The host.
        host: String,
        /// The port.
        port: u16,
    },
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
            let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(failed)?;
            stream.set_nodelay(true).map_err(failed)?;
            let stream = Metered::new(stream);
            match (security, &self.tls) {
                (Security::Plain, _) => Ok(Connected::plain(stream)),
                (Security::Tls, Some(tls)) => Ok(tls.handshake(host, stream).await?.into()),
                (Security::Tls, None) => Err(failed(std::io::Error::other("TLS is not set up"))),
            }
        };
        tokio::time::timeout(limit::HANDSHAKE_TIMEOUT, attempt)
            .await
            .unwrap_or_else(|_late| Err(failed(std::io::ErrorKind::TimedOut.into())))
    }
}
