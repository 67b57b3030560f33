//! Reads a process's outputs to their end: masks secrets, cuts lines, hands them over.
//!
//! Invariants: what the process wrote before it ended is read, however late the lines are taken; while they are not taken
//! nothing is read, so that the process waits. Somebody else who still holds a pipe when the process has ended is waited
//! for at most `limit::PIPE_HELD_TIMEOUT`, and that is flagged. After the job's output was cut the rest is read and
//! dropped.

use std::io;
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::ioctl_fionread;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_util::sync::CancellationToken;

use crate::limit;
use crate::obs::clock;
use crate::wire::job::OutputStream;

use super::deadline;
use super::line::Lines;
use super::mask::Masker;
use super::process::Pipes;
use super::report::ReportError;
use super::reporter::Reporter;

/// One of the two outputs.
#[derive(Debug)]
struct Source<R> {
    /// `None` once it has ended.
    pipe: Option<R>,
    stream: OutputStream,
    masker: Masker,
    lines: Lines,
    buffer: Vec<u8>,
    /// Bytes in the pipe when the process had ended: its own last ones.
    left: u64,
}

/// Whose bytes are still to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The process runs.
    Running,
    /// It has ended: the pipes should, too.
    Ended,
    /// They did not: only what the process left in them.
    Held,
}

/// Reads both pipes to their end; `exited` says that the process has ended.
///
/// # Errors
/// Where nobody takes the lines any more.
pub(super) async fn pump(
    pipes: Pipes,
    reporter: &Reporter,
    exited: &CancellationToken,
) -> Result<(), ReportError> {
    let mut stdout = Source::new(pipes.stdout, OutputStream::Stdout, reporter);
    let mut stderr = Source::new(pipes.stderr, OutputStream::Stderr, reporter);
    let mut phase = Phase::Running;
    let mut held_after = None;
    loop {
        if phase == Phase::Running && exited.is_cancelled() {
            phase = Phase::Ended;
            held_after = Some(clock::boot_now().after(limit::PIPE_HELD_TIMEOUT));
            stdout.count_left();
            stderr.count_left();
        }
        if held_after.is_some_and(|deadline| deadline <= clock::boot_now()) {
            phase = Phase::Held;
            stdout.let_go(reporter).await?;
            stderr.let_go(reporter).await?;
        }
        if stdout.pipe.is_none() && stderr.pipe.is_none() {
            return Ok(());
        }
        // Not biased: a process that floods one output must not block on the other.
        tokio::select! {
            () = exited.cancelled(), if phase == Phase::Running => {}
            () = deadline::reached(held_after), if phase == Phase::Ended => {}
            read = stdout.read(), if stdout.pipe.is_some() => stdout.take(read, reporter).await?,
            read = stderr.read(), if stderr.pipe.is_some() => stderr.take(read, reporter).await?,
        }
    }
}

impl<R: AsyncRead + AsFd + Unpin> Source<R> {
    fn new(pipe: Option<R>, stream: OutputStream, reporter: &Reporter) -> Self {
        let masker = Masker::new(reporter.masks().clone());
        let buffer = vec![0; limit::PIPE_READ_BYTES];
        Self { pipe, stream, masker, lines: Lines::default(), buffer, left: 0 }
    }

    /// Safe to cancel.
    async fn read(&mut self) -> io::Result<usize> {
        match &mut self.pipe {
            Some(pipe) => pipe.read(&mut self.buffer).await,
            None => std::future::pending().await,
        }
    }

    async fn take(&mut self, read: io::Result<usize>, reporter: &Reporter) -> Result<(), ReportError> {
        let bytes = match read {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::error!(stream = self.stream.name(), %error, "a job's pipe cannot be read: what follows is lost");
                0
            }
        };
        if bytes == 0 {
            return self.end(reporter).await;
        }
        self.left = self.left.saturating_sub(bytes as u64);
        if reporter.is_cut() {
            return Ok(());
        }
        let read = self.buffer.get(..bytes).unwrap_or_default();
        self.lines.feed(&self.masker.feed(read));
        while let Some(line) = self.lines.next_line() {
            reporter.line(self.stream, line).await?;
        }
        Ok(())
    }

    async fn end(&mut self, reporter: &Reporter) -> Result<(), ReportError> {
        self.pipe = None;
        self.lines.feed(&self.masker.end());
        while let Some(line) = self.lines.next_line() {
            reporter.line(self.stream, line).await?;
        }
        match self.lines.end() {
            Some(line) => reporter.line(self.stream, line).await,
            None => Ok(()),
        }
    }

    fn unread(&self) -> u64 {
        self.pipe.as_ref().and_then(|pipe| ioctl_fionread(pipe).ok()).unwrap_or_default()
    }

    fn count_left(&mut self) {
        self.left = self.unread();
    }

    /// Nobody can write to it any more: its end comes with the reads.
    fn is_closed(&self) -> bool {
        let Some(pipe) = &self.pipe else { return true };
        let mut state = [PollFd::new(pipe, PollFlags::IN)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut state, Some(&at_once)).is_ok()
            && state.iter().any(|pipe| pipe.revents().contains(PollFlags::HUP))
    }

    /// Ends a pipe that somebody else holds, once the process's own bytes were read.
    async fn let_go(&mut self, reporter: &Reporter) -> Result<(), ReportError> {
        if self.is_closed() || (self.left > 0 && self.unread() > 0) {
            return Ok(());
        }
        reporter.set_pipe_held();
        self.end(reporter).await
    }
}
