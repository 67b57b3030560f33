//! One subscriber of an own stream, from its wish to its last message.

use std::convert::Infallible;
use std::sync::Arc;

use serde::Serialize;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::hub::callers::Caller;
use crate::hub::followers::Seat;
use crate::hub::live::Topic;
use crate::hub::live::client::Ending;
use crate::hub::live::first_frame::Refused;
use crate::hub::live::upgrade::Refusal;
use crate::hub::store::{AgentRef, EventMark, JobError};
use crate::hub::tail::Moved;
use crate::hub::{Shared, hub_time};
use crate::limit;

use super::events::{Events, Subject};
use super::lines::Lines;
use super::pass;
use super::position::{self, LineMark};
use super::stream::Stream;

/// A stream that somebody wants to follow, who has shown nothing yet.
pub(in crate::hub::live) struct Wanted {
    shared: Arc<Shared>,
    topic: Topic,
    stream: Stream,
    after: Option<After>,
}

/// Where it wants to go on.
#[derive(Clone, Copy)]
enum After {
    Event(EventMark),
    Line(LineMark),
}

/// A subscriber that was let in.
pub(in crate::hub::live) struct Admitted {
    pub(in crate::hub::live) follower: Follower,
    /// What it is to be sent.
    pub(in crate::hub::live) messages: mpsc::Receiver<Utf8Bytes>,
    /// When its token ends, in seconds since 1970.
    pub(in crate::hub::live) expires_s: u64,
}

/// Hands over what its stream tells.
pub(in crate::hub::live) struct Follower {
    out: Outlet,
    source: Source,
    buyer: Caller,
    /// Whose commits it waits for; `None`: for any.
    agent: Option<AgentRef>,
    _seat: Seat,
}

enum Source {
    Lines(Lines),
    Events(Events),
}

/// What both sources need: the store, and the way to the subscriber.
pub(super) struct Outlet {
    pub(super) shared: Arc<Shared>,
    pub(super) topic: Topic,
    messages: mpsc::Sender<Utf8Bytes>,
}

impl Wanted {
    /// # Errors
    /// `UNKNOWN` where no stream can have this name, `OFFSET` where `after` is none of the stream's.
    pub(in crate::hub::live) fn of(
        shared: &Arc<Shared>,
        topic: &Topic,
        after: Option<&str>,
    ) -> Result<Self, Refusal> {
        let stream = Stream::of(topic).ok_or(Refusal::UNKNOWN)?;
        let after = after.map(|text| match stream {
            Stream::JobLogs(_) => position::line(topic, text).map(After::Line),
            Stream::Agent(_) | Stream::Job(_) | Stream::Fleet => {
                position::event(topic, text).map(After::Event)
            }
        });
        let after = after.map(|after| after.ok_or(Refusal::OFFSET)).transpose()?;
        Ok(Self { shared: Arc::clone(shared), topic: topic.clone(), stream, after })
    }

    /// Whether one more is let in now.
    pub(in crate::hub::live) fn has_room(&self) -> bool {
        self.shared.followers.has_room()
    }

    /// Judges the first frame.
    pub(in crate::hub::live) async fn admit(&self, frame: &str) -> Result<Admitted, Ending> {
        let shared = &self.shared;
        let pass::Pass { buyer, expires_s } = pass::judge(shared, frame, &self.topic)?;
        let seat = shared.followers.seat(&buyer).map_err(|_full| Ending::Crowded)?;
        let (event, line) = match self.after {
            None => (None, None),
            Some(After::Event(mark)) => (Some(mark), None),
            Some(After::Line(mark)) => (None, Some(mark)),
        };
        let (agent, source) = match self.stream {
            Stream::Fleet => (None, Source::Events(Events::new(Subject::Fleet, event))),
            Stream::Agent(id) => {
                let row = shared.store.agent_with_id(id).await.map_err(failed)?;
                let row = row.ok_or(Refused::Gone)?;
                (Some(row.agent), Source::Events(Events::new(Subject::Agent(id, row.agent), event)))
            }
            Stream::Job(job) => {
                let agent = shared.store.agent_of_job(job).await.map_err(no_job)?;
                (Some(agent), Source::Events(Events::new(Subject::Job(job), event)))
            }
            Stream::JobLogs(job) => {
                let agent = shared.store.agent_of_job(job).await.map_err(no_job)?;
                (Some(agent), Source::Lines(Lines::new(job, line)))
            }
        };
        let (sender, messages) = mpsc::channel(limit::LIVE_BUFFER);
        let out = Outlet { shared: Arc::clone(shared), topic: self.topic.clone(), messages: sender };
        let follower = Follower { out, source, buyer, agent, _seat: seat };
        Ok(Admitted { follower, messages, expires_s })
    }
}

impl Follower {
    /// Until it may not stay. Dropped, it hands over nothing more.
    pub(in crate::hub::live) async fn run(&mut self) -> Ending {
        match self.follow().await {
            Ok(never) => match never {},
            Err(ending) => ending,
        }
    }

    async fn follow(&mut self) -> Result<Infallible, Ending> {
        let store = &self.out.shared.store;
        // Before anything is looked at: what comes later rings.
        let mut changed = match self.agent {
            Some(agent) => store.watch_jobs(agent),
            None => store.watch_fleet(),
        };
        loop {
            if !self.out.shared.callers.is_good(&self.buyer, hub_time()) {
                return Err(Refused::Unbought.into());
            }
            let moved = match &mut self.source {
                Source::Lines(lines) => lines.advance(&self.out).await?,
                Source::Events(events) => events.advance(&self.out).await?,
            };
            if moved == Moved::No {
                tokio::select! {
                    biased;
                    () = changed.changed() => tokio::time::sleep(limit::FOLLOW_PAUSE).await,
                    () = self.out.shared.callers.dismissed(&self.buyer) => return Err(Refused::Unbought.into()),
                    // A ring that was lost costs no more than this.
                    () = tokio::time::sleep(limit::FOLLOW_HEARTBEAT) => {}
                }
            }
        }
    }
}

impl Outlet {
    /// One message; waits for the subscriber to take what came before.
    pub(super) async fn push(&self, offset: String, payload: &impl Serialize) -> Result<(), Ending> {
        self.send(&json!({"type": "push", "offset": offset, "payload": payload})).await
    }

    /// What the subscriber has and what comes now do not touch: the state comes anew.
    pub(super) async fn gap(&self) -> Result<(), Ending> {
        self.send(&json!({"type": "gap", "reason": "not_kept"})).await
    }

    async fn send(&self, frame: &serde_json::Value) -> Result<(), Ending> {
        self.messages.send(frame.to_string().into()).await.map_err(|_gone| Ending::Left)
    }
}

/// What the store says is no answer to anybody outside.
pub(super) fn failed(error: impl std::fmt::Display) -> Ending {
    tracing::warn!(%error, "an own stream could not be read");
    Ending::Failed(error.to_string())
}

pub(super) fn no_job(error: JobError) -> Ending {
    match error {
        JobError::NoJob(_) => Refused::Gone.into(),
        error => failed(error),
    }
}
