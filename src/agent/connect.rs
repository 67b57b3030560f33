//! The connect loop: finds the key, dials, runs a session, waits, for as long as the agent runs.
//!
//! Nothing here ends the agent: an error of the hub or the key is shown and tried again.

mod attempt;
mod opening;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::id::InstanceId;
use crate::limit;
use crate::net::dial::{DialError, Dialer};
use crate::net::tls::trust::TimeFloor;
use crate::obs::clock::boot_now;
use crate::outbox::{OpenError, Outbox};
use crate::wire::error::Retry;
use crate::wire::message::StreamState;

use super::config::{Config, Hub, JwtMode, LinkMode};
use super::identity::{self, Identity};
use super::jobs::{Jobs, Parties, SealKeys};
use super::pace::{Advice, Backlog, Pace};
use super::state::{LastError, LinkState, Repeat, State};
use super::token::keeper::Keeper;
use super::turns::{End, Turns};
use super::uplink::{self, Again, Outcome, Relaying, SessionKey, Surroundings, Uplink};
use attempt::{Dialled, TokenFate};
use opening::{Channel, condition};

/// The loop's belongings.
pub(super) struct Connector {
    pub(super) config: Config,
    /// Where tokens are presented.
    pub(super) tokens: Option<Keeper>,
    pub(super) dialer: Dialer,
    /// What is known to be past, for the dates of certificates.
    pub(super) floor: TimeFloor,
    pub(super) outbox: Outbox,
    pub(super) state: State,
    pub(super) jobs: Jobs,
    pub(super) relaying: Relaying,
    pub(super) stop: CancellationToken,
    pub(super) instance: InstanceId,
}

/// Keeps tokens fresh, where they are presented.
pub(super) fn tokens(config: &Config, dialer: &Dialer, state: &State) -> Option<Keeper> {
    let first = config.hubs.first().filter(|_| config.jwt == JwtMode::On)?;
    Some(Keeper::new(dialer.clone(), first.target(), config.identity_files(), state.clone()))
}

impl Connector {
    /// Begins to look for a hub, where there is one to look for.
    pub(super) fn start(self) -> Option<JoinHandle<()>> {
        if self.config.link == LinkMode::Off || self.config.hubs.is_empty() {
            return None;
        }
        for warning in self.config.hubs.iter().filter_map(|hub| hub.warning.as_ref()) {
            tracing::warn!("{warning}");
        }
        Some(tokio::spawn(self.run()))
    }

    /// Runs until it is stopped; beside the attempts, what they present is kept fresh.
    async fn run(self) {
        let fresh = async {
            if let Some(tokens) = &self.tokens {
                tokens.run(self.stop.clone()).await;
            }
        };
        tokio::join!(self.dial_for_ever(), fresh);
    }

    async fn dial_for_ever(&self) {
        let mut pace = Pace::new(self.config.reconnect);
        let mut turns = Turns::new(self.config.hubs.len());
        let mut rolled = Again::Later;
        self.state.set_link(LinkState::Reconnecting);
        while !self.stop.is_cancelled() {
            let Some(identity) = self.identity().await else {
                self.wait(limit::KEY_RETRY).await;
                continue;
            };
            let Some(hub) = self.config.hubs.get(turns.present()) else { break };
            if let Some(tokens) = &self.tokens {
                tokens.follow(hub.target());
            }
            let outcome = self.attempt(identity, hub).await;
            if self.stop.is_cancelled() {
                break;
            }
            let now = boot_now();
            let lived = outcome.registered_at.map(|since| now.since(since)).unwrap_or_default();
            pace.session_ended(lived);
            if let Some(hints) = outcome.hints {
                pace.hint(hints.min, hints.max);
            }
            self.show(&outcome, hub);
            // One new epoch is worth no delay; a hub that asks for another each time is.
            if outcome.again == Again::AtOnce && rolled == Again::Later {
                rolled = Again::AtOnce;
                continue;
            }
            rolled = Again::Later;
            let end = End { advice: outcome.advice, error: outcome.error, lived };
            let delay = turns.pass(now, &end, &mut pace, self.backlog().await);
            tracing::debug!(delay_ms = crate::time::millis(delay), "the next attempt waits");
            self.wait(delay).await;
        }
        self.state.set_link(LinkState::Disconnected);
    }

