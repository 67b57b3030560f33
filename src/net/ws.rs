//! A WebSocket as a source and sink of binary frames, driven by one task.
//!
//! * The task asks for one [`Turn`] at a time: reading goes on while writing is blocked, so a peer that reads slowly
//!   never keeps its acks from us. Everything here is poll-based: dropping a `turn` loses nothing.
//! * Frames are fed without a flush while there is more to send; what is left unflushed goes out as soon as the task
//!   has nothing to send (14 to 20 times the rate of a flush per message).
//! * Time-outs count bytes moved, not messages: on a slow link a large frame may take long as long as it moves.

#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::limit;
use crate::time::BootTime;

use super::meter::Meter;

/// How long a polite close may take before the socket is dropped.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// The longest text a close frame carries, by RFC 6455.
const CLOSE_REASON_BYTES_MAX: usize = 123;

/// The measured settings: see docs/protocol.md, "Socket".
pub fn config(read_buffer: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(read_buffer)
        .write_buffer_size(limit::SOCKET_WRITE_BUFFER)
        // One more frame than the buffer that triggers a write: we feed nothing while a write is blocked.
        .max_write_buffer_size(limit::SOCKET_WRITE_BUFFER + 2 * limit::MESSAGE_BYTES_MAX)
        .max_message_size(Some(limit::MESSAGE_BYTES_MAX))
        .max_frame_size(Some(limit::MESSAGE_BYTES_MAX))
}

/// What came from the peer.
#[derive(Debug)]
pub enum Incoming {
    /// A binary message.
    Frame(Bytes),
    /// A text message.
    Text,
    /// A ping or pong.
    Activity,
    /// A message above the limit.
    TooLarge,
    /// The peer closed.
    Closed {
        /// The close code; 1005 where the peer gave none.
        code: u16,
        /// What the peer said.
        reason: String,
    },
    /// The connection broke.
    Lost(String),
}

/// Whether the driver has a frame it wants to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// It has one.
    Send,
    /// It has none: flush what was fed.
    Rest,
}

/// One thing that happened.
#[derive(Debug)]
pub enum Turn {
    /// The peer said something.
    Incoming(Incoming),
    /// [`Link::feed`] may be called once.
    Writable,
}

/// One WebSocket.
#[derive(Debug)]
pub struct Link<S> {
    socket: WebSocketStream<S>,
    meter: Meter,
    flush: Flush,
    /// When something was first seen to wait for the system to take it.
    waiting_since: Option<BootTime>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flush {
    Clean,
    Needed,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link<S> {
    /// Takes an upgraded socket over, whose bytes `meter` counts.
    pub fn new(socket: WebSocketStream<S>, meter: Meter) -> Self {
        Self { socket, meter, flush: Flush::Clean, waiting_since: None }
    }

    /// The next thing that happens. Cancel-safe.
    pub async fn turn(&mut self, want: Want) -> Turn {
        poll_fn(|context| self.poll_turn(context, want)).await
    }

    fn poll_turn(&mut self, context: &mut Context<'_>, want: Want) -> Poll<Turn> {
        if let Poll::Ready(message) = Pin::new(&mut self.socket).poll_next(context) {
            return Poll::Ready(Turn::Incoming(incoming(message)));
        }
        let lost = |error: Error| Poll::Ready(Turn::Incoming(Incoming::Lost(error.to_string())));
        match (want, self.flush) {
            (Want::Send, Flush::Clean | Flush::Needed) => {
                match Pin::new(&mut self.socket).poll_ready(context) {
                    Poll::Ready(Ok(())) => Poll::Ready(Turn::Writable),
                    Poll::Ready(Err(error)) => lost(error),
                    Poll::Pending => Poll::Pending,
                }
            }
            (Want::Rest, Flush::Needed) => match Pin::new(&mut self.socket).poll_flush(context) {
                Poll::Ready(Ok(())) => {
                    self.flush = Flush::Clean;
                    Poll::Pending
                }
                Poll::Ready(Err(error)) => lost(error),
                Poll::Pending => Poll::Pending,
            },
            (Want::Rest, Flush::Clean) => Poll::Pending,
        }
    }

    /// Queues one binary message; allowed once after each [`Turn::Writable`].
    ///
    /// # Errors
    /// Where the connection broke.
    pub fn feed(&mut self, frame: Bytes) -> Result<(), String> {
        self.start(Message::Binary(frame))
    }

    /// Queues a WebSocket ping; as [`Self::feed`].
    ///
    /// # Errors
    /// Where the connection broke.
    pub fn feed_ping(&mut self) -> Result<(), String> {
        self.start(Message::Ping(Bytes::new()))
    }

    fn start(&mut self, message: Message) -> Result<(), String> {
        self.flush = Flush::Needed;
        Pin::new(&mut self.socket).start_send(message).map_err(|error| error.to_string())
    }

    /// When the peer will have accepted no byte for `timeout`; `None` while nothing waits to be written.
    pub fn write_deadline(&mut self, now: BootTime, timeout: Duration) -> Option<BootTime> {
        if self.flush == Flush::Clean {
            self.waiting_since = None;
            return None;
        }
        let since = *self.waiting_since.get_or_insert(now);
        Some(since.max(self.meter.last_written()).after(timeout))
    }

    /// Bytes received so far.
    pub fn received(&self) -> u64 {
        self.meter.read()
    }

    /// When the last byte was received: any of them is a sign of life.
    pub fn last_read(&self) -> BootTime {
        self.meter.last_read()
    }

    /// When the system took the last byte for sending.
    pub fn last_written(&self) -> BootTime {
        self.meter.last_written()
    }

    /// Sends a close frame and waits a moment for the peer's, so that what was sent before arrives.
    pub async fn close(mut self, code: u16, reason: &str) {
        let mut end = reason.len().min(CLOSE_REASON_BYTES_MAX);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        let reason = reason.get(..end).unwrap_or_default().to_owned();
        let frame = CloseFrame { code: CloseCode::from(code), reason: reason.into() };
        let polite = async {
            if self.socket.close(Some(frame)).await.is_ok() {
                while let Some(Ok(_)) = poll_fn(|context| Pin::new(&mut self.socket).poll_next(context)).await
                {
                }
            }
        };
        // A peer that does not answer gets no more than this.
        let _late = tokio::time::timeout(CLOSE_TIMEOUT, polite).await;
    }
}

fn incoming(message: Option<Result<Message, Error>>) -> Incoming {
    match message {
        Some(Ok(Message::Binary(frame))) => Incoming::Frame(frame),
        Some(Ok(Message::Text(_))) => Incoming::Text,
        Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Incoming::Activity,
        Some(Ok(Message::Close(frame))) => {
            frame.map_or(Incoming::Closed { code: 1005, reason: String::new() }, |frame| Incoming::Closed {
                code: frame.code.into(),
                reason: frame.reason.as_str().to_owned(),
            })
        }
        Some(Err(Error::Capacity(_))) => Incoming::TooLarge,
        Some(Err(error)) => Incoming::Lost(error.to_string()),
        None => Incoming::Lost("the connection ended without a close frame".to_owned()),
    }
}
