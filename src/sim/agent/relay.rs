//! Messages of the agent's program, which it sends to the agent of its own name, and those for its handler: the real memory
//! of what came before, and a handler that takes its time.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::agent::relay::{Memory, Seen};
use crate::id::{HandlerName, MessageId};
use crate::limit;
use crate::session::{AgentSession, Progress};
use crate::sim::around::Around;
use crate::sim::truth::{NOT_NOW, handler_of};
use crate::time::BootTime;
use crate::wire::error::ErrorCode;
use crate::wire::relay::{Delivery, Relay, RelayOutcome, RelayReply};

use super::session::Session;
use super::{Agent, Process};

/// What a process knows of messages.
#[derive(Debug, Default)]
pub(super) struct Relays {
    memory: Memory,
    /// For each handler in the order they came; the first is at the handler.
    handling: BTreeMap<HandlerName, VecDeque<Relay>>,
}

/// What a session is owed, and owes.
#[derive(Debug)]
pub(super) struct Correspondence {
    asked: BTreeMap<MessageId, (Bytes, BootTime)>,
    to: mpsc::Sender<RelayReply>,
    replies: mpsc::Receiver<RelayReply>,
}

impl Default for Correspondence {
    fn default() -> Self {
        let (to, replies) = mpsc::channel(limit::RELAY_IN_FLIGHT);
        Self { asked: BTreeMap::new(), to, replies }
    }
}

impl Agent {
    /// The program sends, or its handler is through with a message.
    pub(in crate::sim) fn relay_step(&mut self, around: &mut Around<'_>) {
        if around.rng.bool() {
            self.send_message(around);
        } else {
            self.handle_message(around);
        }
    }

    fn send_message(&mut self, around: &mut Around<'_>) {
        let Some(session) = self.process.as_mut().and_then(|process| process.session.as_mut()) else {
            return;
        };
        if session.machine.relays().room() == 0 {
            return;
        }
        let delivery = if around.rng.bool() { Delivery::Queued } else { Delivery::Now };
        let payload = around.truth.relays.draw(delivery);
        let id = MessageId::from_bytes(around.bytes());
        around.say(|| format!("agent {} sends message {payload:?}, {delivery:?}", self.folder));
        let until = around.now.after(limit::RELAY_REPLY_TIMEOUT);
        session.relays.asked.insert(id, (payload.clone(), until));
        let waiting = session.relays.asked.len();
        assert!(waiting <= limit::RELAY_IN_FLIGHT, "{waiting} messages of the agent are unanswered");
        let (to, handler) = (Some("edge".parse().expect("a name")), handler_of(&payload));
        session.machine.relays_mut().send(Relay { id, sender: None, to, handler, payload, delivery });
    }

    /// A handler is through with the message it has: says whether there was one.
    pub(in crate::sim) fn handle_message(&mut self, around: &mut Around<'_>) -> bool {
        let folder = self.folder;
        let Some(Process { relays, instance, .. }) = &mut self.process else { return false };
        let mut waiting: Vec<_> = relays.handling.values_mut().filter(|queue| !queue.is_empty()).collect();
        if waiting.is_empty() {
            return false;
        }
        let handler = around.rng.usize(0..waiting.len());
        let Some(relay) = waiting.swap_remove(handler).pop_front() else { return false };
        let outcome = match around.rng.u8(0..8) {
            0 => RelayOutcome::refused(ErrorCode::RelayFull, NOT_NOW),
            1 => RelayOutcome::refused(ErrorCode::RelayHandler, "never"),
            _ => RelayOutcome::Delivered,
        };
        around.say(|| format!("agent {folder} handles message {:?}: {}", relay.payload, outcome.name()));
        around.truth.relays.handled(*instance, &relay.payload, &outcome);
        if let Some(to) = relays.memory.finish(relay.id, outcome.clone()) {
            // A session that is over is not told.
            let _ = to.try_send(RelayReply { id: relay.id, outcome });
        }
        true
    }

    /// A message came.
    pub(super) fn message_came(&mut self, relay: Relay) {
        let Some(Process { relays, session: Some(session), .. }) = &mut self.process else { return };
        let to = &session.relays.to;
        let handling = relays.handling.entry(relay.handler.clone()).or_default();
        let outcome = match relays.memory.look(relay.id, to) {
            Seen::Running => return,
            Seen::Done(outcome) => outcome,
            Seen::Never if handling.len() > limit::RELAY_IN_FLIGHT => {
                RelayOutcome::refused(ErrorCode::RelayFull, "the handler does not keep up")
            }
            Seen::Never => {
                relays.memory.begin(relay.id, to.clone());
                return handling.push_back(relay);
            }
        };
        session.machine.relays_mut().answer(RelayReply { id: relay.id, outcome });
    }

    /// The hub said what became of a message.
    pub(super) fn message_answered(&mut self, reply: &RelayReply, around: &mut Around<'_>) {
        let Some(session) = self.process.as_mut().and_then(|process| process.session.as_mut()) else {
            return;
        };
        let asked = session.relays.asked.remove(&reply.id);
        let (payload, _) = asked.unwrap_or_else(|| panic!("{reply:?} answers nothing that was asked"));
        around
            .say(|| format!("agent {} hears of message {payload:?}: {}", self.folder, reply.outcome.name()));
        around.truth.relays.answered(&payload, &reply.outcome);
    }

    /// What handlers said goes out, and who waits for too long has gone.
    pub(super) fn correspond(&mut self, around: &mut Around<'_>) {
        let Some(session) = self.process.as_mut().and_then(|process| process.session.as_mut()) else {
            return;
        };
        while let Ok(reply) = session.relays.replies.try_recv() {
            session.machine.relays_mut().answer(reply);
        }
        let machine = &mut session.machine;
        let (asked, now) = (&mut session.relays.asked, around.now);
        for (id, (payload, _)) in asked.extract_if(.., |_, (_, until)| *until <= now) {
            given_up(machine, id, &payload, around);
        }
    }

    /// The session is over for this end.
    pub(super) fn stop_asking(session: Session, around: &mut Around<'_>) {
        let Session { mut machine, relays, .. } = session;
        for (id, (payload, _)) in relays.asked {
            given_up(&mut machine, id, &payload, around);
        }
    }
}

/// Nobody waits for the answer to this message any more; one that was not begun is nowhere.
fn given_up(machine: &mut AgentSession, id: MessageId, payload: &Bytes, around: &mut Around<'_>) {
    if machine.relays_mut().forget(id) == Some(Progress::Waiting) {
        around.truth.relays.not_sent(payload);
    }
}
