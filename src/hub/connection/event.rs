//! What the session hands out, one method for each kind.

use crate::hub::ingest::Intake;
use crate::hub::store::Ingest;
use crate::session::{Closed, HubEvent};
use crate::wire::error::ErrorCode;
use crate::wire::job::JobAck;
use crate::wire::message::{Gap, Heartbeat, Records, Register};

use super::ending::for_peer;
use super::{Connection, hub_time};

/// Why the session ends, where it does.
type Handled = Result<(), (ErrorCode, String)>;

impl Connection {
    pub(super) async fn handle_event(&mut self, event: HubEvent) -> Option<Closed> {
        let handled = match event {
            HubEvent::Register(register) => Box::pin(self.handle_register(&register)).await,
            HubEvent::Records { records, skip } => self.handle_records(&records, skip),
            HubEvent::Gap(gap) => self.handle_gap(gap),
            HubEvent::Heartbeat(heartbeat) => self.handle_heartbeat(heartbeat),
            HubEvent::JobAck(ack) => Box::pin(self.handle_job_ack(&ack)).await,
            HubEvent::KeyAgreed { key_id, key } => Box::pin(self.keep_key(&key_id, &key)).await,
            HubEvent::Relay(relay) => {
                self.relay_for(relay);
                Ok(())
            }
            HubEvent::RelayReply(reply) => {
                self.mail_answered(reply);
                Ok(())
            }
            HubEvent::Unknown(field) => self.handle_unknown(field),
            HubEvent::Closed(closed) => return Some(closed),
        };
        if let Err((code, detail)) = handled {
            self.end(code, &detail);
        }
        None
    }

    async fn handle_register(&mut self, register: &Register) -> Handled {
        let stop = self.shared.stop.clone();
        tokio::select! {
            biased;
            () = stop.cancelled() => Err((ErrorCode::GoingAway, "the hub is shutting down".to_owned())),
            outcome = self.register(register) => outcome.map_err(|error| for_peer(&error)),
        }
    }

    fn handle_records(&mut self, records: &Records, skip: u32) -> Handled {
        self.take(|intake| {
            let piece = intake.records(records, skip, hub_time());
            piece.map_err(|error| (error.code, error.detail))
        })
    }

    fn handle_gap(&mut self, gap: Gap) -> Handled {
        tracing::warn!(agent = %self.credential.agent.name, stream = %gap.stream, from = gap.from, to = gap.to,
            reason = gap.reason.name(), "records of an agent will not come");
        self.take(|intake| {
            let piece = intake.gap(gap, hub_time());
            piece.map_err(|error| (error.code, error.detail))
        })
    }

    fn handle_heartbeat(&mut self, heartbeat: Heartbeat) -> Handled {
        if let Some(entry) = &self.entry {
            let refused = heartbeat.config_refused.clone();
            let mut last = entry.heartbeat.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let before = last.replace(heartbeat).and_then(|last| last.config_refused);
            if let Some(refused) = refused.filter(|refused| before.as_ref() != Some(refused)) {
                tracing::warn!(agent = %self.credential.agent.name, version = refused.version,
                    reason = refused.reason, "an agent refuses its config");
            }
        }
        Ok(())
    }

    async fn handle_job_ack(&mut self, ack: &JobAck) -> Handled {
        self.take_answer(ack).await.map_err(|error| for_peer(&error))
    }

    fn handle_unknown(&mut self, field: u32) -> Handled {
        self.shared.counters.unknown_messages.add(1);
        tracing::info!(agent = %self.credential.agent.name, field, "a message of an unknown type");
        Ok(())
    }

    /// Puts one piece on its way to the store.
    fn take(&mut self, make: impl FnOnce(&mut Intake) -> Result<Ingest, (ErrorCode, String)>) -> Handled {
        let Some(intake) = &mut self.intake else {
            return Err((ErrorCode::Unexpected, "records before the registration was answered".to_owned()));
        };
        let mut piece = make(intake)?;
        piece.bytes_max = self.shared.quota.bytes_max(piece.mark.stream.lane);
        self.stage.push(piece);
        Ok(())
    }
}
