//! The head of an HTTP answer whose connection goes on as something else: a proxy's to CONNECT, a hub's to an upgrade. They are
//! bytes of a stranger, of which nothing but a few known words is believed. HTTP/1.0 is as good as 1.1: portals and gateways
//! that speak it are to be named, too.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::limit;

/// What came up to the end of the head, and with it.
#[derive(Debug)]
pub(super) struct Received {
    bytes: Vec<u8>,
    end: usize,
}

/// Why there is no head.
#[derive(Debug)]
pub(super) enum NoHead {
    /// The connection broke.
    Broken(io::Error),
    /// It ended after so many bytes.
    Closed(usize),
    /// It is something else.
    NotHttp,
    /// It is longer than [`limit::ANSWER_HEAD_BYTES_MAX`].
    Long,
}

impl Received {
    /// Reads up to the empty line; somewhat more may come with it. Whoever calls bounds the time.
    pub(super) async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Self, NoHead> {
        let mut bytes = Vec::with_capacity(limit::ANSWER_HEAD_BYTES_MAX);
        let end = loop {
            if let Some(end) = Head::end(&bytes) {
                break end;
            }
            if !Head::may_begin(&bytes) {
                return Err(NoHead::NotHttp);
            }
            let room = limit::ANSWER_HEAD_BYTES_MAX.saturating_sub(bytes.len());
            if room == 0 {
                return Err(NoHead::Long);
            }
            if stream.take(room as u64).read_buf(&mut bytes).await.map_err(NoHead::Broken)? == 0 {
                return Err(NoHead::Closed(bytes.len()));
            }
        };
        Ok(Self { bytes, end })
    }

    /// The head.
    pub(super) fn head(&self) -> Result<Head<'_>, NoHead> {
        self.bytes.get(..self.end).and_then(Head::read).ok_or(NoHead::NotHttp)
    }

    /// What came with it.
    pub(super) fn beyond(&self) -> &[u8] {
        self.bytes.get(self.end..).unwrap_or_default()
    }
}

/// A head up to its empty line, that line included.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head<'a> {
    /// The HTTP status, 100 to 999.
    pub(super) status: u16,
    headers: &'a [u8],
}

impl<'a> Head<'a> {
    /// Where the head ends, once it is there whole. Small gateways end their lines with a line feed alone.
    fn end(bytes: &[u8]) -> Option<usize> {
        let after = |empty: &[u8]| {
            let at = bytes.windows(empty.len()).position(|window| window == empty)?;
            Some(at.saturating_add(empty.len()))
        };
        after(b"\n\r\n").into_iter().chain(after(b"\n\n")).min()
    }

    /// Whether bytes may become a head.
    fn may_begin(bytes: &[u8]) -> bool {
        let shared = bytes.len().min(START.len());
        bytes.get(..shared) == START.get(..shared)
    }

