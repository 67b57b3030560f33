//! The socket of one connection: feeds what the session has to say, reads, and sees when the peer takes nothing.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{Sink as _, SinkExt as _, Stream as _, StreamExt as _};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message};
use tokio_tungstenite::tungstenite::{self, Utf8Bytes};

use crate::hub::counters::Counters;
use crate::hub::socket::Socket;
use crate::obs::clock;
use crate::session::{Closed, HubSession, Transmit};
use crate::time::BootTime;
use crate::wire::error::ErrorCode;

/// What reading gives: `None` at the end of the connection.
pub(super) type Incoming = Option<Result<Message, tungstenite::Error>>;

pub(super) struct Line {
    socket: Socket,
    out: BytesMut,
    flush: Flush,
    write_timeout: Duration,
}

/// Whether bytes wait for the peer.
#[derive(Debug, Clone, Copy)]
enum Flush {
    Done,
    Waiting {
        /// When the first of them was handed over.
        since: BootTime,
    },
}

/// Whether the connection takes more in at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    On,
    Paused,
}

impl Line {
    pub(super) fn new(socket: Socket, write_timeout: Duration) -> Self {
        Self { socket, out: BytesMut::new(), flush: Flush::Done, write_timeout }
    }

    /// Feeds what the session has to say, flushes once when that is all, and reads unless that is paused. Cancel safe.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        counters: &Counters,
        session: &mut HubSession,
        reading: Reading,
    ) -> Poll<Incoming> {
        let Self { socket, out, flush, .. } = self;
        let now = clock::boot_now();
        let mut ws = Pin::new(&mut socket.ws);
        loop {
            match ws.as_mut().poll_ready(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(error))),
                Poll::Pending => break,
            }
            let Some(transmit) = session.poll_transmit(now, out) else { break };
            counters.frames_out.add(1);
            if let Err(error) = ws.as_mut().start_send(message_of(transmit, out)) {
                return Poll::Ready(Some(Err(error)));
            }
            if let Flush::Done = flush {
                *flush = Flush::Waiting { since: now };
            }
        }
        if let Flush::Waiting { .. } = flush {
            match ws.as_mut().poll_flush(cx) {
                Poll::Ready(Ok(())) => *flush = Flush::Done,
                Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(error))),
                Poll::Pending => {}
            }
        }
        match reading {
            Reading::On => ws.poll_next(cx),
            Reading::Paused => Poll::Pending,
        }
    }

    /// A ping came: tungstenite queued the pong to it itself.
    pub(super) fn note_waiting(&mut self, now: BootTime) {
        if let Flush::Done = self.flush {
            self.flush = Flush::Waiting { since: now };
        }
    }

    /// When to call `check_writes`.
    pub(super) fn write_deadline(&self, session: &HubSession) -> Option<BootTime> {
        let Flush::Waiting { since } = self.flush else { return None };
        // What the peer takes is known one round trip later, and of what is large the system takes no more before much of it has
        // left.
        let line = session.round_trip().saturating_add(session.on_the_way());
        let timeout = self.write_timeout.saturating_add(line);
        Some(since.max(self.socket.meter().last_written()).after(timeout))
    }

    /// Tells the session when bytes moved: a part of a frame is a sign of life, too.
    pub(super) fn note_bytes(&self, session: &mut HubSession) {
        session.handle_received(self.socket.meter().last_read(), self.socket.meter().read());
        session.handle_written(self.socket.meter().last_written());
    }

    /// Ends the session where the peer took no byte for the write time-out.
    pub(super) fn check_writes(&self, now: BootTime, session: &HubSession) -> Option<Closed> {
        if self.write_deadline(session).is_none_or(|deadline| now < deadline) {
            return None;
        }
        Some(Closed {
            code: ErrorCode::WriteTimeout.close_code(),
            error: Some(ErrorCode::WriteTimeout),
            detail: "the peer does not read".to_owned(),
        })
    }

    /// Ends the connection at once.
    pub(super) fn reset(self) {
        self.socket.reset();
    }

    /// Sends the session's last word and the close frame, then waits for the peer's.
    pub(super) async fn say_goodbye(
        &mut self,
        counters: &Counters,
        session: &mut HubSession,
        closed: &Closed,
    ) {
        let now = clock::boot_now();
        while let Some(transmit) = session.poll_transmit(now, &mut self.out) {
            counters.frames_out.add(1);
            let message = message_of(transmit, &mut self.out);
            if self.socket.ws.feed(message).await.is_err() {
                return;
            }
        }
        let frame = CloseFrame { code: closed.code.into(), reason: Utf8Bytes::from(reason(closed)) };
        if self.socket.ws.close(Some(frame)).await.is_err() {
            return;
        }
        if closed.error == Some(ErrorCode::RateLimited) {
            // A handshake whose place is another's by now: what does not listen must hold no descriptor beside the places.
            return;
        }
        if closed.error == Some(ErrorCode::TooLarge) {
            // What follows cannot be read as frames any more.
            if let Err(error) = self.socket.linger().await {
                tracing::debug!(%error, "the connection broke while it was closed");
            }
            return;
        }
        // Until the peer's close frame: a reset could overtake ours.
        while let Some(Ok(_)) = self.socket.ws.next().await {}
    }
}

/// A close frame's reason: the error's name, which fits the 123 bytes there are.
fn reason(closed: &Closed) -> &'static str {
    closed.error.map_or("", ErrorCode::name)
}

fn message_of(transmit: Transmit, out: &mut BytesMut) -> Message {
    match transmit {
        Transmit::Frame => Message::Binary(out.split().freeze()),
        Transmit::Ping => Message::Ping(Bytes::new()),
    }
}
