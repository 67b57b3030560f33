//! What every connection asks of the system, at both ends.

use std::io;

use socket2::SockRef;
use tokio::net::TcpStream;

use crate::limit;

/// Small messages go at once, and the system takes little beyond what it has sent: what is more urgent is signed later
/// and overtakes the rest. What the system refuses is left out: the connection works without.
pub fn ask(stream: &TcpStream) {
    // One that it does not know is no reason to leave out the others.
    for refused in [stream.set_nodelay(true), little_unsent(stream)].into_iter().filter_map(Result::err) {
        tracing::debug!(error = %refused, "an option of the socket was refused");
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn little_unsent(stream: &TcpStream) -> io::Result<()> {
    SockRef::from(stream).set_tcp_notsent_lowat(limit::SOCKET_UNSENT)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn little_unsent(_stream: &TcpStream) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_connection_has_what_it_asked_for() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        ask(&stream);
        assert!(stream.nodelay().unwrap());
        #[cfg(any(target_os = "linux", target_os = "android"))]
        assert_eq!(SockRef::from(&stream).tcp_notsent_lowat().unwrap(), limit::SOCKET_UNSENT);
    }

    #[tokio::test]
    async fn a_connection_that_is_refused_every_option_works_without() {
        // Not TCP, under the type of it: the system knows none of its options here.
        let (near, mut far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        let mut near = TcpStream::from_std(OwnedFd::from(near).into()).unwrap();
        assert!(near.set_nodelay(true).is_err() && little_unsent(&near).is_err());
        ask(&near);
        near.write_all(b"out").await.unwrap();
        std::io::Write::write_all(&mut far, b"in").unwrap();
        let (mut out, mut back) = ([0; 3], [0; 2]);
        std::io::Read::read_exact(&mut far, &mut out).unwrap();
        near.read_exact(&mut back).await.unwrap();
        assert_eq!((&out, &back), (b"out", b"in"));
    }
}
