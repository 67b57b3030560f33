//! What is sent besides records, and what shows that it came through: a Ping behind it, whose Pong is made where all before it
//! was read.
//!
//! Only what may be large is counted: relayed messages, offers, the answer to a Register. Each [`limit::LINE_BYTES_MIN`] of
//! it a Ping is due; what lies behind the last one is less than that.

use std::collections::VecDeque;

use crate::id::MessageId;
use crate::limit;
use crate::time::BootTime;

#[derive(Debug, Default)]
pub(super) struct Marked {
    /// Bytes so far.
    sent: u64,
    /// So many of them are known to have come.
    through: u64,
    /// At most `limit::LINE_MARKS_MAX`, the oldest first.
    marks: VecDeque<Mark>,
    /// When the first was sent of those bytes that no Ping stands behind.
    since: BootTime,
    /// On the line when the last was sent.
    before: usize,
}

/// A Ping that is not answered yet.
#[derive(Debug, Clone, Copy)]
struct Mark {
    ping: MessageId,
    /// It stands behind so many bytes.
    behind: u64,
    /// When the first byte between it and the one before was sent.
    since: BootTime,
}

impl Marked {
    /// What was on the line before the last.
    pub(super) const fn before(&self) -> usize {
        self.before
    }

    pub(super) const fn total(&self) -> u64 {
        self.sent
    }

    /// Bytes that are not known to have come, but for the few that no Ping is due for.
    pub(super) fn on_line(&self) -> usize {
        let few = Some(self.unmarked()).filter(|few| *few < limit::LINE_BYTES_MIN as u64);
        let bytes = self.sent.saturating_sub(self.through).saturating_sub(few.unwrap_or_default());
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    /// Whether no Ping is to be answered.
    pub(super) fn is_quiet(&self) -> bool {
        self.marks.is_empty()
    }

    /// Whether the first `bytes` have come, or are too few for a Ping and nothing is before them.
    pub(super) fn is_through(&self, bytes: u64) -> bool {
        bytes <= self.through || (self.marks.is_empty() && self.unmarked() < limit::LINE_BYTES_MIN as u64)
    }

    /// When the oldest was sent of what a Ping is due for and is not known to have come; `None` where there is nothing. The few
    /// that another Ping happens to stand behind hold up nobody.
    pub(super) fn oldest(&self) -> Option<BootTime> {
        let least = limit::LINE_BYTES_MIN as u64;
        let mut before = self.through;
        for mark in &self.marks {
            if mark.behind.saturating_sub(before) >= least {
                return Some(mark.since);
            }
            before = mark.behind;
        }
        (self.unmarked() >= least).then_some(self.since)
    }

    pub(super) fn sent(&mut self, now: BootTime, bytes: usize) {
        // The few that no Ping was due for have come: nobody asked how long ago.
        if self.unmarked() == 0 || self.on_line() == 0 {
            self.since = now;
        }
        self.before = self.on_line();
        self.sent = self.sent.saturating_add(bytes as u64);
    }

    pub(super) fn wants_ping(&self) -> bool {
        self.unmarked() >= limit::LINE_BYTES_MIN as u64 && self.marks.len() < limit::LINE_MARKS_MAX
    }

    pub(super) fn pinged(&mut self, ping: MessageId) {
        if self.unmarked() > 0 && self.marks.len() < limit::LINE_MARKS_MAX {
            self.marks.push_back(Mark { ping, behind: self.sent, since: self.since });
        }
    }

    /// How many bytes the answer to this Ping shows to have come; `None` for an answer that shows nothing.
    pub(super) fn ponged(&mut self, ping: MessageId) -> Option<usize> {
        let place = self.marks.iter().position(|mark| mark.ping == ping)?;
        self.pass(place)
    }

    /// The same of Pings behind what is so old that it came or never will: a frame's time is that of its signing.
    pub(super) fn expire(&mut self, now: BootTime) -> Option<usize> {
        let is_over = |mark: &Mark| now >= mark.since.after(limit::CLOCK_SKEW_MAX);
        let place = self.marks.iter().rposition(is_over)?;
        self.pass(place)
    }

    fn pass(&mut self, place: usize) -> Option<usize> {
        let behind = self.marks.drain(..=place).next_back()?.behind;
        let bytes = behind.saturating_sub(self.through);
        self.through = behind;
        usize::try_from(bytes).ok()
    }

    fn unmarked(&self) -> u64 {
        self.sent.saturating_sub(self.marks.back().map_or(self.through, |mark| mark.behind))
    }
}
