//! Names of topics: which can be registered, and which are Outpost's own.
//!
//! A name is 1 to [`limit::LIVE_TOPIC_BYTES_MAX`] bytes of UTF-8 without control characters: it stands in logs, keys and
//! URLs of other programs.

use std::fmt;
use std::sync::Arc;

use crate::limit;

/// The topic that answers `{"type":"status"}`; it is always there.
const STATUS: &str = "worker.status";
/// What begins the names of Outpost's own topics, which this broker has nothing to say about.
const OWN_PREFIXES: [&str; 3] = ["agent.", "job.", "fleet."];
/// And one whole name.
const OWN: &str = "fleet";

/// The name of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic(Arc<str>);

/// Whose a topic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// Whoever registers it.
    Workers,
    /// The broker: the status.
    Broker,
    /// Outpost: agents, jobs and the fleet.
    Outpost,
}

/// A text that is no topic's name. The text itself may be anything and is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseTopicError {
    /// Nothing.
    #[error("a topic needs a name")]
    Empty,
    /// Above the limit.
    #[error("a topic's name of {0} bytes, the limit is {limit}", limit = limit::LIVE_TOPIC_BYTES_MAX)]
    TooLong(usize),
    /// A line feed, or another character that is none to read.
    #[error("a topic's name with a control character")]
    Control,
}

impl Topic {
    /// Whose it is.
    pub fn owner(&self) -> Owner {
        let name = self.as_str();
        if name == STATUS {
            Owner::Broker
        } else if name == OWN || OWN_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
            Owner::Outpost
        } else {
            Owner::Workers
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Topic {
    type Err = ParseTopicError;

    fn from_str(text: &str) -> Result<Self, ParseTopicError> {
        if text.is_empty() {
            Err(ParseTopicError::Empty)
        } else if text.len() > limit::LIVE_TOPIC_BYTES_MAX {
            Err(ParseTopicError::TooLong(text.len()))
        } else if text.chars().any(char::is_control) {
            Err(ParseTopicError::Control)
        } else {
            Ok(Self(text.into()))
        }
    }
}

impl fmt::Display for Topic {
    /// As a log or a terminal may have it: cut, and every letter beyond ASCII escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        super::label::Label(self.as_str()).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(name: &str) -> Owner {
        name.parse::<Topic>().unwrap().owner()
    }

    #[test]
    fn outposts_own_names_are_told_from_those_that_look_like_them() {
        for name in ["agent.7", "agent.", "job.x", "job.x.logs", "fleet", "fleet.all"] {
            assert_eq!(owner(name), Owner::Outpost, "{name}");
        }
        for name in ["agent", "agents.7", "job", "jobs.x", "fleets", "Fleet", "my.job.x", "session.1"] {
            assert_eq!(owner(name), Owner::Workers, "{name}");
        }
        assert_eq!(owner("worker.status"), Owner::Broker);
        assert_eq!(owner("worker.status2"), Owner::Workers);
    }

    #[test]
    fn what_is_no_name_is_refused_with_its_length_and_never_its_text() {
        assert_eq!("".parse::<Topic>(), Err(ParseTopicError::Empty));
        assert_eq!("x".repeat(10_000).parse::<Topic>(), Err(ParseTopicError::TooLong(10_000)));
        assert!("x".repeat(limit::LIVE_TOPIC_BYTES_MAX).parse::<Topic>().is_ok());
        for name in ["a\rb", "a\nb", "a\r\nb", "\0", "a\u{1b}[31m", "a\u{85}b"] {
            assert_eq!(name.parse::<Topic>(), Err(ParseTopicError::Control), "{name:?}");
        }
        assert!("größe mit leerzeichen".parse::<Topic>().is_ok());
    }
}
