//! What an agent remembers of its jobs, and what an offer, a start, an end, a cancel and a restart mean.
//!
//! ```text
//!  offer -> accepted -> starting -> running -> finished        a restart finds one of these
//!              |            |          |
//!              +------------+----------+--> finished by a cancel, or after a crash
//! ```
//! * Pure. A decision is made against what is durable; it takes effect with [`Journal::set`], once its row is.
//! * A job is `starting` before its process exists: whatever is found `starting` or `running` after a restart may have run.
//! * A finished id is remembered among the newest [`limit::JOBS_REMEMBERED`] and for [`limit::JOBS_REMEMBERED_FOR`];
//!   of the forgotten ones the newest creation time, and nothing that old is accepted any more.

mod row;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use crate::id::JobId;
use crate::limit;
use crate::time::{HubTime, WallTime, millis};
use crate::wire::job::{JobState, Refusal};

use super::OnCrash;
use super::process::{BootId, ProcessId};

pub use row::RowError;

/// A job in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// When the hub took it.
    pub created_at: HubTime,
    /// How often it was begun.
    pub run: u32,
    /// Where it is.
    pub stage: Stage,
}

/// Where a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Waits for its turn.
    Accepted {
        /// Since when, by the agent's clock.
        at: WallTime,
    },
    /// Its process is being made, or was.
    Starting {
        /// When it was accepted.
        accepted_at: WallTime,
        /// In which boot.
        boot: BootId,
    },
    /// Begun.
    Running {
        /// When it was accepted.
        accepted_at: WallTime,
        /// In which boot.
        boot: BootId,
        /// Its processes; `None` where a handler works without.
        process: Option<ProcessId>,
        /// Since when, by the agent's clock.
        started_at: WallTime,
    },
    /// Over.
    Finished {
        /// How.
        state: JobState,
        /// Since when, by the agent's clock.
        at: WallTime,
    },
}

impl Stage {
    /// The word for the hub.
    pub const fn state(self) -> JobState {
        match self {
            // To the hub a job runs when it is known to.
            Self::Accepted { .. } | Self::Starting { .. } => JobState::Accepted,
            Self::Running { .. } => JobState::Running,
            Self::Finished { state, .. } => state,
        }
    }

    const fn is_finished(self) -> bool {
        match self {
            Self::Accepted { .. } | Self::Starting { .. } | Self::Running { .. } => false,
            Self::Finished { .. } => true,
        }
    }

    const fn accepted_at(self) -> Option<WallTime> {
        match self {
            Self::Accepted { at } => Some(at),
            Self::Starting { accepted_at, .. } | Self::Running { accepted_at, .. } => Some(accepted_at),
            Self::Finished { .. } => None,
        }
    }
}

/// What an offer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offered {
    /// To be accepted, if the spec is good.
    New,
    /// Known already; this is its state.
    Duplicate(JobState),
    /// Refused.
    Refused(Refusal),
}

/// What a cancel means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// Never heard of: to be remembered as cancelled, so that a late offer does not run it.
    Unknown,
    /// Not begun: finished with this.
    Waiting,
    /// Begun: to be ended.
    Begun,
    /// Over already.
    Finished(JobState),
}

/// What a restart finds of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Not begun: goes on waiting.
    Waiting,
    /// Begun. What is left of it in this boot is ended first.
    Begun {
        /// Its processes, where they can still be there.
        survivor: Survivor,
        /// When it started, where it is known to have.
        started_at: Option<WallTime>,
    },
}

/// What may be left of a job's processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Survivor {
    /// Nothing: the machine was booted since, or there was no process.
    None,
    /// This group.
    Group(ProcessId),
    /// A process that was made but not noted: it can be found by its environment only.
    Unknown,
}

/// After a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterCrash {
    /// It is over.
    Interrupted,
    /// It waits for its turn again.
    Rerun,
}

