//! When the hub looks for jobs to offer: at the registration, when something changed, and on a slow timer.

use crate::job::JobState;
use crate::limit;
use crate::session::HubSession;
use crate::sim::around::Around;
use crate::time::BootTime;
use crate::wire::job::JobOffer;

use super::store::HubStore;

/// What one connection has to look for.
#[derive(Debug, Default)]
pub(super) struct Orders {
    /// Everything that is not answered, or only what is new.
    all: bool,
    rung: bool,
    timer: Option<BootTime>,
}

impl Orders {
    pub(super) fn begin(&mut self) {
        (self.all, self.rung) = (true, true);
    }

    pub(super) fn ring(&mut self) {
        self.rung = true;
    }

    pub(super) fn give(&mut self, session: &mut HubSession, store: &mut HubStore, around: &Around<'_>) {
        if self.timer.is_some_and(|at| at <= around.now) {
            self.begin();
        }
        if !self.rung {
            return;
        }
        self.rung = false;
        let all = std::mem::take(&mut self.all);
        self.timer = Some(around.now.after(limit::JOB_OFFER_INTERVAL));
        for (id, job) in &mut store.jobs {
            if !session.takes_orders() {
                break;
            }
            match job.state {
                JobState::Offered if !all => {}
                JobState::Queued | JobState::Offered => {
                    job.state = JobState::Offered;
                    let (created_at, spec) = (job.created_at, job.spec.clone());
                    session.offer_job(JobOffer { job: *id, created_at, spec, signature: None });
                }
                _ => {}
            }
            if job.cancel && !job.state.is_final() {
                session.cancel_job(*id);
            }
        }
    }
}
