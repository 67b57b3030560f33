//! Agents, their sessions and their keys.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use serde::Serialize;

use crate::hub::clones::Replaced;
use crate::hub::registry::{Entry, Registry};
use crate::hub::store::{self, AgentRow, GapRow, Labels, LossRow, Store, StoreError};
use crate::id::{AgentName, Lane};
use crate::wire::message::SignatureMode;

/// One line of the agents' list.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct AgentLine {
    name: String,
    /// 32 hexadecimal digits.
    id: String,
    /// `active` or `revoked`.
    state: &'static str,
    /// Whether an Ed25519 key is bound to it.
    public_key: bool,
    /// Whether it has to sign: `none`, `optional` or `required`; null: as the hub's settings say.
    signature: Option<&'static str>,
    created_at_ms: i64,
    /// What an operator labelled it with.
    labels: BTreeMap<String, String>,
    /// Null where no hub process was asked.
    connected: Option<bool>,
    session: Option<Session>,
}

/// A page of agents, by name.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct AgentPage {
    /// The agents.
    pub agents: Vec<AgentLine>,
    /// Where the next page begins; null at the end.
    pub next: Option<String>,
}

/// An agent's registered session.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
struct Session {
    session_id: String,
    instance: String,
    address: String,
    connected_since_ms: u64,
    /// Hub time less the agent's clock.
    clock_offset_ms: i64,
    config_version: Option<u64>,
    config_refused: Option<ConfigRefused>,
    agent_version: Option<String>,
    /// What waits at the agent, by lane, as its newest heartbeat says.
    outbox: Option<BTreeMap<&'static str, Depth>>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
struct ConfigRefused {
    version: u64,
    reason: String,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
struct Depth {
    records: u64,
    bytes: u64,
}

/// Everything the hub saw of one agent.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct AgentView {
    #[serde(flatten)]
    line: AgentLine,
    hub_id: String,
    streams: Vec<Stream>,
    gaps: Vec<Lost>,
    losses: Vec<Loss>,
    instances: Vec<Instance>,
    /// Other processes that came with this agent's key and were refused.
    copies: Vec<Copy>,
    stored_bytes: i64,
    /// What somebody should look at.
    alarms: Vec<String>,
    keys: Vec<Key>,
    rotation_asked_at_ms: Option<i64>,
    invited_until_ms: Option<i64>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
struct Stream {
    lane: &'static str,
    epoch: String,
    acked: i64,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
struct Lost {
    lane: &'static str,
    epoch: String,
    from: i64,
    to: i64,
    reason: String,
    records: i64,
    bytes: i64,
    received_at_ms: i64,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
struct Loss {
    lane: &'static str,
    epoch: String,
    from: i64,
    to: i64,
    reason: String,
    received_at_ms: i64,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
struct Instance {
    instance: String,
    hostname: String,
    agent_version: String,
    first_seen_ms: i64,
    last_seen_ms: i64,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
struct Copy {
    instance: String,
    address: String,
    refusals: u64,
    last_refused_ms: u64,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
struct Key {
    key_id: String,
    created_at_ms: i64,
    registered_at_ms: Option<i64>,
    expires_at_ms: Option<i64>,
}

/// A new key. Holds the secret itself.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct Issued {
    name: String,
    id: String,
    /// The line of a key file. A secret, shown once.
    key: String,
}

/// An invite. Holds the secret itself.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct Invited {
    name: String,
    id: String,
    /// What one machine enrols with. A secret, shown once.
    token: String,
    expires_at_ms: i64,
}

/// An agent that is not known any more.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct Removed {
    removed: String,
    id: String,
}

/// An agent that is not welcome any more.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct Revoked {
    revoked: String,
    id: String,
}

/// An agent that gets a new key in its session.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct Rotating {
    rotating: String,
    id: String,
}

impl Removed {
    /// Of this agent.
    pub fn of(row: &AgentRow) -> Self {
        Self { removed: row.name.to_string(), id: row.id.to_string() }
    }
}

impl Revoked {
    /// Of this agent.
    pub fn of(row: &AgentRow) -> Self {
        Self { revoked: row.name.to_string(), id: row.id.to_string() }
    }
}

impl Rotating {
    /// Of this agent.
    pub fn of(row: &AgentRow) -> Self {
        Self { rotating: row.name.to_string(), id: row.id.to_string() }
    }
}

/// A new key of an agent.
pub fn issued(name: &AgentName, issued: &store::Issued) -> Issued {
    let key = issued.key_file.to_line().expose().clone();
    Issued { name: name.to_string(), id: issued.id.to_string(), key }
}

/// An agent's invite.
pub fn invited(name: &AgentName, invited: &store::Invited) -> Invited {
    Invited {
        name: name.to_string(),
        id: invited.id.to_string(),
        token: invited.invite.to_line().expose().clone(),
        expires_at_ms: invited.expires_at,
    }
}

/// One line of the agents' list. `registry` is `None` where no hub process is asked.
pub fn agent_line(row: &AgentRow, labels: &Labels, registry: Option<&Registry>) -> AgentLine {
    let session = registry.and_then(|registry| registry.session(row.id));
    AgentLine {
        name: row.name.to_string(),
        id: row.id.to_string(),
        state: row.state.name(),
        public_key: row.public_key.is_some(),
        signature: row.signature.map(SignatureMode::name),
        created_at_ms: row.created_at,
        labels: labels.texts(),
        connected: registry.map(|_| session.is_some()),
        session: session.as_deref().map(session_view),
    }
}

/// Everything the hub saw of one agent.
///
/// # Errors
/// What the database says.
pub async fn agent(
    store: &Store,
    row: &AgentRow,
    registry: Option<&Registry>,
) -> Result<AgentView, StoreError> {
    let gaps = store.gap_rows(row.agent).await?;
    let losses = store.loss_rows(row.agent).await?;
    let clones = registry.map(|registry| registry.clones(row.id)).unwrap_or_default();
    let there = registry.and_then(|registry| registry.session(row.id));
    let access = store.access(row.agent).await?;
    let labels = store.labels(row.agent).await?;
    Ok(AgentView {
        line: agent_line(row, &labels, registry),
        hub_id: store.hub_id().to_string(),
        streams: store.stream_rows(row.agent).await?.iter().map(stream).collect(),
        alarms: alarms(&gaps, &losses, &clones, there.as_deref()),
        gaps: gaps.into_iter().map(lost).collect(),
        losses: losses.into_iter().map(loss).collect(),
        instances: store.instance_rows(row.agent).await?.into_iter().map(instance).collect(),
        copies: clones.iter().map(copy).collect(),
        stored_bytes: store.stored_bytes(row.agent).await?,
        keys: access.keys.into_iter().map(key).collect(),
        rotation_asked_at_ms: access.rotate_asked_at,
        invited_until_ms: access.invited_until,
    })
}

fn alarms(gaps: &[GapRow], losses: &[LossRow], clones: &[Replaced], there: Option<&Entry>) -> Vec<String> {
    let lost = gaps.iter().filter(|gap| gap.reason == "hub_lost").map(|gap| {
        format!("hub_lost: this hub had acked {} {} to {} and lost them", gap.stream, gap.from, gap.to)
    });
    let copies = clones.iter().map(|copy| {
        let there = there.map_or("nowhere now".to_owned(), |there| there.address.to_string());
        format!(
            "identity_in_use: two copies of this agent run, from {} (refused) and from {there}; give each an identity of its own",
            copy.address
        )
    });
    let reported = losses.iter().map(|loss| {
        format!("{}: the agent reports {} {} to {}", loss.reason, loss.stream, loss.from, loss.to)
    });
    lost.chain(copies).chain(reported).collect()
}

fn stream(row: &store::StreamRow) -> Stream {
    Stream { lane: row.stream.lane.name(), epoch: row.stream.epoch.to_string(), acked: row.acked }
}

fn lost(gap: GapRow) -> Lost {
    Lost {
        lane: gap.stream.lane.name(),
        epoch: gap.stream.epoch.to_string(),
        from: gap.from,
        to: gap.to,
        reason: gap.reason,
        records: gap.records,
        bytes: gap.bytes,
        received_at_ms: gap.received_at,
    }
}

fn loss(loss: LossRow) -> Loss {
    Loss {
        lane: loss.stream.lane.name(),
        epoch: loss.stream.epoch.to_string(),
        from: loss.from,
        to: loss.to,
        reason: loss.reason,
        received_at_ms: loss.received_at,
    }
}

fn instance(row: store::InstanceRow) -> Instance {
    Instance {
        instance: row.instance.to_string(),
        hostname: row.hostname,
        agent_version: row.agent_version,
        first_seen_ms: row.first_seen,
        last_seen_ms: row.last_seen,
    }
}

fn copy(copy: &Replaced) -> Copy {
    Copy {
        instance: copy.instance.to_string(),
        address: copy.address.to_string(),
        refusals: copy.refusals,
        last_refused_ms: copy.at.0,
    }
}

fn key(key: store::KeyRow) -> Key {
    Key {
        key_id: key.key_id,
        created_at_ms: key.created_at,
        registered_at_ms: key.registered_at,
        expires_at_ms: key.expires_at,
    }
}

fn session_view(entry: &Entry) -> Session {
    let heartbeat = entry.heartbeat.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let outbox = heartbeat.as_ref().map(|heartbeat| {
        let depths = Lane::ALL.into_iter().zip(heartbeat.depth);
        depths
            .map(|(lane, depth)| (lane.name(), Depth { records: depth.records, bytes: depth.bytes }))
            .collect()
    });
    let refused = heartbeat.as_ref().and_then(|heartbeat| heartbeat.config_refused.as_ref());
    Session {
        session_id: entry.session_id.to_string(),
        instance: entry.instance.to_string(),
        address: entry.address.to_string(),
        connected_since_ms: entry.since.0,
        clock_offset_ms: entry.offset.0,
        config_version: heartbeat.as_ref().map(|heartbeat| heartbeat.config_version),
        config_refused: refused
            .map(|refused| ConfigRefused { version: refused.version, reason: refused.reason.clone() }),
        agent_version: heartbeat.map(|heartbeat| heartbeat.agent_version),
        outbox,
    }
}
