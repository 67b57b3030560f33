//! A line that carries so many bytes a second in each direction, with a socket that takes frames long before they are sent.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::id::{JobId, MessageId};
use crate::session::*;
use crate::time::{BootTime, HubTime, WallTime};
use crate::wire::job::JobOffer;
use crate::wire::relay::{Delivery, Relay, RelayOutcome, RelayReply};

use super::world::*;

/// An offer whose spec has so many bytes.
pub(super) fn offer(number: u8, bytes: usize) -> JobOffer {
    let spec = Bytes::from(vec![b' '; bytes]);
    JobOffer { job: JobId::from_bytes([number; 16]), created_at: HubTime(7), spec, signature: None }
}

/// A message for the store to keep.
pub(super) fn kept(number: u64, bytes: usize) -> Relay {
    Relay {
        id: MessageId { hi: 1, lo: number },
        sender: None,
        to: None,
        handler: "door".parse().unwrap(),
        payload: vec![7; bytes].into(),
        delivery: Delivery::Queued,
    }
}

/// What a WebSocket's buffer, TLS and the system take.
const SOCKET_BYTES: usize = 160 * 1024;
const STEP: Duration = Duration::from_millis(100);

/// One direction.
#[derive(Default)]
struct Way {
    /// Frames that the socket has taken, and what is left of the first one.
    frames: VecDeque<(Bytes, usize)>,
    /// Frames that arrive then.
    due: VecDeque<(BootTime, Bytes)>,
    received: u64,
}

impl Way {
    fn takes_more(&self) -> bool {
        self.frames.iter().map(|(_, left)| left).sum::<usize>() < SOCKET_BYTES
    }

    fn take(&mut self, frame: Bytes) {
        let left = frame.len();
        self.frames.push_back((frame, left));
    }

    /// Carries so many bytes.
    fn carry(&mut self, mut bytes: usize, due: BootTime) {
        while let Some((_, left)) = self.frames.front_mut() {
            let carried = bytes.min(*left);
            (*left, bytes) = (*left - carried, bytes - carried);
            self.received += carried as u64;
            if *left > 0 {
                return;
            }
            self.due.extend(self.frames.pop_front().map(|(frame, _)| (due, frame)));
        }
    }

    fn arrived(&mut self, now: BootTime) -> Option<Bytes> {
        self.due.pop_front_if(|(due, _)| *due <= now).map(|(_, frame)| frame)
    }
}

pub(super) struct Slow {
    pub(super) world: World,
    per_second: usize,
    delay: Duration,
    up: Way,
    down: Way,
    /// Relayed messages that both ends have answered.
    answered: (usize, usize),
    /// What the agent sent since it was asked for last.
    sent_up: Vec<Bytes>,
}

impl Slow {
    pub(super) fn new(world: World, per_second: usize, delay: Duration) -> Self {
        Self {
            world,
            per_second,
            delay,
            up: Way::default(),
            down: Way::default(),
            answered: (0, 0),
            sent_up: Vec::new(),
        }
    }

    /// From now on it carries so many bytes a second.
    #[cfg(feature = "hub")]
    pub(super) const fn set_rate(&mut self, per_second: usize) {
        self.per_second = per_second;
    }

    /// From now on no message is answered.
    pub(super) fn say_nothing(&mut self) {
        self.answered = (usize::MAX, usize::MAX);
    }

    /// Until the condition holds; how long that took.
    pub(super) fn until(&mut self, what: &str, within: Duration, done: impl Fn(&Self) -> bool) -> Duration {
        let begun = self.world.now;
        while !done(self) {
            let took = self.world.now.since(begun);
            let ends = (self.world.agent_closed(), self.world.hub_closed());
            assert_eq!(ends, (None, None), "after {took:?} of waiting for {what}");
            assert!(took < within, "waited {took:?} for {what}");
            self.step();
        }
        self.world.now.since(begun)
    }

    pub(super) fn run(&mut self, duration: Duration) {
        let end = self.world.now.after(duration);
        while self.world.now < end {
            self.step();
        }
    }

    /// The session is cut; what was on the line is lost, and another begins.
    pub(super) fn cut(&mut self) {
        self.world.reconnect();
        self.world.agent_events.clear();
        self.world.hub_events.clear();
        (self.up, self.down, self.answered) = Default::default();
    }

    /// The agent's frames since this was asked last.
    pub(super) fn take_sent(&mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.sent_up)
    }

    pub(super) fn step(&mut self) {
        self.drive();
        let bytes = (self.per_second as u128 * STEP.as_millis() / 1000) as usize;
        self.world.now = self.world.now.after(STEP);
        let due = self.world.now.after(self.delay);
        let before = (self.up.received, self.down.received);
        self.up.carry(bytes, due);
        self.down.carry(bytes, due);
        let world = &mut self.world;
        if self.up.received > before.0 {
            world.agent.handle_written(world.now);
            world.hub.handle_received(world.now, self.up.received);
        }
        if self.down.received > before.1 {
            world.hub.handle_written(world.now);
            world.agent.handle_received(world.now, self.down.received);
        }
        while let Some(frame) = self.up.arrived(world.now) {
            world.hub.handle_frame(world.now, frame);
            world.drain_hub_events();
        }
        while let Some(frame) = self.down.arrived(world.now) {
            world.agent.handle_frame(world.now, WallTime(5_000), frame);
            world.drain_agent_events();
        }
        world.agent.handle_timeout(world.now);
        world.hub.handle_timeout(world.now);
        self.answer();
    }

    /// What both ends do of themselves.
    fn drive(&mut self) {
        let world = &mut self.world;
        let mut out = BytesMut::new();
        loop {
            world.drain_agent_events();
            world.drain_hub_events();
            let mut moved = false;
            if let Some(request) = world.agent.poll_read() {
                let batch = world.read(request);
                world.agent.handle_batch(request, batch);
                moved = true;
            }
            if self.up.takes_more()
                && let Some(transmit) = world.agent.poll_transmit(world.now, &mut out)
            {
                moved = true;
                if transmit == Transmit::Frame {
                    let frame = out.split().freeze();
                    self.sent_up.push(frame.clone());
                    self.up.take(frame);
                }
            }
            if self.down.takes_more()
                && let Some(transmit) = world.hub.poll_transmit(world.now, &mut out)
            {
                moved = true;
                if transmit == Transmit::Frame {
                    self.down.take(out.split().freeze());
                }
            }
            if !moved {
                return;
            }
        }
    }

    /// Both ends take each message at once.
    fn answer(&mut self) {
        let reply = |id| RelayReply { id, outcome: RelayOutcome::Delivered };
        let at_hub: Vec<_> = self.relays_at_hub().skip(self.answered.0).collect();
        let at_agent: Vec<_> = self.relays_at_agent().skip(self.answered.1).collect();
        self.answered = (self.answered.0 + at_hub.len(), self.answered.1 + at_agent.len());
        for id in at_hub {
            self.world.hub.relays_mut().answer(reply(id));
        }
        for id in at_agent {
            self.world.agent.relays_mut().answer(reply(id));
        }
    }

    pub(super) fn relays_at_hub(&self) -> impl Iterator<Item = crate::id::MessageId> {
        self.world.hub_events.iter().filter_map(|event| match event {
            HubEvent::Relay(relay) => Some(relay.id),
            _ => None,
        })
    }

    pub(super) fn relays_at_agent(&self) -> impl Iterator<Item = crate::id::MessageId> {
        self.world.agent_events.iter().filter_map(|event| match event {
            AgentEvent::Relay(relay) => Some(relay.id),
            _ => None,
        })
    }
}
