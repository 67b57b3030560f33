//! The built-in kind `exec`: a command or a script in a process group of its own.
//!
//! Payload: `{"command": ["tar", "-x"]}` or `{"script": "text", "interpreter"?: ["/bin/sh"]}`; `cwd`?, `user`?,
//! `env`? `{NAME: VALUE}`, `output_max`? (bytes, or a text like `10MiB`), `nice`? (0 to 19).
//! The spec's secrets are variables of its environment too.
//! A script becomes the last argument of its interpreter, behind `-c` where the interpreter is one word.

mod payload;

use std::path::PathBuf;

use tokio_util::sync::CancellationToken;

use crate::job::JobSpec;

use super::context::JobContext;
use super::environment::{EnvAllow, environment};
use super::handler::{Begins, InvalidPayload, JobHandler};
use super::outcome::{CancelReason, Outcome};
use super::process::{Exit, Launch, LaunchError, Process};
use super::pump::pump;
use super::report::ReportError;
use payload::Payload;

/// What an agent lets its `exec` jobs do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecSettings {
    /// The variables a spec may set.
    pub env_allow: EnvAllow,
    /// Folders a job may run in, absolute; none for any. A job without `cwd` runs in the first, else in `/`.
    pub roots: Vec<PathBuf>,
    /// Who a job runs as that does not say; none for the agent's own user. Another one needs root.
    pub user: Option<String>,
}

/// Runs commands.
#[derive(Debug, Clone, Default)]
pub struct Exec {
    settings: ExecSettings,
}

/// Why a job's process was made to end.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stopped {
    No,
    Told(CancelReason),
    Broken,
}

/// Why a job has no process.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(transparent)]
    Payload(#[from] InvalidPayload),
    #[error(transparent)]
    Launch(#[from] LaunchError),
    #[error("the agent's runtime ended")]
    Runtime,
}

impl Exec {
    /// With these settings.
    pub const fn new(settings: ExecSettings) -> Self {
        Self { settings }
    }
}

impl JobHandler for Exec {
    fn check(&self, spec: &JobSpec) -> Result<(), InvalidPayload> {
        let payload = Payload::parse(&spec.payload)?;
        payload.check(&self.settings)?;
        payload.check_secrets(&spec.secrets, &self.settings)
    }

    fn begins(&self) -> Begins {
        Begins::WhenItSays
    }

    async fn run(&self, job: JobContext) -> Outcome {
        // Users and folders are looked up, and a process made: all of it may block.
        let settings = self.settings.clone();
        let (id, spec) = (job.id, job.spec.clone());
        let payload = match Payload::parse(&spec.payload) {
            Ok(payload) => payload,
            Err(error) => return Outcome::failed(error.to_string()),
        };
        if let Some(bytes) = payload.output_max {
            job.reporter.set_output_max(bytes);
        }
        if let Some(reason) = job.cancel_reason() {
            return Outcome::stopped(reason);
        }
        let launch = move || {
            payload.check(&settings)?;
            payload.check_secrets(&spec.secrets, &settings)?;
            let (command, arguments) = payload.argv()?;
            let account = payload.account(&settings)?;
            let person = account.as_ref().map(|account| &account.person);
            let environment = environment(std::env::vars_os(), person, &payload.env, &spec.secrets, id);
            let cwd = payload.folder(&settings.roots)?;
            let nice = payload.nice;
            Ok(Launch { command, arguments, environment, cwd, account, nice }.start()?)
        };
        let started = tokio::task::spawn_blocking(launch).await;
        let (process, pipes) = match started.unwrap_or(Err(StartError::Runtime)) {
            Ok(started) => started,
            Err(error) => return Outcome::failed(error.to_string()),
        };
        attend(&job, process, pipes).await
    }
}

/// Sees a process through: its start is recorded, its output read, its end awaited or brought about, all at once.
async fn attend(job: &JobContext, mut process: Process, pipes: super::process::Pipes) -> Outcome {
    let exited = CancellationToken::new();
    let broken = CancellationToken::new();
    let id = process.id();
    let record = async {
        let recorded = job.started(Some(id)).await;
        if recorded.is_err() {
            broken.cancel();
        }
        recorded
    };
    let read = async {
        if pump(pipes, &job.reporter, &exited).await.is_err() {
            broken.cancel();
        }
    };
    let end = async {
        let ended = ended(job, &mut process, &broken).await;
        exited.cancel();
        ended
    };
    let (recorded, (), (exit, stopped)) = tokio::join!(record, read, end);
    outcome(recorded, exit, &stopped)
}

/// Waits for a process's end, or ends it.
async fn ended(
    job: &JobContext,
    process: &mut Process,
    broken: &CancellationToken,
) -> (Option<Exit>, Stopped) {
    let stopped = tokio::select! {
        biased;
        exit = process.wait() => {
            process.release();
            return (exit.ok(), Stopped::No);
        }
        reason = job.cancelled() => Stopped::Told(reason),
        () = broken.cancelled() => Stopped::Broken,
    };
    (process.stop(job.grace()).await, stopped)
}

fn outcome(recorded: Result<(), ReportError>, exit: Option<Exit>, stopped: &Stopped) -> Outcome {
    let mut outcome = match (stopped, recorded, exit) {
        (Stopped::Told(reason), _, _) => Outcome::stopped(*reason),
        (Stopped::No | Stopped::Broken, Err(error), _) => Outcome::failed(error.to_string()),
        (Stopped::Broken, Ok(()), _) => Outcome::failed(ReportError::Over.to_string()),
        (Stopped::No, Ok(()), Some(Exit::Code(0))) => Outcome::succeeded(),
        (Stopped::No, Ok(()), Some(Exit::Code(code))) => Outcome::failed(format!("exit code {code}")),
        (Stopped::No, Ok(()), Some(Exit::Signal(signal))) => {
            Outcome::failed(format!("ended by signal {signal}"))
        }
        (Stopped::No, Ok(()), None) => Outcome::failed("the kernel does not say how it ended"),
    };
    match exit {
        Some(Exit::Code(code)) => outcome.exit_code = Some(code),
        Some(Exit::Signal(signal)) => outcome.signal = Some(signal),
        None if *stopped != Stopped::No => {
            outcome.reason = "its process did not end after KILL and was left behind".to_owned();
        }
        None => {}
    }
    outcome
}
