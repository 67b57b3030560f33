//! The head of a proxy's answer to CONNECT: bytes of a stranger, of which nothing but a few known words is believed.

/// A head up to its empty line, that line included.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head<'a> {
    /// The HTTP status, 100 to 999.
    pub(super) status: u16,
    headers: &'a [u8],
}

impl<'a> Head<'a> {
    /// Where the head ends, once it is there whole.
    pub(super) fn end(bytes: &[u8]) -> Option<usize> {
        let at = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        Some(at.saturating_add(4))
    }

    /// Whether bytes may become a head.
    pub(super) fn may_begin(bytes: &[u8]) -> bool {
        let shared = bytes.len().min(START.len());
        bytes.get(..shared) == START.get(..shared)
    }

    /// Reads a whole head.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(START)?;
        let line = rest.iter().position(|byte| *byte == b'\r')?;
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
