//! The protocol of Redis, version 2, as far as a broker speaks it. Pure.
//!
//! ```text
//! request  = "*" count CRLF, for each argument "$" length CRLF bytes CRLF
//! reply    = "+" text CRLF | "-" text CRLF | ":" number CRLF | "$" length CRLF bytes CRLF | "$-1" CRLF
//!          | "*" count CRLF replies | "*-1" CRLF
//! ```

use bytes::{Buf as _, Bytes, BytesMut};

use crate::limit;

/// Replies inside of replies.
const DEPTH_MAX: usize = 4;
/// A line that is no bulk: a number, or an error's text.
const LINE_BYTES_MAX: usize = 4096;

/// What Redis says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// A text, and a bulk of bytes.
    Bytes(Bytes),
    Number(i64),
    Nothing,
    List(Vec<Self>),
    /// It refuses.
    Error(String),
}

/// Bytes that are no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum RespError {
    #[error("what answers does not speak the protocol of Redis")]
    Shape,
    #[error("a reply of Redis is longer than it may be")]
    TooLong,
}

/// Appends a request.
pub(super) fn request(arguments: &[&[u8]], out: &mut BytesMut) {
    out.extend_from_slice(format!("*{}\r\n", arguments.len()).as_bytes());
    for argument in arguments {
        out.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        out.extend_from_slice(argument);
        out.extend_from_slice(b"\r\n");
    }
}

/// Takes one reply off the front; `None` where it is not whole yet.
pub(super) fn take(buffer: &mut BytesMut) -> Result<Option<Reply>, RespError> {
    let mut cursor = Cursor { bytes: buffer, at: 0 };
    let Some(reply) = cursor.reply(DEPTH_MAX)? else {
        let most = limit::LIVE_REDIS_BYTES_MAX.saturating_mul(2);
        return if buffer.len() > most { Err(RespError::TooLong) } else { Ok(None) };
    };
    let used = cursor.at;
    buffer.advance(used);
    Ok(Some(reply))
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn reply(&mut self, depth: usize) -> Result<Option<Reply>, RespError> {
        let Some(line) = self.line()? else { return Ok(None) };
        let (kind, rest) = line.split_first().ok_or(RespError::Shape)?;
        let text = || str::from_utf8(rest).map_err(|_| RespError::Shape);
        let number = || text()?.parse::<i64>().map_err(|_| RespError::Shape);
        match kind {
            b'+' => Ok(Some(Reply::Bytes(Bytes::copy_from_slice(rest)))),
            b'-' => Ok(Some(Reply::Error(String::from_utf8_lossy(rest).into_owned()))),
            b':' => Ok(Some(Reply::Number(number()?))),
            b'$' => match number()? {
                -1 => Ok(Some(Reply::Nothing)),
                length => self.bulk(bounded(length, limit::LIVE_REDIS_BYTES_MAX)?),
            },
            b'*' => match number()? {
                -1 => Ok(Some(Reply::Nothing)),
                count => {
                    let count = bounded(count, limit::LIVE_REDIS_ELEMENTS_MAX)?;
                    let inner = depth.checked_sub(1).ok_or(RespError::TooLong)?;
                    let mut list = Vec::new();
                    for _ in 0..count {
                        let Some(reply) = self.reply(inner)? else { return Ok(None) };
                        list.push(reply);
                    }
                    Ok(Some(Reply::List(list)))
                }
            },
            _ => Err(RespError::Shape),
        }
    }

    /// Without its end.
    fn line(&mut self) -> Result<Option<Vec<u8>>, RespError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let seen = rest.get(..rest.len().min(LINE_BYTES_MAX)).unwrap_or_default();
        let Some(end) = seen.windows(2).position(|pair| pair == b"\r\n") else {
            return if rest.len() >= LINE_BYTES_MAX { Err(RespError::TooLong) } else { Ok(None) };
        };
        self.at = self.at.saturating_add(end).saturating_add(2);
        Ok(Some(seen.get(..end).unwrap_or_default().to_owned()))
    }

    fn bulk(&mut self, length: usize) -> Result<Option<Reply>, RespError> {
        let end = self.at.saturating_add(length);
        let Some(closed) = self.bytes.get(end..end.saturating_add(2)) else { return Ok(None) };
        if closed != b"\r\n" {
            return Err(RespError::Shape);
        }
        let bytes = Bytes::copy_from_slice(self.bytes.get(self.at..end).unwrap_or_default());
        self.at = end.saturating_add(2);
        Ok(Some(Reply::Bytes(bytes)))
    }
}

fn bounded(number: i64, most: usize) -> Result<usize, RespError> {
    let number = usize::try_from(number).map_err(|_| RespError::Shape)?;
    if number > most { Err(RespError::TooLong) } else { Ok(number) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(bytes: &[u8]) -> Result<Vec<Reply>, RespError> {
        let mut buffer = BytesMut::from(bytes);
        let mut replies = Vec::new();
        while let Some(reply) = take(&mut buffer)? {
            replies.push(reply);
        }
        Ok(replies)
    }

    fn text(text: &'static str) -> Reply {
        Reply::Bytes(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn replies_are_read_and_requests_written_as_redis_has_them() {
        let bytes = b"+OK\r\n-ERR no\r\n:-7\r\n$-1\r\n$4\r\na\r\nb\r\n*2\r\n$1\r\nx\r\n*0\r\n*-1\r\n";
        let expected = [
            text("OK"),
            Reply::Error("ERR no".to_owned()),
            Reply::Number(-7),
            Reply::Nothing,
            text("a\r\nb"),
            Reply::List(vec![text("x"), Reply::List(vec![])]),
            Reply::Nothing,
        ];
        assert_eq!(all(bytes).unwrap(), expected);
        let mut out = BytesMut::new();
        request(&[b"SET", b"a", b"\r\n"], &mut out);
        assert_eq!(&out[..], b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$2\r\n\r\n\r\n");
    }

    #[test]
    fn what_is_cut_is_waited_for_at_every_byte() {
        let whole = b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$5\r\nhello\r\n";
        for end in 0..whole.len() {
            let mut buffer = BytesMut::from(&whole[..end]);
            assert_eq!(take(&mut buffer), Ok(None), "{end}");
            buffer.extend_from_slice(&whole[end..]);
            let list = vec![text("message"), text("c"), text("hello")];
            assert_eq!(take(&mut buffer), Ok(Some(Reply::List(list))));
        }
    }

    #[test]
    fn what_is_no_reply_or_beyond_a_bound_is_an_error() {
        for (bytes, error) in [
            (&b"HTTP/1.1 400\r\n"[..], RespError::Shape),
            (b"\r\n", RespError::Shape),
            (b":x\r\n", RespError::Shape),
            (b"$-2\r\n", RespError::Shape),
            (b"$1\r\nabc", RespError::Shape),
            (b"$99999999\r\n", RespError::TooLong),
            (b"*99999999\r\n", RespError::TooLong),
            (b"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n", RespError::TooLong),
        ] {
            assert_eq!(all(bytes), Err(error), "{}", String::from_utf8_lossy(bytes));
        }
        assert_eq!(all(&[b'+'; 5000]), Err(RespError::TooLong));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _read_or_not = all(&bytes);
        }
    }
}
