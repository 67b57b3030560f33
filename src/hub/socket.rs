//! An agent's WebSocket with the measured settings, and a count of the bytes the peer accepted.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use crate::limit;

/// The stream below, counting what goes out.
pub(super) struct Counted {
    io: TokioIo<Upgraded>,
    written: Arc<AtomicU64>,
}

/// The WebSocket of one agent.
pub(super) struct Socket {
    pub(super) ws: WebSocketStream<Counted>,
    written: Arc<AtomicU64>,
}

impl Socket {
    pub(super) async fn new(upgraded: Upgraded, message_bytes_max: usize) -> Self {
        let written = Arc::new(AtomicU64::new(0));
        let io = Counted { io: TokioIo::new(upgraded), written: Arc::clone(&written) };
        let config = WebSocketConfig::default()
            .read_buffer_size(limit::SOCKET_READ_BUFFER_IDLE)
            .write_buffer_size(limit::SOCKET_WRITE_BUFFER)
            .max_write_buffer_size(message_bytes_max.saturating_add(2 * limit::SOCKET_WRITE_BUFFER))
            .max_message_size(Some(message_bytes_max))
            .max_frame_size(Some(message_bytes_max));
        Self { ws: WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await, written }
    }

    /// Bytes the peer's kernel accepted so far.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Lets the peer read what was sent: no more from us, then what it still sends is thrown away. Without this a
    /// reset could overtake the close frame.
    pub(super) async fn linger(&mut self) -> io::Result<()> {
        let io = &mut self.ws.get_mut().io;
        io.shutdown().await?;
        let mut sink = [0; 4096];
        while io.read(&mut sink).await? > 0 {}
        Ok(())
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.io).poll_write(cx, buf);
        if let Poll::Ready(Ok(count)) = &poll {
            self.written.fetch_add(*count as u64, Ordering::Relaxed);
        }
        poll
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