    /// Reads a whole head.
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(START)?;
        let line = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n'))?;
        let (line, headers) = rest.split_at_checked(line)?;
        // `1 200 OK`: the version's last digit, the status, and words that are not needed.
        let [b'0'..=b'9', b' ', a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', after @ ..] = line else {
            return None;
        };
        if !matches!(after.first(), None | Some(b' ')) {
            return None;
        }
        let digit = |byte: &u8| u16::from(byte.saturating_sub(b'0'));
        let status =
            [a, b, c].into_iter().fold(0_u16, |sum, byte| sum.saturating_mul(10).saturating_add(digit(byte)));
        Some(Self { status, headers })
    }

    /// Whether what follows is a web page.
    pub(super) fn is_page(&self) -> bool {
        self.values("content-type").any(|value| starts_with(value, b"text/html"))
    }

    /// Whether a way of logging in is offered.
    pub(super) fn offers(&self, scheme: &str) -> bool {
        let scheme = scheme.as_bytes();
        let word = |value: &[u8]| {
            starts_with(value, scheme)
                && value.get(scheme.len()).is_none_or(|next| matches!(next, b' ' | b',' | b'\t'))
        };
        // Several in one header are separated by commas, and so are their parameters.
        let mut offered = self.values("proxy-authenticate").chain(self.values("www-authenticate"));
        offered.any(|value| value.split(|byte| *byte == b',').any(|part| word(part.trim_ascii())))
    }

    /// The text of the first header of this name.
    pub(super) fn text(&self, name: &'static str) -> Option<&'a str> {
        self.values(name).next().and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Whether a header that is a list has this word in it.
    pub(super) fn lists(&self, name: &'static str, word: &str) -> bool {
        self.values(name)
            .flat_map(|value| value.split(|byte| *byte == b','))
            .any(|part| part.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
    }

    fn values(&self, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
        self.headers.split(|byte| *byte == b'\n').filter_map(move |line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let (key, value) = line.split_at_checked(colon)?;
            key.trim_ascii()
                .eq_ignore_ascii_case(name.as_bytes())
                .then(|| value.strip_prefix(b":").unwrap_or(value).trim_ascii())
        })
    }
}

const START: &[u8] = b"HTTP/1.";

fn starts_with(text: &[u8], start: &[u8]) -> bool {
    text.get(..start.len()).is_some_and(|text| text.eq_ignore_ascii_case(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_three_digits_behind_the_version() {
        for (text, status) in [
            ("HTTP/1.1 200 Connection established\r\n\r\n", Some(200)),
            ("HTTP/1.0 407\r\n\r\n", Some(407)),
            ("HTTP/1.1 407 \r\n\r\n", Some(407)),
            ("HTTP/1.1 2000 OK\r\n\r\n", None),
            ("HTTP/1.1 020 OK\r\n\r\n", None),
            ("HTTP/1.1  200 OK\r\n\r\n", None),
            ("HTTP/2 200\r\n\r\n", None),
            ("HTTP/1.1 20\r\n\r\n", None),
            ("HTTP/1.", None),
            ("", None),
        ] {
            assert_eq!(Head::read(text.as_bytes()).map(|head| head.status), status, "{text:?}");
        }
    }

    #[test]
    fn the_first_byte_that_is_no_http_is_enough() {
        for (text, may) in
            [("", true), ("H", true), ("HTTP/1.1 2", true), ("220 mail", false), ("HTTP/2", false)]
        {
            assert_eq!(Head::may_begin(text.as_bytes()), may, "{text:?}");
        }
        assert_eq!(Head::end(b"HTTP/1.1 200\r\n\r\nmore"), Some(16));
        assert_eq!(Head::end(b"HTTP/1.1 200\r\n\r"), None);
        assert_eq!(Head::end(b"HTTP/1.0 200\n\nmore\r\n\r\n"), Some(14));
        assert_eq!(Head::read(b"HTTP/1.0 200\nA: b\n\n").and_then(|head| head.text("a")), Some("b"));
    }

    #[test]
    fn a_list_is_searched_word_by_word() {
        let head = Head::read(b"HTTP/1.1 101 X\r\nConnection: keep-alive, Upgrade\r\n\r\n").unwrap();
        assert!(head.lists("connection", "upgrade") && !head.lists("connection", "keep"));
        assert!(!head.lists("upgrade", "websocket"));
    }

    #[test]
    fn ways_of_logging_in_are_found_among_parameters() {
        let offers = |text: &str, scheme| {
            let head = format!("HTTP/1.1 407 X\r\nServer: x\r\n{text}\r\n\r\n");
            Head::read(head.as_bytes()).unwrap().offers(scheme)
        };
        assert!(offers("Proxy-Authenticate: Basic realm=\"a, b\"", "Basic"));
        assert!(offers("proxy-authenticate:basic", "Basic"));
        assert!(offers("Proxy-Authenticate: Digest realm=\"x\", Basic realm=\"y\"", "Basic"));
        assert!(offers("Proxy-Authenticate: NTLM\r\nProxy-Authenticate: Negotiate", "Negotiate"));
        assert!(!offers("Proxy-Authenticate: Basics", "Basic"));
        assert!(offers("WWW-Authenticate: Basic", "Basic"), "tinyproxy says it like this");
    }
}
