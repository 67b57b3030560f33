//! The agent's jobs: the real journal, committed through the real store; a job itself is a few steps of nothing.
//!
//! What is decided here mirrors `agent/jobs`, which runs processes and cannot run in virtual time.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::id::{JobId, Lane, RecordId, StreamId};
use crate::job::journal::{AfterCrash, Cancelled, Entry, Found, Journal, Offered, Stage, encode_remembered};
use crate::job::process::BootId;
use crate::job::{JobSpec, JobState, OnCrash};
use crate::limit;
use crate::outbox::job::{Forget, JobChange, ReservationChange, SpecChange};
use crate::outbox::{AppendError, NewRecord};
use crate::sim::around::Around;
use crate::sim::mutant::{self, Mutant};
use crate::time::{HubTime, WallTime};
use crate::wire::job::{
    Answer, JobAck, JobOffer, JobOutput, JobRecord, JobResult, JobStatusChange, LogSummary, OutputLine,
    OutputStream, Refusal, ResultPayload,
};

use super::Agent;

/// Unfinished jobs at once.
const QUEUE: usize = 3;
/// Jobs that run at once.
const PLACES: usize = 2;

/// What the process knows of its jobs.
#[derive(Default)]
pub(in crate::sim) struct Jobs {
    journal: Journal,
    specs: BTreeMap<JobId, OnCrash>,
    runs: BTreeMap<JobId, Run>,
}

/// A job that was begun by this process.
#[derive(Debug, Clone, Copy, Default)]
struct Run {
    number: u32,
    lines: u64,
    log_end: Option<RecordId>,
    cancelled: bool,
}

fn record(content: JobRecord, at: WallTime) -> NewRecord {
    NewRecord {
        recorded_at: at,
        source: "outpost".to_owned(),
        kind: content.kind(),
        payload: content.encode(),
        app: None,
    }
}

fn refused(job: JobId, refusal: Refusal) -> Option<JobAck> {
    Some(JobAck { job, answer: Answer::Refused { refusal, detail: String::new() } })
}

impl Agent {
    fn boot_id(&self) -> BootId {
        BootId::from_bytes([self.boot; 16])
    }

    /// What an earlier process left is reported or begun again.
    pub(super) fn recover_jobs(&mut self, around: &mut Around<'_>) {
        let boot = self.boot_id();
        let Some(process) = &mut self.process else { return };
        let rows = process.store.wait(process.outbox.jobs()).expect("the journal is readable");
        let entries = rows.jobs.iter().map(|row| (row.job, &row.row[..]));
        process.jobs.journal = Journal::restore(entries, rows.remembered.as_deref()).expect("rows of ours");
        for row in &rows.jobs {
            if let Some(spec) = &row.spec {
                process.jobs.specs.insert(row.job, JobSpec::parse(spec).expect("a spec of ours").on_crash);
            }
        }
        let found = process.jobs.journal.found(boot);
        around.say(|| format!("agent {} finds {found:?}", self.folder));
        for (job, found) in found {
            if let Found::Begun { started_at, .. } = found {
                self.after_crash(job, started_at, around);
            }
        }
        if mutant::active(Mutant::ResultTwice) {
            self.tell_again(rows.jobs.iter().map(|row| row.job), around);
        }
    }

    fn after_crash(&mut self, job: JobId, started_at: Option<WallTime>, around: &mut Around<'_>) {
        let Some(process) = &self.process else { return };
        let Some(entry) = process.jobs.journal.get(job).copied() else { return };
        let on_crash = process.jobs.specs.get(&job).copied().unwrap_or_default();
        // Where this fails the job stays as it was found, and is tried again.
        let _ = match Journal::after_crash(on_crash) {
            AfterCrash::Interrupted => {
                let mut result = self.result(job, JobState::Interrupted, entry.run, around);
                result.started_at = started_at;
                self.write(entry, result, around)
            }
            AfterCrash::Rerun => self.commit(
                job,
                entry.put_back(),
                SpecChange::Keep,
                ReservationChange::Keep,
                Vec::new(),
                around,
            ),
        };
    }

    /// A fault: results that were told are told again.
    fn tell_again(&mut self, jobs: impl Iterator<Item = JobId>, around: &mut Around<'_>) {
        for job in jobs {
            let entry = self.process.as_ref().and_then(|process| process.jobs.journal.get(job).copied());
            if let Some(entry @ Entry { stage: Stage::Finished { state, .. }, .. }) = entry {
                let result = self.result(job, state, entry.run, around);
                let _ = self.write(entry, result, around);
            }
        }
    }