    async fn wait(&self, delay: std::time::Duration) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = tokio::time::sleep(delay) => {}
        }
    }

    /// The key, where there is one and the folder is this agent's.
    async fn identity(&self) -> Option<Identity> {
        let (code, text) = match identity::load(&self.config.identity_files()) {
            Err(error) => ("identity", error.to_string()),
            Ok(identity) => match self.outbox.bind_agent(identity.key.agent_id).await {
                Ok(()) => return Some(identity),
                Err(error @ OpenError::Foreign { .. }) => ("folder", error.to_string()),
                Err(error) => ("folder", format!("cannot bind the outbox to the agent: {error}")),
            },
        };
        let error = LastError::new(code, text.as_str(), true, (self.config.wall_clock)());
        if self.state.without_identity(error) == Repeat::New {
            tracing::warn!(
                reason = text,
                "no usable key: records are taken and kept; the agent looks again every 30 s"
            );
        }
        None
    }

    async fn backlog(&self) -> Backlog {
        let waits = |state: &StreamState| state.first_unacked < state.next;
        match self.outbox.streams().await {
            Ok(streams) if streams.iter().any(waits) => Backlog::Waiting,
            Ok(_) | Err(_) => Backlog::Empty,
        }
    }

    async fn attempt(&self, identity: Identity, hub: &Hub) -> Outcome {
        self.jobs.keys(SealKeys::of(&identity.key, &identity));
        let dialled = tokio::select! {
            () = self.stop.cancelled() => return Outcome::default(),
            dialled = self.dial(&identity, hub) => dialled,
        };
        let Dialled { link, nonce, key, token, trust, exporter } = match dialled {
            Ok(dialled) => dialled,
            Err(error) => {
                let outcome = refused(&error);
                self.state.count_end(|ends| ends.upgrades_failed.add(&outcome.code));
                return outcome;
            }
        };
        self.state.count(|counters| counters.upgrades = counters.upgrades.saturating_add(1));
        let streams = match self.outbox.streams().await {
            Ok(streams) => streams,
            Err(error) => {
                return Outcome {
                    code: "folder".to_owned(),
                    text: format!("the outbox failed: {error}"),
                    ..Outcome::default()
                };
            }
        };
        self.jobs.keys(SealKeys::of(&key, &identity));
        let parties = Parties { hub: key.hub_id, agent: key.agent_id };
        let channel = Channel { nonce, exporter, condition: condition(trust, hub) };
        let session = self.session(&key, identity.signing, channel, streams);
        let with = Surroundings {
            outbox: self.outbox.clone(),
            state: self.state.clone(),
            stop: self.stop.clone(),
            wall_clock: self.config.wall_clock,
            write_timeout: self.config.session.write,
            heartbeat: self.config.heartbeat,
            hub: hub.url.clone(),
            jobs: self.jobs.clone(),
            relaying: self.relaying.clone(),
            parties,
            key: SessionKey { file: self.config.key_file.clone(), key },
            operator_keys: self.config.operator_keys.clone(),
            trust,
            floor: self.floor.clone(),
        };
        let mut outcome = Uplink::new(link, session, with).run().await;
        if outcome.is_unfit_certificate(trust) {
            outcome.advice.retry = Retry::Capped;
        }
        self.state.count_end(|ends| {
            let tally = if outcome.verified() { &mut ends.sessions } else { &mut ends.registrations_failed };
            tally.add(outcome.reason());
        });
        if let (true, TokenFate::Refused, Some(tokens)) = (outcome.verified(), token, &self.tokens) {
            tokens.refused();
        }
        outcome
    }

    fn show(&self, outcome: &Outcome, hub: &Hub) {
        let text =
            if outcome.text.is_empty() { "the session ended".to_owned() } else { outcome.text.clone() };
        let verified = outcome.verified();
        let error =
            LastError::new(outcome.code.as_str(), text.as_str(), verified, (self.config.wall_clock)())
                .of(&hub.url);
        match self.state.failed(error, outcome.error) {
            // The agent ended the session itself, and the new key was told of.
            Repeat::New if outcome.code == uplink::ROTATED => {
                tracing::debug!(hub = %hub.url, "the session begins anew with the new key")
            }
            Repeat::New => {
                tracing::warn!(code = outcome.code, reason = text, verified, hub = %hub.url, "no link to the hub; the agent goes on trying");
            }
            Repeat::Same => {
                tracing::debug!(code = outcome.code, reason = text, verified, "still no link to the hub")
            }
        }
    }
}

fn refused(error: &DialError) -> Outcome {
    let (code, retry_after) = match error {
        DialError::Refused(refusal) => (refusal.code, refusal.retry_after),
        DialError::Tls(error) => (error.code(), None),
        _ => (None, None),
    };
    Outcome {
        advice: Advice { retry: error.retry(), retry_after },
        code: error.name().to_owned(),
        text: error.to_string(),
        error: code,
        ..Outcome::default()
    }
}
