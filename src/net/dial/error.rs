//! Why there is no link.

use crate::net::patience::Late;
use crate::net::proxy::{ProxyError, ProxyUrlError};
use crate::net::tls::client::TlsError;
use crate::net::upgrade::Refusal;
use crate::wire::error::{ErrorCode, Retry};

use super::race::Tried;
use super::resolve::LookupError;
use super::{Route, Security, Way};

/// Why there is no link. Every one of them is worth another attempt, later.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The name has no address.
    #[error("cannot find the address of {host}: {reason}; check the name and this machine's DNS")]
    Lookup {
        /// The name.
        host: String,
        /// Why.
        reason: LookupError,
    },
    /// No address answers.
    #[error("cannot connect to {host}:{port} ({tried})")]
    Connect {
        /// The host.
        host: String,
        /// The port.
        port: u16,
        /// Which addresses, and why not.
        tried: Tried,
    },
    /// The setting, or the environment, names no usable proxy.
    #[error(transparent)]
    ProxySetting(#[from] ProxyUrlError),
    /// The proxy on the way.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// No TLS, or none that is believed.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// TLS or the upgrade took too long.
    #[error("{host}:{port}{way} is too slow to answer ({late}); is it an Outpost hub?")]
    Timeout {
        /// The host.
        host: String,
        /// The port.
        port: u16,
        /// Which of its addresses.
        way: Way,
        /// How.
        late: Late,
    },
    /// The connection ended in the middle of the upgrade, as it does while a hub starts or stops.
    #[error("the connection to {host}:{port}{way} ended during the upgrade: {reason}")]
    Broken {
        /// The host.
        host: String,
        /// The port.
        port: u16,
        /// Which of its addresses.
        way: Way,
        /// How.
        reason: String,
    },
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
    /// A hub says that it speaks TLS there.
    #[error("{host}:{port} is a TLS port; begin the hub's URL with https://")]
    TlsPort {
        /// The host.
        host: String,
        /// The port.
        port: u16,
    },
    /// A web page where the hub should be: a network that wants a login first.
    #[error(
        "{host}:{port} answered with a web page (HTTP {status}) instead of a hub's answer: this network may want a login in a browser first (a captive portal), or the URL leads to another server"
    )]
    Portal {
        /// The host.
        host: String,
        /// The port.
        port: u16,
        /// The HTTP status.
        status: u16,
    },
    /// The answer is no upgrade.
    #[error("the answer is not a WebSocket upgrade ({0}); does the URL lead to an Outpost hub?")]
    NotAHub(String),
}

impl DialError {
    /// What an HTTP answer at `route` says of who is there, where that is not a hub that was asked as it wants to be.
    pub(in crate::net) fn of_refusal(route: &Route, refusal: &Refusal) -> Option<Self> {
        match (refusal.code, route.security, refusal.status) {
            (Some(ErrorCode::Tls), Security::Plain, _) => {
                Some(Self::TlsPort { host: route.host.clone(), port: route.port })
            }
            // No hub redirects; a network that wants a login does.
            (None, _, 300..=399 | 511) => Some(Self::portal(route, refusal.status)),
            (Some(_), _, _) | (None, _, _) => None,
        }
    }

    /// A page came where the hub's answer should be.
    pub(in crate::net) fn portal(route: &Route, status: u16) -> Self {
        Self::Portal { host: route.host.clone(), port: route.port, status }
    }

    /// Whether a hub was there all the same, and said so.
    pub fn is_a_hub_s(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.code.is_some())
    }

    /// One word for it in logs and status: of the error table where a hub named one, else of the way there.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.code.map_or("link", ErrorCode::name),
            Self::ProxySetting(_) | Self::Proxy(_) => "proxy",
            Self::Portal { .. } => "captive_portal",
            Self::TlsPort { .. } => ErrorCode::Tls.name(),
            Self::Tls(error) => error.code().map_or("link", ErrorCode::name),
            Self::Lookup { .. }
            | Self::Connect { .. }
            | Self::Timeout { .. }
            | Self::Broken { .. }
            | Self::NotHttp { .. }
            | Self::NotAHub(_) => "link",
        }
    }

    /// Whether another attempt soon makes sense, or somebody has to act first.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Refused(refusal) => {
                // A hub that is not ready yet says 5xx or 429 even where it names no entry of the table.
                let soon = refusal.status >= 500 || refusal.status == 429;
                refusal.code.map_or(if soon { Retry::Soon } else { Retry::Capped }, ErrorCode::retry)
            }
            Self::Proxy(error) => error.retry(),
            Self::Tls(error) => error.retry(),
            Self::Lookup { .. } | Self::Connect { .. } | Self::Timeout { .. } | Self::Broken { .. } => {
                Retry::Soon
            }
            Self::ProxySetting(_)
            | Self::TlsPort { .. }
            | Self::Portal { .. }
            | Self::NotHttp { .. }
            | Self::NotAHub(_) => Retry::Capped,
        }
    }
}
