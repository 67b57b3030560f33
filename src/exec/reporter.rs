//! A running job's way out: one bounded channel, and the batch of lines that is being filled.
//!
//! Invariants: lines leave in the order they came and none is dropped; the batch is taken only when the channel has a
//! place for it, so every function here may be cancelled. After the cap is reached the rest is counted by nobody, and one
//! line says so. Time spent waiting for a place is visible, so that nobody takes a slow consumer for a hung job.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use bytes::Bytes;
use tokio::sync::{Mutex, Notify, mpsc};

use crate::job::process::ProcessId;
use crate::limit;
use crate::obs::clock;
use crate::time::BootTime;
use crate::wire::job::{OUTPUT_LINE_OVERHEAD, OUTPUT_OVERHEAD, OutputLine, OutputStream};

use super::line::Line;
use super::mask::Masks;
use super::outcome::Outcome;
use super::report::{Ack, Finished, Report, ReportError};

#[derive(Debug)]
pub(super) struct Reporter {
    sender: mpsc::Sender<Report>,
    batch: Mutex<Batch>,
    /// The batch has its first line.
    begun: Notify,
    output_max: AtomicU64,
    cut: AtomicBool,
    pipe_held: AtomicBool,
    waiting: AtomicU32,
    masks: Masks,
}

#[derive(Debug, Default)]
struct Batch {
    lines: Vec<OutputLine>,
    /// Encoded, at most.
    bytes: usize,
    /// When it leaves, full or not.
    due: Option<BootTime>,
    total_lines: u64,
    total_bytes: u64,
    /// Of the cap.
    used: u64,
}

/// Counts a wait for as long as it lives.
struct Waiting<'a>(&'a AtomicU32);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicU32) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Reporter {
    pub(super) fn new(output_max: u64, masks: Masks) -> (Self, mpsc::Receiver<Report>) {
        let (sender, receiver) = mpsc::channel(limit::JOB_REPORTS);
        let reporter = Self {
            sender,
            batch: Mutex::default(),
            begun: Notify::new(),
            output_max: AtomicU64::new(output_max),
            cut: AtomicBool::new(false),
            pipe_held: AtomicBool::new(false),
            waiting: AtomicU32::new(0),
            masks,
        };
        (reporter, receiver)
    }

    pub(super) const fn masks(&self) -> &Masks {
        &self.masks
    }

    /// Another cap than the pool's.
    pub(super) fn set_output_max(&self, bytes: u64) {
        self.output_max.store(bytes, Ordering::Relaxed);
    }

    /// The cap is reached: what is read from now on need not be handed in.
    pub(super) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed)
    }

    pub(super) fn set_pipe_held(&self) {
        self.pipe_held.store(true, Ordering::Relaxed);
    }

    /// Something waits for the consumer.
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// The consumer has gone.
    pub(super) async fn abandoned(&self) {
        self.sender.closed().await;
    }

    async fn place(&self) -> Result<mpsc::Permit<'_, Report>, ReportError> {
        let _waiting = Waiting::new(&self.waiting);
        self.sender.reserve().await.map_err(|_closed| ReportError::Over)
    }

    /// Hands a report over, behind the lines that came before it.
    pub(super) async fn send(&self, report: Report) -> Result<(), ReportError> {
        let mut batch = self.batch.lock().await;
        self.flush(&mut batch).await?;
        self.place().await?.send(report);
        Ok(())
    }

    /// Says that the job runs and waits until that is durable.
    pub(super) async fn started(&self, process: Option<ProcessId>) -> Result<(), ReportError> {
        let (ack, durable) = Ack::pair();
        self.place().await?.send(Report::Started { process, ack });
        let _waiting = Waiting::new(&self.waiting);
        durable.await.map_err(|_dropped| ReportError::NotRecorded)
    }

    /// Takes the next line of a stream; waits where the channel is full.
    pub(super) async fn line(&self, stream: OutputStream, line: Line) -> Result<(), ReportError> {
        let mut batch = self.batch.lock().await;
        if self.is_cut() {
            return Ok(());
        }
        let cost = (line.text.len() as u64).saturating_add(u64::from(!line.continues));
        let max = self.output_max.load(Ordering::Relaxed);
        let left = max.saturating_sub(batch.used);
        if cost <= left {
            self.push(&mut batch, stream, line).await?;
            batch.used = batch.used.saturating_add(cost);
            return Ok(());
        }
        let mut text = line.text;
        text.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        if !text.is_empty() {
            self.push(&mut batch, stream, Line { text, continues: false }).await?;
        }
        let mark = Bytes::from(format!("[output cut at {max} bytes]"));
        self.push(&mut batch, OutputStream::Stderr, Line { text: mark, continues: false }).await?;
        self.cut.store(true, Ordering::Relaxed);
        Ok(())
    }

    async fn push(&self, batch: &mut Batch, stream: OutputStream, line: Line) -> Result<(), ReportError> {
        let bytes = line.text.len().saturating_add(OUTPUT_LINE_OVERHEAD);
        let room = limit::JOB_OUTPUT_BYTES.saturating_sub(OUTPUT_OVERHEAD);
        if batch.bytes.saturating_add(bytes) > room {
            self.flush(batch).await?;
        }
        batch.bytes = batch.bytes.saturating_add(bytes);
        batch.total_lines = batch.total_lines.saturating_add(1);
        batch.total_bytes = batch.total_bytes.saturating_add(line.text.len() as u64);
        let Line { text, continues } = line;
        batch.lines.push(OutputLine { stream, at: clock::wall_now(), text, continues });
        if batch.due.is_none() {
            batch.due = Some(clock::boot_now().after(limit::JOB_OUTPUT_DELAY));
            self.begun.notify_one();
        }
        Ok(())
    }

    async fn flush(&self, batch: &mut Batch) -> Result<(), ReportError> {
        if batch.lines.is_empty() {
            return Ok(());
        }
        let place = self.place().await?;
        (batch.bytes, batch.due) = (0, None);
        place.send(Report::Lines(std::mem::take(&mut batch.lines)));
        Ok(())
    }

    /// Sends each batch that has waited for `limit::JOB_OUTPUT_DELAY`; returns once nobody takes them.
    pub(super) async fn keep_flushing(&self) {
        loop {
            let due = self.batch.lock().await.due;
            let Some(due) = due else {
                self.begun.notified().await;
                continue;
            };
            let left = due.since(clock::boot_now());
            if !left.is_zero() {
                tokio::time::sleep(left).await;
                continue;
            }
            let mut batch = self.batch.lock().await;
            if batch.due == Some(due) && self.flush(&mut batch).await.is_err() {
                return;
            }
        }
    }

    /// The last report, behind everything else.
    pub(super) async fn finish(&self, outcome: Outcome) -> Result<(), ReportError> {
        let mut batch = self.batch.lock().await;
        self.flush(&mut batch).await?;
        let mut outcome = outcome;
        outcome.reason = self.masks.text(&outcome.reason).into_owned();
        if let Cow::Owned(masked) = self.masks.bytes(&outcome.payload) {
            outcome.payload = masked.into();
        }
        let finished = Finished {
            outcome: outcome.bounded(),
            lines: batch.total_lines,
            bytes: batch.total_bytes,
            cut: self.is_cut(),
            pipe_held: self.pipe_held.load(Ordering::Relaxed),
        };
        self.place().await?.send(Report::Finished(finished));
        Ok(())
    }
}
