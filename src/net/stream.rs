//! What a session runs on: a TCP connection, or TLS over it.

use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

use crate::limit;

use super::meter::{Meter, Metered};
use super::tls;

/// A connection to a peer.
#[derive(Debug)]
pub enum Stream {
    /// Everyone on the way can read it.
    Plain(Metered<TcpStream>),
    /// TLS 1.3.
    Tls(Box<TlsStream<Metered<TcpStream>>>),
}

impl Stream {
    /// After the handshake. While the socket takes nothing TLS keeps no more than [`limit::TLS_WRITE_BUFFER`]: its own default
    /// is what [`limit::SOCKET_UNSENT`] is to bound.
    pub fn over_tls(mut stream: TlsStream<Metered<TcpStream>>) -> Self {
        let most = Some(limit::TLS_WRITE_BUFFER);
        match &mut stream {
            TlsStream::Client(stream) => stream.get_mut().1.set_buffer_limit(most),
            TlsStream::Server(stream) => stream.get_mut().1.set_buffer_limit(most),
        }
        Self::Tls(Box::new(stream))
    }

    /// Bytes that passed the socket, TLS's own among them.
    pub fn meter(&self) -> Meter {
        match self {
            Self::Plain(stream) => stream.meter(),
            Self::Tls(stream) => stream.get_ref().0.meter(),
        }
    }

    /// From now on dropping it throws away what the system has not sent, and tells the peer at once.
    ///
    /// # Errors
    /// Where the connection is gone.
    pub fn reset_when_dropped(&self) -> std::io::Result<()> {
        match self {
            Self::Plain(stream) => stream.get_ref().set_zero_linger(),
            Self::Tls(stream) => stream.get_ref().0.get_ref().set_zero_linger(),
        }
    }

    /// What only the two ends of this TLS connection know; `None` without TLS.
    pub fn binding(&self) -> Option<[u8; 32]> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(stream) => tls::exporter(stream),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, pieces),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::FutureExt as _;
    use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
    use rustls::{ClientConfig, RootCertStore, ServerConfig};
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;

    /// Both ends of a TLS connection over loopback.
    async fn ends() -> (Stream, Stream) {
        let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(signed.cert.der().clone()).unwrap();
        let client = ClientConfig::builder_with_provider(tls::provider())
            .with_protocol_versions(tls::VERSIONS)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signed.signing_key.serialize_der()));
        let server = ServerConfig::builder_with_provider(tls::provider())
            .with_protocol_versions(tls::VERSIONS)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![signed.cert.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dialled = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        let (client, server) = (TlsConnector::from(Arc::new(client)), TlsAcceptor::from(Arc::new(server)));
        let name = ServerName::try_from("localhost").unwrap();
        let (near, far) =
            tokio::join!(client.connect(name, Metered::new(dialled)), server.accept(Metered::new(accepted)));
        (Stream::over_tls(near.unwrap().into()), Stream::over_tls(far.unwrap().into()))
    }

    #[tokio::test]
    async fn tls_keeps_no_more_than_its_buffer_while_the_socket_takes_nothing() {
        let (mut near, mut far) = ends().await;
        for stream in [&mut near, &mut far] {
            let mut accepted = 0;
            // Nobody reads: until nothing is taken any more.
            while let Some(taken) = tokio::task::unconstrained(stream.write(&[7; 64 * 1024])).now_or_never() {
                accepted += taken.unwrap() as u64;
            }
            let kept = accepted - stream.meter().written();
            let most = limit::TLS_WRITE_BUFFER as u64;
            assert!((most / 2..=most).contains(&kept), "{kept} of {accepted} bytes are with TLS");
        }
    }
}
