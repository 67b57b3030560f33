//! What the hub shows of agents and records, as JSON; the API and the command line's direct access share it.

pub mod job;

use std::sync::PoisonError;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::id::{AgentName, Lane};
use crate::wire::batch;
use crate::wire::message::{RecordKind, SignatureMode};

use super::clones::Replaced;
use super::import::Imported;
use super::registry::{Entry, Registry};
use super::store::{
    Access, AgentRow, AuditRow, GapRow, Invited, Issued, Item, ItemContent, LossRow, Page, Store, StoreError,
};

/// One line of the agents' list. `registry` is `None` where no hub process is asked.
pub fn agent_line(row: &AgentRow, registry: Option<&Registry>) -> Value {
    let session = registry.and_then(|registry| registry.session(row.id));
    json!({
        "name": row.name.as_str(),
        "id": row.id.to_string(),
        "state": row.state.name(),
        "public_key": row.public_key.is_some(),
        "signature": row.signature.map(SignatureMode::name),
        "created_at_ms": row.created_at,
        "connected": registry.map(|_| session.is_some()),
        "session": session.as_deref().map(session_json),
    })
}

/// A new key. Holds the secret itself.
pub fn issued(name: &AgentName, issued: &Issued) -> Value {
    json!({"name": name.as_str(), "id": issued.id.to_string(), "key": issued.key_file.to_line().expose()})
}

/// An invite. Holds the secret itself.
pub fn invited(name: &AgentName, invited: &Invited) -> Value {
    json!({"name": name.as_str(), "id": invited.id.to_string(), "token": invited.invite.to_line().expose(),
        "expires_at_ms": invited.expires_at})
}

/// One entry of the audit.
pub fn audit_line(row: &AuditRow) -> Value {
    json!({"entry": row.entry, "at_ms": row.at, "action": row.action, "agent": row.agent, "detail": row.detail})
}

/// Everything the hub saw of one agent.
///
/// # Errors
/// What the database says.
pub async fn agent(store: &Store, row: &AgentRow, registry: Option<&Registry>) -> Result<Value, StoreError> {
    let streams = store.stream_rows(row.agent).await?;
    let gaps = store.gap_rows(row.agent).await?;
    let losses = store.loss_rows(row.agent).await?;
    let instances = store.instance_rows(row.agent).await?;
    let mut alarms = Vec::new();
    alarms.extend(gaps.iter().filter(|gap| gap.reason == "hub_lost").map(|gap| {
        format!("hub_lost: this hub had acked {} {} to {} and lost them", gap.stream, gap.from, gap.to)
    }));
    let clones = registry.map(|registry| registry.clones(row.id)).unwrap_or_default();
    let session = registry.and_then(|registry| registry.session(row.id));
    alarms.extend(clones.iter().map(|copy| {
        let there = session.as_ref().map_or("nowhere now".to_owned(), |there| there.address.to_string());
        format!(
            "identity_in_use: two copies of this agent run, from {} (refused) and from {there}; give each an identity of its own",
            copy.address
        )
    }));
    alarms.extend(losses.iter().map(|loss| {
        format!("{}: the agent reports {} {} to {}", loss.reason, loss.stream, loss.from, loss.to)
    }));
    let mut view = agent_line(row, registry);
    if let Value::Object(view) = &mut view {
        view.insert("hub_id".to_owned(), json!(store.hub_id().to_string()));
        view.insert(
            "streams".to_owned(),
            streams
                .iter()
                .map(|row| {
                    json!({"lane": row.stream.lane.name(), "epoch": row.stream.epoch.to_string(), "acked": row.acked})
                })
                .collect(),
        );
        view.insert("gaps".to_owned(), gaps.iter().map(gap_row).collect());
        view.insert("losses".to_owned(), losses.iter().map(loss_row).collect());
        view.insert(
            "instances".to_owned(),
            instances
                .iter()
                .map(|row| {
                    json!({"instance": row.instance.to_string(), "hostname": row.hostname,
                        "agent_version": row.agent_version, "first_seen_ms": row.first_seen,
                        "last_seen_ms": row.last_seen})
                })
                .collect(),
        );
        view.insert("copies".to_owned(), clones.iter().map(copy).collect());
        view.insert("stored_bytes".to_owned(), json!(store.stored_bytes(row.agent).await?));
        view.insert("alarms".to_owned(), json!(alarms));
        view.extend(access(&store.access(row.agent).await?));
    }
    Ok(view)
}

fn access(access: &Access) -> Map<String, Value> {
    let keys: Vec<_> = access
        .keys
        .iter()
        .map(|key| {
            json!({"key_id": key.key_id, "created_at_ms": key.created_at,
                "registered_at_ms": key.registered_at, "expires_at_ms": key.expires_at})
        })
        .collect();
    Map::from_iter([
        ("keys".to_owned(), json!(keys)),
        ("rotation_asked_at_ms".to_owned(), json!(access.rotate_asked_at)),
        ("invited_until_ms".to_owned(), json!(access.invited_until)),
    ])
}

