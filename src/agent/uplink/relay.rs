//! Messages of one session: those of the agent's program on their way to their answers, and those for its handlers.

use std::collections::HashMap;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};

use crate::agent::relay::{Inbox, Line, Outgoing, RelayError, Said};
use crate::id::MessageId;
use crate::limit;
use crate::session::{AgentSession, Progress, Relays};
use crate::time::BootTime;
use crate::wire::relay::{NotDelivered, Relay, RelayReply};

use super::Uplink;

/// What the session relays with.
#[derive(Debug, Clone)]
pub(in crate::agent) struct Relaying {
    pub(in crate::agent) line: Line,
    pub(in crate::agent) inbox: Inbox,
}

/// Messages of the agent's program.
pub(super) struct Sends {
    line: Line,
    /// Once the session is registered.
    outgoing: Option<mpsc::Receiver<Outgoing>>,
    /// Who waits for an answer, and since when.
    waiting: HashMap<MessageId, (oneshot::Sender<Said>, BootTime)>,
}

/// Until when the answer to a message is waited for that was handed over then: the same time for the line to take it, and for
/// the hub to answer it once it is there. What lies between is the line's, which carries nothing that takes longer than
/// `limit::LINE_BUSY_MAX`; nor does the answer pass what is large and comes in before it, the last of it at `busy`. `None`: the
/// answer is there, and the session's event will tell it.
fn waited_until(handed_over: BootTime, progress: Option<Progress>, busy: BootTime) -> Option<BootTime> {
    let until = match progress? {
        Progress::OnTheWay(since) => since.after(limit::LINE_BUSY_MAX),
        Progress::Arrived(since) => {
            since.max(busy.min(since.after(limit::LINE_BUSY_MAX))).after(limit::RELAY_REPLY_TIMEOUT)
        }
        Progress::Waiting => handed_over.after(limit::RELAY_REPLY_TIMEOUT),
    };
    Some(until)
}

impl Sends {
    pub(super) fn new(line: Line) -> Self {
        Self { line, outgoing: None, waiting: HashMap::new() }
    }

    /// The session is registered.
    pub(super) fn open(&mut self) {
        self.outgoing = Some(self.line.connect());
    }

    /// The next message of the program; never ready before the registration. Cancel safe.
    pub(super) async fn next(&mut self) -> Outgoing {
        if let Some(outgoing) = &mut self.outgoing
            && let Some(next) = outgoing.recv().await
        {
            return next;
        }
        std::future::pending().await
    }

    pub(super) fn send(&mut self, session: &mut AgentSession, outgoing: Outgoing, now: BootTime) {
        let Outgoing { relay, said } = outgoing;
        let (bytes, most) = (relay.payload.len(), session.relay_bytes_max());
        if bytes > most {
            return tell(said, Err(RelayError::TooLarge { bytes, most }));
        }
        if session.relays().room() == 0 {
            return tell(said, Err(RelayError::Busy));
        }
        self.waiting.insert(relay.id, (said, now));
        session.relays_mut().send(relay);
    }

    pub(super) fn answered(&mut self, reply: RelayReply) {
        if let Some((said, _)) = self.waiting.remove(&reply.id) {
            tell(said, reply.outcome.into_receipt().map_err(RelayError::from));
        }
    }

    pub(super) fn deadline(&self, session: &AgentSession) -> Option<BootTime> {
        let until = |(id, (_, since)): (&MessageId, &(_, BootTime))| {
            waited_until(*since, session.relays().progress(*id), session.last_busy())
        };
        self.waiting.iter().filter_map(until).min()
    }

    /// Answers are waited for no longer than they may take: what was not sent by then is not.
    pub(super) fn give_up(&mut self, session: &mut AgentSession, now: BootTime) {
        let busy = session.last_busy();
        let relays = session.relays_mut();
        let is_late = |id: &MessageId, since| {
            waited_until(since, relays.progress(*id), busy).is_some_and(|until| until <= now)
        };
        let late = self.waiting.extract_if(|id, (_, since)| is_late(id, *since));
        let late: Vec<_> = late.collect();
        for (id, (said, _)) in late {
            match relays.forget(id) {
                Some(Progress::Waiting) => tell(said, Err(RelayError::Busy)),
                Some(Progress::OnTheWay(_) | Progress::Arrived(_)) | None => unanswered(said),
            }
        }
    }

    /// The session is over: nothing more is taken, and what it had not begun to send is sent no more.
    pub(super) fn end(&mut self, relays: &mut Relays) {
        self.disconnect();
        for (id, (said, _)) in self.waiting.drain() {
            match relays.forget(id) {
                Some(Progress::Waiting) => tell(said, Err(RelayError::NoLink)),
                Some(Progress::OnTheWay(_) | Progress::Arrived(_)) | None => unanswered(said),
            }
        }
    }

    fn disconnect(&mut self) {
        if let Some(mut outgoing) = self.outgoing.take() {
            self.line.disconnect();
            outgoing.close();
            while let Ok(Outgoing { said, .. }) = outgoing.try_recv() {
                tell(said, Err(RelayError::NoLink));
            }
        }
    }
}

impl Drop for Sends {
    /// Without the session nobody can say how far they were.
    fn drop(&mut self) {
        self.disconnect();
        self.waiting.drain().for_each(|(_, (said, _))| unanswered(said));
    }
}

/// Said in words: dropped, it would be a message that no session took.
fn unanswered(said: oneshot::Sender<Said>) {
    tell(said, Err(NotDelivered::Unanswered.into()));
}

