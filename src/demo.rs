//! `outpost demo`: shows, with real processes, sockets and files, that nothing is lost.
//!
//! A hub runs in this process. Each agent is a child process of this same binary, with a data folder of its own and
//! a link through a proxy of ours. Records go in through `outpost emit`; meanwhile links are cut and agents are killed
//! with SIGKILL, by a plan drawn from the seed. In the end every record that `emit` called durable is looked up at the
//! hub by its id, through the same command a user has.
//!
//! Jobs go the same ways: through `outpost job submit` while links and agents fall, judged by what their scripts wrote
//! to files of their own, by the results among the records, and by `outpost job logs`.

mod account;
mod child;
mod fault;
mod job;
mod progress;
mod proxy;
mod remote;
mod run;
mod site;

pub(crate) use job::JobVerdict;
pub(crate) use run::{Options, Report, run};

use std::path::PathBuf;

/// Why a demo could not be carried out; what it found is in the [`Report`].
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    /// A file, socket or process.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A child command failed.
    #[error("`outpost {command}` failed ({status}): {stderr}")]
    Command {
        /// Its arguments.
        command: String,
        /// How it ended.
        status: String,
        /// What it said.
        stderr: String,
    },
    /// A command's output is not what the contract says.
    #[error("`outpost {command}` printed something unexpected: {line}")]
    Output {
        /// Its arguments.
        command: String,
        /// The line.
        line: String,
    },
    /// An agent did not come up.
    #[error("agent {name} was not ready within {seconds} s; its log is {}", log.display())]
    NotReady {
        /// Which.
        name: String,
        /// How long was waited.
        seconds: u64,
        /// Where to look.
        log: PathBuf,
    },
    /// The hub did not start.
    #[error("the hub did not start: {0}")]
    Hub(String),
    /// Interrupted by the user.
    #[error("interrupted")]
    Interrupted,
}

impl DemoError {
    fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
