//! What waits for the agent, from the store to the session; when it is looked for is said by [`crate::hub::orders`].

use crate::hub::orders::Pass;
use crate::hub::store::{Inbox, JobOrder, StoreError};
use crate::hub::stranded::Cargo;
use crate::limit;
use crate::obs::clock;
use crate::wire::job::{JobAck, JobOffer};

use super::{Connection, hub_time};

impl Connection {
    /// Hands the session as much as it takes of what waits for the agent. A store that fails here is asked again on the
    /// timer.
    pub(super) async fn give_orders(&mut self) {
        self.note_carried();
        let given = match self.orders.pass() {
            Pass::Idle => Ok(()),
            Pass::All { after } => self.repeat_orders(after).await,
            Pass::New => self.give_new().await,
        };
        if let Err(error) = given {
            tracing::warn!(%error, agent = %self.credential.agent.name, "what waits for an agent cannot be read");
            self.orders.finish(clock::boot_now(), None);
        }
    }

    /// What came through in this session shows what the line carries: as much waits for nothing else any more.
    fn note_carried(&self) {
        let greatest = self.session.greatest_through();
        if greatest > 0 {
            self.shared.strandings.change(self.credential.agent.agent, |stranded| stranded.carried(greatest));
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
        self.orders.repeated(offers.last().map(|last| last.number));
        self.give(offers);
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
            if self.give_held_back().await? {
                return Ok(());
            }
            self.give_cancels().await?;
            let next = self.shared.store.next_offer(agent, hub_time()).await?;
            self.orders.finish(clock::boot_now(), next.map(|next| next.distance(hub_time())));
            return Ok(());
        }
        self.orders.offered(offers.len());
        self.give(offers);
        Ok(())
    }

    /// Hands offers to the session, but for what waits for everything else.
    fn give(&mut self, offers: Vec<JobOrder<JobOffer>>) {
        for JobOrder { number, order } in offers {
            let (cargo, bytes) = (Cargo::Offer(order.job), order.spec.len());
            if self.shared.strandings.holds_back(self.credential.agent.agent, cargo, bytes) {
                self.orders.hold_back(number, bytes);
            } else {
                self.give_one(order);
            }
        }
    }

    fn give_one(&mut self, order: JobOffer) {
        tracing::debug!(agent = %self.credential.agent.name, job = %order.job, "a job is offered");
        self.session.offer_job(order);
    }

    /// Whether there is another one that waited for everything else.
    async fn give_held_back(&mut self) -> Result<bool, StoreError> {
        let Some(number) = self.orders.take_held_back() else { return Ok(false) };
        let inbox = Inbox::Offered { after: number.saturating_sub(1) };
        let offers = self.shared.store.take_offers(self.credential.agent.agent, inbox, 1, hub_time()).await?;
        // One that is over meanwhile is not found.
        if let Some(offer) = offers.into_iter().find(|offer| offer.number == number) {
            self.give_one(offer.order);
        }
        Ok(true)
    }

    /// Offers that the session still takes.
    fn orders_max(&self) -> u32 {
        u32::try_from(self.session.room_for_orders()).unwrap_or(u32::MAX).min(limit::JOB_OFFERS_UNANSWERED)
    }

    async fn give_cancels(&mut self) -> Result<(), StoreError> {
        let cancels = self.shared.store.job_cancels(self.credential.agent.agent).await?;
        for cancel in cancels {
            // What the session does not take now is sent on the timer.
            if self.session.takes_orders() && self.orders.cancels(cancel.number) {
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
