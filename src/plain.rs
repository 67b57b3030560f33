//! What a stranger wrote, made fit for a terminal: no escape sequences, no control characters but the tab.

const ESC: u8 = 0x1b;
const BEL: u8 = 0x07;

/// Drops ANSI escape sequences, NUL and all other control characters but the tab; every other byte stays.
pub(crate) fn strip(line: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some((first, after)) = rest.split_first() {
        rest = match (*first, after.first()) {
            (ESC, _) => sequence(after),
            // The same controls as one character of eight bits, in UTF-8.
            (0xc2, Some(0x9b)) => parameters(after.get(1..).unwrap_or_default()),
            (0xc2, Some(0x90 | 0x9d | 0x9e | 0x9f)) => string(after.get(1..).unwrap_or_default()),
            (0xc2, Some(0x80..=0x9f)) => after.get(1..).unwrap_or_default(),
            // What stood between the two bytes of such a control has gone: they must not become one.
            (0x80..=0x9f, _) if out.last() == Some(&0xc2) => after,
            (byte, _) => {
                if byte == b'\t' || (byte >= b' ' && byte != 0x7f) {
                    out.push(byte);
                }
                after
            }
        };
    }
    out
}

/// What follows the sequence that an ESC began.
fn sequence(bytes: &[u8]) -> &[u8] {
    match bytes.split_first() {
        None => &[],
        Some((b'[', after)) => parameters(after),
        Some((b']' | b'P' | b'X' | b'^' | b'_', after)) => string(after),
        // Intermediate bytes, then one that ends it.
        Some((b' '..=b'/', _)) => {
            let end = bytes.iter().position(|byte| !(b' '..=b'/').contains(byte));
            end.and_then(|end| bytes.get(end + 1..)).unwrap_or_default()
        }
        Some((b'0'..=b'~', after)) => after,
        Some(_) => bytes,
    }
}

/// Behind the parameters of a CSI and the byte that ends them. Bytes that cannot be part of it end it too.
fn parameters(bytes: &[u8]) -> &[u8] {
    match bytes.iter().position(|byte| !(b' '..=b'?').contains(byte)) {
        Some(end) if bytes.get(end).is_some_and(|byte| (b'@'..=b'~').contains(byte)) => {
            bytes.get(end + 1..).unwrap_or_default()
        }
        Some(end) => bytes.get(end..).unwrap_or_default(),
        None => &[],
    }
}

/// Behind a string that BEL or ESC \ ends.
fn string(bytes: &[u8]) -> &[u8] {
    match bytes.iter().position(|byte| matches!(*byte, BEL | ESC)) {
        Some(end) if bytes.get(end) == Some(&BEL) => bytes.get(end + 1..).unwrap_or_default(),
        Some(end) => sequence(bytes.get(end + 1..).unwrap_or_default()),
        None => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_and_controls_go_and_text_stays() {
        for (line, expected) in [
            ("plain\ttext \u{fc}\u{2713}", "plain\ttext \u{fc}\u{2713}"),
            ("\u{1b}[1;31mred\u{1b}[0m", "red"),
            ("a\0b\rc\u{8}d\u{7f}", "abcd"),
            ("\u{1b}]0;title\u{7}after", "after"),
            ("\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{1b}\\", "link"),
            ("\u{1b}(Bx\u{1b}7y\u{1b}c", "xy"),
            ("\u{9b}31mred\u{85}", "red"),
            ("cut \u{1b}[3", "cut "),
            ("cut \u{1b}", "cut "),
            ("open \u{1b}]0;never ends", "open "),
            ("\u{1b}[31\u{fc}", "\u{fc}"),
        ] {
            assert_eq!(String::from_utf8(strip(line.as_bytes())).unwrap(), expected, "{line:?}");
        }
        assert_eq!(strip(b"\xff\xfe\x00\x1b[mx"), b"\xff\xfex");
        // The first byte of a control of eight bits, something that goes, and its second byte.
        for between in [&b"\0"[..], b"\x1b[m", b"\x07", b"\xc2\x85", b"\0\x9b"] {
            let joined = strip(&[b"\xc2", between, b"\x9b31mred"].concat());
            assert_eq!(joined, b"\xc231mred", "{between:?}");
        }
    }
}
