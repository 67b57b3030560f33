//! The hub's offers and cancels. When they are made is the product's ([`Orders`]); around it `hub/connection/orders` is mirrored,
//! a job's place among the others being its number.

use crate::hub::orders::{Orders, Pass};
use crate::id::JobId;
use crate::job::JobState;
use crate::session::HubSession;
use crate::sim::around::Around;
use crate::wire::job::JobOffer;

use super::store::{HubStore, Job};

pub(super) fn give(orders: &mut Orders, session: &mut HubSession, store: &mut HubStore, around: &Around<'_>) {
    orders.handle_timeout(around.now, session.offers_carried());
    while session.takes_orders() {
        match orders.pass() {
            Pass::Idle => return,
            Pass::All { after } => {
                if after.is_none() {
                    cancel(orders, session, store);
                }
                repeat(orders, session, store, after);
            }
            Pass::New => {
                if offer_new(orders, session, store) == 0 {
                    cancel(orders, session, store);
                    orders.finish(around.now, None);
                }
            }
        }
    }
}

fn repeat(orders: &mut Orders, session: &mut HubSession, store: &HubStore, after: Option<i64>) {
    let next = store.jobs.iter().zip(0..).find(|((_, job), number)| {
        job.state == JobState::Offered && after.is_none_or(|after| *number > after)
    });
    orders.repeated(next.map(|(_, number)| number));
    if let Some(((id, job), _)) = next {
        session.offer_job(offer(*id, job));
    }
}

fn offer_new(orders: &mut Orders, session: &mut HubSession, store: &mut HubStore) -> usize {
    let room = session.room_for_orders().min(usize::try_from(orders.offers_max()).unwrap_or(usize::MAX));
    let queued = store.jobs.iter_mut().filter(|(_, job)| job.state == JobState::Queued).take(room);
    let mut offered = 0;
    for (id, job) in queued {
        job.state = JobState::Offered;
        session.offer_job(offer(*id, job));
        offered += 1;
    }
    orders.offered(offered);
    offered
}

fn cancel(orders: &mut Orders, session: &mut HubSession, store: &HubStore) {
    for ((id, job), number) in store.jobs.iter().zip(0..) {
        let asked = job.cancel && !job.state.is_final();
        if asked && session.takes_orders() && orders.cancels(number) {
            session.cancel_job(*id);
        }
    }
}

fn offer(id: JobId, job: &Job) -> JobOffer {
    JobOffer { job: id, created_at: job.created_at, spec: job.spec.clone(), signature: None }
}
