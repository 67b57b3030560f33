//! Whether the entries are the ranges of the header: all of them, in order, without a hole.

use crate::wire::entry::Entry;

use super::{BundleError, Header};

/// How far the entries have covered the header's ranges.
#[derive(Debug, Default)]
pub(super) struct Coverage {
    range: usize,
    next: u64,
    done: bool,
}

impl Coverage {
    pub(super) fn of(header: &Header) -> Self {
        Self { next: header.ranges.first().map_or(0, |range| range.first), ..Self::default() }
    }

    pub(super) fn check(&mut self, header: &Header, entries: &[Entry]) -> Result<(), BundleError> {
        if entries.is_empty() {
            return Err(BundleError::Coverage("an empty chunk".to_owned()));
        }
        for entry in entries {
            let (stream, first, last) = (entry.stream(), entry.first(), entry.last());
            let range = header.ranges.get(self.range).filter(|range| {
                !self.done && range.stream == stream && first == self.next && last <= range.last
            });
            let Some(range) = range else {
                let due = header
                    .ranges
                    .get(self.range)
                    .map_or_else(|| "nothing".to_owned(), |range| range.stream.to_string());
                let detail = format!("{stream} {first} to {last} where {due} {} is due", self.next);
                return Err(BundleError::Coverage(detail));
            };
            if last < range.last {
                self.next = last.saturating_add(1);
                continue;
            }
            self.range = self.range.saturating_add(1);
            match header.ranges.get(self.range) {
                Some(range) => self.next = range.first,
                None => self.done = true,
            }
        }
        Ok(())
    }

    pub(super) fn check_end(&self) -> Result<(), BundleError> {
        if self.done {
            Ok(())
        } else {
            Err(BundleError::Coverage("ranges are missing at its end".to_owned()))
        }
    }
}
