//! The agent's end of a connection: what the link's task does, step by step.

use std::time::Duration;

use bytes::BytesMut;

use crate::agent::uplink::duty;
use crate::limit;
use crate::outbox::{Reading, StoreError};
use crate::session::tests::fixture;
use crate::session::{AgentConfig, AgentEvent, AgentSession, Condition, Resolution, Transmit};
use crate::sim::around::Around;
use crate::sim::cable::{Cable, Found};
use crate::sim::mutant::{self, Mutant};
use crate::time::{BootTime, HubTime, Validity, millis};
use crate::wire::error::ErrorCode;
use crate::wire::message::{Heartbeat, StreamMark};

use super::Agent;
use super::relay::Correspondence;

/// A login that was replaced waits this long, as the link's task does.
const REPLACED_WAIT: Duration = Duration::from_secs(60);

/// One session.
pub(in crate::sim) struct Session {
    pub(in crate::sim) machine: AgentSession,
    /// Its connection.
    pub(in crate::sim) line: u64,
    acks: Vec<StreamMark>,
    pub(super) relays: Correspondence,
    pub(in crate::sim) hub_time: (HubTime, BootTime),
}

/// Whether the session goes on.
enum Flow {
    On,
    End(Duration),
}

impl Agent {
    /// Begins a session on a connection that was just made.
    pub(in crate::sim) fn connect(&mut self, line: u64, nonce: [u8; 32], around: &mut Around<'_>) {
        let Some(process) = &mut self.process else { return };
        let Ok(streams) = process.store.wait(process.outbox.streams()) else { return };
        let mut config = AgentConfig {
            agent_nonce: nonce,
            limits: around.scenario.limits,
            message_id_seed: around.bytes(),
            ..fixture::agent_config()
        };
        config.register.instance = process.instance;
        config.condition = condition(line, around);
        let machine = AgentSession::new(config, streams, around.now);
        let (acks, relays, hub_time) = Default::default();
        process.session = Some(Session { machine, line, acks, relays, hub_time });
        around.say(|| format!("agent {} dials: line {line}", self.folder));
    }

    /// The session is over for this end.
    pub(in crate::sim) fn end_session(&mut self, around: &mut Around<'_>, wait: Duration) {
        if let Some(session) = self.process.as_mut().and_then(|process| process.session.take()) {
            around.say(|| format!("agent {} leaves line {}", self.folder, session.line));
            Self::stop_asking(session, around);
            self.dial_at = around.now.after(wait);
        }
    }

    /// One turn of the link's task. Says whether the session is still there.
    pub(in crate::sim) fn turn(&mut self, cable: &mut Cable, around: &mut Around<'_>) {
        self.disk.set_now(around.now);
        let flow = self.session_turn(cable, around);
        if self.disk.is_stopped() {
            return self.die(around, None);
        }
        if let Flow::End(wait) = flow {
            self.farewell(cable, around);
            cable.up.close();
            self.end_session(around, wait);
        }
        self.after(around);
    }

    fn session_turn(&mut self, cable: &mut Cable, around: &mut Around<'_>) -> Flow {
        let wall = self.wall(around);
        let Some(session) = self.session_mut() else { return Flow::On };
        if session.machine.poll_timeout().is_some_and(|at| at <= around.now) {
            session.machine.handle_timeout(around.now);
        }
        match cable.down.pop(around.now) {
            Found::Frame(frame) => session.machine.handle_frame(around.now, wall, frame),
            Found::Nothing => {}
            Found::End => return Flow::End(redial(around)),
        }
        if let end @ Flow::End(_) = self.events(around) {
            return end;
        }
        self.correspond(around);
        let done = self.outbox_work(around);
        if let Err(error) = done {
            around.say(|| format!("agent {}: {error}", self.folder));
            return Flow::End(redial(around));
        }
        self.transmit(cable, around)
    }

