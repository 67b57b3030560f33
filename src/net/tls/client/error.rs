//! Why there is no TLS: one message for each thing that can be wrong, with the host and what to do.

mod distrust;
mod handshake;

use rustls::CertificateError;

use super::settings::SettingsError;
use crate::net::dial::Way;
use crate::net::tls::certificate::Certificate;
use crate::wire::error::{ErrorCode, Retry};

pub use distrust::{Distrust, Misfit};

/// Why there is no TLS connection, or none that may be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TlsError {
    /// Our own files.
    #[error(transparent)]
    Settings(SettingsError),
    /// Nobody said whom to believe.
    #[error(
        "{host} is behind TLS, and TLS is not set up here; set it up, or give a URL that begins with http://"
    )]
    NotSetUp {
        /// The host.
        host: String,
    },
    /// The host cannot stand in a certificate.
    #[error(
        "`{host}` is neither a host name nor an address that a certificate could be for; correct the URL"
    )]
    Name {
        /// The host.
        host: String,
    },
    /// The leaf is no certificate, or ends before it begins.
    #[error("the certificate of {host} cannot be read; look at the file behind it with `openssl x509 -text`")]
    Unreadable {
        /// The host.
        host: String,
    },
    /// The certificate is not believed.
    #[error("the certificate of {host} {why} ({leaf})")]
    Untrusted {
        /// The host.
        host: String,
        /// What it says of itself.
        leaf: Box<Certificate>,
        /// What speaks against it.
        why: Distrust,
    },
    /// What may not pass over a provisional connection was to pass.
    #[error(
        "the certificate of {host} {misfit}: set its clock, or let an agent's session with this hub tell it the time first"
    )]
    Provisional {
        /// The host.
        host: String,
        /// Its dates and our time.
        misfit: Misfit,
    },
    /// The hub asks for a certificate and none is set.
    #[error(
        "{host} asks for a client certificate and this side has none it takes; give one with --client-cert and --client-key (`outpost hub cert issue NAME` makes it)"
    )]
    OwnMissing {
        /// The host.
        host: String,
    },
    /// The hub does not take ours.
    #[error(
        "{host} refuses this side's client certificate ({alert}); give one that its client_ca issued and that has not expired (`outpost hub cert issue NAME`)"
    )]
    OwnRefused {
        /// The host.
        host: String,
        /// What it said.
        alert: String,
    },
    /// TLS 1.2 or older.
    #[error("{host} does not speak TLS 1.3, and nothing older is used; let it speak 1.3 ({reason})")]
    TooOld {
        /// The host.
        host: String,
        /// How it was seen.
        reason: String,
    },
    /// No protocol in common.
    #[error(
        "{host} speaks TLS, but not http/1.1 over it; does the URL lead to an Outpost hub, and may what stands before it speak http/1.1?"
    )]
    Alpn {
        /// The host.
        host: String,
    },
    /// No TLS at all.
    #[error(
        "what {host} answers is no TLS ({reason}); is it a port for plain http, whose URL begins with http://, or does something between answer?"
    )]
    NotTls {
        /// The host.
        host: String,
        /// How it was seen.
        reason: String,
    },
    /// Anything else the two ends do not agree on.
    #[error("the TLS handshake with {host} failed: {reason}; look at the log of the other end")]
    Handshake {
        /// The host.
        host: String,
        /// What was said.
        reason: String,
    },
    /// The library ended a handshake in which no certificate was judged.
    #[error("the TLS handshake with {host} ended without a certificate; nothing is sent over it")]
    NotVerified {
        /// The host.
        host: String,
    },
    /// The connection ended.
    #[error("the connection to {host}{way} ended in the TLS handshake: {reason}; it is tried again")]
    Broken {
        /// The host.
        host: String,
        /// Which of its addresses.
        way: Way,
        /// How.
        reason: String,
    },
}

impl TlsError {
    /// The entry of the error table; `None` for what is a matter of the link.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Broken { .. } => None,
            Self::Untrusted { why: Distrust::Clock(_) | Distrust::Dates { .. }, .. }
            | Self::Provisional { .. } => Some(ErrorCode::Clock),
            Self::Settings(_)
            | Self::NotSetUp { .. }
            | Self::Name { .. }
            | Self::Unreadable { .. }
            | Self::Untrusted { .. }
            | Self::OwnMissing { .. }
            | Self::OwnRefused { .. }
            | Self::TooOld { .. }
            | Self::Alpn { .. }
            | Self::NotTls { .. }
            | Self::Handshake { .. }
            | Self::NotVerified { .. } => Some(ErrorCode::Tls),
        }
    }

    /// Whether the same may succeed by itself.
    pub fn retry(&self) -> Retry {
        if self.code().is_some() { Retry::Capped } else { Retry::Soon }
    }

    /// The same of a connection that took this way.
    pub(in crate::net) fn on(self, way: Way) -> Self {
        match self {
            Self::Broken { host, reason, .. } => Self::Broken { host, way, reason },
            other => other,
        }
    }

    /// What the other end is told.
    pub(super) fn alert(&self) -> CertificateError {
        match self {
            Self::Untrusted { why, .. } => match why {
                Distrust::Clock(_) | Distrust::Dates { .. } => CertificateError::Expired,
                Distrust::WrongHost => CertificateError::NotValidForName,
                Distrust::NotIn(_) | Distrust::UnknownAuthority | Distrust::NotTheInvites => {
                    CertificateError::UnknownIssuer
                }
                Distrust::Other(_) => CertificateError::ApplicationVerificationFailure,
            },
            _other => CertificateError::BadEncoding,
        }
    }
}
