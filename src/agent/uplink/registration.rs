//! A registration: the marks are looked up, what the session says of itself is kept, and every resolution is made
//! durable before anything else happens.

use tokio::io::{AsyncRead, AsyncWrite};

use crate::agent::mark::local_mark;
use crate::agent::snapshot;
use crate::agent::state::{SAVED_ROW, Saved};
use crate::outbox::StoreError;
use crate::session::{AgentEvent, LocalMark, Resolution};
use crate::time::BootTime;
use crate::wire::message::{ConfigSnapshot, StreamMark};

use super::{Flow, Uplink};

impl<S: AsyncRead + AsyncWrite + Unpin> Uplink<S> {
    // `&mut`, though nothing changes: a shared borrow across an await would ask the boxed futures to be `Sync`.
    pub(super) async fn local_marks(&mut self, marks: &[StreamMark]) -> Result<Vec<LocalMark>, StoreError> {
        let mut local = Vec::with_capacity(marks.len());
        for mark in marks {
            local.push(local_mark(&self.with.outbox, mark).await?);
        }
        Ok(local)
    }

    pub(super) async fn on_registered(&mut self, event: AgentEvent, now: BootTime) -> Flow {
        let AgentEvent::Registered { session_id, hub_time, offset, config, retry, resolutions, .. } = event
        else {
            return Flow::On;
        };
        self.hub_time = (hub_time, now);
        let saved = Saved {
            hub: Some(self.with.hub.clone()),
            hub_id: Some(self.with.parties.hub.to_string()),
            session_id: Some(session_id.to_string()),
            connected_at_ms: Some((self.with.wall_clock)().0),
            clock_offset_ms: Some(offset.0),
        };
        tracing::info!(session = %session_id, hub = %self.with.hub, offset_ms = offset.0, "registered with the hub");
        let config_version = config.as_ref().map(|config| config.version);
        self.outcome.registered(now, retry);
        if let Err(error) = self.persist(&saved, config).await {
            return self.outcome.store_failed(&error);
        }
        self.with.state.registered(saved, config_version);
        match self.settle(resolutions).await {
            Ok(flow) => {
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
            snapshot::save(&self.with.outbox, &config).await?;
        }
        Ok(())
    }

    /// Gaps of earlier sessions first, then what the marks ask for.
    async fn settle(&mut self, resolutions: Vec<Resolution>) -> Result<Flow, StoreError> {
        for gap in self.with.outbox.gaps().await? {
            self.session.send_gap(gap);
        }
        let mut flow = Flow::On;
        for resolution in resolutions {
            match resolution {
                Resolution::Acked(mark) => self.acks.push(mark),
                Resolution::HubLost(gap) => {
                    tracing::error!(stream = %gap.stream, from = gap.from, to = gap.to,
                        "the hub lost records it had acked; was it restored from a backup?");
                    self.with.outbox.add_gap(gap).await?;
                    self.session.send_gap(gap);
                }
                Resolution::RolledBack { stream, report } => {
                    tracing::error!(%stream, from = report.from, to = report.to,
                        "this agent's disk went back in time; its unacked records begin a new epoch");
                    self.with.outbox.roll_epoch(stream, report, (self.with.wall_clock)()).await?;
                    self.outcome.rolled_back();
                    flow = Flow::Close(1000, "a lane begins a new epoch".to_owned());
                }
            }
        }
        Ok(flow)
    }
}