    fn session_mut(&mut self) -> Option<&mut Session> {
        self.process.as_mut()?.session.as_mut()
    }

    fn events(&mut self, around: &mut Around<'_>) -> Flow {
        loop {
            let Some(event) = self.session_mut().and_then(|session| session.machine.poll_event()) else {
                return Flow::On;
            };
            match self.event(event, around) {
                Ok(Flow::On) => {}
                Ok(end) => return end,
                Err(error) => {
                    around.say(|| format!("agent {}: {error}", self.folder));
                    return Flow::End(redial(around));
                }
            }
        }
    }

    fn event(&mut self, event: AgentEvent, around: &mut Around<'_>) -> Result<Flow, StoreError> {
        let wall = self.wall(around);
        let Some(process) = &mut self.process else { return Ok(Flow::On) };
        let Some(session) = &mut process.session else { return Ok(Flow::On) };
        let ends = matches!(event, AgentEvent::HubError(_) | AgentEvent::Closed(_));
        assert!(ends || !around.truth.barred.contains(&session.line), "{event:?} came over a barred line");
        match event {
            AgentEvent::Marks(marks) => {
                let local = process.store.wait(duty::local_marks(&process.outbox, &marks))?;
                session.machine.resolve_marks(around.now, local);
            }
            AgentEvent::Registered { hub_time, resolutions, .. } => {
                session.hub_time = (hub_time, around.now);
                around.say(|| format!("agent {} is registered: {resolutions:?}", self.folder));
                for resolution in &resolutions {
                    if let Resolution::RolledBack { stream, .. } = resolution {
                        around.truth.rolled(self.folder, *stream);
                    }
                }
                let settling = duty::settle(&process.outbox, &mut session.machine, resolutions, wall);
                let settled = process.store.wait(settling)?;
                session.acks.extend(settled.acks);
                if settled.again == crate::agent::uplink::Again::AtOnce {
                    session.machine.close(around.now);
                    return Ok(Flow::End(Duration::ZERO));
                }
            }
            AgentEvent::Acked(mark) => {
                session.acks.retain(|waiting| waiting.stream != mark.stream);
                session.acks.push(mark);
            }
            AgentEvent::GoAway(_) => session.machine.close(around.now),
            AgentEvent::HeartbeatDue => session.machine.send_heartbeat(Heartbeat::default()),
            AgentEvent::JobOffer { id, offer } => {
                let (since, at) = session.hub_time;
                let hub_now = since.after(around.now.since(at));
                if let Some(ack) = self.offered(offer, hub_now, around)
                    && let Some(session) = self.session_mut()
                {
                    session.machine.answer_offer(id, ack);
                }
            }
            AgentEvent::CancelJob(job) => self.cancel(job, around),
            AgentEvent::HubError(error) => {
                around.say(|| format!("agent {} is told {error:?}", self.folder));
                if error.code == Some(ErrorCode::Replaced) {
                    return Ok(Flow::End(REPLACED_WAIT));
                }
            }
            AgentEvent::RotateKey(_) | AgentEvent::KeyStored(_) => panic!("no hub here asks for a new key"),
            AgentEvent::Relay(relay) => self.message_came(relay),
            AgentEvent::RelayReply(reply) => self.message_answered(&reply, around),
            AgentEvent::Unknown(number) => panic!("message {number} is unknown"),
            AgentEvent::Closed(closed) => {
                around.say(|| format!("agent {}: {closed:?}", self.folder));
                let wait =
                    if closed.error == Some(ErrorCode::Replaced) { REPLACED_WAIT } else { redial(around) };
                return Ok(Flow::End(wait));
            }
        }
        Ok(Flow::On)
    }

