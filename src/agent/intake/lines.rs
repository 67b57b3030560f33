//! Lines of any bytes into batches of records.
//!
//! A line ends with `\n`, which is no part of it; a last line without one counts. A batch is closed at
//! [`limit::INTAKE_BATCH_RECORDS`] lines or [`limit::INTAKE_BATCH_BYTES`] bytes, or when the input has no more to give
//! at the moment, so that a slow input is not held back.

use std::io::{self, BufRead};

use bytes::Bytes;

use crate::limit;

/// Why there is no further batch.
#[derive(Debug, thiserror::Error)]
pub enum LinesError {
    /// A line above the bound.
    #[error("line {line} is longer than {max} bytes", max = limit::RECORD_BYTES_MAX)]
    TooLong {
        /// From 1.
        line: u64,
    },
    /// The input failed.
    #[error("cannot read the input after line {line}: {source}")]
    Io {
        /// Complete lines before.
        line: u64,
        /// Why.
        source: io::Error,
    },
}

/// Cuts an input into batches.
#[derive(Debug)]
pub struct Lines<R> {
    input: R,
    partial: Vec<u8>,
    line: u64,
    pending: Option<LinesError>,
}

impl<R: BufRead> Lines<R> {
    /// Reads `input` to its end.
    pub const fn new(input: R) -> Self {
        Self { input, partial: Vec::new(), line: 0, pending: None }
    }

    /// The next batch, never empty; `None` at the end. Blocks while the input has nothing. After an error there is
    /// nothing more; the batches handed out before it hold every line before the wrong one.
    ///
    /// # Errors
    /// A line that is too long, or the input's error.
    pub fn next_batch(&mut self) -> Result<Option<Vec<Bytes>>, LinesError> {
        if let Some(error) = self.pending.take() {
            return Err(error);
        }
        let mut batch = Vec::new();
        let mut bytes = 0_usize;
        loop {
            let more = match self.take_line(&mut batch, &mut bytes) {
                Ok(more) => more,
                Err(error) if batch.is_empty() => return Err(error),
                Err(error) => {
                    self.pending = Some(error);
                    return Ok(Some(batch));
                }
            };
            let full = batch.len() >= limit::INTAKE_BATCH_RECORDS || bytes >= limit::INTAKE_BATCH_BYTES;
            match more {
                More::End => return Ok(Some(batch).filter(|batch| !batch.is_empty())),
                More::Dry if !batch.is_empty() => return Ok(Some(batch)),
                More::Buffered if full => return Ok(Some(batch)),
                More::Dry | More::Buffered => {}
            }
        }
    }

    /// Takes at most one line from what is buffered.
    fn take_line(&mut self, batch: &mut Vec<Bytes>, bytes: &mut usize) -> Result<More, LinesError> {
        let line = self.line;
        let buffered = match self.input.fill_buf() {
            Ok(buffered) => buffered,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(More::Buffered),
            Err(source) => return Err(LinesError::Io { line, source }),
        };
        if buffered.is_empty() {
            if !self.partial.is_empty() {
                self.line = line.saturating_add(1);
                batch.push(std::mem::take(&mut self.partial).into());
            }
            return Ok(More::End);
        }
        let available = buffered.len();
        let end = buffered.iter().position(|byte| *byte == b'\n');
        let part = buffered.get(..end.unwrap_or(available)).unwrap_or_default();
        if self.partial.len().saturating_add(part.len()) > limit::RECORD_BYTES_MAX {
            return Err(LinesError::TooLong { line: line.saturating_add(1) });
        }
        self.partial.extend_from_slice(part);
        let used = end.map_or(available, |end| end.saturating_add(1));
        self.input.consume(used);
        if end.is_some() {
            self.line = line.saturating_add(1);
            *bytes = bytes.saturating_add(self.partial.len());
            batch.push(Bytes::copy_from_slice(&self.partial));
            self.partial.clear();
        }
        Ok(if used == available { More::Dry } else { More::Buffered })
    }
}

enum More {
    /// The buffer holds more.
    Buffered,
    /// The next look may block.
    Dry,
    /// The input ended.
    End,
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    fn all(input: &[u8], buffer: usize) -> (Vec<Bytes>, Option<String>) {
        let mut lines = Lines::new(BufReader::with_capacity(buffer, input));
        let mut taken = Vec::new();
        loop {
            match lines.next_batch() {
                Ok(Some(batch)) => {
                    assert!(!batch.is_empty() && batch.len() <= limit::INTAKE_BATCH_RECORDS);
                    taken.extend(batch);
                }
                Ok(None) => return (taken, None),
                Err(error) => return (taken, Some(error.to_string())),
            }
        }
    }

    #[test]
    fn any_bytes_are_lines_and_the_last_needs_no_newline() {
        for buffer in [1, 2, 3, 7, 4096] {
            let (lines, error) = all(b"one\n\n\xff\0\r\nlast", buffer);
            assert_eq!(lines, vec!["one".as_bytes(), b"", b"\xff\0\r", b"last"], "buffer {buffer}");
            assert_eq!(error, None);
            assert_eq!(all(b"", buffer).0.len(), 0);
            assert_eq!(all(b"\n", buffer).0, vec![Bytes::new()]);
        }
    }

    #[test]
    fn a_line_of_exactly_the_limit_passes_and_one_more_byte_names_its_line() {
        let mut input = b"first\n".to_vec();
        input.extend(vec![b'x'; limit::RECORD_BYTES_MAX]);
        input.push(b'\n');
        assert_eq!(
            all(&input, 4096),
            (vec![Bytes::from_static(b"first"), vec![b'x'; limit::RECORD_BYTES_MAX].into()], None)
        );
        input.insert(10, b'x');
        for buffer in [4096, 4 << 20] {
            let (lines, error) = all(&input, buffer);
            assert_eq!(lines, vec!["first"], "what came before is handed out");
            assert!(error.unwrap().starts_with("line 2 is longer"));
        }
    }

    #[test]
    fn batches_are_bounded() {
        let input = b"x\n".repeat(2_000);
        let mut lines = Lines::new(input.as_slice());
        let sizes: Vec<_> =
            std::iter::from_fn(|| lines.next_batch().unwrap().map(|batch| batch.len())).collect();
        assert_eq!(sizes, [512, 512, 512, 464]);
    }
}
