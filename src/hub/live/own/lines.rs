//! `job.<id>.logs`: a job's output.

use serde::Serialize;
use serde_json::{Value, json};

use crate::hub::live::client::Ending;
use crate::hub::store::LinePlace;
use crate::hub::tail::{Entry, Moved, Reach, Step, Tail};
use crate::hub::{hub_time, view};
use crate::id::JobId;
use crate::job::JobState;

use super::follower::{Outlet, failed, no_job};
use super::position::{self, LineMark};

/// How far a subscriber is in a job's output.
pub(super) struct Lines {
    job: JobId,
    place: Place,
    /// With which status the end was told last.
    end: Option<JobState>,
}

enum Place {
    /// Nothing was sent; where it wants to go on.
    Before(Option<LineMark>),
    In(Tail),
}

impl Lines {
    pub(super) fn new(job: JobId, after: Option<LineMark>) -> Self {
        Self { job, place: Place::Before(after), end: None }
    }

    /// Hands over what is there next.
    pub(super) async fn advance(&mut self, out: &Outlet) -> Result<Moved, Ending> {
        let tail = match &mut self.place {
            Place::In(tail) => tail,
            Place::Before(after) => {
                let from = begin(self.job, *after, out).await?;
                self.end = from.end;
                let place = LinePlace { run: from.run, line: from.line.saturating_add(1) };
                self.place = Place::In(Tail::new(self.job, place, None, None));
                return Ok(Moved::Yes);
            }
        };
        let step = tail.next(&out.shared.store, hub_time()).await.map_err(no_job)?;
        self.tell(&step, out).await?;
        Ok(step.moved)
    }

    async fn tell(&mut self, step: &Step, out: &Outlet) -> Result<(), Ending> {
        for entry in step.entries() {
            let (run, line, payload) = match entry {
                Entry::Line(line) => (line.run, line.number, of_kind("line", &view::job::line(line))),
                Entry::Missing(hole @ (run, _, to)) => {
                    (run, to, of_kind("missing", &view::job::missing(hole)))
                }
            };
            out.push(position::of_line(&out.topic, LineMark { run, line, end: None }), &payload).await?;
            self.end = None;
        }
        let status = step.row.status;
        // A status that the hub gave by itself may yield to the agent's: then there is another end.
        if step.reach == Reach::End && self.end != Some(status) {
            let LinePlace { run, line } = step.log.next;
            let mark = LineMark { run, line: line.saturating_sub(1), end: Some(status) };
            let payload = json!({"kind": "end", "status": status.name(), "log_lines": step.row.log_lines});
            out.push(position::of_line(&out.topic, mark), &payload).await?;
            self.end = Some(status);
        }
        Ok(())
    }
}

/// What is shown elsewhere, as a payload.
fn of_kind(kind: &str, shown: &impl Serialize) -> Value {
    let mut payload = view::json(shown);
    if let Value::Object(fields) = &mut payload {
        fields.insert("kind".to_owned(), json!(kind));
    }
    payload
}

/// Where the lines begin: behind those the subscriber has; else the job as it is comes first, and all of its lines.
async fn begin(job: JobId, after: Option<LineMark>, out: &Outlet) -> Result<LineMark, Ending> {
    let store = &out.shared.store;
    let row = store.job_at(job, hub_time()).await.map_err(no_job)?;
    if let Some(mark) = after {
        if store.has_line(&row, mark.run, mark.line).await.map_err(failed)? {
            return Ok(mark);
        }
        out.gap().await?;
    }
    let first = LineMark { run: 1, line: 0, end: None };
    let complete = store.logs_complete(&row).await.map_err(failed)?;
    let payload = json!({"kind": "state", "at_ms": hub_time().0, "job": view::job::job(&row, complete)});
    out.push(position::of_line(&out.topic, first), &payload).await?;
    Ok(first)
}
