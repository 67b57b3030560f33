//! Server-sent events (HTML, "Interpreting an event stream"), as far as a hub sends them: out of bytes that come in any pieces.
//!
//! Only what an empty line ended is an event; what a connection cut off is not, and comes again on the next one.

use std::collections::VecDeque;

use crate::limit;

/// One event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// What a next request begins behind.
    pub id: Option<String>,
    /// What it is.
    pub name: String,
    /// Its text.
    pub data: String,
}

/// An event, or a line of one, is longer than any that a hub sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event is longer than {max} bytes; is it an outpost hub?", max = limit::EVENT_BYTES_MAX)]
pub struct TooLong;

/// Puts events together.
#[derive(Debug, Default)]
pub struct Events {
    /// A line that is not ended.
    line: Vec<u8>,
    /// An event that is not ended, and its bytes.
    open: Event,
    bytes: usize,
    ready: VecDeque<Event>,
}

impl Events {
    /// More bytes of the stream.
    ///
    /// # Errors
    /// Where an event is longer than `limit::EVENT_BYTES_MAX`; no more is to be read then.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.bytes = self.bytes.saturating_add(piece.len());
            if self.bytes > limit::EVENT_BYTES_MAX {
                return Err(TooLong);
            }
            self.line.extend_from_slice(piece);
            if self.line.pop_if(|last| *last == b'\n').is_some() {
                let line = std::mem::take(&mut self.line);
                self.take(line.strip_suffix(b"\r").unwrap_or(&line));
            }
        }
        Ok(())
    }

    /// The next whole event.
    pub fn next_event(&mut self) -> Option<Event> {
        self.ready.pop_front()
    }

    fn take(&mut self, line: &[u8]) {
        if line.is_empty() {
            self.bytes = 0;
            let event = std::mem::take(&mut self.open);
            if !event.data.is_empty() {
                self.ready.push_back(event);
            }
            return;
        }
        let text = String::from_utf8_lossy(line);
        let (field, value) = text.split_once(':').unwrap_or((&text, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.open.id = Some(value.to_owned()),
            "event" => value.clone_into(&mut self.open.name),
            "data" => {
                if !self.open.data.is_empty() {
                    self.open.data.push('\n');
                }
                self.open.data.push_str(value);
            }
            // A comment, or what this reader has no use for.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "retry: 1000\n\n: still here\n\nid: 1:5\nevent: line\ndata: {\"n\":5}\n\nevent:end\r\ndata: a\r\ndata: b\r\n\r\nid: 1:6\ndata: cut";

    #[test]
    fn events_come_out_of_any_pieces_and_none_that_was_cut_off() {
        let expected = [
            Event { id: Some("1:5".to_owned()), name: "line".to_owned(), data: "{\"n\":5}".to_owned() },
            Event { id: None, name: "end".to_owned(), data: "a\nb".to_owned() },
        ];
        for size in 1..STREAM.len() {
            let mut events = Events::default();
            let mut found = Vec::new();
            for piece in STREAM.as_bytes().chunks(size) {
                events.push(piece).unwrap();
                found.extend(std::iter::from_fn(|| events.next_event()));
            }
            assert_eq!(found, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn a_stream_without_an_end_of_an_event_is_given_up() {
        let mut events = Events::default();
        let piece = vec![b'x'; limit::EVENT_BYTES_MAX];
        assert_eq!(events.push(&piece), Ok(()));
        assert_eq!(events.push(b"x"), Err(TooLong));
        let mut events = Events::default();
        let lines = b"data: x\n".repeat(limit::EVENT_BYTES_MAX / 8 + 1);
        assert_eq!(events.push(&lines), Err(TooLong));
    }
}
