//! An authority, servers with certificates of it, and a client that dials them.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::super::*;
use crate::time::WallTime;

pub(super) const HOST: &str = "hub.example";

const DAY: u64 = 86_400;
/// 2126-01-15, day 0.
const START: u64 = 4_924_108_800;

/// A client's clock on some day.
pub(super) const fn wall(day: u64) -> WallTime {
    WallTime((START + day * DAY) * 1000)
}

/// Who makes certificates.
pub(super) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate with its key.
pub(super) struct Pair {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: KeyPair,
    pub(super) pem: String,
}

impl Authority {
    pub(super) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, name);
        (params.not_before, params.not_after) =
            (rcgen::date_time_ymd(2000, 1, 1), rcgen::date_time_ymd(2200, 1, 1));
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer }
    }

    pub(super) fn der(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }

    /// Its certificate in a file of the folder.
    pub(super) fn file(&self, folder: &Path) -> PathBuf {
        let path = folder.join("ca.pem");
        std::fs::write(&path, self.issuer.pem()).unwrap();
        path
    }

    /// For these hosts, from one day to the beginning of another.
    pub(super) fn server(&self, hosts: &[&str], days: Range<u64>) -> Pair {
        let first = rcgen::date_time_ymd(2126, 1, 15);
        let at = |day: u64| first + Duration::from_secs(day * DAY);
        self.issue(hosts, |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            (params.not_before, params.not_after) = (at(days.start), at(days.end));
        })
    }

    /// For an agent; until the first day of a year.
    pub(super) fn client(&self, until: i32) -> Pair {
        self.issue(&["edge-1"], |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            (params.not_before, params.not_after) =
                (rcgen::date_time_ymd(2000, 1, 1), rcgen::date_time_ymd(until, 1, 1));
        })
    }

    fn issue(&self, hosts: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Pair {
        let hosts = hosts.iter().map(ToString::to_string).collect::<Vec<_>>();
        let mut params = CertificateParams::new(hosts).unwrap();
        params.distinguished_name.push(DnType::CommonName, "a leaf");
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        Pair { chain: vec![leaf.der().clone(), self.der()], key, pem: leaf.pem() }
    }
}

impl Pair {
    pub(super) fn private(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.key.serialize_der()).unwrap()
    }

    /// As files of the folder.
    pub(super) fn files(&self, folder: &Path) -> ClientFiles {
        let (cert, key) = (folder.join("own.pem"), folder.join("own.key"));
        std::fs::write(&cert, &self.pem).unwrap();
        std::fs::write(&key, self.key.serialize_pem()).unwrap();
        ClientFiles { cert, key }
    }

    /// A server that shows it and asks for nothing.
    pub(super) fn server(&self) -> ServerConfig {
        ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(VERSIONS)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), self.private())
            .unwrap()
    }
}

/// A folder with the authority's file, and settings that pin it.
pub(super) fn pinned(authority: &Authority) -> (TempDir, Settings) {
    let folder = tempfile::tempdir().unwrap();
    let ca_file = Some(authority.file(folder.path()));
    (folder, Settings { ca_file, ..Settings::default() })
}

/// A client whose clock says the fifth day.
pub(super) fn client(settings: &Settings) -> ClientTls {
    ClientTls::with_time(settings, || wall(5), TimeFloor::default()).unwrap()
}

/// Both ends of a connection over loopback.
pub(super) async fn wire() -> (Metered<TcpStream>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (Metered::new(near), listener.accept().await.unwrap().0)
}

/// One handshake with such a server, which goes on until the client is gone; and what the server exported.
pub(super) async fn meet(
    client: &ClientTls,
    host: &str,
    server: ServerConfig,
) -> (Result<Secured, TlsError>, tokio::task::JoinHandle<Option<[u8; 32]>>) {
    let (near, far) = wire().await;
    let server = tokio::spawn(async move {
        let mut stream = match TlsAcceptor::from(Arc::new(server)).accept(Metered::new(far)).await {
            Ok(stream) => tokio_rustls::TlsStream::Server(stream),
            Err(_refused) => return None,
        };
        let exported = crate::net::tls::exporter(&stream);
        // In TLS 1.3 a client learns only by what comes now whether its certificate was taken.
        let _said = stream.write_all(b"!").await;
        let _until_the_client_goes = stream.read(&mut [0; 16]).await;
        exported
    });
    (client.handshake(host, near).await, server)
}
