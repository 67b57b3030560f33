//! How fast the line carries records, as far as the hub's acks show it, and what may be on it for that.
//!
//! What a socket accepts says little: kernels, modems and proxies take megabytes at once and carry them for an hour. An
//! ack says that its bytes came through, and when; so bytes that were sent and are not acked are what is on the line, and
//! bytes acked in a time are its rate. From it follows
//!
//! * what may be on the line: what it carries in [`limit::LINE_SECONDS`], in one account for all, so that no record is signed
//!   which would not be sent for a long time: it would be too old when it came, and more urgent things could not pass it. A part
//!   of this is for control alone. What is no record and may be large (a relayed message, a job's offer) is begun when all that
//!   is on the line takes less than that;
//! * how large a batch may be: in a young session what passes in [`limit::LINE_SECONDS_FIRST`], twice as much after each
//!   ack. A session that is cut again and again so has an ack before the cut, and the next one goes on from there;
//! * how long to wait for an ack beyond the usual time ([`Rate::on_the_way`]).
//!
//! No ack tells of what is no record: a Ping goes behind it, and the Pong does ([`marked`]). The hub, which sends no
//! records, measures its direction by that alone.
//!
//! A session begins with what its own registration showed: too low where the line is fast, never too high. Rates from
//! times in which less was sent than might have been only count where they are higher. On a fast line all of this is
//! far above the windows and changes nothing.

mod marked;
#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::id::MessageId;
use crate::limit;
use crate::time::BootTime;

use marked::Marked;

/// What is on the line of one window's lanes, in bytes as they were sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Share {
    Control,
    Bulk,
}

#[derive(Debug)]
pub(super) struct Rate {
    /// Bytes a second; `None` before anything was seen: no bound.
    per_second: Option<u64>,
    control: usize,
    bulk: usize,
    others: Marked,
    beside: Beside,
    /// Seconds of the line that one batch may take.
    batch_seconds: u64,
    sample: Sample,
}

/// Whether something that is no record waits for its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beside {
    Nothing,
    Waits,
}

/// Acks since the last look, while something was on the line.
#[derive(Debug, Clone, Copy, Default)]
struct Sample {
    acked: u64,
    /// Time with something on the line, up to `since`.
    busy: Duration,
    since: BootTime,
    /// Whether as much was on the line as might be.
    full: bool,
}

impl Default for Rate {
    fn default() -> Self {
        Self {
            per_second: None,
            control: 0,
            bulk: 0,
            others: Marked::default(),
            beside: Beside::Nothing,
            batch_seconds: limit::LINE_SECONDS_FIRST,
            sample: Sample::default(),
        }
    }
}

impl Rate {
    /// The registration took so long for so many bytes there and back.
    pub(super) fn opened(&mut self, bytes: usize, took: Duration) {
        self.per_second = rate(bytes as u64, took);
    }

    /// Bytes a second, where that is known.
    pub(super) const fn per_second(&self) -> Option<u64> {
        self.per_second
    }

    /// Bytes that may still be put on the line; `None` where they are not worth a batch, which a line without anything on it
    /// always takes.
    pub(super) fn room(&self, share: Share) -> Option<usize> {
        let all = self.most();
        let most = match (share, self.beside) {
            (Share::Control, _) => all,
            (Share::Bulk, _) if self.per_second.is_none() => all,
            (Share::Bulk, Beside::Nothing) => all - all / limit::LINE_CONTROL_SHARE,
            // So that what waits has its turn: it begins where less is on the line than these may have there.
            (Share::Bulk, Beside::Waits) => all / 2,
        };
        let left = most.saturating_sub(self.on_line());
        (left >= limit::LINE_BATCH_BYTES_MIN).then_some(left)
    }

    /// Whether something that is no record may be put on the line, of whatever size.
    pub(super) fn takes_others(&self) -> bool {
        let used = self.on_line();
        used == 0 || used < self.most()
    }

    pub(super) const fn set_beside(&mut self, beside: Beside) {
        self.beside = beside;
    }

    /// Bytes that a batch may take.
    pub(super) fn batch_bytes(&self) -> usize {
        let bytes = self.per_second.map(|rate| rate.saturating_mul(self.batch_seconds));
        bytes.map_or(usize::MAX, |bytes| at_least(bytes, limit::LINE_BATCH_BYTES_MIN))
    }

    pub(super) fn sent(&mut self, now: BootTime, share: Share, bytes: usize) {
        self.begin_sample(now);
        let used = match share {
            Share::Control => &mut self.control,
            Share::Bulk => &mut self.bulk,
        };
        *used = used.saturating_add(bytes);
        self.sample.full |= self.room(share).is_none();
    }

