//! The rings of all apps, as a value: what is kept, what has fallen out, and ranges over one or several of them.
//!
//! Lines are numbered over all apps, in the order in which they were stored. So one number is a place in each ring, and the order
//! of several apps' lines is the order of their numbers. Invariants: lines are fed in that order and once; every line up to `seen`
//! was fed; what is not here and may be asked for is below its ring's `lost_to`, or below `forgotten` where the ring is gone.

mod merge;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::id::AppName;
use crate::limit;
use crate::time::{HubTime, millis};

use super::line::Line;
use super::ring::Ring;

use merge::{merge, take, weight};

/// Why lines fell out.
const FALLEN: [&str; 7] = ["lines", "age", "bytes", "apps", "dropped", "behind", "damaged"];

#[derive(Debug, Default)]
pub(super) struct Rings {
    apps: BTreeMap<AppName, Ring>,
    bytes: usize,
    /// Every line up to this number was fed.
    seen: i64,
    /// Numbers up to this one have been given to lines.
    given: i64,
    /// Of apps that have no ring: no line up to this number is here.
    forgotten: i64,
    /// Lines of an app that were dropped before they were fed.
    drops: BTreeMap<AppName, i64>,
    fed: u64,
    fallen: BTreeMap<&'static str, u64>,
}

/// Which lines.
#[derive(Debug, Clone)]
pub struct Range {
    /// Of these apps; `None`: of all.
    pub apps: Option<BTreeSet<AppName>>,
    /// Those above this number, the oldest first; `None`: the newest.
    pub since: Option<i64>,
    /// At most so many.
    pub count_max: usize,
    /// And no more once they take so many bytes together.
    pub bytes_max: usize,
}

/// Why lines are never fed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PassedOver {
    /// They come faster than they are read.
    Behind,
    /// They cannot be read.
    Damaged,
}

/// What there is of a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// In the order of their numbers.
    pub lines: Vec<Arc<Line>>,
    /// Whether lines above `since` may be missing: they fell out, or were dropped.
    pub gap: bool,
    /// What to go on from.
    pub next: i64,
}

/// One app that has lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppState {
    /// Its name.
    pub app: AppName,
    /// How many.
    pub lines: usize,
    /// Bytes that they take.
    pub bytes: usize,
    /// Number of the oldest one.
    pub first: i64,
    /// Number of the newest one.
    pub last: i64,
    /// When that came.
    pub received_at: i64,
}

/// For who watches the hub.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Figures {
    pub(super) apps: u64,
    pub(super) lines: u64,
    pub(super) bytes: u64,
    pub(super) fed: u64,
    pub(super) fallen: BTreeMap<&'static str, u64>,
}

impl Rings {
    /// Empty ones that lines above `seen` are fed to. Numbers up to `given` have been given.
    pub(super) fn new(seen: i64, given: i64, drops: BTreeMap<AppName, i64>) -> Self {
        let fallen = FALLEN.iter().map(|why| (*why, 0)).collect();
        Self { seen, given: given.max(seen), forgotten: seen, drops, fallen, ..Self::default() }
    }

    /// Every line up to this number was fed.
    pub(super) fn seen(&self) -> i64 {
        self.seen
    }

    fn count(&mut self, why: &'static str, lines: usize) {
        let count = self.fallen.entry(why).or_default();
        *count = count.saturating_add(u64::try_from(lines).unwrap_or(u64::MAX));
    }

    /// Takes lines in, all there are up to the number `upto`.
    pub(super) fn feed(&mut self, now: HubTime, lines: Vec<Line>, upto: i64) {
        let mut pushed_out = 0;
        let seen = self.seen;
        for line in lines.into_iter().filter(|line| line.seq > seen) {
            self.fed = self.fed.saturating_add(1);
            if self.drops.get(&line.app).is_some_and(|upto| line.seq <= *upto) {
                self.count("dropped", 1);
                self.ring(&line.app).lose_to(line.seq);
                continue;
            }
            let ring = self.ring(&line.app);
            let before = ring.bytes();
            pushed_out += ring.push(line);
            let after = ring.bytes();
            self.bytes = self.bytes.saturating_sub(before).saturating_add(after);
        }
        self.seen = self.seen.max(upto);
        self.given = self.given.max(self.seen);
        let seen = self.seen;
        self.drops.retain(|_, upto| *upto > seen);
        self.count("lines", pushed_out);
        self.age(now);
        self.bound_apps();
        self.bound_bytes();
    }

    /// The app's ring; a new one knows of no line before.
    fn ring(&mut self, app: &AppName) -> &mut Ring {
        if !self.apps.contains_key(app) {
            let mut ring = Ring::default();
            ring.lose_to(self.forgotten);
            self.apps.insert(app.clone(), ring);
        }
        self.apps.entry(app.clone()).or_default()
    }

    /// Lines up to this number will not be fed.
    pub(super) fn pass_over(&mut self, seq: i64, why: PassedOver) {
        let skipped = usize::try_from(seq.saturating_sub(self.seen)).unwrap_or_default();
        let why = match why {
            PassedOver::Behind => "behind",
            PassedOver::Damaged => "damaged",
        };
        self.count(why, skipped);
        self.seen = self.seen.max(seq);
        self.given = self.given.max(self.seen);
        self.forgotten = self.forgotten.max(seq);
        self.apps.values_mut().for_each(|ring| ring.lose_to(seq));
    }

