//! What a spec that an operator signs must say of itself: for which hub, which agents and which job, from when and until
//! when. What it leaves open a stolen hub would fill in.

use std::time::Duration;

use crate::id::{AgentId, HubId, JobId};
use crate::limit;
use crate::time::HubTime;

use super::{JobSpec, SpecError};

/// For whom and for how long a spec is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// The one job.
    pub job: JobId,
    /// The one hub.
    pub hub: HubId,
    /// The only agents, at least one.
    pub agents: Vec<AgentId>,
    /// Not to be started before.
    pub from: HubTime,
    /// Not to be started after; at most `limit::JOB_EXPIRY_MAX` later than `from`.
    pub until: HubTime,
}

impl Terms {
    /// The terms of a spec.
    ///
    /// # Errors
    /// Names what it leaves open, an agent by name instead of by id, or a time that is too long.
    pub fn of(spec: &JobSpec) -> Result<Self, SpecError> {
        let missing =
            |field| SpecError::Field { field, reason: "must stand in a spec that is signed".to_owned() };
        let wrong = |field, reason| SpecError::Field { field, reason };
        let names = spec.agents.as_deref().ok_or(missing("agents"))?;
        // A hub gives names as it likes; ids are in the agents' own keys.
        let agents = names.iter().map(|name| {
            let reason = || format!("`{name}` is a name; what is signed names agents by their ids");
            name.parse().map_err(|_| wrong("agents", reason()))
        });
        let terms = Self {
            job: spec.job_id.ok_or(missing("job_id"))?,
            hub: spec.hub_id.ok_or(missing("hub_id"))?,
            agents: agents.collect::<Result<_, _>>()?,
            from: HubTime(spec.not_before_ms.ok_or(missing("not_before_ms"))?),
            until: HubTime(spec.expires_at_ms.ok_or(missing("expires_at_ms"))?),
        };
        let length = Duration::from_millis(terms.until.0.saturating_sub(terms.from.0));
        if length > limit::JOB_EXPIRY_MAX {
            return Err(wrong("expires_at_ms", "is more than 30 days after not_before_ms".to_owned()));
        }
        Ok(terms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const DAY: u64 = 24 * 3600 * 1000;

    fn whole() -> Value {
        json!({"kind": "exec", "job_id": "01938c5e-7b1a-7fff-bfff-ffffffffffff",
            "hub_id": "0123456789abcdef0123456789abcdef", "agents": ["00000000000000000000000000000001"],
            "not_before_ms": 5, "expires_at_ms": 5 + 30 * DAY})
    }

    fn terms(spec: &Value) -> Result<Terms, SpecError> {
        Terms::of(&JobSpec::parse(spec.to_string().as_bytes()).unwrap())
    }

    #[test]
    fn a_spec_that_leaves_nothing_open_has_terms() {
        let terms = terms(&whole()).unwrap();
        assert_eq!((terms.from, terms.until), (HubTime(5), HubTime(5 + 30 * DAY)));
        assert_eq!(terms.agents, ["00000000000000000000000000000001".parse().unwrap()]);
    }

    #[test]
    fn what_is_left_open_is_named() {
        for field in ["job_id", "hub_id", "agents", "not_before_ms", "expires_at_ms"] {
            let mut spec = whole();
            spec.as_object_mut().unwrap().remove(field);
            let error = terms(&spec).unwrap_err().to_string();
            assert_eq!(error, format!("{field}: must stand in a spec that is signed"));
        }
        let mut spec = whole();
        spec["agents"] = json!(["00000000000000000000000000000001", "edge-1"]);
        assert!(terms(&spec).unwrap_err().to_string().contains("agents: `edge-1` is a name"));
        let mut spec = whole();
        spec["expires_at_ms"] = json!(6 + 30 * DAY);
        assert!(terms(&spec).unwrap_err().to_string().contains("expires_at_ms: is more than 30 days"));
    }
}
