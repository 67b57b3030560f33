//! What the agent of one session is to answer: messages that were to be delivered now, and the oldest one that the store keeps for a
//! handler that takes its mail.
//!
//! A value: whoever has it asks the store and feeds the session. One question to the store is under way at most, and the place
//! in the session for what it may give is kept free meanwhile.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::id::{HandlerName, MessageId};
use crate::limit;
use crate::session::Progress;
use crate::time::BootTime;
use crate::wire::relay::{RelayOutcome, RelayReply};

use super::hold::{Holds, TooMany};
use super::{Refused, away, no_room};

/// `A` is what is owed to whoever sent a message.
#[derive(Debug)]
pub(crate) struct Mail<A> {
    /// Messages that were to be delivered now, and until when they are waited for.
    sent: BTreeMap<MessageId, (A, BootTime)>,
    kept: Kept,
    holds: Holds,
}

/// The oldest message that the store keeps and that is not held.
#[derive(Debug, PartialEq, Eq, Default)]
enum Kept {
    /// There is none.
    #[default]
    None,
    /// It is to be looked for.
    Look,
    /// The store is asked for it since then.
    Asked(BootTime),
    /// It was sent in this session, and is sent again in the next at the earliest: on a slow line the first copy may still be
    /// on its way, and whoever has it answers.
    Sent { number: i64, id: MessageId, handler: HandlerName },
    /// The store is to forget it; then the next one is looked for.
    Forgetting,
    /// It is looked for again then.
    Later(BootTime),
}

/// Whose message an agent has answered.
#[derive(Debug)]
pub(crate) enum Answered<A> {
    /// One that was to be delivered now.
    Now(A, RelayOutcome),
    /// The one that the store keeps, for good: it is to be forgotten there.
    Kept { number: i64, id: MessageId, outcome: RelayOutcome },
    /// Nobody waits for that, or not for good.
    Nothing,
}

impl<A> Default for Mail<A> {
    fn default() -> Self {
        Self { sent: BTreeMap::new(), kept: Kept::None, holds: Holds::default() }
    }
}

impl<A> Mail<A> {
    /// When something is due.
    pub(crate) fn deadline(&self) -> Option<BootTime> {
        self.sent.values().map(|(_, until)| *until).chain(self.looks_at()).min()
    }

    /// When the store is to be asked again though nobody says that it keeps more.
    fn looks_at(&self) -> Option<BootTime> {
        match self.kept {
            Kept::None => self.holds.deadline(),
            Kept::Look | Kept::Asked(_) | Kept::Sent { .. } | Kept::Forgetting => None,
            Kept::Later(until) => Some(until),
        }
    }

    /// Messages whose answers are waited for no longer, and what is said of them. `forget` takes one from the session and says
    /// how far it was.
    pub(crate) fn give_up(
        &mut self,
        now: BootTime,
        mut forget: impl FnMut(MessageId) -> Option<Progress>,
    ) -> Vec<(A, RelayOutcome)> {
        if self.looks_at().is_some_and(|at| at <= now) {
            self.kept = Kept::Look;
        }
        let late = self.sent.extract_if(.., |_, (_, until)| *until <= now);
        late.map(|(id, (answer, _))| (answer, unanswered(forget(id), no_room))).collect()
    }

    /// The session is over: who waits for answers that will not come, and what is said to them. `forget` as above.
    pub(crate) fn end(
        &mut self,
        mut forget: impl FnMut(MessageId) -> Option<Progress>,
    ) -> Vec<(A, RelayOutcome)> {
        let sent = std::mem::take(&mut self.sent).into_iter();
        sent.map(|(id, (answer, _))| (answer, unanswered(forget(id), away))).collect()
    }

    /// Whether word of the store is to be listened to: it keeps nothing as far as this knows, but what is held.
    pub(crate) fn is_idle(&self) -> bool {
        self.kept == Kept::None
    }

