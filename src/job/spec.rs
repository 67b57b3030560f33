//! A job's spec: UTF-8 JSON as an operator wrote it.
//!
//! The bytes are kept and travel as they were submitted, so that a signature over them stays good; this is their one
//! parser. Unknown fields are refused: a misspelt `timeout` must not mean "no time-out".

use std::time::Duration;

use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

use crate::id::{AppName, HubId, JobId};
use crate::limit;
use crate::unit;

use super::Secrets;

/// Why a spec is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// Too long.
    #[error("the spec has {bytes} bytes, the limit is {limit}; put large input into a file on the agent", limit = limit::JOB_SPEC_BYTES_MAX)]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Not JSON, or a field is unknown, missing or of another type.
    #[error("the spec: {0}")]
    Json(String),
    /// A field's value.
    #[error("{field}: {reason}")]
    Field {
        /// Which.
        field: &'static str,
        /// Why not.
        reason: String,
    },
}

impl SpecError {
    fn field(field: &'static str, reason: impl Into<String>) -> Self {
        Self::Field { field, reason: reason.into() }
    }
}

/// What an agent does about a job that ran when the agent or its machine stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnCrash {
    /// Report it as interrupted; it never runs again.
    #[default]
    Report,
    /// End what is left of it and run it again.
    Rerun,
}

/// What to run, where and when.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobSpec {
    /// The job's id; where absent the hub draws one.
    #[serde(default, deserialize_with = "optional_text")]
    pub job_id: Option<JobId>,
    /// The only hub this spec is for.
    #[serde(default, deserialize_with = "optional_text")]
    pub hub_id: Option<HubId>,
    /// Names or ids of the only agents this spec is for.
    #[serde(default)]
    pub agents: Option<Vec<String>>,
    /// Which handler runs it.
    pub kind: String,
    /// The app that its output is log lines of.
    #[serde(default, deserialize_with = "optional_text")]
    pub app: Option<AppName>,
    /// Not to be started before, in hub time.
    #[serde(default)]
    pub not_before_ms: Option<u64>,
    /// Not to be started after, in hub time; default 24 h after the hub took it.
    #[serde(default)]
    pub expires_at_ms: Option<u64>,
    /// The same, counted from when the hub took it.
    #[serde(default, deserialize_with = "optional_duration")]
    pub expires_in: Option<Duration>,
    /// Not to be started later than this after the agent accepted it.
    #[serde(default, deserialize_with = "optional_duration")]
    pub start_within: Option<Duration>,
    /// How long it may run.
    #[serde(default, deserialize_with = "optional_duration")]
    pub timeout: Option<Duration>,
    /// Between TERM and KILL.
    #[serde(default, deserialize_with = "optional_duration")]
    pub grace: Option<Duration>,
    /// After a crash.
    #[serde(default)]
    pub on_crash: OnCrash,
    /// The hub calls it lost when the agent was away for so long.
    #[serde(default, deserialize_with = "optional_duration")]
    pub give_up_after: Option<Duration>,
    /// Names and values that its handler gets and nobody is shown.
    #[serde(default)]
    pub secrets: Secrets,
    /// What the handler gets.
    #[serde(default)]
    pub payload: Value,
}

impl JobSpec {
    /// Parses a spec as it was submitted.
    ///
    /// # Errors
    /// Each names the field and the reason.
    pub fn parse(bytes: &[u8]) -> Result<Self, SpecError> {
        if bytes.len() > limit::JOB_SPEC_BYTES_MAX {
            return Err(SpecError::TooLong { bytes: bytes.len() });
        }
        if bytes.trim_ascii_start().first() == Some(&b'[') {
            // The parser would take its entries for the fields.
            return Err(SpecError::Json("invalid type: a list, expected an object".to_owned()));
        }
        let spec: Self = serde_json::from_slice(bytes).map_err(|error| SpecError::Json(error.to_string()))?;
        spec.check()?;
        Ok(spec)
    }

    fn check(&self) -> Result<(), SpecError> {
        if !is_kind(&self.kind) {
            return Err(SpecError::field("kind", "must be 1 to 64 of a-z, 0-9, `.`, `_` and `-`"));
        }
        if self.agents.as_ref().is_some_and(Vec::is_empty) {
            return Err(SpecError::field("agents", "names no agent; leave it out for any"));
        }
        self.secrets.check().map_err(|reason| SpecError::field("secrets", reason))?;
        if let (Some(from), Some(to)) = (self.not_before_ms, self.expires_at_ms)
            && from >= to
        {
            return Err(SpecError::field(
                "not_before_ms",
                format!("{from} is not before expires_at_ms {to}"),
            ));
        }
        if self.expires_in.is_some() && self.expires_at_ms.is_some() {
            return Err(SpecError::field("expires_in", "stands beside expires_at_ms; name one of them"));
        }
        let durations = [
            ("expires_in", self.expires_in),
            ("start_within", self.start_within),
            ("timeout", self.timeout),
            ("grace", self.grace),
            ("give_up_after", self.give_up_after),
        ];
        for (field, value) in durations {
            match value {
                Some(Duration::ZERO) if field != "grace" => {
                    return Err(SpecError::field(field, "is zero; leave it out for none"));
                }
                Some(value) if value > limit::JOB_DURATION_MAX => {
                    return Err(SpecError::field(field, "is longer than a year"));
                }
                Some(_) | None => {}
            }
        }
        Ok(())
    }