/// The journal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Journal {
    jobs: BTreeMap<JobId, Entry>,
    /// Unfinished jobs in the order they were accepted.
    open: BTreeSet<(WallTime, JobId)>,
    /// Finished jobs, the oldest first.
    finished: BTreeSet<(WallTime, JobId)>,
    /// The greatest creation time among the forgotten.
    forgotten: Option<HubTime>,
    /// Jobs that are not over by their row, of which later rows may be lost.
    doubtful: BTreeSet<JobId>,
}

impl Journal {
    /// The journal that these rows describe.
    ///
    /// # Errors
    /// Where a row is damaged or of a later version.
    pub fn restore<'a>(
        rows: impl IntoIterator<Item = (JobId, &'a [u8])>,
        remembered: Option<&[u8]>,
    ) -> Result<Self, RowError> {
        let forgotten = remembered.map(row::decode_remembered).transpose()?;
        let mut journal = Self { forgotten, ..Self::default() };
        for (job, bytes) in rows {
            journal.set(job, row::decode(bytes)?);
        }
        Ok(journal)
    }

    /// Takes note that later rows of a job may be lost: if it is not over, it may have run, and is not run any more.
    pub fn doubt(&mut self, job: JobId) {
        if self.jobs.get(&job).is_some_and(|entry| !entry.stage.is_finished()) {
            self.doubtful.insert(job);
        }
    }

    /// Whether later rows of a job may be lost.
    pub fn is_doubtful(&self, job: JobId) -> bool {
        self.doubtful.contains(&job)
    }

    /// Takes note that jobs may have been forgotten that were created up to now.
    pub fn forget_until(&mut self, now: HubTime) {
        self.forgotten = self.forgotten.max(Some(now));
    }

    /// The job's entry.
    pub fn get(&self, job: JobId) -> Option<&Entry> {
        self.jobs.get(&job)
    }

    /// Accepted and not finished jobs, in the order they were accepted.
    pub fn open(&self) -> impl Iterator<Item = JobId> {
        self.open.iter().map(|(_, job)| *job)
    }

    /// How many accepted jobs are not finished.
    pub fn open_count(&self) -> usize {
        self.open.len()
    }

