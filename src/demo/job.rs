//! Jobs among the faults: submitted, waited for, and looked at from all sides.

mod evidence;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::time::sleep;

use crate::id::JobId;
use crate::job::{JobState, OnCrash};
use crate::limit;
use crate::wire::job::{JobRecord, JobResult};
use crate::wire::message::RecordKind;

use super::DemoError;
use super::account::Listed;
use super::progress::Progress;
use super::remote::{Remote, Shown};

pub(crate) use evidence::JobVerdict;
use evidence::{Evidence, LINES};

/// Commands about jobs that run at once.
const COMMANDS_AT_ONCE: usize = 4;
/// How often the jobs are looked at while they are waited for.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// Looks in a row that see no further job over before the rest is given up: a minute and more.
const LOOKS_MAX: u32 = 300;

/// What each job runs: notes its run in its own file ($1), then writes its lines, slowly enough to be hit by a kill.
const SCRIPT: &str = r#"echo $$ >> "$1"
i=1
while [ $i -le $2 ]; do echo "$$ $i"; i=$((i + 1)); sleep 0.04; done"#;

/// The jobs of a demo.
pub(super) struct Jobs {
    planned: Vec<Planned>,
    agents: u16,
    submitted: Vec<(JobId, Planned)>,
    results: HashMap<JobId, Vec<JobResult>>,
}

/// A job to be.
#[derive(Debug, Clone)]
struct Planned {
    number: usize,
    on_crash: OnCrash,
    marker: PathBuf,
}

impl Jobs {
    /// Draws which of `count` jobs are to be run again after a crash. Their marker files go to `folder`.
    pub(super) fn plan(seed: u64, count: usize, agents: u16, folder: &Path) -> Result<Self, DemoError> {
        let failed = || DemoError::io(format!("making the folder {}", folder.display()));
        // The jobs do not run where we do.
        let folder = std::path::absolute(folder).map_err(failed())?;
        if count > 0 {
            std::fs::create_dir_all(&folder).map_err(failed())?;
        }
        let mut on_crash: Vec<_> =
            (0..count).map(|n| if n % 3 == 0 { OnCrash::Rerun } else { OnCrash::Report }).collect();
        fastrand::Rng::with_seed(seed).shuffle(&mut on_crash);
        let planned = on_crash
            .into_iter()
            .enumerate()
            .map(|(number, on_crash)| Planned { number, on_crash, marker: folder.join(number.to_string()) })
            .rev()
            .collect();
        Ok(Self { planned, agents: agents.max(1), submitted: Vec::new(), results: HashMap::new() })
    }

    /// How many jobs so many agents run at once.
    pub(super) fn running_at_once(agents: usize) -> usize {
        agents.saturating_mul(usize::try_from(limit::JOB_CONCURRENCY.get()).unwrap_or(1))
    }

    /// Submits up to `count` more jobs, to the agents in turn.
    pub(super) async fn submit(
        &mut self,
        remote: &Remote,
        count: usize,
        progress: &Progress,
    ) -> Result<(), DemoError> {
        let rest = self.planned.len().saturating_sub(count);
        let next = self.planned.split_off(rest);
        let agents = usize::from(self.agents);
        let submitting = next.into_iter().rev().map(|planned| async move {
            let agent = format!("edge-{}", planned.number % agents + 1);
            let lines = LINES.to_string();
            let command = ["/bin/sh", "-c", SCRIPT, "sh"].map(OsStr::new);
            let arguments = [planned.marker.as_os_str(), OsStr::new(&lines)];
            let on_crash = match planned.on_crash {
                OnCrash::Report => "report",
                OnCrash::Rerun => "rerun",
            };
            let job = remote.submit(&agent, on_crash, &[command.as_slice(), &arguments].concat()).await?;
            progress.update(|counts| counts.jobs_submitted += 1);
            Ok::<_, DemoError>((job, planned))
        });
        let submitted: Vec<_> = stream::iter(submitting).buffered(COMMANDS_AT_ONCE).try_collect().await?;
        self.submitted.extend(submitted);
        Ok(())
    }

