//! TLS as both sides speak it: 1.3 only, ALPN http/1.1, keys of the channel that sessions can be bound to.

pub mod certificate;
pub mod client;
mod pair;
pub mod pem;
pub mod reader;
#[cfg(feature = "hub")]
pub mod server;
mod stamp;
pub mod trust;

use std::sync::Arc;

use rustls::SupportedProtocolVersion;
use rustls::crypto::CryptoProvider;
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

use super::meter::Metered;
pub use pair::PairError;

/// WebSocket needs HTTP/1.1.
pub const ALPN: &[u8] = b"http/1.1";
/// Anything older is refused.
pub const VERSIONS: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];
/// The exporter's label (RFC 5705): see docs/protocol.md, "Keys".
const EXPORTER_LABEL: &[u8] = b"EXPORTER-outpost-v1";

/// The cryptography; never the process's default, which another library may have set.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Bytes that only the two ends of this connection can derive; `None` before the handshake is over.
pub fn exporter(stream: &TlsStream<Metered<TcpStream>>) -> Option<[u8; 32]> {
    let output = [0; 32];
    let exported = match stream {
        TlsStream::Client(stream) => stream.get_ref().1.export_keying_material(output, EXPORTER_LABEL, None),
        TlsStream::Server(stream) => stream.get_ref().1.export_keying_material(output, EXPORTER_LABEL, None),
    };
    exported.ok()
}
