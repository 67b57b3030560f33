//! Why there is no TLS: one message for each thing that can be wrong, with the host and what to do.

use std::error::Error as _;
use std::fmt;
use std::io;
use std::path::PathBuf;

use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible, PeerMisbehaved};

use super::settings::SettingsError;
use crate::net::tls::certificate::Certificate;
use crate::time::{HubTime, Validity};
use crate::wire::error::{ErrorCode, Retry};

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
    #[error("the connection to {host} ended in the TLS handshake: {reason}; it is tried again")]
    Broken {
        /// The host.
        host: String,
        /// How.
        reason: String,
    },
}

/// A certificate's dates, and a time that does not lie within them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Misfit {
    /// The leaf's dates.
    pub valid: Validity,
    /// What the time is thought to be.
    pub present: HubTime,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { valid, present } = *self;
        if present > valid.not_after() {
            write!(f, "expired at {}", valid.not_after().to_second())?;
        } else if present < valid.not_before() {
            write!(f, "is not valid before {}", valid.not_before().to_second())?;
        } else {
            f.write_str("holds, but one that was presented with it does not")?;
        }
        write!(f, ", and this machine takes it to be {}", present.to_second())
    }
}

/// What speaks against a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Distrust {
    /// Under the system's authorities, its dates and our time.
    Clock(Misfit),
    /// Under an authority of one's own, its dates, whatever our clock says.
    Dates {
        /// Its dates and our time.
        misfit: Misfit,
        /// What the time is at least, as the hub proved before.
        floor: HubTime,
    },
    /// It is for other hosts.
    WrongHost,
    /// Nobody in this file made it.
    NotIn(PathBuf),
    /// Nobody the system believes made it.
    UnknownAuthority,
    /// The authority of the invite did not make it.
    NotTheInvites,
    /// In the library's words.
    Other(String),
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

    /// What became of a handshake that no certificate ended.
    pub(super) fn of_handshake(host: &str, error: &io::Error) -> Self {
        match library_error(error) {
            Some(error) => Self::of(host, error),
            None => Self::broken(host, &error.to_string()),
        }
    }

    /// What an error of a connection says of TLS, after the handshake; `None` where it says nothing. In TLS 1.3 a client
    /// learns only then that its certificate was not taken.
    pub fn after_handshake(host: &str, error: &io::Error) -> Option<Self> {
        library_error(error).map(|error| Self::of(host, error))
    }

    pub(super) fn broken(host: &str, reason: &str) -> Self {
        Self::Broken { host: host.to_owned(), reason: reason.to_owned() }
    }

    pub(super) fn library(host: &str) -> impl Fn(Error) -> Self {
        move |error| Self::of(host, &error)
    }

    fn of(host: &str, error: &Error) -> Self {
        let (host, reason) = (host.to_owned(), error.to_string());
        match error {
            Error::AlertReceived(alert) => Self::of_alert(host, *alert),
            Error::PeerIncompatible(
                PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
                | PeerIncompatible::ServerDoesNotSupportTls12Or13
                | PeerIncompatible::SupportedVersionsExtensionRequired,
            ) => Self::TooOld { host, reason },
            Error::PeerMisbehaved(PeerMisbehaved::SelectedUnofferedApplicationProtocol)
            | Error::NoApplicationProtocol => Self::Alpn { host },
            Error::InvalidMessage(_) => Self::NotTls { host, reason },
            _other => Self::Handshake { host, reason },
        }
    }

    fn of_alert(host: String, alert: AlertDescription) -> Self {
        use AlertDescription as Alert;
        let said = alert.as_str().map_or_else(|| format!("alert {}", u8::from(alert)), spoken);
        match alert {
            Alert::CertificateRequired => Self::OwnMissing { host },
            Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied => Self::OwnRefused { host, alert: said },
            Alert::ProtocolVersion => Self::TooOld { host, reason: format!("it said `{said}`") },
            Alert::NoApplicationProtocol => Self::Alpn { host },
            _other => Self::Handshake { host, reason: format!("the other end said `{said}`") },
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

/// The library's error in one of a connection.
fn library_error(error: &io::Error) -> Option<&Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref()).or_else(|| error.source()?.downcast_ref())
}

/// `CertificateExpired` as people write it.
fn spoken(name: &str) -> String {
    let mut words = String::new();
    let mut before = ' ';
    for letter in name.chars() {
        if letter.is_uppercase() && before.is_lowercase() {
            words.push(' ');
        }
        words.extend(letter.to_lowercase());
        before = letter;
    }
    words
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clock(misfit) => write!(
                f,
                "{misfit}: set its clock if that is wrong, renew the certificate if it is right, or give the hub's own authority with --ca (hub.ca_file), under which the hub may tell the time"
            ),
            Self::Dates { misfit, floor: HubTime(0) } => write!(
                f,
                "{misfit}; the certificates that were presented are at no time valid together; renew it at the hub (`outpost hub cert init`)"
            ),
            Self::Dates { misfit, floor } => write!(
                f,
                "{misfit}; all that was presented with it is at no time valid together from {} on, the time that this hub proved before; renew it at the hub (`outpost hub cert init`)",
                floor.to_second()
            ),
            Self::WrongHost => {
                f.write_str("is for other hosts; dial one of these, or have it made for this one as well")
            }
            Self::NotIn(path) => write!(
                f,
                "was made by nobody in {}; give the authority of this hub with --ca (hub.ca_file), or ask who stands between",
                path.display()
            ),
            Self::UnknownAuthority => f.write_str(
                "was made by nobody this system believes; give the hub's own authority with --ca (hub.ca_file)",
            ),
            Self::NotTheInvites => f.write_str(
                "does not come from the authority that the invite names; ask for a new invite, or who stands between",
            ),
            Self::Other(reason) => write!(f, "cannot be used: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_are_written_as_words() {
        for (name, words) in [("CertificateExpired", "certificate expired"), ("UnknownCA", "unknown ca")] {
            assert_eq!(spoken(name), words);
        }
    }
}
