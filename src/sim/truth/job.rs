//! What was promised of jobs: one start, unless the spec says otherwise, and one result.

use std::collections::BTreeMap;

use crate::id::JobId;
use crate::job::OnCrash;
use crate::wire::job::{JobResult, JobState};

/// What happened to one job.
#[derive(Debug, Default)]
struct Seen {
    /// The runs that were begun.
    starts: Vec<u32>,
    /// Results that the hub got.
    results: u32,
}

/// All jobs.
#[derive(Debug, Default)]
pub(crate) struct JobTruth {
    seen: BTreeMap<JobId, Seen>,
    /// Folders or the hub went back in time: what was forgotten may happen again.
    excused: bool,
}

impl JobTruth {
    pub(crate) fn excuse(&mut self) {
        self.excused = true;
    }

    pub(crate) const fn is_excused(&self) -> bool {
        self.excused
    }

    /// A process was made.
    pub(crate) fn started(&mut self, job: JobId, run: u32, on_crash: OnCrash) {
        let seen = self.seen.entry(job).or_default();
        let again = match on_crash {
            OnCrash::Report => seen.starts.is_empty(),
            OnCrash::Rerun => seen.starts.last().is_none_or(|last| *last < run),
        };
        seen.starts.push(run);
        assert!(again || self.excused, "job {job} ({on_crash:?}) was begun as {:?}", seen.starts);
    }

    /// The hub got a result; `rolled`: records may come twice.
    pub(super) fn result(&mut self, result: &JobResult, rolled: bool) {
        let (job, run) = (result.job, result.run);
        let seen = self.seen.entry(job).or_default();
        seen.results += 1;
        let excused = self.excused || rolled;
        assert!(seen.results == 1 || excused, "job {job}: {} results came", seen.results);
        // One that was to start when its agent stopped may have run, or not; nobody says that it succeeded.
        let begun = result.state != JobState::Succeeded || seen.starts.contains(&run);
        assert!(begun || excused, "job {job}: a result of run {run}, begun: {:?}", seen.starts);
    }
}
