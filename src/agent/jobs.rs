//! Jobs on this agent: the journal, the pool that runs them, and what the hub is told.
//!
//! One task owns the journal. It is told of offers and cancels by the session, and of beginnings and ends by one task for
//! each job; whatever follows is durable before anybody hears of it. Jobs know nothing of the link: they begin, run and
//! end without one, and what they say waits in the outbox.
//!
//! ```text
//!  session ── offer, cancel ──> Actor <── begin, started, over ── Follower (one a job) <── reports ── exec::Pool
//!     ^                           |                                    |
//!     └── answers (not stored) ── ┤                                    └── lines, progress, artifacts ──> outbox
//!                                 └── journal row + control record ──> outbox
//! ```

mod accept;
mod actor;
mod crash;
mod end;
mod follower;
mod latest;
mod locked;
mod record;
mod seal;
#[cfg(test)]
mod tests;
mod turn;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::exec::Handlers;
use crate::id::{AgentId, HubId, JobId, MessageId};
use crate::limit;
use crate::outbox::{Outbox, StoreError};
use crate::time::{HubTime, WallTime};
use crate::wire::job::{Answer, JobAck, JobOffer, Refusal};
use crate::wire::operator::OperatorKeys;

use super::state::State;
use actor::Actor;
pub(super) use seal::SealKeys;

/// The `[jobs]` section, as far as it is not the business of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Jobs at once.
    pub concurrency: std::num::NonZeroU32,
    /// Accepted and not finished jobs, the running ones included.
    pub queue: usize,
    /// Between TERM and KILL where a spec does not say.
    pub grace: std::time::Duration,
    /// Bytes of output where a spec does not say.
    pub output_max: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            concurrency: limit::JOB_CONCURRENCY,
            queue: limit::JOB_QUEUE,
            grace: limit::JOB_GRACE,
            output_max: limit::JOB_OUTPUT_MAX,
        }
    }
}

/// What jobs work with.
pub(super) struct Surroundings {
    pub(super) outbox: Outbox,
    pub(super) state: State,
    pub(super) wall_clock: fn() -> WallTime,
    /// What specs with secrets are sealed with at the start; none where there is no usable key yet.
    pub(super) keys: SealKeys,
    /// Whose signatures jobs need; `None`: they need none.
    pub(super) operator_keys: Option<OperatorKeys>,
}

/// An answer for the session, and the offer it answers.
pub(super) type Answered = (MessageId, JobAck);

/// Who offers: what a spec may name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parties {
    pub(super) hub: HubId,
    pub(super) agent: AgentId,
}

/// What a session asks for.
enum Order {
    Offer {
        offer: JobOffer,
        id: MessageId,
        parties: Parties,
        now: HubTime,
        answers: mpsc::Sender<Answered>,
    },
    Cancel(JobId),
    /// A hub says that it is this time.
    Time(HubTime),
}

/// A handle on the jobs; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Jobs {
    orders: mpsc::Sender<Order>,
    keys: watch::Sender<SealKeys>,
}

/// The task behind it.
#[derive(Debug)]
pub(super) struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Reads the journal, ends what an earlier process left running, and goes on with what waits.
///
/// # Errors
/// The journal cannot be read.
pub(super) async fn start(
    settings: Settings,
    handlers: Handlers,
    with: Surroundings,
) -> Result<(Jobs, Running), StoreError> {
    let (orders, inbox) = mpsc::channel(limit::JOB_ORDERS_MAX);
    let stop = CancellationToken::new();
    let (keys, new_keys) = watch::channel(with.keys.clone());
    let actor = Actor::restore(settings, handlers, with, stop.clone()).await?;
    let task = tokio::spawn(actor.run(inbox, new_keys));
    Ok((Jobs { orders, keys }, Running { stop, task }))
}

impl Jobs {
    /// A job was offered. It is answered by a record, or through `answers`.
    pub(super) fn offer(
        &self,
        id: MessageId,
        offer: JobOffer,
        parties: Parties,
        now: HubTime,
        answers: &mpsc::Sender<Answered>,
    ) {
        let job = offer.job;
        let order = Order::Offer { offer, id, parties, now, answers: answers.clone() };
        if self.orders.try_send(order).is_err() {
            let detail = "the agent has more orders than it can look at".to_owned();
            answer(answers, id, job, Answer::Refused { refusal: Refusal::Busy, detail });
        }
    }

    /// The next session is opened with these keys.
    pub(super) fn keys(&self, keys: SealKeys) {
        self.keys.send_replace(keys);
    }

    /// A hub that the agent is registered with says that it is this time. Where too much waits it is forgotten: an offer
    /// says it again.
    pub(super) fn time(&self, now: HubTime) {
        let _full = self.orders.try_send(Order::Time(now));
    }

    /// A job is to end. Where too much waits it is forgotten: the hub asks again.
    pub(super) fn cancel(&self, job: JobId) {
        if self.orders.try_send(Order::Cancel(job)).is_err() {
            tracing::warn!(%job, "a cancel came when too many orders waited; the hub will repeat it");
        }
    }
}

impl Running {
    /// Ends every job with TERM, its grace, KILL, and writes down how it ended.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the jobs' task ended badly");
        }
    }
}

/// An answer that finds no room is lost with the session: the hub offers again.
fn answer(answers: &mpsc::Sender<Answered>, id: MessageId, job: JobId, answer: Answer) {
    if answers.try_send((id, JobAck { job, answer })).is_err() {
        tracing::debug!(%job, "an answer found no session");
    }
}
