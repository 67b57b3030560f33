//! What every connection asks of the system, at both ends.

use std::io;

use socket2::SockRef;
use tokio::net::TcpStream;

use crate::limit;

/// Small messages go at once, and the system takes little beyond what it has sent: what is more urgent is signed later
/// and overtakes the rest.
///
/// # Errors
/// Where the system refuses an option; the connection works without.
pub fn set(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    SockRef::from(stream).set_tcp_notsent_lowat(limit::SOCKET_UNSENT)?;
    Ok(())
}
