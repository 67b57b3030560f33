//! `agent.<id>`, `job.<id>` and `fleet`: the state, then each change.

use serde_json::{Map, Value, json};

use crate::hub::live::client::Ending;
use crate::hub::live::first_frame::Refused;
use crate::hub::store::{AgentRef, Event, EventMark, Whose};
use crate::hub::tail::Moved;
use crate::hub::{hub_time, view};
use crate::id::{AgentId, JobId};
use crate::limit;

use super::follower::{Outlet, failed, no_job};
use super::position;

/// What the fleet's stream has of a job.
const SHORT: [&str; 5] = ["job_id", "agent", "agent_id", "status", "run"];

/// Whom a stream tells of.
#[derive(Debug, Clone, Copy)]
pub(super) enum Subject {
    Agent(AgentId, AgentRef),
    Job(JobId),
    Fleet,
}

/// How far a subscriber is in a stream.
pub(super) struct Events {
    subject: Subject,
    place: Place,
    /// When the progress was that was told last.
    progress: Option<i64>,
}

enum Place {
    /// Nothing was sent; where it wants to go on.
    Before(Option<EventMark>),
    Behind(EventMark),
}

/// The state of a stream's subject, and the event that it includes.
struct State {
    mark: EventMark,
    payload: Value,
    progress: Option<i64>,
}

impl Events {
    pub(super) const fn new(subject: Subject, after: Option<EventMark>) -> Self {
        Self { subject, place: Place::Before(after), progress: None }
    }

    /// Hands over what is there next.
    pub(super) async fn advance(&mut self, out: &Outlet) -> Result<Moved, Ending> {
        let store = &out.shared.store;
        let behind = match self.place {
            Place::Behind(mark) => mark,
            Place::Before(None) => return self.begin(out).await,
            Place::Before(Some(mark)) => {
                if !store.has_event(mark).await.map_err(failed)? {
                    out.gap().await?;
                    return self.begin(out).await;
                }
                mark
            }
        };
        // First: what comes later is not missed.
        let last = store.last_event().await.map_err(failed)?;
        let whose = self.subject.whose(out).await?;
        let chunk = limit::STREAM_CHUNK_EVENTS;
        let found = store.events(whose, behind.number, last.number, chunk).await.map_err(failed)?;
        let Some(events) = found else {
            out.gap().await?;
            return self.begin(out).await;
        };
        let full = events.len() >= usize::try_from(chunk).unwrap_or(usize::MAX);
        let mut mark = behind;
        for event in &events {
            mark = event.mark;
            out.push(position::of_event(&out.topic, mark), &self.subject.payload(event)).await?;
        }
        self.tell_progress(out, mark).await?;
        // Up to there nothing else is of this stream.
        self.place = Place::Behind(if full { mark } else { last });
        Ok(if full { Moved::Yes } else { Moved::No })
    }

    async fn begin(&mut self, out: &Outlet) -> Result<Moved, Ending> {
        let State { mark, payload, progress } = self.subject.state(out).await?;
        out.push(position::of_event(&out.topic, mark), &payload).await?;
        self.place = Place::Behind(mark);
        self.progress = progress;
        Ok(Moved::Yes)
    }

    /// Of a job's progress only the newest matters: it is no event, and is told with the offset of the last one.
    async fn tell_progress(&mut self, out: &Outlet, mark: EventMark) -> Result<(), Ending> {
        let Subject::Job(job) = self.subject else { return Ok(()) };
        let row = out.shared.store.job(job).await.map_err(no_job)?;
        let Some(progress) = &row.progress else { return Ok(()) };
        if self.progress == Some(progress.at) || row.status.is_final() {
            return Ok(());
        }
        self.progress = Some(progress.at);
        let payload = json!({"kind": "progress", "at_ms": progress.at, "job_id": job.to_string(),
            "permille": progress.permille, "text": progress.text});
        out.push(position::of_event(&out.topic, mark), &payload).await
    }
}

impl Subject {
    async fn whose(self, out: &Outlet) -> Result<Whose, Ending> {
        Ok(match self {
            Self::Agent(_, agent) => Whose::Agent(agent),
            Self::Job(job) => out.shared.store.job(job).await.map_err(no_job)?.events(),
            Self::Fleet => Whose::Fleet,
        })
    }

    /// The state as it is, with an event that nothing of this stream is behind; where it does not rest, as it was last read:
    /// then changes that it has come again.
    async fn state(self, out: &Outlet) -> Result<State, Ending> {
        let store = &out.shared.store;
        let whose = self.whose(out).await?;
        let mut tries = limit::STREAM_STATE_TRIES;
        loop {
            let mark = store.last_event().await.map_err(failed)?;
            let (mut payload, progress) = self.present(out).await?;
            if let Value::Object(fields) = &mut payload {
                fields.insert("kind".to_owned(), json!("state"));
                fields.insert("at_ms".to_owned(), json!(hub_time().0));
            }
            tries = tries.saturating_sub(1);
            let since = store.events(whose, mark.number, i64::MAX, 1).await.map_err(failed)?;
            if tries == 0 || since.is_some_and(|events| events.is_empty()) {
                return Ok(State { mark, payload, progress });
            }
        }
    }

    async fn present(self, out: &Outlet) -> Result<(Value, Option<i64>), Ending> {
        let store = &out.shared.store;
        match self {
            Self::Agent(id, agent) => {
                let row = store.agent_with_id(id).await.map_err(failed)?;
                let row = row.ok_or(Refused::Gone)?;
                let labels = store.labels(agent).await.map_err(failed)?;
                let line = view::agent_line(&row, &labels, Some(&out.shared.registry));
                Ok((json!({"agent": line}), None))
            }
            Self::Job(job) => {
                let row = store.job_at(job, hub_time()).await.map_err(no_job)?;
                let complete = store.logs_complete(&row).await.map_err(failed)?;
                let progress = row.progress.as_ref().map(|progress| progress.at);
                Ok((json!({"job": view::job::job(&row, complete)}), progress))
            }
            Self::Fleet => {
                let fleet = store.fleet().await.map_err(failed)?;
                let jobs: Map<_, _> =
                    fleet.jobs.into_iter().map(|(status, count)| (status, json!(count))).collect();
                let agents =
                    json!({"active": fleet.active, "connected": fleet.connected, "revoked": fleet.revoked});
                Ok((json!({"agents": agents, "open_jobs": jobs}), None))
            }
        }
    }

    /// An event as this stream tells it.
    fn payload(self, event: &Event) -> Value {
        // What a trigger wrote is an object.
        let mut fields: Map<String, Value> = serde_json::from_str(&event.body).unwrap_or_default();
        if matches!(self, Self::Fleet) && event.kind == "job" {
            fields.retain(|key, _| SHORT.contains(&key.as_str()));
        }
        fields.insert("kind".to_owned(), json!(event.kind));
        fields.insert("at_ms".to_owned(), json!(event.mark.at));
        Value::Object(fields)
    }
}
