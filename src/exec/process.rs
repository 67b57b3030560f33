//! A job's process: the leader of its own group, with nothing to read and two pipes to write to.
//!
//! Invariants: every process carries its job's id in its environment; a process that is dropped before it was seen to
//! end takes its whole group with it. What a job that ended by itself leaves running on purpose is left alone.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, getpriority_process, kill_process_group, setpriority_pgrp, test_kill_process_group,
};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

use crate::job::process::ProcessId;
use crate::limit;
use crate::obs::clock;

use super::deadline;
use super::proc;
use super::user::Account;

/// Why a process does not start.
#[derive(Debug, thiserror::Error)]
pub(super) enum LaunchError {
    #[error(
        "payload.command: no such command `{0}`, or its first line names an interpreter that is not there"
    )]
    NoCommand(String),
    #[error("payload.command: no permission to run `{command}` in {}; is it executable, and the folder open to its user", cwd.display())]
    NoPermission { command: String, cwd: PathBuf },
    #[error("payload.command: `{0}` is not a program this machine can run")]
    NoProgram(String),
    #[error("payload.command: the arguments and the environment are too long for a process")]
    TooLong,
    #[error("payload.cwd: {} {reason}", cwd.display())]
    Folder { cwd: PathBuf, reason: String },
    #[error("the machine cannot start `{command}`: {error}")]
    Machine { command: String, error: io::Error },
}

/// What is to be started. Its environment holds secrets: there is no `Debug`.
pub(super) struct Launch {
    pub(super) command: String,
    pub(super) arguments: Vec<String>,
    pub(super) environment: BTreeMap<OsString, OsString>,
    pub(super) cwd: PathBuf,
    pub(super) account: Option<Account>,
    pub(super) nice: Option<u8>,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    Code(i32),
    Signal(u32),
}

impl Exit {
    fn of(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Code(code),
            (None, signal) => Self::Signal(signal.map_or(0, i32::unsigned_abs)),
        }
    }
}

/// The outputs of a process.
#[derive(Debug)]
pub(super) struct Pipes {
    pub(super) stdout: Option<ChildStdout>,
    pub(super) stderr: Option<ChildStderr>,
}

#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    id: ProcessId,
    on_drop: OnDrop,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OnDrop {
    KillGroup,
    Leave,
}

impl Launch {
    /// Starts it. Blocks for as long as the kernel takes; needs a tokio runtime.
    pub(super) fn start(self) -> Result<(Process, Pipes), LaunchError> {
        self.check_folder()?;
        let mut command = std::process::Command::new(&self.command);
        command.args(&self.arguments).env_clear().envs(&self.environment).current_dir(&self.cwd);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        if let Some(account) = &self.account {
            // As root this drops the supplementary groups as well.
            command.uid(account.uid).gid(account.gid);
        }
        let mut child = Command::from(command).spawn().map_err(|error| self.explain(error))?;
        let pipes = Pipes { stdout: child.stdout.take(), stderr: child.stderr.take() };
        let machine = |error| LaunchError::Machine { command: self.command.clone(), error };
        // It cannot have been reaped yet, so that its pid is its own.
        let pid = child.id().ok_or_else(|| machine(io::Error::other("it has no pid")))?;
        let id = match ProcessId::of(pid) {
            Ok(id) => id,
            Err(error) => {
                // The group cannot be found again: it must not run.
                let group = i32::try_from(pid).ok().and_then(Pid::from_raw);
                let _gone = group.map(|group| kill_process_group(group, Signal::KILL));
                return Err(machine(error));
            }
        };
        if let Some(nice) = self.nice {
            // Never above the agent's own.
            let nice = i32::from(nice).max(getpriority_process(None).unwrap_or_default());
            if let Err(error) = setpriority_pgrp(id.raw(), nice) {
                tracing::warn!(pid, %error, "a job's priority could not be lowered");
            }
        }
        Ok((Process { child, id, on_drop: OnDrop::KillGroup }, pipes))
    }

    fn check_folder(&self) -> Result<(), LaunchError> {
        let folder = |reason: &str| LaunchError::Folder { cwd: self.cwd.clone(), reason: reason.to_owned() };
        match std::fs::metadata(&self.cwd) {
            Ok(data) if data.is_dir() => Ok(()),
            Ok(_file) => Err(folder("is not a folder")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(folder("does not exist")),
            Err(error) => Err(folder(&format!("cannot be entered: {error}"))),
        }
    }

    fn explain(&self, error: io::Error) -> LaunchError {
        let command = self.command.clone();
        match Errno::from_io_error(&error) {
            Some(Errno::NOENT) => LaunchError::NoCommand(command),
            Some(Errno::ACCESS | Errno::PERM | Errno::ISDIR) => {
                LaunchError::NoPermission { command, cwd: self.cwd.clone() }
            }
            Some(Errno::NOEXEC | Errno::NOTDIR) => LaunchError::NoProgram(command),
            Some(Errno::TOOBIG) => LaunchError::TooLong,
            Some(_) | None => LaunchError::Machine { command, error },
        }
    }
}

impl Process {
    pub(super) const fn id(&self) -> ProcessId {
        self.id
    }

    /// Waits until the leader has ended; its group may go on. Safe to cancel.
    pub(super) async fn wait(&mut self) -> io::Result<Exit> {
        self.child.wait().await.map(Exit::of)
    }

    /// The job has ended by itself: what it left running stays.
    pub(super) fn release(&mut self) {
        self.on_drop = OnDrop::Leave;
    }

    /// TERM to the whole group, `grace`, KILL; `None` where the leader did not even end then.
    pub(super) async fn stop(&mut self, grace: Duration) -> Option<Exit> {
        self.signal(Signal::TERM);
        let mut exit = None;
        if self.gone_within(grace, &mut exit).await == Group::Left {
            self.signal(Signal::KILL);
            if self.gone_within(limit::JOB_KILL_TIMEOUT, &mut exit).await == Group::Left {
                tracing::error!(pid = self.id.pid, "a job's process group is still there after KILL");
            }
        }
        self.release();
        exit
    }

    /// Waits for the leader, then for the rest of its group.
    async fn gone_within(&mut self, limit: Duration, exit: &mut Option<Exit>) -> Group {
        let deadline = clock::boot_now().after(limit);
        let gone = async {
            if exit.is_none() {
                *exit = self.child.wait().await.ok().map(Exit::of);
            }
            let mut look = limit::JOB_GROUP_LOOK;
            while self.group_lives().await {
                tokio::time::sleep(look).await;
                look = look.saturating_mul(2).min(limit::JOB_GROUP_LOOK_MAX);
            }
        };
        tokio::select! {
            biased;
            () = gone => Group::Gone,
            () = deadline::reached(Some(deadline)) => Group::Left,
        }
    }

    /// Whether somebody of the group still runs. Those that only wait to be reaped, which an init of a container may
    /// never do, have ended.
    async fn group_lives(&self) -> bool {
        let Some(group) = self.id.raw() else { return false };
        if test_kill_process_group(group) == Err(Errno::SRCH) {
            return false;
        }
        let group = group.as_raw_pid();
        let look = move || proc::living().map(|all| all.iter().any(|(_pid, stat)| stat.group == group));
        matches!(tokio::task::spawn_blocking(look).await, Ok(Ok(true)))
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.id.raw() {
            // No such group: it has ended, which is what was asked for.
            let _gone = kill_process_group(group, signal);
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    Gone,
    Left,
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.on_drop == OnDrop::KillGroup {
            self.signal(Signal::KILL);
        }
    }
}
