//! One connection of the hub: a session between its cable and the writer.

use std::collections::VecDeque;

use bytes::BytesMut;
use tokio::sync::mpsc;

use crate::hub::connection::ending::for_peer;
use crate::hub::ingest::Intake;
use crate::hub::orders::{Heard, Orders};
use crate::hub::relay::Mail;
use crate::hub::store::{AgentRef, Ingest, IngestReply};
use crate::id::SessionId;
use crate::limit;
use crate::session::tests::fixture;
use crate::session::{HubConfig, HubEvent, HubSession, Transmit};
use crate::sim::around::Around;
use crate::sim::cable::{Cable, Found};
use crate::time::BootTime;
use crate::wire::error::{ErrorCode, WireError};
use crate::wire::message::StreamMark;

use super::Hub;
use super::mail::{self, Owed, Post};
use super::orders;

pub(super) struct Connection {
    session: HubSession,
    intake: Option<Intake>,
    stage: VecDeque<Ingest>,
    /// What the pieces at the writer tell of jobs, in their order.
    at_writer: VecDeque<Heard>,
    reply: mpsc::Sender<IngestReply>,
    replies: mpsc::Receiver<IngestReply>,
    pub(super) orders: Orders,
    mail: Mail<Owed>,
}

impl Connection {
    pub(super) fn new(agent_nonce: [u8; 32], around: &mut Around<'_>) -> Self {
        let config = HubConfig {
            agent_nonce,
            hub_nonce: around.bytes(),
            session_id: SessionId::from_bytes(around.bytes()),
            limits: around.scenario.limits,
            message_id_seed: around.bytes(),
            ..fixture::hub_config()
        };
        let (reply, replies) = mpsc::channel(limit::INGEST_PER_SESSION);
        Self {
            session: HubSession::new(config, around.now, around.hub_now()),
            intake: None,
            stage: VecDeque::new(),
            at_writer: VecDeque::new(),
            reply,
            replies,
            orders: Orders::default(),
            mail: Mail::default(),
        }
    }

    /// Another login took over; gives back what it had not handed over.
    pub(super) fn replaced(&mut self, now: BootTime) -> VecDeque<Ingest> {
        self.session.close(now, ErrorCode::Replaced, ErrorCode::Replaced.text());
        std::mem::take(&mut self.stage)
    }

    pub(super) fn registered(&mut self, marks: Vec<StreamMark>, around: &Around<'_>) {
        self.intake = Some(Intake::new(AgentRef(1), &marks, self.reply.clone()));
        self.session.accept(around.now, marks, None);
        self.orders.begin();
        self.mail.look();
    }

    /// Says whether it goes on.
    pub(super) fn turn(
        &mut self,
        line: u64,
        hub: &mut Hub,
        cable: &mut Cable,
        around: &mut Around<'_>,
    ) -> bool {
        if self.session.poll_timeout().is_some_and(|at| at <= around.now) {
            self.session.handle_timeout(around.now);
        }
        while let Ok(reply) = self.replies.try_recv() {
            let heard = self.at_writer.pop_front().unwrap_or_default();
            match reply {
                Ok(mark) => {
                    self.orders.note(heard);
                    self.session.handle_committed(around.now, mark);
                }
                Err(error) => {
                    let (code, detail) = for_peer(&error);
                    self.session.close(around.now, code, &detail);
                }
            }
        }
        // A peer whose pieces wait is not read.
        if self.stage.len() < 4 {
            match cable.up.pop(around.now) {
                Found::Frame(frame) => self.session.handle_frame(around.now, frame),
                Found::Nothing => {}
                Found::End => return false,
            }
        }
        if !self.events(line, hub, around) {
            self.transmit(cable, around, usize::MAX);
            return false;
        }
        for _ in 0..around.rng.usize(0..3) {
            if let Some(piece) = self.stage.pop_front() {
                self.at_writer.push_back(Heard::of(&piece));
                hub.hand_over(piece);
            }
        }
        if self.intake.is_some() {
            orders::give(&mut self.orders, &mut self.session, &mut hub.store, around);
            for reply in hub.post.take_answers(line) {
                self.session.relays_mut().answer(reply);
            }
        }
        if self.intake.is_some() && hub.current == Some(line) {
            mail::give(&mut self.mail, &mut self.session, &mut hub.post, &mut hub.store, around);
        }
        let frames = around.rng.usize(1..4);
        self.transmit(cable, around, frames)
    }

    /// The end: what was not begun is sent no more.
    pub(super) fn leave(&mut self, post: &mut Post, around: &mut Around<'_>) {
        post.end(&mut self.mail, &mut self.session, &mut around.truth.relays);
    }

    fn events(&mut self, line: u64, hub: &mut Hub, around: &mut Around<'_>) -> bool {
        while let Some(event) = self.session.poll_event() {
            let passes =
                !matches!(event, HubEvent::Register(_) | HubEvent::Heartbeat(_) | HubEvent::Closed(_));
            assert!(!passes || !around.truth.barred.contains(&line), "{event:?} came over line {line}");
            let taken = match event {
                HubEvent::Register(register) => {
                    let streams = register.streams.entries.iter().map(|state| state.stream).collect();
                    hub.login(line, streams, around);
                    Ok(())
                }
                HubEvent::Records { records, skip } => {
                    self.take(|intake| intake.records(&records, skip, around.hub_now()))
                }
                HubEvent::Gap(gap) => self.take(|intake| intake.gap(gap, around.hub_now())),
                HubEvent::Heartbeat(_) => Ok(()),
                HubEvent::JobAck(ack) => {
                    self.orders.answered(hub.store.answer(&ack));
                    Ok(())
                }
                HubEvent::KeyAgreed { .. } => panic!("no agent here was asked for a new key"),
                HubEvent::Relay(relay) => {
                    hub.relay(line, relay, around);
                    Ok(())
                }
                HubEvent::RelayReply(reply) => {
                    mail::answered(&mut self.mail, reply, &mut hub.post, &mut hub.store, hub.full, around);
                    Ok(())
                }
                HubEvent::Unknown(field) => panic!("message {field} is unknown"),
                HubEvent::Closed(closed) => {
                    around.say(|| format!("hub, line {line}: {closed:?}"));
                    return false;
                }
            };
            if let Err(error) = taken {
                panic!("the intake refuses what the session took: {error}");
            }
        }
        true
    }

    fn take(&mut self, make: impl FnOnce(&mut Intake) -> Result<Ingest, WireError>) -> Result<(), WireError> {
        let intake = self.intake.as_mut().expect("records come after the registration");
        self.stage.push_back(make(intake)?);
        Ok(())
    }

    fn transmit(&mut self, cable: &mut Cable, around: &mut Around<'_>, frames: usize) -> bool {
        let mut out = BytesMut::new();
        for _ in 0..frames {
            if !cable.down.has_room(around.now) {
                let since = cable.down.full_since().unwrap_or(around.now);
                return around.now.since(since) < limit::WRITE_TIMEOUT;
            }
            match self.session.poll_transmit(around.now, &mut out) {
                Some(Transmit::Frame) => cable.down.push(out.split().freeze()),
                Some(Transmit::Ping) => self.session.handle_activity(around.now),
                None => break,
            }
        }
        true
    }
}
