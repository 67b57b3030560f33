//! A pool with the kind `exec`, and what its jobs say.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use outpost::exec::{
    Exec, ExecSettings, Finished, Handlers, JobHandler, JobRun, Pool, ProcessId, Report, Running, Settings,
};
use outpost::id::JobId;
use outpost::job::JobSpec;
use outpost::limit;
use outpost::obs::random;
use outpost::wire::job::{OutputLine, OutputStream};
use serde_json::{Value, json};

/// Longer than anything here takes, on a busy machine too.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

pub(crate) fn settings(concurrency: u32) -> Settings {
    Settings {
        concurrency: NonZeroU32::new(concurrency).unwrap(),
        grace: limit::JOB_GRACE,
        output_max: limit::JOB_OUTPUT_MAX,
    }
}

pub(crate) fn handlers() -> Handlers {
    Handlers::new().with("exec", Exec::new(ExecSettings::default()))
}

pub(crate) fn pool() -> Pool {
    Pool::new(handlers(), settings(8))
}

/// A pool with one handler more.
pub(crate) fn pool_with(kind: &str, handler: impl JobHandler) -> Pool {
    Pool::new(handlers().with(kind, handler), settings(8))
}

/// A job with a spec of these fields.
pub(crate) fn job(spec: &Value) -> JobRun {
    let spec = JobSpec::parse(spec.to_string().as_bytes()).unwrap();
    let id = JobId::from_time(1_800_000_000_000, random::bytes());
    JobRun { id, run: 1, spec: Arc::new(spec), start_within: None }
}

pub(crate) fn exec(payload: &Value) -> JobRun {
    job(&json!({"kind": "exec", "payload": payload}))
}

pub(crate) fn shell(script: &str) -> JobRun {
    exec(&json!({"command": ["sh", "-c", script]}))
}

pub(crate) async fn start(pool: &Pool, job: JobRun) -> Running {
    within(pool.queue(job).unwrap().permit()).await.unwrap().start()
}

/// Everything a job said.
#[derive(Debug, Default)]
pub(crate) struct Story {
    pub(crate) started: Vec<Option<ProcessId>>,
    pub(crate) lines: Vec<OutputLine>,
    pub(crate) progress: Vec<(Option<u32>, String)>,
    pub(crate) artifacts: Vec<(String, Vec<u8>)>,
    pub(crate) finished: Option<Finished>,
}

impl Story {
    fn take(&mut self, report: Report) {
        assert!(self.finished.is_none(), "a report behind the last: {report:?}");
        match report {
            Report::Started { process, ack } => {
                self.started.push(process);
                ack.durable();
            }
            Report::Lines(lines) => {
                assert!(!lines.is_empty());
                self.lines.extend(lines);
            }
            Report::Progress { permille, text } => self.progress.push((permille, text)),
            Report::Artifact { name, content } => self.artifacts.push((name, content.to_vec())),
            Report::Finished(finished) => self.finished = Some(finished),
        }
    }

    pub(crate) fn end(&self) -> &Finished {
        self.finished.as_ref().unwrap()
    }

    /// The texts of one output.
    pub(crate) fn texts(&self, stream: OutputStream) -> Vec<String> {
        let lines = self.lines.iter().filter(|line| line.stream == stream);
        lines.map(|line| String::from_utf8(line.text.to_vec()).unwrap()).collect()
    }

    /// Takes reports until the condition holds or the job has ended.
    pub(crate) async fn until(&mut self, running: &mut Running, holds: impl Fn(&Self) -> bool) {
        while !holds(self) {
            let report = within(running.next()).await;
            self.take(report.unwrap_or_else(|| panic!("the job ended before: {self:?}")));
        }
    }

    pub(crate) async fn finish(&mut self, running: &mut Running) {
        while let Some(report) = within(running.next()).await {
            self.take(report);
        }
        let end = self.end();
        assert_eq!(end.lines, self.lines.len() as u64);
        assert_eq!(end.bytes, self.lines.iter().map(|line| line.text.len() as u64).sum::<u64>());
    }
}

/// Runs a job to its end.
pub(crate) async fn run(pool: &Pool, job: JobRun) -> Story {
    let mut running = start(pool, job).await;
    let mut story = Story::default();
    story.finish(&mut running).await;
    story
}

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|late| panic!("it took too long: {late}"))
}

/// Waits for something outside this process.
pub(crate) async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let look = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(DEADLINE, look).await.is_ok(), "never: {what}");
}

/// The state letter of a process; `None` where there is none or it only waits to be reaped.
pub(crate) fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let state = stat.rsplit_once(") ")?.1.chars().next()?;
    (!"ZX".contains(state)).then_some(state)
}

pub(crate) fn lives(pid: u32) -> bool {
    state(pid).is_some()
}

/// Ends a process that a test left running.
pub(crate) fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    let _gone = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
}
