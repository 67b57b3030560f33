//! A hub with TLS in a folder of its own, and peers that dial it with rustls.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use outpost::hub::Hub;
use outpost::hub::config::Config;
use outpost::net::tls::server::Files;
use outpost::net::tls::{VERSIONS, provider};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tempfile::TempDir;
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

pub(crate) struct Scene {
    pub(crate) hub: Hub,
    pub(crate) authority: Authority,
    pub(crate) folder: TempDir,
}

impl Scene {
    /// A hub with certificate number 1.
    pub(crate) async fn new() -> Self {
        Self::with(|_config, _folder| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config, &std::path::Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new("a test's authority");
        authority.server(1).write(folder.path(), "hub");
        let files = Files {
            cert: folder.path().join("hub.pem"),
            key: folder.path().join("hub.key"),
            client_ca: None,
        };
        let mut config = Config {
            data: folder.path().join("hub"),
            listen: "127.0.0.1:0".parse().unwrap(),
            tls: Some(files),
            ..Config::default()
        };
        change(&mut config, folder.path());
        let hub = Hub::start(config).await.unwrap();
        Self { hub, authority, folder }
    }

    pub(crate) fn peer(&self) -> Peer {
        Peer::believing(&self.authority)
    }

    /// What the hub says of itself.
    pub(crate) async fn status(&self) -> Value {
        let token = std::fs::read_to_string(self.folder.path().join("hub/admin.token")).unwrap();
        let mut stream = self.peer().dial(self.hub.local_addr()).await.unwrap();
        let answer = get(&mut stream, "/v1/status", token.trim()).await.unwrap();
        let (_head, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap()
    }

    /// Handshakes that failed, by their reasons.
    pub(crate) async fn failed(&self) -> Value {
        self.status().await["counters"]["tls_failed"].clone()
    }

    /// Waits until so many handshakes failed for this reason.
    pub(crate) async fn failed_for(&self, reason: &str, count: u64) {
        within(async {
            while self.failed().await[reason] != count {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

/// Somebody who dials the hub.
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

    pub(crate) async fn dial(&self, to: SocketAddr) -> std::io::Result<TlsStream<TcpStream>> {
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
        let stream = TcpStream::connect(to).await?;
        let name = ServerName::try_from("localhost").unwrap();
        within(TlsConnector::from(Arc::new(config)).connect(name, stream)).await
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
