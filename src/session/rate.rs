//! How fast the line carries records, as far as the hub's acks show it, and what may be on it for that.
//!
//! What a socket accepts says little: kernels, modems and proxies take megabytes at once and carry them for an hour. An
//! ack says that its bytes came through, and when; so bytes that were sent and are not acked are what is on the line, and
//! bytes acked in a time are its rate. From it follows
//!
//! * what records may be on the line: what it carries in [`limit::LINE_SECONDS`], for each share, so that none is signed which
//!   would not be sent for a long time: it would be too old when it came, and more urgent things could not pass it. Relayed
//!   messages are not in this account;
//! * how large a batch may be: in a young session what passes in [`limit::LINE_SECONDS_FIRST`], twice as much after each
//!   ack. A session that is cut again and again so has an ack before the cut, and the next one goes on from there;
//! * how long to wait for an ack beyond the usual time ([`Rate::on_the_way`]).
//!
//! A session begins with what its own registration showed: too low where the line is fast, never too high. Rates from
//! times in which less was sent than might have been only count where they are higher. On a fast line all of this is
//! far above the windows and changes nothing.

use std::time::Duration;

use crate::limit;
use crate::time::BootTime;

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
    /// Seconds of the line that one batch may take.
    batch_seconds: u64,
    sample: Sample,
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

    /// Bytes that may still be put on the line; `None` where nothing may. A line without anything on it takes any one
    /// batch.
    pub(super) fn room(&self, share: Share) -> Option<usize> {
        let (used, most) = (self.used(share), self.most());
        (used == 0 || used < most).then(|| most.saturating_sub(used).max(1))
    }

    /// Bytes that a batch may take.
    pub(super) fn batch_bytes(&self) -> usize {
        let bytes = self.per_second.map(|rate| rate.saturating_mul(self.batch_seconds));
        bytes.map_or(usize::MAX, |bytes| at_least(bytes, limit::LINE_BATCH_BYTES_MIN))
    }

    pub(super) fn sent(&mut self, now: BootTime, share: Share, bytes: usize) {
        if self.control == 0 && self.bulk == 0 {
            self.sample.since = now;
        }
        let used = match share {
            Share::Control => &mut self.control,
            Share::Bulk => &mut self.bulk,
        };
        *used = used.saturating_add(bytes);
        self.sample.full |= self.used(share) >= self.most();
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
        let bytes = self.control.saturating_add(self.bulk) as u64;
        match self.per_second {
            Some(rate) if rate > 0 => {
                Duration::from_millis(bytes.saturating_mul(1000) / rate).min(limit::OPENING_TIMEOUT)
            }
            Some(_) | None => Duration::ZERO,
        }
    }

    fn most(&self) -> usize {
        let bytes = self.per_second.map(|rate| rate.saturating_mul(limit::LINE_SECONDS));
        bytes.map_or(usize::MAX, |bytes| at_least(bytes, limit::LINE_BYTES_MIN))
    }

    const fn used(&self, share: Share) -> usize {
        match share {
            Share::Control => self.control,
            Share::Bulk => self.bulk,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> BootTime {
        BootTime(Duration::from_millis(millis))
    }

    /// A line that carries so many bytes a second with this round trip, for so long; what was on it at most, the
    /// largest batch, and when the first ack came.
    fn drive(rate: &mut Rate, per_second: u64, round_trip: u64, seconds: u64) -> (usize, usize, Option<u64>) {
        let mut free_at = 0;
        let mut way = std::collections::VecDeque::new();
        let (mut most, mut largest, mut first) = (0, 0, None);
        for now in 0..seconds * 1000 {
            while let Some((due, bytes)) = way.front().copied().filter(|(due, _)| *due <= now) {
                let _: u64 = due;
                rate.acked(at(now), Share::Bulk, bytes);
                first.get_or_insert(now);
                way.pop_front();
            }
            while let Some(room) = rate.room(Share::Bulk).filter(|_| rate.used(Share::Bulk) < 1 << 20) {
                let bytes = rate.batch_bytes().min(room).min(32 * 1024);
                free_at = free_at.max(now) + (bytes as u64 * 1000) / per_second;
                way.push_back((free_at + round_trip, bytes));
                rate.sent(at(now), Share::Bulk, bytes);
                (most, largest) = (most.max(rate.used(Share::Bulk)), largest.max(bytes));
            }
            if rate.used(Share::Bulk) >= 1 << 20 {
                rate.held_back();
            }
        }
        (most, largest, first)
    }

    #[test]
    fn a_slow_line_carries_no_more_than_half_a_minute_of_records() {
        let mut rate = Rate::default();
        rate.opened(900, Duration::from_secs(4));
        let (most, largest, first) = drive(&mut rate, 300, 1200, 600);
        assert!(rate.per_second().is_some_and(|rate| (150..=330).contains(&rate)), "{rate:?}");
        assert!(most <= 2 * 9000, "{most} bytes on a line that carries 300 a second");
        assert!(largest <= 9900, "{largest}");
        assert!(first.is_some_and(|first| first < 4000), "the first ack came after {first:?} ms");
    }

    #[test]
    fn a_fast_line_far_away_is_filled_within_some_round_trips() {
        let mut rate = Rate::default();
        rate.opened(1000, Duration::from_secs(10));
        let (most, largest, _) = drive(&mut rate, 1_000_000, 10_000, 90);
        assert!(most >= 1 << 20, "{most}: the window, {rate:?}");
        assert_eq!(largest, 32 * 1024);
    }

    #[test]
    fn a_line_that_becomes_slow_is_found_out_and_one_that_is_little_used_is_not_held_for_slow() {
        let mut rate = Rate::default();
        rate.opened(2000, Duration::from_millis(20));
        drive(&mut rate, 100_000, 50, 20);
        let before = rate.per_second().unwrap();
        assert!(before > 70_000, "{before}");
        // One small record now and then, acked after a second each.
        let mut quiet = Rate::default();
        quiet.opened(2000, Duration::from_millis(20));
        for second in 0..100 {
            quiet.sent(at(second * 5000), Share::Bulk, 100);
            quiet.acked(at(second * 5000 + 1000), Share::Bulk, 100);
        }
        assert_eq!(quiet.per_second(), Some(100_000), "it was never asked for more");
        rate.control = 0;
        rate.bulk = 0;
        drive(&mut rate, 1000, 50, 1200);
        assert!(rate.per_second().is_some_and(|rate| rate < 3000), "{rate:?}");
    }

    #[test]
    fn acks_that_come_together_are_not_taken_for_a_fast_line() {
        let mut rate = Rate::default();
        rate.opened(900, Duration::from_secs(3));
        for _ in 0..4 {
            rate.sent(at(0), Share::Bulk, 1000);
        }
        rate.acked(at(10_000), Share::Bulk, 1000);
        for _ in 0..3 {
            rate.acked(at(10_001), Share::Bulk, 1000);
        }
        assert!(rate.per_second().is_some_and(|rate| rate <= 2400), "{rate:?}");
    }

    #[test]
    fn a_line_that_was_not_measured_has_no_bound() {
        let mut rate = Rate::default();
        rate.opened(900, Duration::ZERO);
        assert_eq!((rate.room(Share::Bulk), rate.batch_bytes()), (Some(usize::MAX), usize::MAX));
        rate.sent(at(0), Share::Control, 1 << 30);
        assert_eq!(rate.on_the_way(), Duration::ZERO);
        assert_eq!(rate.room(Share::Control), Some(usize::MAX - (1 << 30)));
    }

    #[test]
    fn each_share_has_its_own_room() {
        let mut rate = Rate::default();
        rate.opened(1000, Duration::from_secs(1));
        rate.sent(at(0), Share::Bulk, 30_000);
        assert_eq!((rate.room(Share::Bulk), rate.room(Share::Control)), (None, Some(30_000)));
        assert_eq!(rate.on_the_way(), Duration::from_secs(30));
        rate.acked(at(30_000), Share::Bulk, 30_000);
        assert_eq!(rate.room(Share::Bulk), Some(30_000));
    }
}
