//! What waits for the agent: offers and cancels, and when to look for them.
//!
//! Looked for at the registration, when the doorbell rings, when an answer or a result made room, and on a slow timer.
//! A lost doorbell costs latency, never a job; an offer without an answer is made again on the timer only.

use std::collections::HashSet;

use crate::hub::store::{Answered, Fact, Inbox, Ingest, StoreError};
use crate::limit;
use crate::obs::clock;
use crate::time::{BootTime, HubTime};
use crate::wire::job::JobAck;

use super::{Connection, hub_time};

/// What pieces that were stored tell of the agent's jobs.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Heard {
    /// Jobs it has accepted: their offers are answered.
    accepted: u32,
    /// Jobs that are over: there is room for as many.
    finished: u32,
}

impl Heard {
    pub(super) fn of(piece: &Ingest) -> Self {
        let mut heard = Self::default();
        for fact in piece.facts() {
            match fact {
                Fact::Accepted { .. } => heard.accepted = heard.accepted.saturating_add(1),
                Fact::Result(_) => heard.finished = heard.finished.saturating_add(1),
                Fact::Running(_) | Fact::Progress(_) | Fact::Output { .. } | Fact::Artifact { .. } => {}
            }
        }
        heard
    }
}

/// What is being looked through at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Pass {
    #[default]
    Idle,
    /// Cancels, then offers that were not answered, then new ones.
    All { after: Option<i64> },
    /// New offers, then new cancels.
    New,
}

/// How many jobs the agent may have room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Room {
    #[default]
    Unknown,
    /// It said it had none; this many of its jobs have ended since.
    Freed(u32),
}

/// What waits for the agent.
#[derive(Debug, Default)]
pub(super) struct Orders {
    pass: Pass,
    room: Room,
    timer: Option<BootTime>,
    /// Cancels that were sent since the timer.
    cancelled: HashSet<i64>,
}

impl Orders {
    /// The agent registered: everything open is looked through.
    pub(super) fn begin(&mut self) {
        *self = Self { pass: Pass::All { after: None }, ..Self::default() };
    }

    pub(super) fn ring(&mut self) {
        if self.pass == Pass::Idle {
            self.pass = Pass::New;
        }
    }

    /// Whether something is to be given as soon as the session takes it.
    pub(super) fn waiting(&self) -> bool {
        self.pass != Pass::Idle
    }

    pub(super) fn deadline(&self) -> Option<BootTime> {
        self.timer
    }

    pub(super) fn handle_timeout(&mut self, now: BootTime) {
        if self.timer.is_some_and(|at| at <= now) {
            self.begin();
        }
    }

    /// Pieces were stored that say this.
    pub(super) fn note(&mut self, heard: Heard) {
        if let Room::Freed(count) = &mut self.room {
            *count = count.saturating_add(heard.finished);
        }
        if heard.accepted > 0 || heard.finished > 0 {
            self.ring();
        }
    }

    fn answered(&mut self, answered: Answered) {
        match answered {
            Answered::Taken => self.ring(),
            Answered::NoRoom => self.room = Room::Freed(0),
        }
    }

    /// How many jobs may be offered now.
    fn offers_max(&self) -> u32 {
        match self.room {
            Room::Unknown => limit::JOB_OFFERS_UNANSWERED,
            Room::Freed(count) => count.min(limit::JOB_OFFERS_UNANSWERED),
        }
    }

    fn offered(&mut self, count: usize) {
        if let Room::Freed(left) = &mut self.room {
            *left = left.saturating_sub(u32::try_from(count).unwrap_or(u32::MAX));
        }
    }

    /// Nothing more is to be found at present; `next` is when a job may be offered that may not yet.
    fn finish(&mut self, next: Option<HubTime>) {
        let (now, hub_now) = (clock::boot_now(), hub_time());
        let timer = self.timer.unwrap_or_else(|| now.after(limit::JOB_OFFER_INTERVAL));
        let next = next.map_or(timer, |next| now.after(next.distance(hub_now)));
        self.timer = Some(timer.min(next));
        self.pass = Pass::Idle;
    }
}

impl Connection {
    /// Hands the session as much as it takes of what waits for the agent. A store that fails here is asked again on the
    /// timer.
    pub(super) async fn give_orders(&mut self) {
        let given = match self.orders.pass {
            Pass::Idle => Ok(()),
            Pass::All { after } => self.repeat_orders(after).await,
            Pass::New => self.give_new().await,
        };
        if let Err(error) = given {
            tracing::warn!(%error, agent = %self.credential.agent.name, "what waits for an agent cannot be read");
            self.orders.finish(None);
        }
    }

