//! A registration: the marks are looked up, what the session says of itself is kept, and every resolution is made
//! durable before anything else happens.

use tokio::io::{AsyncRead, AsyncWrite};

use crate::agent::snapshot::{self, Signing};
use crate::agent::state::{RefusedConfig, Repeat, SAVED_ROW, Saved};
use crate::outbox::StoreError;
use crate::session::{AgentEvent, Resolution};
use crate::time::BootTime;
use crate::wire::message::ConfigSnapshot;

use super::{Again, End, Flow, Uplink, duty};

impl<S: AsyncRead + AsyncWrite + Unpin> Uplink<S> {
    pub(super) async fn on_registered(&mut self, event: AgentEvent, now: BootTime) -> Flow {
        let AgentEvent::Registered { session_id, hub_time, offset, config, retry, resolutions, .. } = event
        else {
            return Flow::On;
        };
        self.hub_time = (hub_time, now);
        self.with.trust.floor_from(hub_time).into_iter().for_each(|at| self.with.floor.rise(at));
        let saved = Saved {
            hub: Some(self.with.hub.clone()),
            hub_id: Some(self.with.parties.hub.to_string()),
            session_id: Some(session_id.to_string()),
            connected_at_ms: Some((self.with.wall_clock)().0),
            clock_offset_ms: Some(offset.0),
            time_floor_ms: Some(self.with.floor.now().0),
        };
        tracing::info!(session = %session_id, hub = %self.with.hub, offset_ms = offset.0, "registered with the hub");
        self.outcome.registered(now, retry);
        self.with.jobs.time(hub_time);
        let config = config.filter(|config| self.takes(config));
        match duty::took(self.persist(&saved, config).await) {
            Ok(_) => {}
            // Only draining gives space back.
            Err(error @ StoreError::DiskFull { .. }) => {
                tracing::warn!(%error, "what this session says of itself is not kept");
            }
            Err(error) => return self.outcome.store_failed(&error),
        }
        // Records of before may have been made by the clock the last session saw.
        let offset = offset.max(self.with.state.clock_offset());
        if let Err(error) = self.with.outbox.learn_time(hub_time, offset).await {
            return self.outcome.store_failed(&error);
        }
        self.with.state.registered(saved);
        match self.settle(resolutions).await {
            Ok(flow) => {
                self.sends.open();
                self.beat(now);
                flow
            }
            Err(error) => self.outcome.store_failed(&error),
        }
    }

    async fn persist(&mut self, saved: &Saved, config: Option<ConfigSnapshot>) -> Result<(), StoreError> {
        let row = serde_json::to_vec(saved).unwrap_or_default();
        self.with.outbox.put(SAVED_ROW, row.into()).await?;
        if let Some(config) = config {
            let keys = self.with.operator_keys.as_ref();
            let signing = keys.map_or(Signing::NotWanted, |_| Signing::Verified);
            snapshot::save(&self.with.outbox, &config, signing).await?;
            self.with.state.configured(config.version);
        }
        Ok(())
    }

    /// Whether a config snapshot may be kept. One that may not is shown, and told with each heartbeat.
    fn takes(&self, config: &ConfigSnapshot) -> bool {
        let (state, keys) = (&self.with.state, self.with.operator_keys.as_ref());
        let Err(error) = snapshot::judge(keys, self.with.parties, state.known_config(), config) else {
            return true;
        };
        let (version, reason) = (config.version, error.to_string());
        if keys.is_some() {
            state.count(|counters| counters.operator_refusals = counters.operator_refusals.saturating_add(1));
        }
        if state.config_refused(RefusedConfig { version, reason: reason.clone() }) == Repeat::New {
            tracing::warn!(version, reason, "the hub's config snapshot is refused");
        }
        false
    }

    async fn settle(&mut self, resolutions: Vec<Resolution>) -> Result<Flow, StoreError> {
        let now = (self.with.wall_clock)();
        let settled = duty::settle(&self.with.outbox, &mut self.session, resolutions, now).await?;
        self.acks.extend(settled.acks);
        Ok(match settled.again {
            Again::Later => Flow::On,
            Again::AtOnce => {
                self.outcome.rolled_back();
                Flow::End(End::Close(1000, "a lane begins a new epoch".to_owned()))
            }
        })
    }
}
