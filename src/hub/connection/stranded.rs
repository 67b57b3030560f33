//! The end of a session for what was on its way to the agent: it is counted, and refused where it never passes.

use crate::hub::stranded::{Cargo, Refused};
use crate::id::{JobId, MessageId};
use crate::obs::clock;
use crate::session::Load;
use crate::wire::error::ErrorCode;
use crate::wire::relay::RelayOutcome;

use super::{Connection, hub_time};

/// What a session ended with, and why that is not sent again.
#[derive(Debug)]
pub(super) struct GivenUp {
    offers: Vec<(JobId, Refused)>,
    /// The oldest of those that the store keeps, and its place there.
    message: Option<(i64, MessageId, Refused)>,
}

impl Connection {
    /// Counts what is on the way now that the session is over.
    pub(super) fn count_stranded(&self) -> GivenUp {
        let now = clock::boot_now();
        let kept = self.deliveries.sent_kept().and_then(|(number, id)| {
            let load = self.session.relays().on_the_way(id)?;
            Some((number, id, load))
        });
        let offers: Vec<(JobId, Load)> = self.session.offers_on_the_way().collect();
        let greatest = self.session.greatest_through();
        self.shared.strandings.change(self.credential.agent.agent, |stranded| {
            stranded.carried(greatest);
            let refused = |(job, load)| Some((job, stranded.ended_with(Cargo::Offer(job), load, now)?));
            let offers = offers.into_iter().filter_map(refused).collect();
            let message = kept.and_then(|(number, id, load)| {
                Some((number, id, stranded.ended_with(Cargo::Message(id), load, now)?))
            });
            GivenUp { offers, message }
        })
    }

    /// Refuses what does not pass. Where the store fails the next session's end tries again.
    pub(super) async fn refuse_stranded(&mut self, given_up: GivenUp) {
        let GivenUp { offers, message } = given_up;
        if let Some((number, id, refused)) = message {
            let outcome = RelayOutcome::refused(ErrorCode::TooLarge, refused.to_string());
            self.forget_kept(number, id, &outcome);
        }
        let agent = &self.credential.agent;
        for (job, refused) in offers {
            let reason = refused.to_string();
            match self.shared.store.refuse_offer(agent.agent, job, &reason, hub_time()).await {
                Ok(true) => {
                    tracing::warn!(agent = %agent.name, %job, reason, "a job is rejected that does not pass its agent's link")
                }
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, agent = %agent.name, %job, reason,
                    "a job that does not pass its agent's link cannot be rejected; the end of the next session tries again"),
            }
        }
    }
}
