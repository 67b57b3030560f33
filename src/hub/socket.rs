//! An agent's WebSocket with the measured settings, and a count of the bytes the peer accepted.

use std::io;

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use crate::limit;
use crate::net::meter::Meter;
use crate::net::stream::Stream;

/// What the hub knows of a connection below HTTP.
#[derive(Debug, Clone)]
pub(super) struct Channel {
    /// Bytes that passed its socket.
    pub(super) meter: Meter,
    /// What only its two ends know, where this hub ends TLS.
    pub(super) binding: Option<[u8; 32]>,
}

/// The WebSocket of one agent.
pub(super) struct Socket {
    pub(super) ws: WebSocketStream<TokioIo<Upgraded>>,
    channel: Channel,
}

impl Socket {
    pub(super) async fn new(upgraded: Upgraded, channel: Channel, message_bytes_max: usize) -> Self {
        let io = TokioIo::new(upgraded);
        let config = WebSocketConfig::default()
            .read_buffer_size(limit::SOCKET_READ_BUFFER_IDLE)
            .write_buffer_size(limit::SOCKET_WRITE_BUFFER)
            .max_write_buffer_size(message_bytes_max.saturating_add(2 * limit::SOCKET_WRITE_BUFFER))
            .max_message_size(Some(message_bytes_max))
            .max_frame_size(Some(message_bytes_max));
        Self { ws: WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await, channel }
    }

    /// What the session's keys are bound to.
    pub(super) fn binding(&self) -> Option<[u8; 32]> {
        self.channel.binding
    }

    /// What passed below TLS, and when.
    pub(super) const fn meter(&self) -> &Meter {
        &self.channel.meter
    }

    /// Ends the connection though much waits that the system took and has not sent: a slow line would bring it for minutes, and
    /// the peer would hear of the end after that.
    pub(super) fn reset(self) {
        let Ok(parts) = self.ws.into_inner().into_inner().downcast::<TokioIo<Stream>>() else { return };
        if let Err(error) = parts.io.inner().reset_when_dropped() {
            tracing::debug!(%error, "a connection that was to be reset is gone");
        }
    }

    /// Lets the peer read what was sent: no more from us, then what it still sends is thrown away. Without this a
    /// reset could overtake the close frame.
    pub(super) async fn linger(&mut self) -> io::Result<()> {
        let io = self.ws.get_mut();
        io.shutdown().await?;
        let mut sink = [0; 4096];
        while io.read(&mut sink).await? > 0 {}
        Ok(())
    }
}
