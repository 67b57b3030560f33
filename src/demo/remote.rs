//! The commands that ask the demo's hub, as a user would.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::id::JobId;

use super::DemoError;
use super::account::Listed;
use super::child::{Program, describe};

/// Where the hub is, and what is run to ask it.
pub(super) struct Remote {
    program: Program,
    hub: String,
    token: PathBuf,
}

/// A job as `job list` and `job submit` print it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Shown {
    #[serde(rename = "job_id")]
    job: String,
    pub(super) status: String,
    pub(super) run: Option<u32>,
    pub(super) logs_complete: bool,
}

/// A line as `job logs` prints it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Line {
    pub(super) run: u32,
    pub(super) n: u64,
    pub(super) text: Option<String>,
}

impl Shown {
    pub(super) fn job(&self) -> Result<JobId, DemoError> {
        self.job
            .parse()
            .map_err(|_| DemoError::Output { command: "job list".to_owned(), line: format!("{self:?}") })
    }
}

impl Remote {
    /// For the hub at `address` with this data folder.
    pub(super) fn new(program: Program, address: SocketAddr, data: &Path) -> Self {
        Self { program, hub: format!("http://{address}"), token: data.join("admin.token") }
    }

    /// What the hub stored of one agent.
    pub(super) async fn records(&self, agent: &str) -> Result<Vec<Listed>, DemoError> {
        self.ask(&["records", "list", "--agent", agent].map(OsStr::new), &[]).await
    }

    /// Submits a command as a job.
    pub(super) async fn submit(
        &self,
        agent: &str,
        on_crash: &str,
        command: &[&OsStr],
    ) -> Result<JobId, DemoError> {
        let arguments = ["job", "submit", "--agent", agent, "--on-crash", on_crash].map(OsStr::new);
        let submitted: Vec<Shown> = self.ask(&arguments, &[&[OsStr::new("--")], command].concat()).await?;
        match submitted.as_slice() {
            [job] => job.job(),
            lines => Err(DemoError::Output { command: "job submit".to_owned(), line: format!("{lines:?}") }),
        }
    }

    /// All jobs, which are `count` or fewer.
    pub(super) async fn jobs(&self, count: usize) -> Result<Vec<Shown>, DemoError> {
        // One more than there are: a list that reaches its limit says where it goes on.
        let limit = count.saturating_add(1).to_string();
        self.ask(&["job", "list", "--limit", &limit].map(OsStr::new), &[]).await
    }

    /// The lines of a job's runs; waits for all of them.
    pub(super) async fn lines(&self, job: JobId) -> Result<Vec<Line>, DemoError> {
        self.ask(&["job", "logs", &job.to_string()].map(OsStr::new), &[]).await
    }

    /// Runs a command that prints one object a line.
    async fn ask<T: DeserializeOwned>(
        &self,
        arguments: &[&OsStr],
        rest: &[&OsStr],
    ) -> Result<Vec<T>, DemoError> {
        let (hub, token) = (OsStr::new(&self.hub), self.token.as_os_str());
        let remote = [OsStr::new("--json"), OsStr::new("--hub"), hub, OsStr::new("--token-file"), token];
        let output = self.program.output(&[arguments, &remote, rest].concat(), Vec::new()).await?;
        output
            .lines()
            .map(|line| {
                serde_json::from_str(line)
                    .map_err(|_| DemoError::Output { command: describe(arguments), line: line.to_owned() })
            })
            .collect()
    }
}
