//! Offers and cancels on their way to the agent.
//!
//! A cancel is small and goes at once. Offers wait for the line, one behind the other, and what became of the last one is known
//! by what the line shows: so that a copy is made only of one that has arrived and was not answered.

use std::collections::VecDeque;
use std::time::Duration;

use crate::id::JobId;
use crate::limit;
use crate::session::freight::Load;
use crate::session::rate::Rate;
use crate::time::BootTime;
use crate::wire::job::JobOffer;
use crate::wire::message::Message;

use super::{HubSession, Phase};

/// How far the offers are that the session was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carried {
    /// One waits for the socket, or is on the line.
    OnTheWay,
    /// The agent has them all.
    Arrived {
        /// Since when; long ago where there was none.
        at: BootTime,
        /// What the line took for those that went together.
        took: Duration,
    },
}

#[derive(Debug, Default)]
pub(super) struct Orders {
    offers: VecDeque<JobOffer>,
    /// Those that were signed and are not known to have come, the oldest first.
    on_line: VecDeque<OnLine>,
    /// When the first of those was signed that went together.
    began: BootTime,
    arrived: BootTime,
    took: Duration,
    /// Bytes of the greatest spec that came through.
    greatest: usize,
}

#[derive(Debug, Clone, Copy)]
struct OnLine {
    job: JobId,
    load: Load,
    /// How much had gone over the line with it.
    behind: u64,
}

impl Orders {
    /// The next offer, where the line takes it.
    pub(super) fn pop(&mut self, rate: &Rate) -> Option<Message> {
        if !rate.takes_others() {
            return None;
        }
        self.offers.pop_front().map(Message::JobOffer)
    }

    /// The offer of this job, whose spec has so many bytes, was signed, and is counted.
    pub(super) fn signed(&mut self, now: BootTime, job: JobId, bytes: usize, rate: &Rate) {
        if self.on_line.is_empty() {
            self.began = now;
        }
        let load = Load { bytes, since: now, before: rate.before_last() };
        self.on_line.push_back(OnLine { job, load, behind: rate.others_sent() });
        self.came_through(now, rate);
    }

    /// More may have come through.
    pub(super) fn came_through(&mut self, now: BootTime, rate: &Rate) {
        while let Some(through) = self.on_line.pop_front_if(|on_line| rate.is_through(on_line.behind)) {
            self.greatest = self.greatest.max(through.load.bytes);
            if self.on_line.is_empty() {
                (self.arrived, self.took) = (now, now.since(self.began));
            }
        }
    }
}

impl HubSession {
    /// Whether another offer or cancel may be handed over: the socket has taken enough of those before.
    pub fn takes_orders(&self) -> bool {
        self.room_for_orders() > 0
    }

    /// How many offers and cancels may be handed over now.
    pub fn room_for_orders(&self) -> usize {
        match self.phase {
            // What the line does not take yet is better kept where it may still be withdrawn.
            Phase::Live if !self.orders.offers.is_empty() && !self.rate.takes_others() => 0,
            Phase::Live => {
                let waiting = self.port.queue.len().saturating_add(self.orders.offers.len());
                limit::JOB_ORDERS_MAX.saturating_sub(waiting)
            }
            Phase::Challenge { .. } | Phase::Listing { .. } | Phase::Deciding { .. } | Phase::Closed => 0,
        }
    }

    /// Offers a job. Before the registration and after the end nothing is sent.
    pub fn offer_job(&mut self, offer: JobOffer) {
        if matches!(self.phase, Phase::Live) {
            self.orders.offers.push_back(offer);
        }
    }

    /// How far the offers are. Those that were not answered are to be made again only some time after they arrived.
    pub fn offers_carried(&self) -> Carried {
        if self.orders.offers.is_empty() && self.orders.on_line.is_empty() {
            return Carried::Arrived { at: self.orders.arrived, took: self.orders.took };
        }
        Carried::OnTheWay
    }

    /// Offers that were signed and are not known to have come: after the end those that the line did not carry.
    pub fn offers_on_the_way(&self) -> impl Iterator<Item = (JobId, Load)> {
        self.orders.on_line.iter().map(|on_line| (on_line.job, on_line.load))
    }

    /// Bytes of the greatest spec or message that came through so far.
    pub fn greatest_through(&self) -> usize {
        self.orders.greatest.max(self.relays.greatest_through())
    }

    /// Asks for a job to be ended.
    pub fn cancel_job(&mut self, job: JobId) {
        if matches!(self.phase, Phase::Live) {
            self.port.queue.push(Message::CancelJob(job));
        }
    }
}
