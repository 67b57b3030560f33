//! How far a long command is: one line on stderr, where that is a terminal.

#[cfg(feature = "hub")]
use std::io::Read;
use std::io::{IsTerminal, Write};

use crate::obs::clock::boot_now;
use crate::time::BootTime;

/// A line is drawn this often at most.
const REDRAW: std::time::Duration = std::time::Duration::from_millis(100);

/// One line that is drawn again and again.
pub(super) struct Progress {
    what: &'static str,
    total: Option<u64>,
    done: u64,
    drawn: Option<BootTime>,
    on_terminal: bool,
}

impl Progress {
    /// A line that begins with `what`; `total` in bytes, where it is known.
    pub(super) fn new(what: &'static str, total: Option<u64>) -> Self {
        Self { what, total, done: 0, drawn: None, on_terminal: std::io::stderr().is_terminal() }
    }

    /// So many bytes more.
    pub(super) fn add(&mut self, bytes: u64) {
        self.done = self.done.saturating_add(bytes);
        let now = boot_now();
        if self.on_terminal && self.drawn.is_none_or(|drawn| now.since(drawn) >= REDRAW) {
            self.drawn = Some(now);
            // A terminal that went away is no reason to stop.
            let _ = write!(std::io::stderr(), "\r\x1b[2K{}", self.line());
        }
    }

    fn line(&self) -> String {
        let mebibytes = |bytes: u64| format!("{}.{} MiB", bytes >> 20, ((bytes & 0xf_ffff) * 10) >> 20);
        match self.total.filter(|total| *total > 0) {
            Some(total) => {
                let percent = (self.done.min(total).saturating_mul(100)) / total;
                format!("{} {} of {} ({percent} %)", self.what, mebibytes(self.done), mebibytes(total))
            }
            None => format!("{} {}", self.what, mebibytes(self.done)),
        }
    }

    /// Takes the line away.
    pub(super) fn end(&mut self) {
        if self.drawn.take().is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[2K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}

/// A reader whose progress is shown.
#[cfg(feature = "hub")]
pub(super) struct Counted<R> {
    inner: R,
    progress: Progress,
}

#[cfg(feature = "hub")]
impl<R> Counted<R> {
    pub(super) fn new(inner: R, progress: Progress) -> Self {
        Self { inner, progress }
    }
}

#[cfg(feature = "hub")]
impl<R: Read> Read for Counted<R> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(out)?;
        self.progress.add(count as u64);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_much_of_what() {
        let mut progress = Progress::new("sent", Some(10 << 20));
        progress.done = (5 << 20) + (1 << 19);
        assert_eq!(progress.line(), "sent 5.5 MiB of 10.0 MiB (55 %)");
        progress.total = None;
        assert_eq!(progress.line(), "sent 5.5 MiB");
    }
}
