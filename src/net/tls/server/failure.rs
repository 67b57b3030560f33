//! Why a handshake with a peer came to nothing, with a name for each reason that an operator can act upon.

use std::io;

use rustls::AlertDescription;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::limit;
use crate::net::meter::Metered;

/// What a plain HTTP request is answered.
const THIS_PORT: &str = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
    X-Outpost-Error: tls\r\nConnection: close\r\nContent-Length: 67\r\n\r\nThis port speaks TLS: the URL has to begin with https:// or wss://\n";

/// Whose fault it is that there is no TLS connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The peer's: it costs the hub a signature, or as much time as it is given.
    OfThePeer,
    /// Nobody's, or this hub's own.
    Other,
}

/// Why there is no TLS connection.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// Plain HTTP, or something else.
    #[error("the peer does not speak TLS")]
    NotTls,
    /// The peer went before it said anything, as one does who looks whether the port is open.
    #[error("the peer closed the connection without a word")]
    Unused,
    /// The peer went.
    #[error("the peer closed the connection before the handshake was over")]
    Closed,
    /// The peer knows only older ones.
    #[error("the peer does not offer TLS 1.3, which this hub insists on")]
    Version,
    /// The peer wants something else than HTTP/1.1.
    #[error("the peer does not offer HTTP/1.1 (ALPN)")]
    Alpn,
    /// `[tls] client_ca` is set.
    #[error("the peer showed no client certificate, which `[tls] client_ca` asks for")]
    NoClientCertificate,
    /// Nor does another one do.
    #[error("the peer's client certificate is not accepted: {0}")]
    BadClientCertificate(rustls::CertificateError),
    /// The peer does not believe us.
    #[error(
        "the peer does not accept this hub's certificate ({0:?}); it needs the authority that signed it, and a certificate for the name it dials"
    )]
    NotBelieved(AlertDescription),
    /// Damage, an attack, or a bug.
    #[error("the handshake failed: {0}")]
    Protocol(rustls::Error),
    /// The connection.
    #[error("the connection failed: {0}")]
    Io(io::Error),
}

impl HandshakeError {
    /// Its name in the counters.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::NotTls => "not_tls",
            Self::Unused => "unused",
            Self::Closed => "closed",
            Self::Version => "version",
            Self::Alpn => "alpn",
            Self::NoClientCertificate => "no_client_certificate",
            Self::BadClientCertificate(_) => "bad_client_certificate",
            Self::NotBelieved(_) => "not_believed",
            Self::Protocol(_) => "protocol",
            Self::Io(_) => "io",
        }
    }
}

impl HandshakeError {
    /// Whose fault it is. Where a hub's certificate has expired its whole fleet disbelieves it; and that a load balancer
    /// looks whether the port is open costs nothing.
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Unused | Self::NotBelieved(_) => Fault::Other,
            Self::NotTls
            | Self::Closed
            | Self::Version
            | Self::Alpn
            | Self::NoClientCertificate
            | Self::BadClientCertificate(_)
            | Self::Protocol(_)
            | Self::Io(_) => Fault::OfThePeer,
        }
    }
}

impl From<io::Error> for HandshakeError {
    fn from(error: io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(error) => Self::of(error),
            None if is_gone(&error) => Self::Closed,
            None => Self::Io(error),
        }
    }
}

impl HandshakeError {
    fn of(error: &rustls::Error) -> Self {
        use rustls::PeerIncompatible as Peer;
        match error {
            rustls::Error::PeerIncompatible(
                Peer::Tls12NotOffered
                | Peer::Tls12NotOfferedOrEnabled
                | Peer::SupportedVersionsExtensionRequired
                // It came with TLS 1.2.
                | Peer::SignatureAlgorithmsExtensionRequired
                | Peer::ServerTlsVersionIsDisabledByOurConfig,
            ) => Self::Version,
            rustls::Error::NoApplicationProtocol => Self::Alpn,
            rustls::Error::NoCertificatesPresented => Self::NoClientCertificate,
            rustls::Error::InvalidCertificate(error) => Self::BadClientCertificate(error.clone()),
            rustls::Error::AlertReceived(alert) if is_disbelief(*alert) => Self::NotBelieved(*alert),
            other => Self::Protocol(other.clone()),
        }
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
    )
}

const fn is_disbelief(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
    )
}

/// Tells a peer that speaks HTTP what this port is, as far as it listens.
pub(super) async fn not_tls(mut stream: Metered<TcpStream>, first: [u8; 1]) -> HandshakeError {
    // A method, and not some other protocol's greeting.
    if first.iter().all(u8::is_ascii_uppercase) {
        // Who does not wait for the answer misses it.
        let _in_time = tokio::time::timeout(limit::CLOSE_TIMEOUT, answer(&mut stream)).await;
    }
    HandshakeError::NotTls
}

async fn answer(stream: &mut Metered<TcpStream>) -> io::Result<()> {
    stream.write_all(THIS_PORT.as_bytes()).await?;
    stream.shutdown().await?;
    // What is left unread would reset the connection, and with it the answer.
    let mut sink = [0; 1024];
    let mut left = limit::PLAIN_REQUEST_BYTES_MAX;
    while left > 0 {
        match stream.read(&mut sink).await? {
            0 => break,
            count => left = left.saturating_sub(count),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_plain_http_is_as_long_as_it_says() {
        let (head, body) = THIS_PORT.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("Content-Length: {}", body.len())), "{} bytes", body.len());
    }

    #[test]
    fn each_reason_has_its_name() {
        let of = |error: rustls::Error| HandshakeError::from(io::Error::other(error)).name();
        assert_eq!(of(rustls::PeerIncompatible::Tls12NotOfferedOrEnabled.into()), "version");
        assert_eq!(of(rustls::Error::NoApplicationProtocol), "alpn");
        assert_eq!(of(rustls::Error::NoCertificatesPresented), "no_client_certificate");
        assert_eq!(of(rustls::CertificateError::UnknownIssuer.into()), "bad_client_certificate");
        assert_eq!(of(rustls::Error::AlertReceived(AlertDescription::UnknownCA)), "not_believed");
        assert_eq!(of(rustls::Error::AlertReceived(AlertDescription::DecodeError)), "protocol");
        assert_eq!(of(rustls::Error::DecryptError), "protocol");
        assert_eq!(HandshakeError::from(io::Error::from(io::ErrorKind::UnexpectedEof)).name(), "closed");
        assert_eq!(HandshakeError::from(io::Error::from(io::ErrorKind::PermissionDenied)).name(), "io");
    }
}
