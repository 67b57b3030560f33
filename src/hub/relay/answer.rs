//! The one answer that each message has.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::hub::counters::ByName;
use crate::id::MessageId;
use crate::wire::relay::{RelayOutcome, RelayReply};

/// Owed to whoever sent a message. Dropped, it says `unanswered`: the message may have been taken or not. Whoever knows that it
/// was not says so.
#[derive(Debug)]
pub(in crate::hub) struct Answer {
    id: MessageId,
    to: mpsc::Sender<RelayReply>,
    /// Where outcomes are counted, until this one is.
    outcomes: Option<Arc<ByName>>,
}

impl Answer {
    /// An answer to the message that its sender gave this id. `to` has to have room for each one that is owed.
    pub(in crate::hub) fn new(id: MessageId, to: mpsc::Sender<RelayReply>, outcomes: Arc<ByName>) -> Self {
        Self { id, to, outcomes: Some(outcomes) }
    }

    pub(in crate::hub) fn give(mut self, outcome: RelayOutcome) {
        self.say(outcome);
    }

    fn say(&mut self, outcome: RelayOutcome) {
        let Some(outcomes) = self.outcomes.take() else { return };
        outcomes.add(outcome.name());
        if self.to.try_send(RelayReply { id: self.id, outcome }).is_err() {
            tracing::debug!(id = %self.id, "whoever sent a message waits for its answer no longer");
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.say(RelayOutcome::Unanswered);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::error::ErrorCode;

    #[test]
    fn each_message_has_one_answer_and_what_is_dropped_is_unanswered() {
        let (to, mut replies) = mpsc::channel(2);
        let outcomes = Arc::new(ByName::default());
        let answer = |lo| Answer::new(MessageId { hi: 0, lo }, to.clone(), Arc::clone(&outcomes));
        answer(1).give(RelayOutcome::Delivered);
        drop(answer(2));
        let reply = |lo, outcome| RelayReply { id: MessageId { hi: 0, lo }, outcome };
        assert_eq!(replies.try_recv().unwrap(), reply(1, RelayOutcome::Delivered));
        assert_eq!(replies.try_recv().unwrap(), reply(2, RelayOutcome::Unanswered));
        assert!(replies.try_recv().is_err());
        // Nobody listens any more: it counts all the same.
        drop(replies);
        answer(3).give(RelayOutcome::refused(ErrorCode::RelayFull, ""));
        assert_eq!(outcomes.values(), [("delivered", 1), ("relay_full", 1), ("unanswered", 1)].into());
    }
}
