//! A peer that says to the hub's listener whatever it likes, from whichever loopback address it likes.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::raw_agent::within;

/// A socket bound to an address of 127.0.0.0/8: to the hub each is another peer.
pub(crate) fn socket_from(last: u8) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(Ipv4Addr::new(127, 0, 0, last).into(), 0)).unwrap();
    socket
}

pub(crate) struct RawHttp(TcpStream);

/// The head of an answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }

    /// Status and error name.
    pub(crate) fn refusal(&self) -> (u16, &str) {
        (self.status, self.header("x-outpost-error").unwrap_or_default())
    }
}

impl RawHttp {
    pub(crate) async fn connect(to: SocketAddr) -> Self {
        Self::connect_from(1, to).await
    }

    pub(crate) async fn connect_from(last: u8, to: SocketAddr) -> Self {
        Self(within(socket_from(last).connect(to)).await.unwrap())
    }

    /// One that takes little at once: what the hub says waits on its side.
    pub(crate) async fn connect_narrow(to: SocketAddr) -> Self {
        let socket = socket_from(1);
        socket.set_recv_buffer_size(4096).unwrap();
        Self(within(socket.connect(to)).await.unwrap())
    }

    /// Says what the peer may not want to hear any more.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        within(self.0.write_all(bytes.as_ref())).await
    }

    /// No more from this side.
    pub(crate) async fn half_close(&mut self) {
        within(self.0.shutdown()).await.unwrap();
    }

    /// The head of the next answer; its body is read and dropped.
    pub(crate) async fn answer(&mut self) -> Answer {
        within(async {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(self.0.read_u8().await.unwrap_or_else(|error| {
                    panic!("no answer ({error}) but {:?}", String::from_utf8_lossy(&head))
                }));
            }
            let head = String::from_utf8(head).unwrap();
            let status = head.split(' ').nth(1).unwrap().parse().unwrap();
            let answer = Answer { status, head };
            let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
            self.0.read_exact(&mut vec![0; length]).await.unwrap();
            answer
        })
        .await
    }

    /// The next piece of an answer that comes in pieces (`Transfer-Encoding: chunked`); `None` where it is over.
    pub(crate) async fn piece(&mut self) -> Option<Vec<u8>> {
        within(self.piece_at_last()).await
    }

    /// The same, however long that takes.
    pub(crate) async fn piece_at_last(&mut self) -> Option<Vec<u8>> {
        let mut size = Vec::new();
        while !size.ends_with(b"\r\n") {
            size.push(self.0.read_u8().await.ok()?);
        }
        let size = std::str::from_utf8(&size).unwrap().trim_end();
        let size = usize::from_str_radix(size, 16).unwrap_or_else(|error| panic!("{error}: {size:?}"));
        let mut piece = vec![0; size + 2];
        self.0.read_exact(&mut piece).await.ok()?;
        assert!(piece.ends_with(b"\r\n"));
        piece.truncate(size);
        (size > 0).then_some(piece)
    }

    /// Sends one request and reads the answer.
    pub(crate) async fn ask(&mut self, request: impl AsRef<[u8]>) -> Answer {
        self.send(request).await.unwrap();
        self.answer().await
    }

    /// Returns once the hub has ended the connection; what it said before.
    pub(crate) async fn ended(&mut self) -> Vec<u8> {
        let mut said = Vec::new();
        // A reset is an end, too.
        let _reset = within(self.0.read_to_end(&mut said)).await;
        said
    }

    /// Whether the hub has ended the connection by now.
    pub(crate) fn has_ended(&self) -> bool {
        match self.0.try_read(&mut [0]) {
            Ok(count) => count == 0,
            Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }
}