    /// The same for what is no record.
    pub(super) fn sent_other(&mut self, now: BootTime, bytes: usize) {
        self.begin_sample(now);
        self.others.sent(now, bytes);
        self.sample.full |= self.on_line() >= self.most();
    }

    fn begin_sample(&mut self, now: BootTime) {
        if self.control == 0 && self.bulk == 0 && self.others.is_quiet() {
            self.sample.since = now;
        }
    }

    /// Bytes of what is no record that were sent so far.
    pub(super) const fn others_sent(&self) -> u64 {
        self.others.total()
    }

    /// How much of it was on the line before the last.
    pub(super) const fn before_last(&self) -> usize {
        self.others.before()
    }

    /// Whether the first so many of them came through, as far as anybody asks.
    pub(super) fn is_through(&self, others: u64) -> bool {
        self.others.is_through(others)
    }

    /// Whether a Ping is to go behind what was sent.
    pub(super) fn wants_ping(&self) -> bool {
        self.others.wants_ping()
    }

    pub(super) fn pinged(&mut self, ping: MessageId) {
        self.others.pinged(ping);
    }

    /// When the oldest was sent of what is no record and not known to have come.
    pub(super) fn oldest_other(&self) -> Option<BootTime> {
        self.others.oldest()
    }

    /// Whether the answer to this Ping shows that something came through.
    pub(super) fn ponged(&mut self, now: BootTime, ping: MessageId) -> bool {
        let came = self.others.ponged(ping);
        if let Some(bytes) = came {
            self.look(now, bytes);
        }
        came.is_some()
    }

    /// Whether records are on the line.
    pub(super) const fn has_records(&self) -> bool {
        self.control > 0 || self.bulk > 0
    }

    /// Whether something is waited for no longer. Nothing is learned from it.
    pub(super) fn expire(&mut self, now: BootTime) -> bool {
        self.others.expire(now).is_some()
    }

    /// A window was full: what is acked now is what the line carries.
    pub(super) fn held_back(&mut self) {
        self.sample.full = true;
    }

    pub(super) fn acked(&mut self, now: BootTime, share: Share, bytes: usize) {
        let used = match share {
            Share::Control => &mut self.control,
            Share::Bulk => &mut self.bulk,
        };
        *used = used.saturating_sub(bytes);
        self.batch_seconds = self.batch_seconds.saturating_mul(2).min(limit::LINE_SECONDS);
        self.look(now, bytes);
    }

    fn look(&mut self, now: BootTime, bytes: usize) {
        let sample = &mut self.sample;
        sample.acked = sample.acked.saturating_add(bytes as u64);
        sample.busy = sample.busy.saturating_add(now.since(sample.since));
        sample.since = now;
        if sample.busy >= limit::LINE_SAMPLE_MIN {
            let Sample { acked, busy, full, .. } = *sample;
            self.take(rate(acked, busy), full);
            self.sample = Sample { since: now, ..Sample::default() };
        }
    }

    fn take(&mut self, seen: Option<u64>, full: bool) {
        let Some(seen) = seen else { return };
        let Some(known) = self.per_second else {
            self.per_second = full.then_some(seen);
            return;
        };
        if seen > known {
            // Acks that come late come together: one look alone is not believed.
            self.per_second = Some(seen.min(known.saturating_mul(limit::LINE_GROWTH_MAX)));
        } else if full {
            self.per_second = Some(known.midpoint(seen));
        }
    }

    /// How long what is on the line takes to pass.
    pub(super) fn on_the_way(&self) -> Duration {
        self.time_of(self.on_line())
    }

    /// The same of what is no record.
    pub(super) fn others_on_the_way(&self) -> Duration {
        self.time_of(self.others.on_line())
    }

    fn time_of(&self, bytes: usize) -> Duration {
        let millis = |rate| (bytes as u64).saturating_mul(1000).checked_div(rate).unwrap_or_default();
        let time = self.per_second.map(|rate| Duration::from_millis(millis(rate)));
        time.unwrap_or_default().min(limit::OPENING_TIMEOUT)
    }

    fn most(&self) -> usize {
        let bytes = self.per_second.map(|rate| rate.saturating_mul(limit::LINE_SECONDS));
        bytes.map_or(usize::MAX, |bytes| at_least(bytes, limit::LINE_BYTES_MIN))
    }

    fn on_line(&self) -> usize {
        self.control.saturating_add(self.bulk).saturating_add(self.others.on_line())
    }
}

/// `None` where no time passed that could be measured.
fn rate(bytes: u64, took: Duration) -> Option<u64> {
    let millis = crate::time::millis(took);
    (millis > 0).then(|| (bytes.saturating_mul(1000) / millis).max(1))
}

fn at_least(bytes: u64, least: usize) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX).max(least)
}
