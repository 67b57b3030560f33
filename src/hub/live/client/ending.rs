//! Why a subscriber's connection ends, and what it is told.

use std::fmt;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::hub::live::first_frame::Refused;

/// One of the ends a connection has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::hub::live) enum Ending {
    /// It may not be here, or not any more.
    Refused(Refused),
    /// A binary message.
    Binary,
    /// A message above the limit.
    TooLarge,
    /// A text that is not UTF-8.
    BadText,
    /// Frames that no WebSocket sends.
    Protocol(String),
    /// No pong.
    Silent,
    /// The broker stops.
    GoingAway,
    /// There is no room.
    Crowded,
    /// The store did not give what it was asked for.
    Failed(String),
    /// It closed, or vanished.
    Left,
    /// The connection broke.
    Lost(String),
}

impl From<Refused> for Ending {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl Ending {
    pub(super) fn of(error: &Error) -> Self {
        match error {
            Error::Capacity(_) => Self::TooLarge,
            Error::Utf8(_) => Self::BadText,
            Error::Protocol(error) => Self::Protocol(error.to_string()),
            Error::ConnectionClosed | Error::AlreadyClosed => Self::Left,
            other => Self::Lost(other.to_string()),
        }
    }

    /// The close code and a word; `None` where there is nobody to tell.
    const fn close(&self) -> Option<(CloseCode, &'static str)> {
        Some(match self {
            Self::Refused(refused) => (CloseCode::Policy, refused.code()),
            Self::Binary => (CloseCode::Unsupported, "text messages only"),
            Self::TooLarge => (CloseCode::Size, "message too large"),
            Self::BadText => (CloseCode::Invalid, "not UTF-8"),
            Self::Protocol(_) => (CloseCode::Protocol, "protocol error"),
            Self::Silent => (CloseCode::Policy, "no pong"),
            Self::GoingAway => (CloseCode::Away, "going away"),
            Self::Crowded => (CloseCode::Again, "too many connections"),
            Self::Failed(_) => (CloseCode::Error, "the store does not answer"),
            Self::Left | Self::Lost(_) => return None,
        })
    }

    /// Tells the peer, and reads what it still sends to its end: a reset would overtake what it is told. Takes as long as the
    /// peer does; the caller bounds it.
    pub(super) async fn tell<S: AsyncRead + AsyncWrite + Unpin>(self, mut socket: WebSocketStream<S>) {
        let Some((code, reason)) = self.close() else {
            // Its close frame is answered by reading on.
            if self == Self::Left {
                while let Some(Ok(_)) = socket.next().await {}
            }
            return;
        };
        if let Self::Refused(refused) = &self
            && socket.send(Message::Text(refused.to_frame().into())).await.is_err()
        {
            return;
        }
        if socket.close(Some(CloseFrame { code, reason: reason.into() })).await.is_err() {
            return;
        }
        let io = socket.get_mut();
        if io.shutdown().await.is_ok() {
            let mut sink = [0; 4096];
            while io.read(&mut sink).await.is_ok_and(|count| count > 0) {}
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refused) => write!(f, "{}: {refused}", refused.code()),
            Self::Protocol(error) => write!(f, "not the WebSocket protocol: {error}"),
            Self::Failed(error) => write!(f, "the store does not answer: {error}"),
            Self::Lost(error) => write!(f, "the connection broke: {error}"),
            Self::Left => f.write_str("it left"),
            other => f.write_str(other.close().map_or("", |(_, reason)| reason)),
        }
    }
}
