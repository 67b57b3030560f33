//! Whether an offered job is taken.

use std::sync::Arc;

use crate::exec::Masks;
use crate::job::journal::{self, Entry, Offered, Stage};
use crate::job::{JobSpec, JobState};
use crate::outbox::AppendError;
use crate::outbox::job::{REMEMBERED, ReservationChange, SpecChange, Trust};
use crate::time::HubTime;
use crate::wire::job::{Answer, JobAck, JobOffer, JobRecord, Refusal};

use super::Parties;
use super::actor::Actor;
use super::record::record;
use super::seal::is_sealed;
use super::turn::Turn;

fn refused(refusal: Refusal, detail: impl Into<String>) -> Answer {
    Answer::Refused { refusal, detail: detail.into() }
}

impl Actor {
    /// `None` where the job is accepted: the answer is a record then.
    pub(super) async fn offered(
        &mut self,
        offer: JobOffer,
        parties: Parties,
        now: HubTime,
    ) -> Option<Answer> {
        // A job that is known is known whatever the offer says this time.
        if let Some(entry) = self.journal.get(offer.job) {
            return Some(Answer::Accepted(entry.stage.state()));
        }
        let spec = match self.judge(&offer, parties) {
            Ok(spec) => spec,
            Err(detail) => return Some(refused(Refusal::Invalid, detail)),
        };
        let expires = match spec.expires_at_ms(offer.created_at.0) {
            Ok(expires) => HubTime(expires),
            Err(error) => return Some(refused(Refusal::Invalid, error.to_string())),
        };
        if self.trust == Trust::Doubtful && !self.forget_until(now).await {
            // Offered again later.
            return None;
        }
        match self.journal.offered(offer.job, offer.created_at, expires, now, self.settings.queue) {
            Offered::New => {}
            Offered::Duplicate(state) => return Some(Answer::Accepted(state)),
            Offered::Refused(refusal) => return Some(refused(refusal, self.why(refusal))),
        }
        self.accept(offer, spec).await
    }

    /// After a damaged journal: a job it does not know may have run, so none is accepted that was created before.
    async fn forget_until(&mut self, now: HubTime) -> bool {
        self.journal.forget_until(now);
        let remembered = journal::encode_remembered(now).into();
        match self.with.outbox.put(REMEMBERED, remembered).await {
            Ok(()) => {
                self.trust = Trust::Certain;
                true
            }
            Err(error) => {
                tracing::warn!(%error, "a damaged journal takes no jobs yet");
                false
            }
        }
    }

    /// Where a place is free the same commit says that the job starts: one wait for the disk less before it runs.
    async fn accept(&mut self, offer: JobOffer, spec: JobSpec) -> Option<Answer> {
        let (job, at, spec) = (offer.job, self.wall_now(), Arc::new(spec));
        let Some(stored) = self.stored(job, &spec, &offer.spec) else {
            return Some(refused(Refusal::Busy, "the agent has no key to seal the job's secrets with"));
        };
        let (run, stage, turn) = match self.queue(job, &spec, offer.created_at, at) {
            Ok(Some(queued)) => match queued.try_permit() {
                Ok(permit) => {
                    let stage = Stage::Starting { accepted_at: at, boot: self.boot };
                    (1, stage, Some(Turn::Has(permit, 1)))
                }
                Err(queued) => (0, Stage::Accepted { at }, Some(Turn::Waits(*queued))),
            },
            Ok(None) => (0, Stage::Accepted { at }, None),
            Err(error) => return Some(refused(Refusal::Invalid, error.to_string())),
        };
        let entry = Entry { created_at: offer.created_at, run, stage };
        let ack = JobRecord::Ack(JobAck { job, answer: Answer::Accepted(JobState::Accepted) });
        let records = vec![record(ack, at)];
        match self.commit(job, entry, SpecChange::Put(stored.clone()), ReservationChange::Take, records).await
        {
            Ok(()) => {
                if is_sealed(&stored) {
                    self.sealed.insert(job, stored);
                }
                self.specs.insert(job, spec);
                if let Some(turn) = turn {
                    self.follow(job, turn);
                }
                None
            }
            Err(error) => {
                self.deferred.retain(|(_, deferred)| *deferred != job);
                let refusal = match error {
                    AppendError::Degraded { .. } | AppendError::Closed => Refusal::Degraded,
                    _ => Refusal::Busy,
                };
                Some(refused(refusal, error.to_string()))
            }
        }
    }

    /// The spec, or what is wrong with it.
    fn judge(&self, offer: &JobOffer, parties: Parties) -> Result<JobSpec, String> {
        let spec = JobSpec::parse(&offer.spec).map_err(|error| error.to_string())?;
        if let Some(hub) = spec.hub_id.filter(|hub| *hub != parties.hub) {
            return Err(format!("hub_id: the spec is for hub {hub}, this job came from {}", parties.hub));
        }
        if let Some(job) = spec.job_id.filter(|job| *job != offer.job) {
            return Err(format!("job_id: the spec says {job}, the offer {}", offer.job));
        }
        // An agent knows its id, not its name: what is not an id was judged by the hub.
        let own = parties.agent.to_string();
        let names = spec.agents.as_deref().unwrap_or_default();
        let all_ids =
            !names.is_empty() && names.iter().all(|name| name.parse::<crate::id::AgentId>().is_ok());
        if all_ids && !names.contains(&own) {
            return Err(format!("agents: the spec is not for agent {own}"));
        }
        let masks = Masks::of(&spec.secrets);
        self.pool.check(&spec).map_err(|error| masks.text(&error.to_string()).into_owned())?;
        Ok(spec)
    }

    fn why(&self, refusal: Refusal) -> String {
        match refusal {
            Refusal::Busy => format!("{} jobs are accepted and not finished", self.journal.open_count()),
            Refusal::Expired => "its time is over".to_owned(),
            Refusal::TooOld => "it is not newer than jobs this agent has forgotten".to_owned(),
            Refusal::Degraded | Refusal::Invalid => String::new(),
        }
    }
}
