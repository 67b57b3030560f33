//! Frames of the local socket (docs/socket.md).
//!
//! ```text
//! frame   = length u32 BE (of what follows, 1 ..= limit::INTAKE_FRAME_BYTES_MAX) | kind u8 | body
//! records = (length u32 BE | payload)*
//! ```
//! Must not: trust a length before it is checked against the bound.

use std::io::{self, Read};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::limit;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Program to agent: what is wanted, as JSON. The first frame.
    Request = 1,
    /// Program to agent: records of an `emit`.
    Records = 2,
    /// Program to agent: no more records.
    End = 3,
    /// Agent to program: one row of a longer answer, as JSON.
    Row = 65,
    /// Agent to program: how many records are durable so far, u64 BE.
    Durable = 66,
    /// Agent to program: the answer, as JSON; the last frame.
    Done = 67,
    /// Agent to program: what went wrong, as JSON; the last frame.
    Error = 68,
    /// Agent to program: the next bytes of a file.
    Data = 69,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::Request,
        Self::Records,
        Self::End,
        Self::Row,
        Self::Durable,
        Self::Done,
        Self::Error,
        Self::Data,
    ];

    fn from_u8(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub kind: Kind,
    /// Its content.
    pub body: Bytes,
}

/// A frame that is none.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The other end went in the middle of a frame.
    #[error("the connection ended in the middle of a frame; what was not confirmed must be sent again")]
    Cut,
    /// Zero or above the bound.
    #[error("a frame of {0} bytes; allowed are 1 to {max}", max = limit::INTAKE_FRAME_BYTES_MAX)]
    Length(u32),
    /// Not a kind of this version.
    #[error("frame kind {0} is not known; see docs/socket.md")]
    Kind(u8),
    /// A records frame whose lengths do not add up.
    #[error("a records frame whose record lengths do not add up")]
    Records,
    /// A record above the bound.
    #[error("a record of {0} bytes; allowed are {max}", max = limit::RECORD_BYTES_MAX)]
    RecordTooLarge(u32),
    /// The socket failed.
    #[error("the socket failed: {0}")]
    Io(#[from] io::Error),
}

/// The bytes of one frame.
pub fn encode(kind: Kind, body: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(body.len().saturating_add(5));
    let length = u32::try_from(body.len().saturating_add(1)).unwrap_or(u32::MAX);
    bytes.put_u32(length);
    bytes.put_u8(kind as u8);
    bytes.put_slice(body);
    bytes.freeze()
}

fn checked_length(length: u32) -> Result<usize, FrameError> {
    usize::try_from(length)
        .ok()
        .filter(|bytes| (1..=limit::INTAKE_FRAME_BYTES_MAX).contains(bytes))
        .ok_or(FrameError::Length(length))
}

fn decode(mut content: Bytes) -> Result<Frame, FrameError> {
    if content.is_empty() {
        return Err(FrameError::Length(0));
    }
    let byte = content.get_u8();
    let kind = Kind::from_u8(byte).ok_or(FrameError::Kind(byte))?;
    Ok(Frame { kind, body: content })
}

/// The next frame; `None` where the other end closed between two frames. Not cancel-safe.
///
/// # Errors
/// See [`FrameError`]; the connection cannot go on after any of them.
pub async fn read(socket: &mut (impl AsyncRead + Unpin)) -> Result<Option<Frame>, FrameError> {
    let mut length = [0; 4];
    let begun = socket.read(&mut length).await?;
    let Some(rest @ [_, ..]) = length.get_mut(begun..).filter(|_| begun > 0) else {
        return if begun == 0 { Ok(None) } else { read_content(socket, length).await.map(Some) };
    };
    socket.read_exact(rest).await.map_err(cut)?;
    read_content(socket, length).await.map(Some)
}

async fn read_content(socket: &mut (impl AsyncRead + Unpin), length: [u8; 4]) -> Result<Frame, FrameError> {
    let mut content = vec![0; checked_length(u32::from_be_bytes(length))?];
    socket.read_exact(&mut content).await.map_err(cut)?;
    decode(content.into())
}

/// [`read`] for a blocking socket.
///
/// # Errors
/// As [`read`].
pub fn read_blocking(socket: &mut impl Read) -> Result<Option<Frame>, FrameError> {
    let mut length = [0; 4];
    let begun = socket.read(&mut length)?;
    if begun == 0 {
        return Ok(None);
    }
    socket.read_exact(length.get_mut(begun..).unwrap_or_default()).map_err(cut)?;
    let mut content = vec![0; checked_length(u32::from_be_bytes(length))?];
    socket.read_exact(&mut content).map_err(cut)?;
    decode(content.into()).map(Some)
}