    /// Mirrors the judgement of an offer; `None` where the answer is a record.
    pub(super) fn offered(
        &mut self,
        offer: JobOffer,
        now: HubTime,
        around: &mut Around<'_>,
    ) -> Option<JobAck> {
        let (at, boot, job) = (self.wall(around), self.boot_id(), offer.job);
        let process = self.process.as_mut()?;
        let journal = &process.jobs.journal;
        if let Some(entry) = journal.get(job) {
            return Some(JobAck { job, answer: Answer::Accepted(entry.stage.state()) });
        }
        let spec = JobSpec::parse(&offer.spec).expect("a spec of ours");
        let expires = HubTime(spec.expires_at_ms(offer.created_at.0).expect("a spec of ours"));
        match journal.offered(job, offer.created_at, expires, now, QUEUE) {
            Offered::New => {}
            Offered::Duplicate(state) => return Some(JobAck { job, answer: Answer::Accepted(state) }),
            Offered::Refused(refusal) => return refused(job, refusal),
        }
        let free = process.jobs.runs.len() < PLACES;
        let (run, stage) =
            if free { (1, Stage::Starting { accepted_at: at, boot }) } else { (0, Stage::Accepted { at }) };
        if free && mutant::active(Mutant::StartBeforeJournal) {
            around.truth.jobs.started(job, 1, spec.on_crash);
        }
        let entry = Entry { created_at: offer.created_at, run, stage };
        let ack = JobRecord::Ack(JobAck { job, answer: Answer::Accepted(JobState::Accepted) });
        let (put, take) = (SpecChange::Put(offer.spec), ReservationChange::Take);
        match self.commit(job, entry, put, take, vec![record(ack, at)], around) {
            Ok(()) => {
                self.process.as_mut()?.jobs.specs.insert(job, spec.on_crash);
                if free && !mutant::active(Mutant::StartBeforeJournal) {
                    self.run(job, 1, around);
                }
                None
            }
            Err(AppendError::Degraded { .. } | AppendError::Closed) => refused(job, Refusal::Degraded),
            Err(_) => refused(job, Refusal::Busy),
        }
    }

    /// The job's process is made.
    fn run(&mut self, job: JobId, number: u32, around: &mut Around<'_>) {
        let Some(process) = &mut self.process else { return };
        let on_crash = process.jobs.specs.get(&job).copied().unwrap_or_default();
        around.say(|| format!("agent {} begins run {number} of {job}", self.folder));
        around.truth.jobs.started(job, number, on_crash);
        process.jobs.runs.insert(job, Run { number, ..Run::default() });
    }

    pub(super) fn cancel(&mut self, job: JobId, around: &mut Around<'_>) {
        let Some(process) = &mut self.process else { return };
        match process.jobs.journal.cancelled(job) {
            Cancelled::Unknown | Cancelled::Waiting => {
                let at = self.wall(around);
                let Some(process) = &self.process else { return };
                let unknown = Entry { created_at: HubTime(0), run: 0, stage: Stage::Accepted { at } };
                let entry = process.jobs.journal.get(job).copied().unwrap_or(unknown);
                let result = self.result(job, JobState::Cancelled, entry.run, around);
                let _ = self.write(entry, result, around);
            }
            Cancelled::Begun => {
                if let Some(run) = process.jobs.runs.get_mut(&job) {
                    run.cancelled = true;
                }
            }
            Cancelled::Finished(_) => {}
        }
    }

    /// One of the open jobs goes on by one step.
    pub(in crate::sim) fn job_step(&mut self, around: &mut Around<'_>) {
        self.disk.set_now(around.now);
        let Some(process) = &self.process else { return };
        let open: Vec<JobId> = process.jobs.journal.open().collect();
        let Some(job) = around.rng.choice(open) else { return };
        let (Some(entry), free) = (process.jobs.journal.get(job).copied(), process.jobs.runs.len() < PLACES)
        else {
            return;
        };
        match (entry.stage, process.jobs.runs.get(&job).copied()) {
            (Stage::Accepted { at }, None) if free => {
                let number = entry.run + 1;
                let stage = Stage::Starting { accepted_at: at, boot: self.boot_id() };
                let entry = Entry { run: number, stage, ..entry };
                let begun =
                    self.commit(job, entry, SpecChange::Keep, ReservationChange::Keep, Vec::new(), around);
                if begun.is_ok() {
                    self.run(job, number, around);
                }
            }
            (Stage::Starting { accepted_at, .. }, Some(_)) => self.started(job, entry, accepted_at, around),
            (Stage::Running { .. }, Some(run)) if run.lines < 3 && !run.cancelled && around.rng.bool() => {
                self.output(job, run, around);
            }
            (Stage::Running { started_at, .. }, Some(run)) => {
                let state = if run.cancelled { JobState::Cancelled } else { JobState::Succeeded };
                let mut result = self.result(job, state, run.number, around);
                result.started_at = Some(started_at);
                result.log = LogSummary { end: run.log_end, lines: Some(run.lines), ..LogSummary::default() };
                // One that finds no room is tried again.
                let _ = self.write(entry, result, around);
            }
            // What an earlier process had begun, and found no room to be ended.
            (Stage::Starting { .. }, None) => self.after_crash(job, None, around),
            (Stage::Running { started_at, .. }, None) => self.after_crash(job, Some(started_at), around),
            // Waits for a place.
            _ => {}
        }
        self.after(around);
    }

