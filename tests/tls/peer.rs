//! Somebody who dials the hub with rustls.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use outpost::net::tls::{VERSIONS, provider};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_parser::prelude::FromDer as _;

use crate::authority::{Authority, Signed};

/// Nothing here takes longer unless it is broken.
const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("within the deadline")
}

/// One who believes one authority.
pub(crate) struct Peer {
    authority: CertificateDer<'static>,
    own: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
    pub(crate) alpn: Vec<Vec<u8>>,
}

impl Peer {
    pub(crate) fn believing(authority: &Authority) -> Self {
        Self { authority: authority.der(), own: None, alpn: vec![b"http/1.1".to_vec()] }
    }

    /// That shows a certificate.
    pub(crate) fn showing(mut self, own: &Signed) -> Self {
        self.own = Some((own.der(), own.key()));
        self
    }

    /// What makes such connections.
    pub(crate) fn connector(&self) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(VERSIONS)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match &self.own {
            Some((certificate, key)) => {
                builder.with_client_auth_cert(vec![certificate.clone()], key.clone_key()).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols.clone_from(&self.alpn);
        TlsConnector::from(Arc::new(config))
    }

    pub(crate) async fn dial(&self, to: SocketAddr) -> std::io::Result<TlsStream<TcpStream>> {
        self.over(TcpStream::connect(to).await?).await
    }

    pub(crate) async fn over(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        within(self.connector().connect(ServerName::try_from("localhost").unwrap(), stream)).await
    }

    /// Dials, and asks whether the hub is there: a client certificate is judged after the client's handshake.
    pub(crate) async fn healthz(&self, to: SocketAddr) -> std::io::Result<String> {
        let mut stream = self.dial(to).await?;
        get(&mut stream, "/healthz", "").await
    }
}

/// Asks for `path` and reads to the end; head and body.
pub(crate) async fn get(
    stream: &mut TlsStream<TcpStream>,
    path: &str,
    token: &str,
) -> std::io::Result<String> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: hub\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    let mut answer = String::new();
    within(async {
        stream.write_all(request.as_bytes()).await?;
        stream.read_to_string(&mut answer).await
    })
    .await?;
    Ok(answer)
}

/// The number of the certificate that the hub showed.
pub(crate) fn serial(stream: &TlsStream<TcpStream>) -> u8 {
    let shown = &stream.get_ref().1.peer_certificates().unwrap()[0];
    let (_, certificate) = x509_parser::certificate::X509Certificate::from_der(shown).unwrap();
    *certificate.raw_serial().last().unwrap()
}
