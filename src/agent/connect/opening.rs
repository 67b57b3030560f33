//! What a session begins with: who this agent is, what it can do, and what the connection is believed to be.

use ed25519_dalek::SigningKey;

use crate::agent::config::Hub;
use crate::limit;
use crate::net::tls::trust::Trust;
use crate::obs::clock::boot_now;
use crate::obs::{machine, random};
use crate::session::{AgentConfig, AgentSession, Condition, RegisterInfo};
use crate::wire::key::KeyFile;
use crate::wire::message::{Limits, StreamState};

use super::Connector;

/// What a session is bound to.
pub(super) struct Channel {
    pub(super) nonce: [u8; 32],
    pub(super) exporter: Option<[u8; 32]>,
    pub(super) condition: Option<Condition>,
}

impl Connector {
    /// The machine of a session over this channel.
    pub(super) fn session(
        &self,
        key: &KeyFile,
        signing: Option<SigningKey>,
        channel: Channel,
        streams: Vec<StreamState>,
    ) -> AgentSession {
        let settings = &self.config.session;
        let config = AgentConfig {
            hub_id: key.hub_id,
            agent_id: key.agent_id,
            mac_root: key.key.mac_root(),
            identity: signing,
            agent_nonce: channel.nonce,
            exporter: channel.exporter,
            condition: channel.condition,
            register: RegisterInfo {
                last_known_config_version: self.state.config_version(),
                ..RegisterInfo::of(self.instance, crate::agent::VERSION, hostname())
            },
            limits: Limits {
                window_bytes: settings.window_bytes,
                ping_interval: settings.ping,
                idle: settings.idle,
                ..Limits::default()
            },
            no_ack: self.config.no_ack,
            message_id_seed: random::bytes(),
        };
        AgentSession::new(config, streams, boot_now())
    }
}

/// What the hub has to prove where its certificate is good at another time only.
pub(super) fn condition(trust: Trust, hub: &Hub) -> Option<Condition> {
    match trust {
        Trust::Provisional { valid, .. } => Some(Condition { host: hub.endpoint.route.host.clone(), valid }),
        Trust::Plain | Trust::Settled(_) => None,
    }
}

/// The machine's name, for the hub's lists only.
fn hostname() -> String {
    machine::host_name().chars().take(limit::REGISTER_TEXT_BYTES_MAX / 4).collect()
}