    /// When it expires, in milliseconds of hub time, for a job the hub took at `created_at_ms`.
    ///
    /// # Errors
    /// Where it lies more than 30 days ahead, or not ahead at all.
    pub fn expires_at_ms(&self, created_at_ms: u64) -> Result<u64, SpecError> {
        let wrong = |reason: &str| Err(SpecError::field("expires_at_ms", reason));
        let max = created_at_ms.saturating_add(crate::time::millis(limit::JOB_EXPIRY_MAX));
        if self.expires_in.is_some_and(|within| within > limit::JOB_EXPIRY_MAX) {
            return Err(SpecError::field("expires_in", "is more than 30 days ahead"));
        }
        match self.expires_at_ms {
            None => {
                let within = self.expires_in.unwrap_or(limit::JOB_EXPIRY);
                Ok(created_at_ms.saturating_add(crate::time::millis(within)))
            }
            Some(at) if at > max => wrong("is more than 30 days ahead"),
            Some(at) if at <= created_at_ms => wrong("has passed already"),
            Some(at) => Ok(at),
        }
    }
}

/// Whether a text can be a kind: 1 to 64 of a-z, 0-9, `.`, `_` and `-`.
pub fn is_kind(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    (1..=64).contains(&text.len()) && text.bytes().all(fits)
}

fn optional_text<'de, D: Deserializer<'de>, T: std::str::FromStr<Err: std::fmt::Display>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| text.parse().map_err(de::Error::custom)).transpose()
}

fn optional_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| unit::duration(&text).map_err(de::Error::custom)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<JobSpec, SpecError> {
        JobSpec::parse(text.as_bytes())
    }

    #[test]
    fn a_whole_spec_parses() {
        let spec = parse(
            r#"{"job_id": "01938c5e-7b1a-7fff-bfff-ffffffffffff", "kind": "exec", "timeout": "10m", "grace": "0s",
                "on_crash": "rerun", "give_up_after": "1h", "agents": ["edge-1"], "app": "web", "payload": {"command": ["true"]}}"#,
        )
        .unwrap();
        assert_eq!(spec.timeout, Some(Duration::from_secs(600)));
        assert_eq!(spec.grace, Some(Duration::ZERO));
        assert_eq!(spec.app.as_ref().map(AppName::as_str), Some("web"));
        assert_eq!(spec.on_crash, OnCrash::Rerun);
        assert_eq!(spec.payload["command"][0], "true");
        let least = parse(r#"{"kind": "exec"}"#).unwrap();
        assert_eq!((least.on_crash, least.payload), (OnCrash::Report, Value::Null));
    }

    #[test]
    fn a_wrong_field_is_named() {
        let cases = [
            ("", "EOF"),
            ("[]", "invalid"),
            (
                r#"[null, null, null, "exec", null, null, null, null, null, null, null, "report", null, {}, null]"#,
                "a list",
            ),
            (r#"{"payload": {}}"#, "missing field `kind`"),
            (r#"{"kind": "exec", "time_out": "1s"}"#, "unknown field `time_out`"),
            (r#"{"kind": "Exec"}"#, "kind: must be"),
            (r#"{"kind": "exec", "job_id": "7"}"#, "`7` is not a job id"),
            (r#"{"kind": "exec", "timeout": "forever"}"#, "`forever` is not a duration"),
            (r#"{"kind": "exec", "timeout": "0s"}"#, "timeout: is zero"),
            (r#"{"kind": "exec", "grace": "366d"}"#, "grace: is longer than a year"),
            (r#"{"kind": "exec", "agents": []}"#, "agents: names no agent"),
            (r#"{"kind": "exec", "app": "Web"}"#, "`Web` is not an app's name"),
            (r#"{"kind": "exec", "app": "web\nx"}"#, "is not an app's name"),
            (r#"{"kind": "exec", "secrets": {"A": ""}}"#, "secrets: `A` is empty"),
            (r#"{"kind": "exec", "on_crash": "retry"}"#, "unknown variant `retry`"),
            (r#"{"kind": "exec", "expires_in": "1h", "expires_at_ms": 9}"#, "expires_in: stands beside"),
            (r#"{"kind": "exec", "not_before_ms": 9, "expires_at_ms": 9}"#, "not_before_ms: 9 is not before"),
        ];
        for (text, expected) in cases {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let long = format!(r#"{{"kind": "exec", "payload": "{}"}}"#, "x".repeat(limit::JOB_SPEC_BYTES_MAX));
        assert!(matches!(parse(&long), Err(SpecError::TooLong { .. })));
    }

    #[test]
    fn a_job_expires_after_a_day_and_after_thirty_days_at_most() {
        let day = 24 * 3600 * 1000;
        let spec = parse(r#"{"kind": "exec"}"#).unwrap();
        assert_eq!(spec.expires_at_ms(1000).unwrap(), 1000 + day);
        let at = |ms: u64| JobSpec { expires_at_ms: Some(ms), ..spec.clone() }.expires_at_ms(1000);
        assert_eq!(at(1000 + 30 * day).unwrap(), 1000 + 30 * day);
        assert!(at(1001 + 30 * day).unwrap_err().to_string().contains("30 days"));
        let within = |days: u64| {
            let expires_in = Some(Duration::from_secs(days * 24 * 3600));
            JobSpec { expires_in, ..spec.clone() }.expires_at_ms(1000)
        };
        assert_eq!(within(30).unwrap(), 1000 + 30 * day);
        assert!(within(31).unwrap_err().to_string().contains("expires_in: is more than 30 days"));
        assert!(at(1000).unwrap_err().to_string().contains("passed"));
    }
}
