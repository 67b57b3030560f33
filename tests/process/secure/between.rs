//! Somebody on the way who ends TLS with certificates of its own making, and writes down what it hears.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, ServerConfig, ServerConnection, SignatureScheme,
};
use x509_parser::time::ASN1Time;

/// How long it listens to one that says nothing.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is wrong with what it shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Forgery {
    /// It is of another authority, which is in the chain.
    OwnAuthority,
    /// It is of another authority, and the right one's certificate, which is no secret, is put behind it.
    ForeignAuthorityAppended,
    /// It vouches for itself.
    SelfSigned,
    /// Nothing but its time: the right authority made it.
    Expired,
    /// Nothing but its name: likewise.
    OtherHost,
}

/// What it heard.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Connections that were accepted.
    pub(super) connections: usize,
    /// Those that believed it.
    pub(super) handshakes: usize,
    /// What came through TLS.
    pub(super) requests: Vec<u8>,
    /// What came over the wire.
    pub(super) raw: Vec<u8>,
}

/// The one in between.
pub(super) struct Between {
    address: SocketAddr,
    authority: String,
    stop: Arc<AtomicBool>,
    heard: Arc<Mutex<Heard>>,
    thread: JoinHandle<()>,
}

impl Between {
    /// `tls` is the hub's folder with its authority.
    pub(super) fn start(forgery: Forgery, tls: &Path) -> Self {
        let (chain, key, authority) = forged(forgery, tls);
        let config = ServerConfig::builder_with_provider(outpost::net::tls::provider())
            .with_protocol_versions(outpost::net::tls::VERSIONS)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key)))
            .unwrap();
        let mut config = config;
        config.alpn_protocols = vec![outpost::net::tls::ALPN.to_vec()];
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, heard) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Heard::default())));
        let (stopping, hearing) = (Arc::clone(&stop), Arc::clone(&heard));
        let thread = std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if stopping.load(Ordering::Relaxed) {
                    return;
                }
                hearing.lock().unwrap().connections += 1;
                listen_to(stream, Arc::clone(&config), &hearing);
            }
        });
        Self { address, authority, stop, heard, thread }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its own authority, as PEM.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    pub(super) fn stop(self) -> Heard {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes it.
        drop(TcpStream::connect(self.address).unwrap());
        self.thread.join().unwrap();
        std::mem::take(&mut self.heard.lock().unwrap())
    }
}

/// Until the other end hangs up.
fn listen_to(stream: TcpStream, config: Arc<ServerConfig>, heard: &Mutex<Heard>) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut connection = ServerConnection::new(config).unwrap();
    let mut tap = Tap { stream, heard };
    // It ends with an error where the other end does not believe it.
    let done = connection.complete_io(&mut tap);
    // In TLS 1.3 the other end may refuse right after what looks like the end.
    let mut request = vec![0; 64 * 1024];
    let read = rustls::Stream::new(&mut connection, &mut tap).read(&mut request);
    let mut heard = heard.lock().unwrap();
    if done.is_ok() && !connection.is_handshaking() && !matches!(&read, Err(error) if refused(error)) {
        heard.handshakes += 1;
    }
    if let Ok(count) = read {
        heard.requests.extend_from_slice(&request[..count]);
    }
}

/// Whether an alert of the other end ended it.
fn refused(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|error| error.to_string().contains("alert"))
}

struct Tap<'a> {
    stream: TcpStream,
    heard: &'a Mutex<Heard>,
}

impl Read for Tap<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(buffer)?;
        self.heard.lock().unwrap().raw.extend_from_slice(&buffer[..count]);
        Ok(count)
    }
}

impl Write for Tap<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// A chain, its key (PKCS#8) and an authority of its own, as PEM.
fn forged(forgery: Forgery, tls: &Path) -> (Vec<CertificateDer<'static>>, Vec<u8>, String) {
    let read = |name: &str| std::fs::read_to_string(tls.join(name)).unwrap();
    let right = outpost::net::tls::pem::certificates(&tls.join("ca.pem")).unwrap().remove(0);
    let (own_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "somebody else");
    let own = params.self_signed(&own_key).unwrap();
    let own_issuer = Issuer::new(params, own_key);
    let right_issuer = Issuer::from_ca_cert_pem(&read("ca.pem"), KeyPair::from_pem(&read("ca.key")).unwrap());
    let right_issuer = right_issuer.unwrap();
    let host = if forgery == Forgery::OtherHost { "other.example" } else { "127.0.0.1" };
    let mut leaf = CertificateParams::new([host.to_owned()]).unwrap();
    if forgery == Forgery::Expired {
        // The authority is good since a day ago: the two were good together.
        let hour = Duration::from_secs(3600);
        leaf.not_after = ASN1Time::now().to_datetime() - hour;
        leaf.not_before = leaf.not_after - 10 * hour;
    }
    let chain = match forgery {
        Forgery::OwnAuthority => {
            vec![leaf.signed_by(&key, &own_issuer).unwrap().der().clone(), own.der().clone()]
        }
        Forgery::ForeignAuthorityAppended => {
            vec![leaf.signed_by(&key, &own_issuer).unwrap().der().clone(), right]
        }
        Forgery::SelfSigned => vec![leaf.self_signed(&key).unwrap().der().clone()],
        Forgery::Expired | Forgery::OtherHost => {
            vec![leaf.signed_by(&key, &right_issuer).unwrap().der().clone(), right]
        }
    };
    (chain, key.serialize_der(), own.pem())
}

/// The chain that whoever listens there shows.
pub(super) fn presented(address: SocketAddr) -> Vec<CertificateDer<'static>> {
    let config = ClientConfig::builder_with_provider(outpost::net::tls::provider())
        .with_protocol_versions(outpost::net::tls::VERSIONS)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_no_client_auth();
    let name = ServerName::from(address.ip());
    let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    connection.complete_io(&mut stream).unwrap();
    connection
        .peer_certificates()
        .unwrap()
        .iter()
        .map(|certificate| certificate.clone().into_owned())
        .collect()
}

/// Looks, and believes everybody.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        outpost::net::tls::provider().signature_verification_algorithms.supported_schemes()
    }
}
