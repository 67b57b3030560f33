//! Names of own streams. Pure.

use std::fmt;

use crate::hub::live::Topic;
use crate::id::{AgentId, JobId};

const FLEET: &str = "fleet";
const AGENT: &str = "agent.";
const JOB: &str = "job.";
const LOGS: &str = ".logs";

/// What a stream tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::hub) enum Stream {
    /// An agent and its jobs.
    Agent(AgentId),
    /// What becomes of a job.
    Job(JobId),
    /// Its output.
    JobLogs(JobId),
    /// All agents and jobs, in short.
    Fleet,
}

impl Stream {
    /// The stream of this name; `None` where there is no such one. Each has one name only.
    pub(in crate::hub) fn of(topic: &Topic) -> Option<Self> {
        let name = topic.as_str();
        let stream = if name == FLEET {
            Self::Fleet
        } else if let Some(id) = name.strip_prefix(AGENT) {
            Self::Agent(id.parse().ok()?)
        } else {
            let id = name.strip_prefix(JOB)?;
            match id.strip_suffix(LOGS) {
                Some(id) => Self::JobLogs(id.parse().ok()?),
                None => Self::Job(id.parse().ok()?),
            }
        };
        (stream.to_string() == name).then_some(stream)
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent(id) => write!(f, "{AGENT}{id}"),
            Self::Job(id) => write!(f, "{JOB}{id}"),
            Self::JobLogs(id) => write!(f, "{JOB}{id}{LOGS}"),
            Self::Fleet => f.write_str(FLEET),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str) -> Option<Stream> {
        Stream::of(&name.parse().unwrap())
    }

    #[test]
    fn a_stream_has_one_name() {
        let (agent, job) = (AgentId::from_bytes([0xab; 16]), JobId::from_bytes([0xcd; 16]));
        for stream in [Stream::Agent(agent), Stream::Job(job), Stream::JobLogs(job), Stream::Fleet] {
            assert_eq!(of(&stream.to_string()), Some(stream));
            assert_ne!(of(&stream.to_string().to_uppercase()), Some(stream));
        }
        let (agent, job) = ("ab".repeat(16), job.to_string());
        for name in [
            "fleet.".to_owned(),
            "fleet.all".to_owned(),
            "agent.".to_owned(),
            format!("agent.{agent}.logs"),
            format!("agent.{}", &agent[1..]),
            format!("agent.{agent}0"),
            format!("agent. {agent}"),
            "job.".to_owned(),
            "job..logs".to_owned(),
            format!("job.{job}.logs.logs"),
            format!("job.{job}.log"),
            format!("job.{}", job.replace('-', "")),
            format!("job.{}", job.to_uppercase()),
            format!("agent.{}", agent.to_uppercase()),
            job,
        ] {
            assert_eq!(of(&name), None, "{name}");
        }
    }
}