    /// What is durable is told, what is wanted is read, what is acked goes.
    fn outbox_work(&mut self, around: &mut Around<'_>) -> Result<(), StoreError> {
        let Some(process) = &mut self.process else { return Ok(()) };
        let Some(session) = &mut process.session else { return Ok(()) };
        for state in *process.outbox.durable().borrow() {
            session.machine.handle_durable(state.stream, state.next);
        }
        if let Some(request) = session.machine.poll_read() {
            let reading = process.outbox.read(request.stream, request.from, request.bytes_max);
            let reading = process.store.wait(reading)?;
            if !matches!(reading, Some(Reading::Records(_))) {
                around.say(|| format!("agent {} reads {request:?}: {reading:?}", self.folder));
            }
            duty::was_read(&mut session.machine, request, reading);
        }
        if !session.acks.is_empty() && around.once_in(3) {
            let acks = std::mem::take(&mut session.acks);
            around.say(|| format!("agent {} takes acks {acks:?}", self.folder));
            process.store.wait(process.outbox.ack(acks))?;
        }
        Ok(())
    }

    fn transmit(&mut self, cable: &mut Cable, around: &mut Around<'_>) -> Flow {
        let mut out = BytesMut::new();
        let Some(session) = self.session_mut() else { return Flow::On };
        for _ in 0..around.rng.usize(1..4) {
            if !cable.up.has_room(around.now) {
                let since = cable.up.full_since().unwrap_or(around.now);
                let late = around.now.since(since) >= limit::WRITE_TIMEOUT;
                return if late { Flow::End(redial(around)) } else { Flow::On };
            }
            match session.machine.poll_transmit(around.now, &mut out) {
                Some(Transmit::Frame) => cable.up.push(out.split().freeze()),
                // Its answer is a sign of life and nothing else.
                Some(Transmit::Ping) => session.machine.handle_activity(around.now),
                None => break,
            }
        }
        if mutant::active(Mutant::DeleteBeforeAck) {
            return self.forget_sent();
        }
        Flow::On
    }

    /// The last words, and the last acks, which are worth keeping.
    fn farewell(&mut self, cable: &mut Cable, around: &mut Around<'_>) {
        let Some(process) = &mut self.process else { return };
        let Some(session) = &mut process.session else { return };
        let mut out = BytesMut::new();
        while cable.up.has_room(around.now) {
            match session.machine.poll_transmit(around.now, &mut out) {
                Some(Transmit::Frame) => cable.up.push(out.split().freeze()),
                Some(Transmit::Ping) => {}
                None => break,
            }
        }
        let acks = std::mem::take(&mut session.acks);
        if !acks.is_empty() {
            let _ = process.store.wait(process.outbox.ack(acks));
        }
    }

    /// A fault: everything that is durable here counts as acked.
    fn forget_sent(&mut self) -> Flow {
        let Some(process) = &mut self.process else { return Flow::On };
        let marks = process.store.ledger().states().into_iter().map(|state| StreamMark {
            stream: state.stream,
            acked: state.next - 1,
            acked_crc: 0,
        });
        let _ = process.store.wait(process.outbox.ack(marks.collect()));
        Flow::On
    }
}

/// Of one connection in a few the hub's certificate is believed on condition; over some of these nothing may pass.
fn condition(line: u64, around: &mut Around<'_>) -> Option<Condition> {
    if !around.scenario.conditions || around.is_calm || around.rng.bool() {
        return None;
    }
    let (now, day) = (around.hub_now(), Duration::from_secs(24 * 3600));
    let (from, to) = match around.rng.u8(0..3) {
        0 => (HubTime(now.0 - 2 * millis(day)), HubTime(now.0 - millis(day))),
        1 => (now.after(day), now.after(2 * day)),
        _ => (HubTime(now.0 - millis(day)), now.after(day)),
    };
    let valid = Validity::new(from, to)?;
    if !valid.contains(now) {
        around.truth.barred.insert(line);
    }
    Some(Condition { host: "hub".to_owned(), valid })
}

fn redial(around: &mut Around<'_>) -> Duration {
    Duration::from_millis(around.rng.u64(0..3_000))
}