fn session_json(entry: &Entry) -> Value {
    let heartbeat = entry.heartbeat.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let outbox = heartbeat.as_ref().map(|heartbeat| {
        Lane::ALL
            .into_iter()
            .zip(heartbeat.depth)
            .map(|(lane, depth)| {
                (lane.name().to_owned(), json!({"records": depth.records, "bytes": depth.bytes}))
            })
            .collect::<Map<_, _>>()
    });
    json!({
        "session_id": entry.session_id.to_string(),
        "instance": entry.instance.to_string(),
        "address": entry.address.to_string(),
        "connected_since_ms": entry.since.0,
        "clock_offset_ms": entry.offset.0,
        "config_version": heartbeat.as_ref().map(|heartbeat| heartbeat.config_version),
        "config_refused": heartbeat
            .as_ref()
            .and_then(|heartbeat| heartbeat.config_refused.as_ref())
            .map(|refused| json!({"version": refused.version, "reason": refused.reason})),
        "agent_version": heartbeat.map(|heartbeat| heartbeat.agent_version),
        "outbox": outbox,
    })
}

fn copy(copy: &Replaced) -> Value {
    json!({"instance": copy.instance.to_string(), "address": copy.address.to_string(),
        "refusals": copy.refusals, "last_refused_ms": copy.at.0})
}

fn gap_row(gap: &GapRow) -> Value {
    json!({"lane": gap.stream.lane.name(), "epoch": gap.stream.epoch.to_string(), "from": gap.from, "to": gap.to,
        "reason": gap.reason, "records": gap.records, "bytes": gap.bytes, "received_at_ms": gap.received_at})
}

fn loss_row(loss: &LossRow) -> Value {
    json!({"lane": loss.stream.lane.name(), "epoch": loss.stream.epoch.to_string(), "from": loss.from,
        "to": loss.to, "reason": loss.reason, "received_at_ms": loss.received_at})
}

/// What became of a bundle; `acks` is the ack file.
pub fn import(imported: &Imported) -> Value {
    let streams: Vec<_> = imported
        .marks
        .iter()
        .map(|mark| {
            json!({"lane": mark.stream.lane.name(), "epoch": mark.stream.epoch.to_string(), "acked": mark.acked})
        })
        .collect();
    json!({
        "agent": imported.agent.as_str(),
        "bundle": imported.bundle.to_string(),
        "records": imported.records,
        "gaps": imported.gaps,
        "known": imported.known,
        "streams": streams,
        "acks": STANDARD.encode(&imported.acks),
    })
}

/// A page of records, as the API answers it.
pub fn page(page: &Page) -> Value {
    json!({
        "records": page.items.iter().map(item).collect::<Vec<_>>(),
        "next": page.next.map(|next| next.to_string()),
    })
}

/// A record's payload: as text where a program wrote text, decoded where it says what was lost, else as base64.
fn content(kind: RecordKind, payload: &[u8]) -> (&'static str, Value) {
    let encoded = || ("base64", json!(STANDARD.encode(payload)));
    match kind {
        RecordKind::Opaque => {
            std::str::from_utf8(payload).map_or_else(|_| encoded(), |text| ("text", json!(text)))
        }
        RecordKind::LossReport => batch::decode_loss(payload).map_or_else(
            |_| encoded(),
            |loss| {
                let loss = json!({"lane": loss.stream.lane.name(), "epoch": loss.stream.epoch.to_string(),
                    "from": loss.from, "to": loss.to, "reason": loss.reason.name()});
                ("loss", loss)
            },
        ),
        RecordKind::JobAck
        | RecordKind::JobStatus
        | RecordKind::JobResult
        | RecordKind::JobProgress
        | RecordKind::JobOutput
        | RecordKind::JobArtifact
        | RecordKind::JobPayload
        | RecordKind::Unknown(_) => encoded(),
    }
}

/// One record or gap.
fn item(item: &Item) -> Value {
    let mut object = Map::new();
    object.insert("lane".to_owned(), json!(item.id.stream.lane.name()));
    object.insert("epoch".to_owned(), json!(item.id.stream.epoch.to_string()));
    match &item.content {
        ItemContent::Gap(gap) => {
            let gap = json!({"from": gap.from, "to": gap.to, "reason": gap.reason, "records": gap.records,
                "bytes": gap.bytes});
            object.insert("gap".to_owned(), gap);
        }
        ItemContent::Record { recorded_at, received_at, source, kind, payload, parts, whole } => {
            object.insert("seq".to_owned(), json!(item.id.seq));
            object.insert("recorded_at_ms".to_owned(), json!(recorded_at.0));
            object.insert("received_at_ms".to_owned(), json!(received_at));
            object.insert("source".to_owned(), json!(source));
            if *parts > 1 {
                object.insert("parts".to_owned(), json!(parts));
            }
            if !whole {
                object.insert("incomplete".to_owned(), json!(true));
            }
            let (key, content) = content(*kind, payload);
            if let Some(name) = kind.name() {
                object.insert("kind".to_owned(), json!(name));
            }
            object.insert(key.to_owned(), content);
        }
    }
    Value::Object(object)
}
