//! Messages at the hub: what it keeps and what waits for the agent's session. What that is to answer is the product's
//! ([`Mail`]); around it `hub/connection/relay` is mirrored.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::hub::relay::{Answered, Mail};
use crate::id::{HandlerName, MessageId};
use crate::limit;
use crate::session::HubSession;
use crate::sim::around::Around;
use crate::sim::mutant::{self, Mutant};
use crate::sim::truth::{RelayTruth, handler_of};
use crate::time::BootTime;
use crate::wire::error::ErrorCode;
use crate::wire::relay::{Delivery, Relay, RelayOutcome, RelayReply};

use super::store::HubStore;

/// Who is owed an answer: a line, and what its agent calls the message.
#[derive(Debug, Clone)]
pub(super) struct Owed {
    pub(super) line: u64,
    pub(super) id: MessageId,
    /// What is said of it has to be so, whether that is heard or not.
    pub(super) payload: Bytes,
}

/// What all connections share.
#[derive(Debug, Default)]
pub(super) struct Post {
    /// For the session there is, to be delivered now, and until when that is waited for.
    parcels: VecDeque<(Relay, Owed, BootTime)>,
    /// Something was kept since the session looked.
    rung: bool,
    /// Of senders' messages, until their connections take them.
    answers: VecDeque<(Owed, RelayOutcome)>,
}

impl Post {
    pub(super) fn answer(&mut self, owed: Owed, outcome: RelayOutcome, truth: &mut RelayTruth) {
        truth.answered(&owed.payload, &outcome);
        self.answers.push_back((owed, outcome));
    }

    /// For the session that is registered.
    pub(super) fn route(&mut self, is_there: bool, relay: Relay, owed: Owed, around: &mut Around<'_>) {
        let truth = &mut around.truth.relays;
        if !is_there {
            return self.answer(owed, RelayOutcome::refused(ErrorCode::RelayOffline, ""), truth);
        }
        if self.parcels.len() >= limit::RELAY_IN_FLIGHT {
            return self.answer(owed, RelayOutcome::refused(ErrorCode::RelayFull, ""), truth);
        }
        self.parcels.push_back((relay, owed, around.now.after(limit::RELAY_ANSWER_TIMEOUT)));
    }

    pub(super) fn ring(&mut self) {
        self.rung = true;
    }

    /// The session ends: what it was not given is not delivered.
    pub(super) fn close(&mut self, truth: &mut RelayTruth) {
        for (_, owed, _) in std::mem::take(&mut self.parcels) {
            self.answer(owed, RelayOutcome::refused(ErrorCode::RelayOffline, ""), truth);
        }
    }

    /// What this line is owed.
    pub(super) fn take_answers(&mut self, line: u64) -> Vec<RelayReply> {
        let (own, others) =
            std::mem::take(&mut self.answers).into_iter().partition(|(owed, _)| owed.line == line);
        self.answers = others;
        let own: VecDeque<(Owed, RelayOutcome)> = own;
        own.into_iter().map(|(owed, outcome)| RelayReply { id: owed.id, outcome }).collect()
    }

    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// The session is over: whoever waits hears that there is no answer.
    pub(super) fn end(&mut self, mail: &mut Mail<Owed>, session: &mut HubSession, truth: &mut RelayTruth) {
        for (owed, outcome) in mail.end(|id| session.relays_mut().forget(id)) {
            self.answer(owed, outcome, truth);
        }
    }

    /// What the session did not take in time is not delivered.
    fn give_up(&mut self, now: BootTime, truth: &mut RelayTruth) {
        while let Some((_, owed, _)) = self.parcels.pop_front_if(|(_, _, until)| *until <= now) {
            self.answer(owed, RelayOutcome::refused(ErrorCode::RelayFull, ""), truth);
        }
    }
}

/// Gives the session as much as it takes.
pub(super) fn give(
    mail: &mut Mail<Owed>,
    session: &mut HubSession,
    post: &mut Post,
    store: &mut HubStore,
    around: &mut Around<'_>,
) {
    give_up(mail, session, post, around);
    while session.relays().room() > mail.reserved() {
        if mail.is_idle() && std::mem::take(&mut post.rung) {
            mail.look();
        }
        if let Some(held) = mail.ask(around.now) {
            mail.found(send_oldest(&held, session, store));
        } else if let Some((relay, owed, until)) = post.parcels.pop_front() {
            let id = MessageId::from_bytes(around.bytes());
            mail.sent(id, owed, until);
            session.relays_mut().send(Relay { id, to: None, ..relay });
        } else {
            break;
        }
    }
    let in_flight = mail.in_flight();
    assert!(in_flight <= limit::RELAY_IN_FLIGHT, "{in_flight} messages are unanswered by the agent");
}

fn give_up(mail: &mut Mail<Owed>, session: &mut HubSession, post: &mut Post, around: &mut Around<'_>) {
    let (now, truth) = (around.now, &mut around.truth.relays);
    for (owed, outcome) in mail.give_up(now, |id| session.relays_mut().forget(id)) {
        post.answer(owed, outcome, truth);
    }
    post.give_up(now, truth);
}

/// What the agent says to a message. `is_full`: the store cannot forget one.
pub(super) fn answered(
    mail: &mut Mail<Owed>,
    reply: RelayReply,
    post: &mut Post,
    store: &mut HubStore,
    is_full: bool,
    around: &mut Around<'_>,
) {
    match mail.answered(reply, around.now) {
        Answered::Now(owed, outcome) => post.answer(owed, outcome, &mut around.truth.relays),
        Answered::Kept { .. } if is_full => mail.failed(around.now),
        Answered::Kept { number, .. } => {
            store.relays.remove(&number);
            mail.forgotten();
        }
        Answered::Nothing => {}
    }
}

fn send_oldest(
    held: &[HandlerName],
    session: &mut HubSession,
    store: &mut HubStore,
) -> Option<(i64, MessageId, HandlerName)> {
    let mut kept = store.relays.iter().filter(|(_, (_, payload))| !held.contains(&handler_of(payload)));
    let oldest = if mutant::active(Mutant::NewestMessageFirst) { kept.next_back() } else { kept.next() };
    let (number, (id, payload)) = oldest.map(|(number, kept)| (*number, kept.clone()))?;
    let (handler, delivery) = (handler_of(&payload), Delivery::Queued);
    session.relays_mut().send(Relay {
        id,
        sender: None,
        to: None,
        handler: handler.clone(),
        payload,
        delivery,
    });
    if mutant::active(Mutant::MessageForgottenWhenSent) {
        store.relays.remove(&number);
    }
    Some((number, id, handler))
}
