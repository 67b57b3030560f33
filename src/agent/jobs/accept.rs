//! Whether an offered job is taken.

use std::sync::Arc;

use crate::exec::Masks;
use crate::job::journal::{self, Entry, Offered, Stage};
use crate::job::{JobSpec, JobState, SpecError, Terms};
use crate::outbox::AppendError;
use crate::outbox::job::{REMEMBERED, ReservationChange, SpecChange, Trust};
use crate::time::HubTime;
use crate::wire::job::{Answer, JobAck, JobOffer, JobRecord, Refusal};
use crate::wire::operator::Subject;

use super::Parties;
use super::actor::Actor;
use super::record::record;
use super::seal::is_sealed;
use super::turn::Turn;

/// So many refusals of a process are logged one by one.
const LOGGED_EACH: u64 = 32;

/// A spec that may be run here, and its times.
struct Judged {
    spec: JobSpec,
    created_at: HubTime,
    expires: HubTime,
}

fn refused(refusal: Refusal, detail: impl Into<String>) -> Answer {
    Answer::Refused { refusal, detail: detail.into() }
}

impl Actor {
    /// `None` where the job is accepted: the answer is a record then.
    pub(super) async fn offered(
        &mut self,
        mut offer: JobOffer,
        parties: Parties,
        now: HubTime,
    ) -> Option<Answer> {
        self.see_time(now);
        let now = self.at_least(now);
        // A job that is known is known whatever the offer says this time.
        if let Some(entry) = self.journal.get(offer.job) {
            return Some(Answer::Accepted(entry.stage.state()));
        }
        let Judged { spec, created_at, expires } = match self.judge(&offer, parties) {
            Ok(judged) => judged,
            Err(detail) => {
                self.note_refusal(&offer, &detail);
                return Some(refused(Refusal::Invalid, detail));
            }
        };
        offer.created_at = created_at;
        if self.trust == Trust::Doubtful && !self.forget_until(now).await {
            // Offered again later.
            return None;
        }
        match self.journal.offered(offer.job, offer.created_at, expires, now, self.settings.queue) {
            Offered::New => {}
            Offered::Duplicate(state) => return Some(Answer::Accepted(state)),
            Offered::Refused(refusal) => {
                let detail = self.why(refusal, expires, now);
                if matches!(refusal, Refusal::Expired | Refusal::TooOld) {
                    self.note_refusal(&offer, &detail);
                }
                return Some(refused(refusal, detail));
            }
        }
        // What the job is accepted on the strength of must not be forgotten.
        if let Err(error) = self.keep_time().await {
            return Some(refused(Refusal::Busy, format!("how late it is cannot be kept: {error}")));
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
                if let Some(turn) = turn {
                    self.follow(job, &spec, turn);
                }
                self.specs.insert(job, spec);
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

    /// The spec and its times, or what is wrong with it. Of a job that is signed nothing counts that only the hub says.
    fn judge(&self, offer: &JobOffer, parties: Parties) -> Result<Judged, String> {
        if let Some(keys) = &self.with.operator_keys {
            let verified = keys.verify(Subject::Job, &offer.spec, offer.signature.as_ref());
            verified.map_err(|error| format!("signature: {error}"))?;
        }
        let spec = self.parse(offer, parties)?;
        let text = |error: SpecError| error.to_string();
        if self.with.operator_keys.is_none() {
            let expires = HubTime(spec.expires_at_ms(offer.created_at.0).map_err(text)?);
            return Ok(Judged { spec, created_at: offer.created_at, expires });
        }
        // Its age is what the operator said: of two offers of one spec the second is never younger than the first, so
        // that what was forgotten is still too old.
        let terms = Terms::of(&spec).map_err(text)?;
        Ok(Judged { spec, created_at: terms.from, expires: terms.until })
    }

    fn parse(&self, offer: &JobOffer, parties: Parties) -> Result<JobSpec, String> {
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

    /// With operator keys a refusal is worth a look, for the hub may not pass it on. A hub that offers without end writes
    /// few lines.
    fn note_refusal(&self, offer: &JobOffer, reason: &str) {
        if self.latest.is_none() {
            return;
        }
        let mut count = 0;
        self.with.state.count(|counters| {
            counters.operator_refusals = counters.operator_refusals.saturating_add(1);
            count = counters.operator_refusals;
        });
        if count < LOGGED_EACH || count.is_power_of_two() {
            tracing::warn!(job = %offer.job, reason, count, "an offered job is refused");
        }
    }

    fn why(&self, refusal: Refusal, expires: HubTime, now: HubTime) -> String {
        match refusal {
            Refusal::Busy => format!("{} jobs are accepted and not finished", self.journal.open_count()),
            Refusal::Expired => format!("its time is over: it expired at {expires}, and it is {now}"),
            Refusal::TooOld => "it is not newer than jobs this agent has forgotten".to_owned(),
            Refusal::Degraded | Refusal::Invalid => String::new(),
        }
    }
}
