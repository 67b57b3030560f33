//! What the library and the other end say of a handshake, as one of our own errors.

use std::error::Error as _;
use std::io;

use rustls::{AlertDescription, Error, PeerIncompatible, PeerMisbehaved};

use super::TlsError;
use crate::net::dial::Way;

impl TlsError {
    /// What became of a handshake that no certificate ended.
    pub(in super::super) fn of_handshake(host: &str, error: &io::Error) -> Self {
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

    pub(in super::super) fn broken(host: &str, reason: &str) -> Self {
        Self::Broken { host: host.to_owned(), way: Way::Named, reason: reason.to_owned() }
    }

    pub(in super::super) fn library(host: &str) -> impl Fn(Error) -> Self {
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
