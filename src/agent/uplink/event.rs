//! What the session hands out, one arm for each kind.

use tokio::io::{AsyncRead, AsyncWrite};

use crate::agent::state::Counters;
use crate::obs::clock::boot_now;
use crate::session::AgentEvent;
use crate::wire::message::StreamMark;

use super::{End, Flow, Uplink, duty};

impl<S: AsyncRead + AsyncWrite + Unpin> Uplink<S> {
    pub(super) async fn on_event(&mut self, event: AgentEvent) -> Flow {
        let now = boot_now();
        match event {
            AgentEvent::Marks(marks) => match duty::local_marks(&self.with.outbox, &marks).await {
                Ok(local) => self.session.resolve_marks(now, local),
                Err(error) => return self.outcome.store_failed(&error),
            },
            event @ AgentEvent::Registered { .. } => return self.on_registered(event, now).await,
            AgentEvent::Acked(mark) => self.on_acked(mark),
            AgentEvent::HubError(error) => self.outcome.hub_error(&error),
            AgentEvent::GoAway(go) => {
                self.outcome.go_away(&go);
                self.session.close(now);
            }
            // By the hub's interval, which a setting of our own takes the place of.
            AgentEvent::HeartbeatDue if self.with.heartbeat.is_some() => {}
            AgentEvent::HeartbeatDue => self.beat(now),
            AgentEvent::JobOffer { id, offer } => {
                let (since, at) = self.hub_time;
                let hub_now = since.after(now.since(at));
                self.with.jobs.offer(id, offer, self.with.parties, hub_now, &self.answers.0);
            }
            AgentEvent::CancelJob(job) => self.with.jobs.cancel(job),
            AgentEvent::RotateKey(hub) => return self.on_rotate_key(&hub).await,
            AgentEvent::KeyStored(_) => self.on_key_stored(),
            AgentEvent::Relay(relay) => self.on_relay(relay),
            AgentEvent::RelayReply(reply) => self.sends.answered(reply),
            AgentEvent::Unknown(number) => self.on_unknown(number),
            AgentEvent::Closed(closed) => {
                self.outcome.closed(&closed);
                return Flow::End(End::Close(closed.code, closed.detail));
            }
        }
        Flow::On
    }

    fn on_acked(&mut self, mark: StreamMark) {
        self.with.state.count(|counters| counters.acks = counters.acks.saturating_add(1));
        self.acks.retain(|waiting| waiting.stream != mark.stream);
        self.acks.push(mark);
    }

    fn on_unknown(&mut self, number: u32) {
        tracing::info!(number, "the hub sent a message this version does not know");
        self.with.state.count(|counters: &mut Counters| {
            counters.unknown_bodies = counters.unknown_bodies.saturating_add(1);
        });
    }
}