    fn started(&mut self, job: JobId, entry: Entry, accepted_at: WallTime, around: &mut Around<'_>) {
        let at = self.wall(around);
        let stage = Stage::Running { accepted_at, boot: self.boot_id(), process: None, started_at: at };
        let change = JobStatusChange { job, run: entry.run, state: JobState::Running, at };
        let records = vec![record(JobRecord::Status(change), at)];
        let entry = Entry { stage, ..entry };
        let _ = self.commit(job, entry, SpecChange::Keep, ReservationChange::Keep, records, around);
    }

    fn output(&mut self, job: JobId, run: Run, around: &mut Around<'_>) {
        let at = self.wall(around);
        let text = Bytes::from(format!("line {}", run.lines + 1));
        let line = OutputLine { stream: OutputStream::Stdout, at, text, continues: false };
        let output = JobOutput { job, run: run.number, first_line: run.lines + 1, lines: vec![line] };
        let record = record(JobRecord::Output(output), at);
        let Some(process) = &mut self.process else { return };
        let answer = process.store.wait(process.outbox.append(Lane::Logs, vec![record.clone()]));
        if let Ok(appended) = answer
            && !self.disk.is_stopped()
        {
            around.truth.durable(self.folder, appended.last, record.payload);
            if let Some(run) = process.jobs.runs.get_mut(&job) {
                (run.lines, run.log_end) = (run.lines + 1, Some(appended.last));
            }
        }
    }

    fn result(&self, job: JobId, state: JobState, run: u32, around: &Around<'_>) -> JobResult {
        JobResult {
            job,
            run,
            state,
            exit_code: None,
            signal: None,
            reason: String::new(),
            started_at: None,
            finished_at: self.wall(around),
            log: LogSummary::default(),
            payload: ResultPayload::Inline(Bytes::new()),
        }
    }

    fn write(&mut self, entry: Entry, result: JobResult, around: &mut Around<'_>) -> Result<(), AppendError> {
        let (job, state, at) = (result.job, result.state, result.finished_at);
        let entry = Entry { stage: Stage::Finished { state, at }, ..entry };
        let records = vec![record(JobRecord::Result(Box::new(result)), at)];
        self.commit(job, entry, SpecChange::Remove, ReservationChange::Release, records, around)?;
        if let Some(process) = &mut self.process {
            process.jobs.specs.remove(&job);
            process.jobs.runs.remove(&job);
        }
        Ok(())
    }

    /// Commits a job's row with what is to be said, then changes the journal in memory.
    fn commit(
        &mut self,
        job: JobId,
        entry: Entry,
        spec: SpecChange,
        reservation: ReservationChange,
        records: Vec<NewRecord>,
        around: &mut Around<'_>,
    ) -> Result<(), AppendError> {
        let now = self.wall(around);
        let Some(process) = &mut self.process else { return Err(AppendError::Closed) };
        let journal = &process.jobs.journal;
        let gone = journal.forgettable(now, limit::JOBS_FORGOTTEN_AT_ONCE);
        let newest = journal.remembered_without(&gone).filter(|_| !gone.is_empty());
        let forget =
            newest.map(|newest| Forget { jobs: gone.clone(), remembered: encode_remembered(newest).into() });
        let payloads: Vec<Bytes> = records.iter().map(|record| record.payload.clone()).collect();
        let change = JobChange { job, row: entry.encode().into(), spec, reservation, forget, records };
        let changed = process.store.wait(process.outbox.change_job(change));
        changed.inspect_err(|error| around.say(|| format!("agent {}: {job}: {error}", self.folder)))?;
        if self.disk.is_stopped() {
            return Err(AppendError::Closed);
        }
        around.say(|| format!("agent {}: {job} is {:?}", self.folder, entry.stage));
        let ledger = process.store.ledger();
        let stream: StreamId = ledger.current(Lane::Control);
        let first = ledger.next(Lane::Control) - payloads.len() as u64;
        for (seq, payload) in (first..).zip(payloads) {
            around.truth.durable(self.folder, RecordId { stream, seq }, payload);
        }
        process.jobs.journal.set(job, entry);
        process.jobs.journal.forget(&gone);
        Ok(())
    }

    /// Whether every job is over.
    pub(in crate::sim) fn is_idle(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.jobs.journal.open_count() == 0)
    }
}
