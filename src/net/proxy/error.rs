//! Why a proxy opens no tunnel.

use crate::net::dial::DialError;
use crate::net::patience::Late;
use crate::wire::error::Retry;

/// What a proxy that wants a user offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// User and password, and none were set.
    Basic,
    /// User and password, and those that were set were refused.
    AnotherBasic,
    /// Ways this agent does not speak.
    Other,
}

/// Why a proxy opens no tunnel. `proxy` is its `host:port`, `to` the hub's.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the two fields are explained above")]
pub enum ProxyError {
    /// It cannot be reached.
    #[error("no way to the proxy {proxy}: {source}")]
    Away {
        proxy: String,
        /// Why.
        source: Box<DialError>,
    },
    /// It takes too long.
    #[error("the proxy {proxy} is too slow to answer ({late}); is it an HTTP proxy?")]
    Late {
        proxy: String,
        /// How.
        late: Late,
    },
    /// The connection to it broke.
    #[error("the connection to the proxy {proxy} broke: {source}")]
    Broken {
        proxy: String,
        /// How.
        source: std::io::Error,
    },
    /// It hung up before it had answered.
    #[error("the proxy {proxy} closed the connection {bytes} bytes into its answer")]
    Closed {
        proxy: String,
        /// What had come.
        bytes: usize,
    },
    /// It speaks something else.
    #[error("the proxy {proxy} does not speak HTTP; check its address and port")]
    NotHttp { proxy: String },
    /// Its answer has no end.
    #[error(
        "the proxy {proxy} answered with a head of more than {} bytes",
        crate::limit::ANSWER_HEAD_BYTES_MAX
    )]
    Long { proxy: String },
    /// It wants to know who asks.
    #[error("the proxy {proxy} answered {status}: {}", match offer {
        Offer::Basic => "it wants a user and a password; write them into its URL, http://USER:PASSWORD@HOST:PORT",
        Offer::AnotherBasic => "it refused the user and password in its URL; correct them",
        Offer::Other => "it wants a login other than user and password (Basic), the only one spoken here; let it allow this machine",
    })]
    Login {
        proxy: String,
        /// The HTTP status, 407 or 401.
        status: u16,
        /// What it offers.
        offer: Offer,
    },
    /// It does not let this through.
    #[error(
        "the proxy {proxy} does not let connections to {to} through (HTTP {status}); ask who runs it to allow CONNECT to {to}"
    )]
    Forbidden {
        proxy: String,
        to: String,
        /// The HTTP status.
        status: u16,
    },
    /// It cannot reach the hub itself.
    #[error("the proxy {proxy} could not reach {to} (HTTP {status}); the agent goes on and tries again")]
    Unreached {
        proxy: String,
        to: String,
        /// The HTTP status.
        status: u16,
    },
    /// A web page in place of a tunnel.
    #[error(
        "the proxy {proxy} answered with a web page (HTTP {status}) instead of a tunnel to {to}: the network may want a login in a browser first (a captive portal), or this is no proxy"
    )]
    Portal {
        proxy: String,
        to: String,
        /// The HTTP status.
        status: u16,
    },
    /// It says that there is a tunnel, and then speaks itself.
    #[error(
        "the proxy {proxy} sent {bytes} bytes behind its answer, before the hub was asked anything; it is not to be relied on"
    )]
    Extra {
        proxy: String,
        /// So many were seen.
        bytes: usize,
    },
    /// Something else.
    #[error("the proxy {proxy} answered HTTP {status} to CONNECT {to}")]
    Status {
        proxy: String,
        to: String,
        /// The HTTP status.
        status: u16,
    },
}

impl ProxyError {
    /// Whether another attempt soon makes sense, or somebody has to act first.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Away { source, .. } => source.retry(),
            Self::Late { .. } | Self::Broken { .. } | Self::Closed { .. } | Self::Unreached { .. } => {
                Retry::Soon
            }
            Self::Status { status, .. } if *status >= 500 => Retry::Soon,
            Self::NotHttp { .. }
            | Self::Long { .. }
            | Self::Login { .. }
            | Self::Forbidden { .. }
            | Self::Portal { .. }
            | Self::Extra { .. }
            | Self::Status { .. } => Retry::Capped,
        }
    }
}