    /// The store may keep messages.
    pub(crate) fn look(&mut self) {
        if self.is_idle() {
            self.kept = Kept::Look;
        }
    }

    /// Where the store is to be asked now for its oldest message: the handlers whose mail is not meant. To be answered by
    /// [`Self::found`] or [`Self::failed`].
    pub(crate) fn ask(&mut self, now: BootTime) -> Option<Vec<HandlerName>> {
        if self.kept != Kept::Look {
            return None;
        }
        self.kept = Kept::Asked(now);
        Some(self.holds.at(now))
    }

    /// Places of the session that nothing else may take.
    pub(crate) fn reserved(&self) -> usize {
        usize::from(matches!(self.kept, Kept::Asked(_)))
    }

    /// A message to be delivered now was sent, and is waited for until then.
    pub(crate) fn sent(&mut self, id: MessageId, answer: A, until: BootTime) {
        self.sent.insert(id, (answer, until));
    }

    /// The store's oldest message was sent, or there is none.
    pub(crate) fn found(&mut self, kept: Option<(i64, MessageId, HandlerName)>) {
        if let (None, Kept::Asked(then)) = (&kept, &self.kept) {
            self.holds.looked(*then);
        }
        self.kept = kept.map_or(Kept::None, |(number, id, handler)| Kept::Sent { number, id, handler });
    }

    /// The message that the store keeps, where it was sent and not answered.
    pub(crate) fn sent_kept(&self) -> Option<(i64, MessageId)> {
        match self.kept {
            Kept::Sent { number, id, .. } => Some((number, id)),
            Kept::None | Kept::Look | Kept::Asked(_) | Kept::Forgetting | Kept::Later(_) => None,
        }
    }

    /// What the agent says to a message.
    pub(crate) fn answered(&mut self, reply: RelayReply, now: BootTime) -> Answered<A> {
        let RelayReply { id, outcome } = reply;
        if let Some((answer, _)) = self.sent.remove(&id) {
            return Answered::Now(answer, outcome);
        }
        match std::mem::take(&mut self.kept) {
            Kept::Sent { number, id: sent, handler } if sent == id => {
                if outcome.is_final() {
                    self.holds.lift(&handler);
                    self.kept = Kept::Forgetting;
                    return Answered::Kept { number, id, outcome };
                }
                // What is kept for others goes on.
                self.kept = match self.holds.refused(now, handler, id) {
                    Ok(()) => Kept::Look,
                    Err(TooMany) => Kept::Later(now.after(limit::RELAY_RETRY_MAX)),
                };
                Answered::Nothing
            }
            other => {
                self.kept = other;
                Answered::Nothing
            }
        }
    }

    /// The message that was found is not sent, and to be forgotten.
    pub(crate) fn forget(&mut self) {
        self.kept = Kept::Forgetting;
    }

    /// Whether the store is at forgetting one.
    pub(crate) fn is_forgetting(&self) -> bool {
        self.kept == Kept::Forgetting
    }

    /// It is forgotten.
    pub(crate) fn forgotten(&mut self) {
        self.kept = Kept::Look;
    }

    /// The store failed: it is asked again after a while.
    pub(crate) fn failed(&mut self, now: BootTime) {
        self.kept = Kept::Later(now.after(limit::RELAY_RETRY));
    }

    /// Messages that the agent did not answer yet.
    #[cfg(test)]
    pub(crate) fn in_flight(&self) -> usize {
        self.sent.len() + usize::from(matches!(self.kept, Kept::Sent { .. }))
    }
}

/// What is said of a message that came so far in its session and has no answer. One that was not begun is certainly nowhere, for
/// that reason.
fn unanswered(progress: Option<Progress>, not_begun: fn() -> Refused) -> RelayOutcome {
    match progress {
        Some(Progress::Waiting) => {
            let (code, detail) = not_begun();
            RelayOutcome::refused(code, detail)
        }
        Some(Progress::OnTheWay(_) | Progress::Arrived(_)) | None => RelayOutcome::Unanswered,
    }
}
