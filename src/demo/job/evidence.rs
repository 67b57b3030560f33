//! What is known of one job from all sides, and whether it fits together.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::demo::remote::{Line, Shown};
use crate::job::{JobState, OnCrash};
use crate::wire::job::JobResult;

/// Lines that one run writes: `PID 1`, `PID 2`, ...
pub(super) const LINES: u64 = 15;

/// What a demo found of its jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(crate) struct JobVerdict {
    /// Jobs that `job submit` took.
    pub submitted: u64,
    /// Of those, the ones that the hub shows as succeeded.
    pub succeeded: u64,
    /// Of those, the ones that a kill ended and that were not to be run again.
    pub interrupted: u64,
    /// Jobs that ran more often than they may.
    pub ran_twice: u64,
    /// Jobs without a result among the records, or with another than the hub shows.
    pub results_missing: u64,
    /// Jobs with more than one result among the records.
    pub results_twice: u64,
    /// Jobs whose lines are not complete, not in order, or not of the runs that were noted.
    pub lines_wrong: u64,
}

impl JobVerdict {
    /// Whether each job ran, ended and was told as it must.
    pub(crate) const fn is_clean(&self) -> bool {
        self.submitted == self.succeeded + self.interrupted
            && self.ran_twice + self.results_missing + self.results_twice + self.lines_wrong == 0
    }

    pub(super) const fn add(&mut self, other: Self) {
        self.submitted += other.submitted;
        self.succeeded += other.succeeded;
        self.interrupted += other.interrupted;
        self.ran_twice += other.ran_twice;
        self.results_missing += other.results_missing;
        self.results_twice += other.results_twice;
        self.lines_wrong += other.lines_wrong;
    }
}

/// One job from all sides.
#[derive(Debug, Clone)]
pub(super) struct Evidence {
    on_crash: OnCrash,
    /// What each run noted of itself in the job's own file: its process id.
    markers: Vec<String>,
    /// What the hub shows; `None` where it does not know the job.
    state: Option<JobState>,
    /// The newest run that the hub knows of; 0 for none.
    run: u32,
    /// State and run of each result among the records.
    results: Vec<(JobState, u32)>,
    /// What `job logs` prints.
    pub(super) lines: Vec<Line>,
}

impl Evidence {
    pub(super) fn of(
        on_crash: OnCrash,
        markers: &str,
        shown: Option<&Shown>,
        results: Option<&Vec<JobResult>>,
    ) -> Self {
        Self {
            on_crash,
            markers: markers.lines().map(str::to_owned).collect(),
            state: shown.and_then(|job| JobState::from_name(&job.status)),
            run: shown.and_then(|job| job.run).unwrap_or(0),
            results: results.into_iter().flatten().map(|result| (result.state, result.run)).collect(),
            lines: Vec::new(),
        }
    }

    /// What this job adds to the demo's verdict.
    pub(super) fn judge(&self) -> JobVerdict {
        let succeeded = self.state == Some(JobState::Succeeded);
        // One that is to be run again after a crash is not over with it.
        let interrupted = self.state == Some(JobState::Interrupted) && self.on_crash == OnCrash::Report;
        let missing = match self.results.as_slice() {
            [] => true,
            results => !results.iter().any(|(state, run)| Some(*state) == self.state && *run == self.run),
        };
        JobVerdict {
            submitted: 1,
            succeeded: succeeded.into(),
            interrupted: interrupted.into(),
            ran_twice: self.ran_too_often().into(),
            results_missing: missing.into(),
            results_twice: (self.results.len() > 1).into(),
            lines_wrong: (!self.lines_fit()).into(),
        }
    }

    /// A run that a kill hit before it could note itself is known to the hub alone, so there may be fewer marks than
    /// runs, never more.
    fn ran_too_often(&self) -> bool {
        let runs_max = match self.on_crash {
            OnCrash::Report => 1,
            OnCrash::Rerun => self.run,
        };
        self.run > runs_max || self.markers.len() as u64 > u64::from(runs_max)
    }

    /// Each run's lines are those of one noted process, from the first on, without a hole; all of them where the job
    /// succeeded in that run.
    fn lines_fit(&self) -> bool {
        let runs: BTreeSet<u32> = self.lines.iter().map(|line| line.run).collect();
        let known = runs.last().is_none_or(|run| *run <= self.run);
        let in_order = known
            && self.lines.is_sorted_by_key(|line| line.run)
            && runs.iter().all(|run| self.run_fits(*run));
        let last = self.lines.iter().filter(|line| line.run == self.run).count() as u64;
        let noted = self.markers.len() >= runs.len();
        in_order && noted && (self.state != Some(JobState::Succeeded) || last == LINES)
    }