    /// Waits until every job is over and its log is there, as long as there are more and more of these; what the hub
    /// shows then.
    pub(super) async fn wait(&self, remote: &Remote, progress: &Progress) -> Result<Vec<Shown>, DemoError> {
        let mut over = 0;
        let mut looks_left = LOOKS_MAX;
        loop {
            if self.submitted.is_empty() {
                return Ok(Vec::new());
            }
            let shown = remote.jobs(self.submitted.len()).await?;
            let found = shown.iter().filter(|job| is_over(job)).count();
            progress.update(|counts| counts.jobs_over = found as u64);
            looks_left = if found > over { LOOKS_MAX } else { looks_left.saturating_sub(1) };
            over = over.max(found);
            let missing = self.submitted.len().saturating_sub(found);
            if missing == 0 {
                return Ok(shown);
            }
            if looks_left == 0 {
                tracing::error!(missing, "jobs are not over, or their logs not complete, in time");
                return Ok(shown);
            }
            sleep(LOOK_INTERVAL).await;
        }
    }

    /// Enters the results among an agent's records.
    pub(super) fn enter(&mut self, listed: &[Listed]) -> Result<(), DemoError> {
        for record in listed {
            let Some(payload) = record.payload(RecordKind::JobResult) else { continue };
            let unexpected =
                || DemoError::Output { command: "records list".to_owned(), line: format!("{record:?}") };
            let payload = payload.map_err(|_| unexpected())?;
            match JobRecord::decode(RecordKind::JobResult, &payload) {
                Ok(Some(JobRecord::Result(result))) => {
                    self.results.entry(result.job).or_default().push(*result);
                }
                Ok(_) | Err(_) => return Err(unexpected()),
            }
        }
        Ok(())
    }

    /// Judges each job; `None` where there are none.
    pub(super) async fn settle(
        mut self,
        remote: &Remote,
        shown: &[Shown],
        progress: &Progress,
    ) -> Result<Option<JobVerdict>, DemoError> {
        if self.submitted.is_empty() {
            return Ok(None);
        }
        progress.show("everything has arrived; reading what the jobs wrote");
        let mut by_id = HashMap::new();
        for job in shown {
            by_id.insert(job.job()?, job);
        }
        let submitted = std::mem::take(&mut self.submitted);
        let gathering = submitted.iter().map(|(job, planned)| {
            let (shown, results) = (by_id.get(job).copied(), self.results.get(job));
            async move {
                let mut evidence = Evidence::of(planned.on_crash, &runs(&planned.marker)?, shown, results);
                // Of others the log may never be complete, and would be waited for.
                if shown.is_some_and(is_over) {
                    evidence.lines = remote.lines(*job).await?;
                }
                let verdict = evidence.judge();
                if !verdict.is_clean() {
                    tracing::error!(%job, marker = %planned.marker.display(), ?evidence, "a job is not as it must be");
                }
                Ok::<_, DemoError>(verdict)
            }
        });
        let verdicts: Vec<_> = stream::iter(gathering).buffered(COMMANDS_AT_ONCE).try_collect().await?;
        let mut sum = JobVerdict::default();
        for verdict in verdicts {
            sum.add(verdict);
        }
        Ok(Some(sum))
    }
}

/// Whether a job's end and all its output are known.
fn is_over(job: &Shown) -> bool {
    job.logs_complete && JobState::from_name(&job.status).is_some_and(JobState::is_final)
}

/// What the runs of a job noted; nothing where none came to that.
fn runs(marker: &Path) -> Result<String, DemoError> {
    match std::fs::read_to_string(marker) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        read => read.map_err(DemoError::io(format!("reading {}", marker.display()))),
    }
}
