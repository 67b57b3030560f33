//! Taking an ack file: all of it is judged as the marks of a registration are, then taken as live acks are.

use serde::{Deserialize, Serialize};

use crate::agent::identity::Identity;
use crate::agent::uplink::duty::local_marks;
use crate::outbox::Outbox;
use crate::outbox::bundle::Acks;
use crate::session::{Verdict, judge};
use crate::wire::message::StreamMark;

use super::BundleFailure;

/// What an ack file did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acked {
    /// The bundle it answers.
    pub bundle: String,
    /// Numbers that were unacked and are not any more.
    pub records: u64,
}

/// Takes the acks in a file; none of them where one is wrong.
///
/// # Errors
/// The file is not for this agent, damaged or forged, or says what cannot be.
pub async fn ack(outbox: &Outbox, identity: &Identity, file: &[u8]) -> Result<Acked, BundleFailure> {
    let acks = Acks::decode(file, &identity.key)?;
    outbox.bind_agent(identity.key.agent_id).await?;
    let states = outbox.streams().await?;
    let mut taken = Vec::new();
    let mut records = 0u64;
    let local = local_marks(outbox, &acks.marks).await?;
    for (mark, local) in acks.marks.into_iter().zip(local) {
        // A stream that is not held any more was acked whole.
        let Some(state) = states.iter().find(|state| state.stream == mark.stream) else { continue };
        match judge(state, &mark, Some(&local)) {
            Verdict::RolledBack(_) => {
                let StreamMark { stream, acked, .. } = mark;
                return Err(BundleFailure::RolledBack { stream, acked, last: state.next.saturating_sub(1) });
            }
            // An older file than what is known already.
            Verdict::HubRestored(_) => {}
            // Equal to the cursor, it may still cover a gap.
            Verdict::Equal | Verdict::Behind => {
                records = records.saturating_add(mark.acked.saturating_sub(local.cursor));
                taken.push(mark);
            }
        }
    }
    outbox.ack(taken).await?;
    Ok(Acked { bundle: acks.bundle.to_string(), records })
}
