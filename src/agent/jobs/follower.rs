//! Follows one job from the queue to its end and puts what it says into the outbox.
//!
//! A job's lines become durable before its result does: the last append returns before the end is told.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::exec::{Finished, NotStarted, Permit, Queued, Report, Running};
use crate::id::{AppName, JobId, Lane, RecordId};
use crate::limit;
use crate::outbox::{Appended, NewRecord, Outbox};
use crate::time::WallTime;
use crate::wire::job::{JobArtifact, JobOutput, JobProgress, JobRecord, OutputLine};

use super::actor::Event;
use super::record::{payload, record};

/// How a job came to its end.
pub(super) enum End {
    /// It got no place.
    NotStarted(NotStarted),
    /// The journal did not let it begin.
    Refused,
    /// An earlier process had begun it, at this time if it ran.
    Found(Option<WallTime>),
    /// It ran.
    Finished(Box<Done>),
}

/// A job that ran to its end.
pub(super) struct Done {
    pub(super) finished: Finished,
    /// When, by the agent's clock.
    pub(super) at: WallTime,
    /// The last record of its log.
    pub(super) log_end: Option<RecordId>,
    /// Where its payload is, if it is long.
    pub(super) payload_at: Option<(RecordId, RecordId)>,
}

pub(super) struct Follower {
    job: JobId,
    /// Whose log lines its output is.
    app: Option<AppName>,
    outbox: Outbox,
    wall_clock: fn() -> WallTime,
    events: mpsc::Sender<Event>,
    run: u32,
    next_line: u64,
    log_end: Option<RecordId>,
    /// Set when the outbox takes nothing more: the job goes on, what it says is lost.
    deaf: bool,
}

impl Follower {
    pub(super) fn new(
        job: JobId,
        app: Option<AppName>,
        outbox: Outbox,
        wall_clock: fn() -> WallTime,
        events: mpsc::Sender<Event>,
    ) -> Self {
        Self { job, app, outbox, wall_clock, events, run: 0, next_line: 1, log_end: None, deaf: false }
    }

    /// A job that the journal says is starting.
    pub(super) async fn follow_started(mut self, permit: Permit, run: u32) {
        self.run = run;
        let end = self.attend(permit.start()).await;
        self.say(Event::Over { job: self.job, end }).await;
    }

    /// A job that waits for its turn.
    pub(super) async fn follow(mut self, queued: Queued) {
        let job = self.job;
        let end = match queued.permit().await {
            Err(error) => End::NotStarted(error),
            Ok(permit) => {
                let (may, answer) = oneshot::channel();
                self.say(Event::Begin { job, may }).await;
                match answer.await {
                    Err(_refused) => End::Refused,
                    Ok(run) => {
                        self.run = run;
                        self.attend(permit.start()).await
                    }
                }
            }
        };
        self.say(Event::Over { job, end }).await;
    }

    async fn say(&self, event: Event) {
        // The actor outlives its followers.
        let _gone = self.events.send(event).await;
    }

    async fn attend(&mut self, mut running: Running) -> End {
        while let Some(report) = running.next().await {
            match report {
                Report::Started { process, ack } => {
                    self.say(Event::Started { job: self.job, process, ack }).await;
                }
                Report::Lines(lines) => self.lines(lines).await,
                Report::Progress { permille, text } => self.progress(permille, text).await,
                Report::Artifact { name, content } => {
                    let artifact = JobArtifact { job: self.job, run: self.run, name, content };
                    self.log(JobRecord::Artifact(artifact), None).await;
                }
                Report::Finished(finished) => return self.finished(finished).await,
            }
        }
        End::Refused
    }

    async fn lines(&mut self, lines: Vec<OutputLine>) {
        let first_line = self.next_line;
        self.next_line = first_line.saturating_add(lines.len() as u64);
        let output = JobOutput { job: self.job, run: self.run, first_line, lines };
        self.log(JobRecord::Output(output), self.app.clone()).await;
    }

    async fn log(&mut self, content: JobRecord, app: Option<AppName>) {
        let at = (self.wall_clock)();
        if let Some(appended) = self.append(NewRecord { app, ..record(content, at) }).await {
            self.log_end = Some(appended.last);
        }
    }

    /// Only the newest progress matters: one that finds no room is dropped.
    async fn progress(&mut self, permille: Option<u32>, text: String) {
        let at = (self.wall_clock)();
        let progress = JobProgress { job: self.job, run: self.run, at, permille, text };
        let record = record(JobRecord::Progress(progress), at);
        if let Err(error) = self.outbox.append(Lane::Events, vec![record]).await {
            tracing::debug!(job = %self.job, %error, "a job's progress is dropped");
        }
    }

    /// Appends to the logs lane. A full one makes the job wait, and so its process.
    async fn append(&mut self, record: NewRecord) -> Option<Appended> {
        if self.deaf {
            return None;
        }
        loop {
            match self.outbox.append(Lane::Logs, vec![record.clone()]).await {
                Ok(appended) => return Some(appended),
                Err(error) if error.is_shortage() => {
                    tracing::warn!(job = %self.job, %error, "a job waits for room for its output");
                    tokio::time::sleep(ROOM_RETRY).await;
                }
                Err(error) => {
                    tracing::error!(job = %self.job, %error, "the output of a job is lost from here on");
                    self.deaf = true;
                    return None;
                }
            }
        }
    }

    async fn finished(&mut self, finished: Finished) -> End {
        let at = (self.wall_clock)();
        let bytes = &finished.outcome.payload;
        let long = bytes.len() > limit::JOB_RESULT_INLINE_BYTES;
        let payload_at = match long.then(|| payload(bytes.clone(), at)) {
            Some(record) => self.append(record).await.map(|appended| (appended.first, appended.last)),
            None => None,
        };
        End::Finished(Box::new(Done { finished, at, log_end: self.log_end, payload_at }))
    }
}

/// How long a job waits before it looks for room again.
const ROOM_RETRY: Duration = Duration::from_millis(500);
