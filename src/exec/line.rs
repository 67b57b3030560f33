//! Cuts a stream of bytes into lines.
//!
//! A line ends with a line feed, which is not part of it. A longer one than `limit::JOB_LINE_BYTES_MAX` becomes pieces,
//! each but the last marked as continued. What follows the last line feed is a line too, unless it is empty.

use bytes::{Bytes, BytesMut};

use crate::limit;

/// One line, or a piece of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) text: Bytes,
    /// The next line of the same stream is its next piece.
    pub(super) continues: bool,
}

/// What was read and is not yet a line.
#[derive(Debug, Default)]
pub(super) struct Lines {
    buffer: BytesMut,
    /// Bytes of the buffer that hold no line feed.
    searched: usize,
}

impl Lines {
    /// Takes the next bytes; [`Self::next_line`] hands out what they complete.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole line or piece.
    pub(super) fn next_line(&mut self) -> Option<Line> {
        let max = limit::JOB_LINE_BYTES_MAX;
        let unsearched = self.buffer.get(self.searched..).unwrap_or_default();
        // A line of exactly the limit is whole: its line feed may come right behind it.
        let end = unsearched.iter().take(max.saturating_sub(self.searched).saturating_add(1));
        match end.copied().position(|byte| byte == b'\n').map(|at| at.saturating_add(self.searched)) {
            Some(at) => {
                let text = self.buffer.split_to(at).freeze();
                let _line_feed = self.buffer.split_to(1);
                self.searched = 0;
                Some(Line { text, continues: false })
            }
            None if self.buffer.len() > max => {
                let text = self.buffer.split_to(max).freeze();
                self.searched = 0;
                Some(Line { text, continues: true })
            }
            None => {
                self.searched = self.buffer.len();
                None
            }
        }
    }

    /// The stream has ended: what is left. After a piece something always is: a piece is cut only before more.
    pub(super) fn end(&mut self) -> Option<Line> {
        if self.buffer.is_empty() {
            return None;
        }
        self.searched = 0;
        Some(Line { text: self.buffer.split().freeze(), continues: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &[u8], piece: usize) -> Vec<(Vec<u8>, bool)> {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        for bytes in text.chunks(piece) {
            lines.feed(bytes);
            found.extend(std::iter::from_fn(|| lines.next_line()));
        }
        found.extend(lines.end());
        assert_eq!(lines.end(), None);
        found.into_iter().map(|line| (line.text.to_vec(), line.continues)).collect()
    }

    #[test]
    fn lines_do_not_depend_on_how_they_were_read() {
        let max = limit::JOB_LINE_BYTES_MAX;
        let (full, over) = ("f".repeat(max), "o".repeat(2 * max + 1));
        let text = format!("one\n\ntwo\r\n{full}\n{over}\n{full}\nlast");
        let expected: Vec<(Vec<u8>, bool)> = [
            ("one", false),
            ("", false),
            ("two\r", false),
            (&full, false),
            (&over[..max], true),
            (&over[..max], true),
            ("o", false),
            (&full, false),
            ("last", false),
        ]
        .map(|(text, continues)| (text.as_bytes().to_vec(), continues))
        .into();
        for piece in [1, 2, 7, max - 1, max, max + 1, text.len()] {
            assert_eq!(cut(text.as_bytes(), piece), expected, "{piece}");
        }
    }

    #[test]
    fn an_end_after_a_line_feed_is_no_line() {
        assert_eq!(cut(b"", 1), []);
        assert_eq!(cut(b"a\n", 1), [(b"a".to_vec(), false)]);
        assert_eq!(cut(b"\n", 1), [(Vec::new(), false)]);
        let full = "f".repeat(limit::JOB_LINE_BYTES_MAX);
        assert_eq!(cut(full.as_bytes(), 9), [(full.into_bytes(), false)]);
    }
}
