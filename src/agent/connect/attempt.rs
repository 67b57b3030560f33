//! One attempt to reach the hub: dials, and again at once where another credential may be taken.

use crate::agent::config::Hub;
use crate::agent::credential::{Choice, Means, Next, Proof};
use crate::agent::identity::Identity;
use crate::net::dial::{Connected, DialError};
use crate::net::stream::Stream;
use crate::net::tls::trust::Trust;
use crate::net::upgrade::{Greeting, upgrade};
use crate::net::ws::Link;
use crate::obs::random;
use crate::wire::error::ErrorCode;
use crate::wire::key::KeyFile;
use crate::wire::signed_upgrade::UpgradeClaim;

use super::Connector;

/// An upgrade that was answered.
pub(super) struct Dialled {
    pub(super) link: Link<Stream>,
    pub(super) nonce: [u8; 32],
    /// What it was made with, and so what the session runs with.
    pub(super) key: KeyFile,
    pub(super) token: TokenFate,
    /// How far the other end is believed.
    pub(super) trust: Trust,
    /// What only the two ends of the TLS connection know.
    pub(super) exporter: Option<[u8; 32]>,
}

/// A connection that was upgraded.
struct Reached {
    link: Link<Stream>,
    trust: Trust,
    exporter: Option<[u8; 32]>,
}

/// What the hub said to the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenFate {
    /// It took it, or none was presented.
    Unknown,
    /// It wanted the bearer.
    Refused,
}

impl Connector {
    /// Dials until the hub takes what is presented, or refuses what no other credential mends.
    pub(super) async fn dial(&self, identity: &Identity, hub: &Hub) -> Result<Dialled, DialError> {
        let held = self.tokens.as_ref().and_then(|tokens| tokens.usable(&identity.key.key_id));
        let means = Means { has_previous: identity.previous.is_some(), has_token: held.is_some() };
        let mut choice = Choice::first(means);
        let mut token = TokenFate::Unknown;
        loop {
            self.state.count(|counters| counters.dials = counters.dials.saturating_add(1));
            let (nonce, key) = (random::bytes(), choice.key_of(identity));
            let authorization = match (choice.proof, &held) {
                (Proof::Token, Some(held)) => held.clone(),
                (Proof::Token, None) | (Proof::Bearer, _) => key.bearer().to_text(),
            };
            let signed = identity.signing.as_ref().map(|signing| self.claim(hub, key, choice).sign(signing));
            let greeting = Greeting { authorization: &authorization, nonce: &nonce, signed: signed.as_ref() };
            let refusal = match self.reach(hub, greeting).await {
                Ok(Reached { link, trust, exporter }) => {
                    return Ok(Dialled { link, nonce, key: key.clone(), token, trust, exporter });
                }
                Err(DialError::Refused(refusal)) => refusal,
                Err(error) => return Err(error),
            };
            match choice.refused(means, &refusal, (self.config.wall_clock)()) {
                Next::Now(next) => {
                    tracing::debug!(%refusal, ?next, "the hub is asked again with another credential");
                    let reason = refusal.code.map_or("link", ErrorCode::name);
                    self.state.count_end(|ends| ends.upgrades_failed.add(reason));
                    if choice.proof != next.proof {
                        token = TokenFate::Refused;
                    }
                    choice = next;
                }
                Next::Later => return Err(DialError::Refused(refusal)),
            }
        }
    }

    async fn reach(&self, hub: &Hub, greeting: Greeting<'_>) -> Result<Reached, DialError> {
        let endpoint = &hub.endpoint;
        let Connected { stream, trust, own, trial, .. } = self.dialer.connect(&endpoint.route).await?;
        let exporter = stream.binding();
        let upgraded = upgrade(stream, trial.way(), endpoint, greeting).await;
        if upgraded.as_ref().map_or_else(DialError::is_a_hub_s, |_link| true) {
            trial.served();
        }
        match (upgraded, own.lacking(&endpoint.route.host)) {
            (Ok(link), _) => Ok(Reached { link, trust, exporter }),
            (Err(DialError::Broken { .. }), Some(lacking)) => Err(lacking.into()),
            (Err(error), _) => Err(error),
        }
    }

    /// What a signed upgrade vouches for.
    fn claim(&self, hub: &Hub, key: &KeyFile, choice: Choice) -> UpgradeClaim {
        let offset = choice.clock.unwrap_or_else(|| self.state.clock_offset());
        UpgradeClaim {
            url: hub.canonical.clone(),
            agent_id: key.agent_id,
            timestamp: offset.correct((self.config.wall_clock)()),
            nonce: random::bytes(),
        }
    }
}