    /// How many jobs are in which state.
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        let mut counts = BTreeMap::new();
        for entry in self.jobs.values() {
            let count: &mut u64 = counts.entry(entry.stage.state().name()).or_default();
            *count = count.saturating_add(1);
        }
        counts
    }

    /// Puts an entry in, in place of the one before.
    pub fn set(&mut self, job: JobId, entry: Entry) {
        self.doubtful.remove(&job);
        if let Some(before) = self.jobs.insert(job, entry) {
            self.unlist(job, before.stage);
        }
        match entry.stage {
            Stage::Finished { at, .. } => self.finished.insert((at, job)),
            Stage::Accepted { .. } | Stage::Starting { .. } | Stage::Running { .. } => {
                self.open.insert((entry.stage.accepted_at().unwrap_or(WallTime(0)), job))
            }
        };
    }

    fn unlist(&mut self, job: JobId, stage: Stage) {
        match stage {
            Stage::Finished { at, .. } => self.finished.remove(&(at, job)),
            Stage::Accepted { .. } | Stage::Starting { .. } | Stage::Running { .. } => {
                self.open.remove(&(stage.accepted_at().unwrap_or(WallTime(0)), job))
            }
        };
    }

    /// What an offer means, `expires_at_ms` being what its spec says. `queue` is how many unfinished jobs there may be.
    pub fn offered(
        &self,
        job: JobId,
        created_at: HubTime,
        expires_at: HubTime,
        now: HubTime,
        queue: usize,
    ) -> Offered {
        if let Some(entry) = self.jobs.get(&job) {
            return Offered::Duplicate(entry.stage.state());
        }
        if self.forgotten.is_some_and(|forgotten| created_at <= forgotten) {
            return Offered::Refused(Refusal::TooOld);
        }
        if now >= expires_at {
            return Offered::Refused(Refusal::Expired);
        }
        if self.open.len() >= queue {
            return Offered::Refused(Refusal::Busy);
        }
        Offered::New
    }

    /// What a cancel means.
    pub fn cancelled(&self, job: JobId) -> Cancelled {
        match self.jobs.get(&job).map(|entry| entry.stage) {
            None => Cancelled::Unknown,
            Some(Stage::Accepted { .. }) => Cancelled::Waiting,
            Some(Stage::Starting { .. } | Stage::Running { .. }) => Cancelled::Begun,
            Some(Stage::Finished { state, .. }) => Cancelled::Finished(state),
        }
    }

    /// What a restart in this boot finds, in the order of acceptance.
    pub fn found(&self, boot: BootId) -> Vec<(JobId, Found)> {
        let found = |job: JobId, entry: &Entry| match entry.stage {
            Stage::Accepted { .. } if self.is_doubtful(job) => {
                Found::Begun { survivor: Survivor::Unknown, started_at: None }
            }
            Stage::Accepted { .. } | Stage::Finished { .. } => Found::Waiting,
            Stage::Starting { boot: of, .. } => {
                let survivor = if of == boot { Survivor::Unknown } else { Survivor::None };
                Found::Begun { survivor, started_at: None }
            }
            Stage::Running { boot: of, process, started_at, .. } => {
                let survivor = process.filter(|_| of == boot).map_or(Survivor::None, Survivor::Group);
                Found::Begun { survivor, started_at: Some(started_at) }
            }
        };
        self.open().filter_map(|job| Some((job, found(job, self.jobs.get(&job)?)))).collect()
    }

    /// What becomes of a job that had begun when the agent stopped.
    pub const fn after_crash(on_crash: OnCrash) -> AfterCrash {
        match on_crash {
            OnCrash::Report => AfterCrash::Interrupted,
            OnCrash::Rerun => AfterCrash::Rerun,
        }
    }

    /// Finished jobs that need not be remembered any more, the oldest first, at most `most`.
    pub fn forgettable(&self, now: WallTime, most: usize) -> Vec<JobId> {
        let count = self.finished.len();
        let beyond = count.saturating_sub(limit::JOBS_REMEMBERED);
        let above = count.saturating_sub(limit::JOBS_REMEMBERED_MAX);
        let old = |at: WallTime| now.0.saturating_sub(at.0) > millis(limit::JOBS_REMEMBERED_FOR);
        let oldest = self.finished.iter().take(beyond).enumerate();
        let gone = oldest.take_while(|(index, (at, _))| *index < above || old(*at));
        gone.map(|(_, (_, job))| *job).take(most).collect()
    }

    /// What is remembered once these are forgotten; goes into [`Journal::forget`].
    pub fn remembered_without(&self, jobs: &[JobId]) -> Option<HubTime> {
        let newest = jobs.iter().filter_map(|job| self.jobs.get(job)).map(|entry| entry.created_at).max();
        newest.max(self.forgotten)
    }

    /// Forgets finished jobs.
    pub fn forget(&mut self, jobs: &[JobId]) {
        self.forgotten = self.remembered_without(jobs);
        for job in jobs {
            if let Some(entry) = self.jobs.get(job).copied()
                && entry.stage.is_finished()
            {
                self.jobs.remove(job);
                self.unlist(*job, entry.stage);
            }
        }
    }
}

impl Entry {
    /// The entry once its job waits for its turn again, as it did when it was accepted. One that is over stays so.
    #[must_use]
    pub fn put_back(self) -> Self {
        let stage = self.stage.accepted_at().map_or(self.stage, |at| Stage::Accepted { at });
        Self { stage, ..self }
    }

    /// The entry as a row.
    pub fn encode(&self) -> Vec<u8> {
        row::encode(self)
    }
}

/// What is remembered of the forgotten, as a row.
pub fn encode_remembered(newest: HubTime) -> Vec<u8> {
    row::encode_remembered(newest)
}