fn cut(error: io::Error) -> FrameError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => FrameError::Cut,
        _ => FrameError::Io(error),
    }
}

/// Appends one record to the body of a records frame.
pub fn push_record(payload: &[u8], body: &mut BytesMut) {
    body.put_u32(u32::try_from(payload.len()).unwrap_or(u32::MAX));
    body.put_slice(payload);
}

/// The records in the body of a records frame; they share its memory.
///
/// # Errors
/// Where the lengths do not add up, or a record is above the bound.
pub fn records(mut body: Bytes) -> Result<Vec<Bytes>, FrameError> {
    let mut records = Vec::new();
    while !body.is_empty() {
        if body.len() < 4 {
            return Err(FrameError::Records);
        }
        let length = body.get_u32();
        let bytes = usize::try_from(length).map_err(|_| FrameError::Records)?;
        if bytes > limit::RECORD_BYTES_MAX {
            return Err(FrameError::RecordTooLarge(length));
        }
        if bytes > body.len() {
            return Err(FrameError::Records);
        }
        records.push(body.split_to(bytes));
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read_all(mut bytes: &[u8]) -> Result<Vec<Frame>, FrameError> {
        let mut blocking_bytes = bytes;
        let mut frames = Vec::new();
        let result = loop {
            match read(&mut bytes).await {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break Ok(frames),
                Err(error) => break Err(error),
            }
        };
        // The blocking reader must agree.
        let mut count = 0;
        let blocking = loop {
            match read_blocking(&mut blocking_bytes) {
                Ok(Some(_)) => count += 1,
                Ok(None) => break Ok(count),
                Err(error) => break Err(error),
            }
        };
        assert_eq!(
            blocking.map_err(|error| error.to_string()),
            result.as_ref().map(Vec::len).map_err(ToString::to_string)
        );
        result
    }

    #[tokio::test]
    async fn frames_survive_the_socket() {
        let mut bytes = encode(Kind::Request, b"{}").to_vec();
        bytes.extend_from_slice(&encode(Kind::End, b""));
        let frames = read_all(&bytes).await.unwrap();
        assert_eq!(frames[0], Frame { kind: Kind::Request, body: Bytes::from_static(b"{}") });
        assert_eq!(frames[1], Frame { kind: Kind::End, body: Bytes::new() });
    }

    #[tokio::test]
    async fn every_cut_is_noticed() {
        let bytes = encode(Kind::Records, b"abc");
        for end in 1..bytes.len() {
            assert!(matches!(read_all(&bytes[..end]).await, Err(FrameError::Cut)), "cut at {end}");
        }
    }

    #[tokio::test]
    async fn lengths_are_checked_before_they_are_believed() {
        assert!(matches!(read_all(&[0, 0, 0, 0]).await, Err(FrameError::Length(0))));
        assert!(matches!(read_all(&[0xff; 9]).await, Err(FrameError::Length(u32::MAX))));
        let exact = vec![0; limit::INTAKE_FRAME_BYTES_MAX - 1];
        assert_eq!(read_all(&encode(Kind::Records, &exact)).await.unwrap().len(), 1);
        let above = vec![0; limit::INTAKE_FRAME_BYTES_MAX];
        assert!(matches!(read_all(&encode(Kind::Records, &above)).await, Err(FrameError::Length(_))));
        assert!(matches!(read_all(b"\0\0\0\x01\x09").await, Err(FrameError::Kind(9))));
        assert!(matches!(read_all(b"GET / HTTP/1.1\r\n\r\n").await, Err(FrameError::Length(_))));
    }

    #[test]
    fn records_hold_any_bytes_and_must_add_up() {
        let mut body = BytesMut::new();
        push_record(b"", &mut body);
        push_record(b"\xff\0\n", &mut body);
        let body = body.freeze();
        assert_eq!(records(body.clone()).unwrap(), vec![Bytes::new(), Bytes::from_static(b"\xff\0\n")]);
        for end in [1, 3, 5, 7, 9, 10] {
            assert!(matches!(records(body.slice(..end)), Err(FrameError::Records)), "cut at {end}");
        }
        let mut large = BytesMut::new();
        push_record(&vec![0; limit::RECORD_BYTES_MAX], &mut large);
        assert_eq!(records(large.freeze()).unwrap().len(), 1, "exactly the limit passes");
        let mut above = BytesMut::new();
        push_record(&vec![0; limit::RECORD_BYTES_MAX + 1], &mut above);
        assert!(matches!(records(above.freeze()), Err(FrameError::RecordTooLarge(_))));
    }
}