    async fn repeat_orders(&mut self, after: Option<i64>) -> Result<(), StoreError> {
        if after.is_none() {
            self.give_cancels().await?;
        }
        let (agent, count_max) = (self.credential.agent.agent, self.orders_max());
        if count_max == 0 {
            return Ok(());
        }
        let inbox = Inbox::Offered { after: after.unwrap_or_default() };
        let offers = self.shared.store.take_offers(agent, inbox, count_max, hub_time()).await?;
        self.orders.pass = match offers.last() {
            Some(last) => Pass::All { after: Some(last.number) },
            None => Pass::New,
        };
        for offer in offers {
            self.session.offer_job(offer.order);
        }
        Ok(())
    }

    async fn give_new(&mut self) -> Result<(), StoreError> {
        let agent = self.credential.agent.agent;
        if self.orders_max() == 0 {
            return Ok(());
        }
        let count_max = self.orders.offers_max().min(self.orders_max());
        let store = &self.shared.store;
        let offers = match count_max {
            0 => Vec::new(),
            _ => store.take_offers(agent, Inbox::Queued, count_max, hub_time()).await?,
        };
        if offers.is_empty() {
            self.give_cancels().await?;
            let next = self.shared.store.next_offer(agent, hub_time()).await?;
            self.orders.finish(next);
            return Ok(());
        }
        self.orders.offered(offers.len());
        for offer in offers {
            tracing::debug!(agent = %self.credential.agent.name, job = %offer.order.job, "a job is offered");
            self.session.offer_job(offer.order);
        }
        Ok(())
    }

    /// Offers that the session still takes.
    fn orders_max(&self) -> u32 {
        u32::try_from(self.session.room_for_orders()).unwrap_or(u32::MAX).min(limit::JOB_OFFERS_UNANSWERED)
    }

    async fn give_cancels(&mut self) -> Result<(), StoreError> {
        let cancels = self.shared.store.job_cancels(self.credential.agent.agent).await?;
        for cancel in cancels {
            // What the session does not take now is sent on the timer.
            if self.session.takes_orders() && self.orders.cancelled.insert(cancel.number) {
                tracing::info!(agent = %self.credential.agent.name, job = %cancel.order, "a job is to be cancelled");
                self.session.cancel_job(cancel.order);
            }
        }
        Ok(())
    }

    /// An answer to an offer that came without a record.
    pub(super) async fn take_answer(&mut self, ack: &JobAck) -> Result<(), StoreError> {
        tracing::debug!(agent = %self.credential.agent.name, job = %ack.job, answer = ?ack.answer, "an offer is answered");
        let answered = self.shared.store.answer_offer(self.credential.agent.agent, ack, hub_time()).await?;
        self.orders.answered(answered);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One pass that found nothing.
    fn idle(orders: &mut Orders) {
        orders.finish(None);
        assert!(!orders.waiting());
    }

    #[test]
    fn offers_without_an_answer_are_made_again_on_the_timer_only() {
        let mut orders = Orders::default();
        assert!(!orders.waiting());
        orders.begin();
        assert_eq!(orders.pass, Pass::All { after: None });
        idle(&mut orders);
        orders.ring();
        assert_eq!(orders.pass, Pass::New);
        idle(&mut orders);
        let timer = orders.deadline().unwrap();
        orders.handle_timeout(BootTime(timer.0 - std::time::Duration::from_millis(1)));
        assert!(!orders.waiting());
        orders.handle_timeout(timer);
        assert_eq!(orders.pass, Pass::All { after: None });
    }

    #[test]
    fn a_doorbell_does_not_put_the_timer_off() {
        let mut orders = Orders::default();
        orders.begin();
        idle(&mut orders);
        let timer = orders.deadline();
        orders.ring();
        idle(&mut orders);
        assert_eq!(orders.deadline(), timer);
        // A job that may be offered soon brings it forward.
        orders.ring();
        orders.finish(Some(HubTime(hub_time().0 + 10)));
        assert!(orders.deadline() < timer);
    }

    #[test]
    fn an_agent_without_room_is_asked_again_as_its_jobs_end() {
        let mut orders = Orders::default();
        orders.answered(Answered::NoRoom);
        orders.ring();
        assert_eq!(orders.offers_max(), 0);
        orders.note(Heard { accepted: 3, finished: 0 });
        assert_eq!(orders.offers_max(), 0);
        orders.note(Heard { accepted: 0, finished: 2 });
        assert_eq!(orders.offers_max(), 2);
        orders.offered(1);
        assert_eq!(orders.offers_max(), 1);
        // The timer tries it anyway.
        orders.begin();
        assert_eq!(orders.offers_max(), limit::JOB_OFFERS_UNANSWERED);
    }
}