    /// Drops what is older than an hour.
    pub(super) fn age(&mut self, now: HubTime) {
        let from = now.0.saturating_sub(millis(limit::APP_LINES_FOR));
        let from = i64::try_from(from).unwrap_or(i64::MAX);
        let fallen = self.trim(|ring| ring.pop_while(|line| line.received_at < from));
        self.count("age", fallen);
    }

    /// Lets each ring lose lines. How many there were.
    fn trim(&mut self, lose: impl Fn(&mut Ring) -> usize) -> usize {
        let fallen = self.apps.values_mut().map(lose).sum();
        if fallen > 0 {
            self.bytes = self.apps.values().map(Ring::bytes).sum();
        }
        fallen
    }

    /// The app that said nothing for longest goes.
    fn bound_apps(&mut self) {
        while self.apps.len() > limit::APPS_MAX {
            let quietest = self.apps.iter().min_by_key(|(_, ring)| ring.newest());
            let Some(app) = quietest.map(|(app, _)| app.clone()) else { return };
            let Some(ring) = self.apps.remove(&app) else { return };
            self.bytes = self.bytes.saturating_sub(ring.bytes());
            self.forgotten = self.forgotten.max(ring.newest()).max(ring.lost_to());
            self.count("apps", ring.len());
        }
    }

    /// The app that takes most room loses its oldest lines, so that no loud one silences the others.
    fn bound_bytes(&mut self) {
        let mut fallen = 0;
        while self.bytes > limit::APP_BYTES_ALL_MAX {
            let beyond = self.bytes.saturating_sub(limit::APP_BYTES_ALL_MAX);
            let Some(ring) = self.apps.values_mut().max_by_key(|ring| ring.bytes()) else { break };
            let (before, lines) = (ring.bytes(), ring.len());
            while before.saturating_sub(ring.bytes()) < beyond.min(before / 8 + 1) && ring.pop() {}
            if ring.len() == lines {
                break;
            }
            fallen += lines.saturating_sub(ring.len());
            self.bytes = self.bytes.saturating_sub(before.saturating_sub(ring.bytes()));
        }
        self.count("bytes", fallen);
    }

    /// Drops the lines of an app up to a number, those that are still to be fed, too. How many were here.
    pub(super) fn drop_app(&mut self, app: &AppName, upto: i64) -> usize {
        if upto > self.seen {
            self.drops.insert(app.clone(), upto);
        }
        let Some(ring) = self.apps.get_mut(app) else { return 0 };
        let before = ring.bytes();
        let fallen = ring.pop_while(|line| line.seq <= upto);
        let after = ring.bytes();
        self.bytes = self.bytes.saturating_sub(before).saturating_add(after);
        self.count("dropped", fallen);
        fallen
    }

    /// What there is of a range at this time.
    pub(super) fn lines(&mut self, now: HubTime, range: &Range) -> Found {
        self.age(now);
        let rings: Vec<&Ring> = match &range.apps {
            None => self.apps.values().collect(),
            Some(apps) => apps.iter().filter_map(|app| self.apps.get(app)).collect(),
        };
        let all_here = range.apps.as_ref().is_some_and(|apps| apps.len() == rings.len());
        let Some(since) = range.since else {
            let newest = merge(rings.iter().map(|ring| ring.after(0).rev()), |seq| seq);
            let mut lines = take(newest, range);
            lines.reverse();
            return Found { lines, gap: false, next: self.seen };
        };
        // A number that was never given: this database is older than the one who asks.
        let ahead = since > self.given;
        let lost = |seq: i64| seq > since;
        let gap =
            ahead || rings.iter().any(|ring| lost(ring.lost_to())) || (!all_here && lost(self.forgotten));
        let since = if ahead { 0 } else { since };
        let lines = take(merge(rings.iter().map(|ring| ring.after(since)), Reverse), range);
        let cut = lines.len() == range.count_max || weight(&lines) >= range.bytes_max;
        let next = match lines.last().filter(|_| cut) {
            Some(last) => last.seq,
            None => since.max(self.seen),
        };
        Found { lines, gap, next }
    }

    /// The apps that have lines at this time, by name.
    pub(super) fn apps(&mut self, now: HubTime) -> Vec<AppState> {
        self.age(now);
        let state = |(app, ring): (&AppName, &Ring)| {
            let (first, last) = ring.first().zip(ring.last())?;
            Some(AppState {
                app: app.clone(),
                lines: ring.len(),
                bytes: ring.bytes(),
                first: first.seq,
                last: last.seq,
                received_at: last.received_at,
            })
        };
        self.apps.iter().filter_map(state).collect()
    }

    pub(super) fn figures(&self) -> Figures {
        let shown = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        Figures {
            apps: shown(self.apps.values().filter(|ring| ring.len() > 0).count()),
            lines: shown(self.apps.values().map(Ring::len).sum()),
            bytes: shown(self.bytes),
            fed: self.fed,
            fallen: self.fallen.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
