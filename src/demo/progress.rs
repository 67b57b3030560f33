//! One line on the terminal that shows how far the demo is; nothing where stderr is no terminal.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;

/// Counts of the whole demo.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) durable: u64,
    pub(super) total: u64,
    pub(super) cuts: u64,
    pub(super) kills: u64,
    pub(super) jobs: u64,
    pub(super) jobs_submitted: u64,
    pub(super) jobs_over: u64,
}

impl Counts {
    fn describe(&self) -> String {
        let Self { durable, total, cuts, kills, jobs, jobs_submitted, jobs_over } = *self;
        let mut line =
            format!("{durable} of {total} records durable, {cuts} links cut, {kills} agents killed");
        if jobs > 0 {
            line.push_str(&format!(", {jobs_submitted} of {jobs} jobs submitted, {jobs_over} over"));
        }
        line
    }
}

/// Shows the counts as they change.
pub(super) struct Progress {
    counts: Mutex<Counts>,
    on_terminal: bool,
}

impl Progress {
    /// A line for `total` records and for `jobs`, shown unless `quiet`.
    pub(super) fn new(total: u64, jobs: u64, quiet: bool) -> Self {
        Self {
            counts: Mutex::new(Counts { total, jobs, ..Counts::default() }),
            on_terminal: !quiet && std::io::stderr().is_terminal(),
        }
    }

    /// Changes the counts and shows them.
    pub(super) fn update(&self, change: impl FnOnce(&mut Counts)) {
        let Ok(mut counts) = self.counts.lock() else { return };
        change(&mut counts);
        self.show(&counts.describe());
    }

    /// The counts now.
    pub(super) fn counts(&self) -> Counts {
        self.counts.lock().map(|counts| *counts).unwrap_or_default()
    }

    /// Shows another line in its place.
    pub(super) fn show(&self, line: &str) {
        if self.on_terminal {
            // A terminal that went away is no reason to stop.
            let _ = write!(std::io::stderr(), "\r\x1b[2K{line}");
        }
    }

    /// Leaves the line.
    pub(super) fn end(&self) {
        if self.on_terminal {
            let _ = writeln!(std::io::stderr());
        }
    }
}
