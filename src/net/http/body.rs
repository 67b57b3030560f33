//! What a request carries: bytes that are there, or what a reader gives as it is sent.

use std::fmt;
use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

/// Read from the source at once.
const READ_BYTES: usize = 64 * 1024;

/// A request's body.
pub enum Outgoing {
    /// Known in whole. Empty ones are none.
    Whole(Bytes),
    /// Read when it is sent, chunk by chunk; reading blocks whoever sends.
    Reader(Box<dyn Read + Send>),
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // It may hold a token.
            Self::Whole(bytes) => write!(f, "Whole({} bytes)", bytes.len()),
            Self::Reader(_) => f.write_str("Reader(..)"),
        }
    }
}

impl Outgoing {
    /// A JSON value.
    pub fn json(value: &serde_json::Value) -> Self {
        Self::Whole(value.to_string().into())
    }
}

impl Default for Outgoing {
    fn default() -> Self {
        Self::Whole(Bytes::new())
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let next = match &mut *self {
            Self::Whole(bytes) => Ok(std::mem::take(bytes)),
            Self::Reader(reader) => {
                let mut piece = vec![0; READ_BYTES];
                loop {
                    match reader.read(&mut piece) {
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        read => {
                            break read.map(|count| {
                                piece.truncate(count);
                                Bytes::from(piece)
                            });
                        }
                    }
                }
            }
        };
        Poll::Ready(match next {
            Ok(bytes) if bytes.is_empty() => None,
            next => Some(next.map(Frame::data)),
        })
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Reader(_) => SizeHint::default(),
        }
    }
}
