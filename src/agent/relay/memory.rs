//! Which messages this process has seen: a message that comes again is answered, not handled again.

use std::collections::{HashMap, VecDeque};

use tokio::sync::mpsc;

use crate::id::MessageId;
use crate::limit;
#[cfg(test)]
use crate::sim::mutant::{self, Mutant};
use crate::wire::relay::{RelayOutcome, RelayReply};

/// The messages that are being handled, and the newest of those that were.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    known: HashMap<MessageId, State>,
    /// Those that were handled, the oldest first.
    done: VecDeque<MessageId>,
}

#[derive(Debug)]
enum State {
    /// Whoever asked last is told.
    Running(mpsc::Sender<RelayReply>),
    Done(RelayOutcome),
}

/// What is to be done with a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Handle it.
    Never,
    /// It is being handled.
    Running,
    /// It was, with this outcome.
    Done(RelayOutcome),
}

impl Memory {
    /// Whether the message came before; its answer goes to `replies` from now on.
    pub(crate) fn look(&mut self, id: MessageId, replies: &mpsc::Sender<RelayReply>) -> Seen {
        #[cfg(test)]
        if mutant::active(Mutant::MessageHandledAgain) {
            return Seen::Never;
        }
        match self.known.get_mut(&id) {
            None => Seen::Never,
            Some(State::Running(to)) => {
                *to = replies.clone();
                Seen::Running
            }
            Some(State::Done(outcome)) => Seen::Done(outcome.clone()),
        }
    }

    pub(crate) fn begin(&mut self, id: MessageId, replies: mpsc::Sender<RelayReply>) {
        self.known.insert(id, State::Running(replies));
    }

    /// Notes the outcome, unless another try may have another one, and says who is to be told.
    pub(crate) fn finish(
        &mut self,
        id: MessageId,
        outcome: RelayOutcome,
    ) -> Option<mpsc::Sender<RelayReply>> {
        let before = if outcome.is_final() {
            self.done.push_back(id);
            self.known.insert(id, State::Done(outcome))
        } else {
            self.known.remove(&id)
        };
        if self.done.len() > limit::RELAY_IDS_REMEMBERED
            && let Some(oldest) = self.done.pop_front()
        {
            self.known.remove(&oldest);
        }
        match before {
            Some(State::Running(replies)) => Some(replies),
            Some(State::Done(_)) | None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::error::ErrorCode;

    fn id(lo: u64) -> MessageId {
        MessageId { hi: 0, lo }
    }

    #[test]
    fn a_message_that_comes_again_is_told_of_where_it_came_last() {
        let mut memory = Memory::default();
        let (first, _first) = mpsc::channel(1);
        let (second, _second) = mpsc::channel(1);
        assert_eq!(memory.look(id(1), &first), Seen::Never);
        memory.begin(id(1), first.clone());
        assert_eq!(memory.look(id(1), &second), Seen::Running);
        let told = memory.finish(id(1), RelayOutcome::Delivered).unwrap();
        assert!(told.same_channel(&second) && !told.same_channel(&first));
        assert_eq!(memory.look(id(1), &first), Seen::Done(RelayOutcome::Delivered));
    }

    #[test]
    fn what_was_refused_for_now_is_handled_when_it_comes_again() {
        let mut memory = Memory::default();
        let (to, _replies) = mpsc::channel(1);
        for code in [ErrorCode::RelayFull, ErrorCode::RelayHandler] {
            assert_eq!(memory.look(id(1), &to), Seen::Never);
            memory.begin(id(1), to.clone());
            assert!(memory.finish(id(1), RelayOutcome::refused(code, "")).is_some());
        }
        assert_eq!(memory.look(id(1), &to), Seen::Done(RelayOutcome::refused(ErrorCode::RelayHandler, "")));
    }

    #[test]
    fn the_oldest_outcomes_are_forgotten_and_no_message_that_is_handled() {
        let mut memory = Memory::default();
        let (to, _replies) = mpsc::channel(1);
        memory.begin(id(0), to.clone());
        for number in 1..=limit::RELAY_IDS_REMEMBERED as u64 + 1 {
            memory.begin(id(number), to.clone());
            memory.finish(id(number), RelayOutcome::Delivered);
        }
        assert_eq!(memory.look(id(0), &to), Seen::Running);
        assert_eq!(memory.look(id(1), &to), Seen::Never);
        assert_eq!(memory.look(id(2), &to), Seen::Done(RelayOutcome::Delivered));
        assert_eq!(memory.known.len(), limit::RELAY_IDS_REMEMBERED + 1);
    }
}