fn tell(said: oneshot::Sender<Said>, what: Said) {
    if said.send(what).is_err() {
        tracing::debug!("whoever sent a message waits for its answer no longer");
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Uplink<S> {
    pub(super) fn on_relay(&self, relay: Relay) {
        self.with.relaying.inbox.take(relay, &self.relay_replies.0);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::session::tests::world::World;
    use crate::session::{AgentEvent, HubEvent};
    use crate::wire::relay::{Delivery, Receipt, RelayOutcome};

    #[test]
    fn the_time_that_the_line_needs_is_not_taken_from_the_hubs() {
        let at = |second| BootTime(Duration::from_secs(second));
        let never = BootTime::default();
        let waited = |progress, busy| waited_until(at(100), Some(progress), busy).unwrap();
        assert_eq!(waited(Progress::Waiting, never), at(145));
        assert_eq!(waited(Progress::OnTheWay(at(140)), never), at(440));
        assert_eq!(waited(Progress::Arrived(at(360)), never), at(405));
        // The answer is behind something large, but not for ever.
        assert_eq!(waited(Progress::Arrived(at(110)), at(300)), at(345));
        assert_eq!(waited(Progress::Arrived(at(110)), at(2000)), at(110 + 300 + 45));
    }

    fn relay() -> Relay {
        Relay {
            id: MessageId { hi: 1, lo: 2 },
            sender: None,
            to: Some("control".parse().unwrap()),
            handler: "door".parse().unwrap(),
            payload: "smoke".into(),
            delivery: Delivery::Queued,
        }
    }

    /// Hands a message over, lets the line take it ten seconds later and the hub answer it `after` it was handed over; the
    /// session has the answer, and has not told it.
    fn answered_after(after: Duration) -> (World, Sends, oneshot::Receiver<Said>) {
        let mut world = World::plain();
        world.settle();
        let mut sends = Sends::new(Line::default());
        let (said, heard) = oneshot::channel();
        let handed_over = world.now;
        sends.send(&mut world.agent, Outgoing { relay: relay(), said }, handed_over);
        world.now = handed_over.after(Duration::from_secs(10));
        world.agent_out();
        while world.hub_in() {}
        world.now = handed_over.after(after);
        world.hub.relays_mut().answer(RelayReply { id: relay().id, outcome: RelayOutcome::Queued });
        world.hub_out();
        while world.agent_in() {}
        (world, sends, heard)
    }

    /// As on a line on which it took minutes to get there: who looks for what is late has not heard of it yet.
    #[test]
    fn an_answer_that_has_come_is_told_however_long_ago_the_message_was_handed_over() {
        let (mut world, mut sends, mut heard) = answered_after(Duration::from_secs(54));
        assert_eq!(sends.deadline(&world.agent), None);
        sends.give_up(&mut world.agent, world.now);
        assert!(heard.try_recv().is_err(), "nothing is said before the answer");
        let mut events = std::iter::from_fn(|| world.agent.poll_event());
        let reply = events.find_map(|event| match event {
            AgentEvent::RelayReply(reply) => Some(reply),
            _ => None,
        });
        sends.answered(reply.unwrap());
        assert_eq!(heard.try_recv().unwrap(), Ok(Receipt::Queued));
    }

    fn hand_over(sends: &mut Sends, world: &mut World, lo: u64) -> oneshot::Receiver<Said> {
        let (said, heard) = oneshot::channel();
        let relay = Relay { id: MessageId { hi: 1, lo }, ..relay() };
        sends.send(&mut world.agent, Outgoing { relay, said }, world.now);
        heard
    }

    #[test]
    fn what_a_session_had_not_begun_when_it_ended_was_not_sent_and_of_the_rest_nobody_knows() {
        let mut world = World::plain();
        world.settle();
        let mut sends = Sends::new(Line::default());
        let mut on_the_way = hand_over(&mut sends, &mut world, 1);
        assert!(world.agent_out());
        let mut waits = hand_over(&mut sends, &mut world, 2);
        sends.end(world.agent.relays_mut());
        assert_eq!(on_the_way.try_recv().unwrap(), Err(NotDelivered::Unanswered.into()));
        assert_eq!(waits.try_recv().unwrap(), Err(RelayError::NoLink));
        // Nor is it sent by whoever sees the session to its end.
        while world.agent_out() {}
        while world.hub_in() {}
        let events = std::iter::from_fn(|| world.hub.poll_event());
        assert_eq!(events.filter(|event| matches!(event, HubEvent::Relay(_))).count(), 1);
    }

    #[test]
    fn a_session_that_is_dropped_as_it_is_leaves_its_messages_unanswered() {
        let mut world = World::plain();
        world.settle();
        let mut sends = Sends::new(Line::default());
        let mut heard = hand_over(&mut sends, &mut world, 1);
        drop(sends);
        assert_eq!(heard.try_recv().unwrap(), Err(NotDelivered::Unanswered.into()));
    }

    #[test]
    fn what_a_session_has_no_room_for_is_not_sent() {
        let mut world = World::plain();
        world.settle();
        let mut sends = Sends::new(Line::default());
        let most = limit::RELAY_IN_FLIGHT as u64;
        let mut taken: Vec<_> = (0..most).map(|lo| hand_over(&mut sends, &mut world, lo)).collect();
        assert_eq!(hand_over(&mut sends, &mut world, most).try_recv().unwrap(), Err(RelayError::Busy));
        assert!(taken.iter_mut().all(|heard| heard.try_recv().is_err()), "the others wait");
    }
}