    fn run_fits(&self, run: u32) -> bool {
        let lines = || self.lines.iter().filter(|line| line.run == run);
        let process =
            lines().next().and_then(|line| line.text.as_deref()?.split_once(' ')).map(|(process, _)| process);
        let Some(process) = process.filter(|process| self.markers.iter().any(|noted| noted == process))
        else {
            return false;
        };
        lines().zip(1u64..).all(|(line, number)| {
            line.n == number && line.text.as_deref() == Some(format!("{process} {number}").as_str())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(run: u32, process: &str, count: u64) -> Vec<Line> {
        (1..=count).map(|n| Line { run, n, text: Some(format!("{process} {n}")) }).collect()
    }

    fn succeeded() -> Evidence {
        Evidence {
            on_crash: OnCrash::Report,
            markers: vec!["70".to_owned()],
            state: Some(JobState::Succeeded),
            run: 1,
            results: vec![(JobState::Succeeded, 1)],
            lines: lines(1, "70", LINES),
        }
    }

    fn interrupted() -> Evidence {
        Evidence {
            state: Some(JobState::Interrupted),
            results: vec![(JobState::Interrupted, 1)],
            lines: lines(1, "70", 3),
            ..succeeded()
        }
    }

    fn run_again() -> Evidence {
        Evidence {
            on_crash: OnCrash::Rerun,
            markers: vec!["70".to_owned(), "81".to_owned()],
            run: 3,
            results: vec![(JobState::Succeeded, 3)],
            lines: [lines(1, "70", 3), lines(3, "81", LINES)].concat(),
            ..succeeded()
        }
    }

    fn assert_wrong(evidence: &Evidence, field: &str) {
        let verdict = evidence.judge();
        let mut sum = JobVerdict::default();
        sum.add(succeeded().judge());
        sum.add(verdict);
        assert!(!verdict.is_clean() && !sum.is_clean(), "{evidence:?}");
        let counts = serde_json::to_value(verdict).unwrap();
        let wrong: Vec<_> = ["ran_twice", "results_missing", "results_twice", "lines_wrong"]
            .into_iter()
            .filter(|name| counts[name] != 0)
            .collect();
        assert_eq!(wrong, [field], "{evidence:?}");
    }

    #[test]
    fn one_run_one_result_and_all_lines_are_clean() {
        let clean = JobVerdict { submitted: 1, ..JobVerdict::default() };
        assert_eq!(succeeded().judge(), JobVerdict { succeeded: 1, ..clean });
        assert_eq!(interrupted().judge(), JobVerdict { interrupted: 1, ..clean });
        assert_eq!(run_again().judge(), JobVerdict { succeeded: 1, ..clean });
        let before_its_mark = Evidence { markers: Vec::new(), lines: Vec::new(), ..interrupted() };
        assert!(before_its_mark.judge().is_clean());
        assert!(JobVerdict::default().is_clean());
    }

    #[test]
    fn a_job_that_ran_more_often_than_it_may_is_not_clean() {
        let two = vec!["70".to_owned(), "81".to_owned()];
        assert_wrong(&Evidence { markers: two.clone(), ..succeeded() }, "ran_twice");
        assert_wrong(&Evidence { markers: two.clone(), ..interrupted() }, "ran_twice");
        let marks = [two, vec!["82".to_owned(), "83".to_owned()]].concat();
        assert_wrong(&Evidence { markers: marks, ..run_again() }, "ran_twice");
        assert_wrong(&Evidence { on_crash: OnCrash::Report, ..run_again() }, "ran_twice");
    }

    #[test]
    fn a_job_without_its_one_result_is_not_clean() {
        assert_wrong(&Evidence { results: Vec::new(), ..succeeded() }, "results_missing");
        let other = vec![(JobState::Interrupted, 1)];
        assert_wrong(&Evidence { results: other, ..succeeded() }, "results_missing");
        let twice = vec![(JobState::Succeeded, 1), (JobState::Interrupted, 1)];
        assert_wrong(&Evidence { results: twice, ..succeeded() }, "results_twice");
    }

    #[test]
    fn a_line_that_is_missing_doubled_or_a_strangers_is_not_clean() {
        for good in [succeeded(), interrupted(), run_again()] {
            let mut hole = good.clone();
            hole.lines.remove(1);
            let mut twice = good.clone();
            twice.lines.insert(1, twice.lines[1].clone());
            let mut swapped = good.clone();
            swapped.lines.swap(1, 2);
            let mut stranger = good.clone();
            stranger.markers[0] = "71".to_owned();
            for wrong in [hole, twice, swapped, stranger] {
                assert_wrong(&wrong, "lines_wrong");
            }
        }
        let mut cut = succeeded();
        cut.lines.pop();
        assert_wrong(&cut, "lines_wrong");
        let mut cut = run_again();
        cut.lines.pop();
        assert_wrong(&cut, "lines_wrong");
        let mut unknown_run = run_again();
        unknown_run.lines.extend(lines(4, "81", 2));
        assert_wrong(&unknown_run, "lines_wrong");
    }

    #[test]
    fn a_job_that_ended_in_another_way_is_not_clean() {
        let failed =
            Evidence { state: Some(JobState::Failed), results: vec![(JobState::Failed, 1)], ..interrupted() };
        assert!(!failed.judge().is_clean());
        // One that is to be run again does not end with a kill.
        assert!(!Evidence { on_crash: OnCrash::Rerun, ..interrupted() }.judge().is_clean());
        let unknown = Evidence {
            state: None,
            results: Vec::new(),
            lines: Vec::new(),
            markers: Vec::new(),
            run: 0,
            ..succeeded()
        };
        assert!(!unknown.judge().is_clean());
    }
}
