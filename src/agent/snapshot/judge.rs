//! Whether a config snapshot is taken.
//!
//! For an agent with operator keys the document must be signed, and say itself for which hub, which agents and as which
//! version: so that a stolen hub can neither give it to another agent nor put an old one in a newer one's place.

use serde::Deserialize;

use crate::agent::jobs::Parties;
use crate::agent::state::KnownConfig;
use crate::wire::message::ConfigSnapshot;
use crate::wire::operator::{OperatorError, OperatorKeys, Subject};

use super::local;

/// Why a snapshot is not taken.
#[derive(Debug, thiserror::Error)]
pub(in crate::agent) enum SnapshotError {
    #[error(transparent)]
    Operator(#[from] OperatorError),
    #[error("the document is not a JSON object that can be read: {0}")]
    Json(#[from] serde_json::Error),
    #[error("`{0}` is decided on the machine itself, in the agent's own config; leave it out")]
    Local(String),
    #[error("the document has no `{0}`, which must stand in one that is signed")]
    Missing(&'static str),
    #[error("the document is for hub {said}, and came from {hub}")]
    Hub { said: String, hub: String },
    #[error("the document is not for agent {0}")]
    Agent(String),
    #[error("the document is version {said}, and came as {version}")]
    Version { said: u64, version: u64 },
    #[error("version {version} is too old: this agent has had newer ones, and takes {least} or later")]
    Old { version: u64, least: u64 },
}

/// What a signed document says of itself. Other fields are settings.
#[derive(Debug, Deserialize)]
struct Head {
    hub_id: Option<String>,
    /// Ids.
    agents: Option<Vec<String>>,
    version: Option<u64>,
}

/// Whether the snapshot is for this agent and may say what it says; `known`: what the agent had.
///
/// # Errors
/// Why not; nothing of it counts then.
pub(in crate::agent) fn judge(
    keys: Option<&OperatorKeys>,
    parties: Parties,
    known: KnownConfig,
    snapshot: &ConfigSnapshot,
) -> Result<(), SnapshotError> {
    if let Some(keys) = keys {
        keys.verify(Subject::Config, &snapshot.document, snapshot.signature.as_ref())?;
    }
    if let Some(key) = local::find(&snapshot.document)? {
        return Err(SnapshotError::Local(key));
    }
    if keys.is_none() {
        return Ok(());
    }
    let head: Head = serde_json::from_slice(&snapshot.document)?;
    let (hub, agent, version) = (parties.hub.to_string(), parties.agent.to_string(), snapshot.version);
    match head.hub_id.ok_or(SnapshotError::Missing("hub_id"))? {
        said if said != hub => return Err(SnapshotError::Hub { said, hub }),
        _own => {}
    }
    if !head.agents.ok_or(SnapshotError::Missing("agents"))?.contains(&agent) {
        return Err(SnapshotError::Agent(agent));
    }
    match head.version.ok_or(SnapshotError::Missing("version"))? {
        said if said != version => Err(SnapshotError::Version { said, version }),
        _same if version < known.least => Err(SnapshotError::Old { version, least: known.least }),
        _newer => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;
    use serde_json::{Value, json};

    use super::*;
    use crate::id::{AgentId, HubId};
    use crate::wire::identity::public_to_line;
    use crate::wire::operator::OperatorSignature;

    const PARTIES: Parties = Parties { hub: HubId::from_bytes([1; 16]), agent: AgentId::from_bytes([2; 16]) };

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[9; 32])
    }

    fn signed(document: &Value, version: u64) -> ConfigSnapshot {
        let document = document.to_string().into_bytes();
        let signature = Some(OperatorSignature::sign(Subject::Config, &key(), &document));
        ConfigSnapshot { version, document: document.into(), signature }
    }

    fn whole() -> Value {
        json!({"hub_id": PARTIES.hub.to_string(), "agents": [PARTIES.agent.to_string()], "version": 7,
            "jobs": {"concurrency": 2}})
    }

    fn refusal(snapshot: &ConfigSnapshot) -> Option<String> {
        let keys = OperatorKeys::parse(&[public_to_line(&key().verifying_key())]).unwrap();
        judge(Some(&keys), PARTIES, KnownConfig::held(6), snapshot).err().map(|error| error.to_string())
    }

    #[test]
    fn with_operator_keys_it_must_be_signed_for_this_agent_and_newer() {
        assert_eq!(refusal(&signed(&whole(), 7)), None);
        let unsigned = ConfigSnapshot { signature: None, ..signed(&whole(), 7) };
        assert!(refusal(&unsigned).unwrap().contains("not signed"));
        for (field, value, says) in [
            ("hub_id", json!("00"), "for hub 00"),
            ("hub_id", Value::Null, "no `hub_id`"),
            ("agents", json!(["00000000000000000000000000000001"]), "not for agent 0202"),
            ("agents", Value::Null, "no `agents`"),
            ("version", json!(8), "is version 8, and came as 7"),
            ("version", Value::Null, "no `version`"),
            ("jobs", json!({"operator_keys": []}), "`jobs.operator_keys` is decided on the machine"),
        ] {
            let mut document = whole();
            document[field] = value;
            let refusal = refusal(&signed(&document, 7)).unwrap();
            assert!(refusal.contains(says), "{field}: {refusal}");
        }
        let mut old = whole();
        old["version"] = json!(6);
        assert!(refusal(&signed(&old, 6)).unwrap().contains("takes 7 or later"));
    }

    #[test]
    fn without_operator_keys_only_local_settings_are_refused() {
        let unsigned = |document: &str| ConfigSnapshot {
            version: 1,
            document: document.as_bytes().to_vec().into(),
            signature: None,
        };
        judge(None, PARTIES, KnownConfig::held(6), &unsigned(r#"{"level": 7}"#)).unwrap();
        for document in
            [r#"{"jobs": {"kinds": ["exec"]}}"#, r#"{"hub": {"urls": ["http://evil"]}}"#, "nonsense"]
        {
            judge(None, PARTIES, KnownConfig::held(6), &unsigned(document)).unwrap_err();
        }
    }
}
