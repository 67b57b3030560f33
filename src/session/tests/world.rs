//! An agent with an outbox, a hub with a store, and a wire between them that tests may cut, bend and record.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::id::{Lane, StreamId};
use crate::session::*;
use crate::time::{BootTime, HubTime, WallTime};
use crate::wire::error::ErrorCode;
use crate::wire::message::*;

pub(super) use super::fixture::*;

/// What the agent's disk holds of one stream.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) cursor: u64,
    pub(super) records: VecDeque<(u64, Bytes)>,
    pub(super) next: u64,
}

/// What the hub's store holds of one stream: payloads by number, and the mark.
#[derive(Debug, Clone, Default)]
pub(super) struct Stored {
    pub(super) mark: u64,
    pub(super) crc: u32,
    pub(super) payloads: BTreeMap<u64, Bytes>,
    pub(super) gaps: Vec<Gap>,
}

pub(crate) struct World {
    pub(crate) now: BootTime,
    pub(crate) agent: AgentSession,
    pub(crate) hub: HubSession,
    pub(super) outbox: BTreeMap<StreamId, Kept>,
    pub(super) store: BTreeMap<StreamId, Stored>,
    pub(super) up: VecDeque<Bytes>,
    pub(super) down: VecDeque<Bytes>,
    pub(super) agent_events: Vec<AgentEvent>,
    pub(super) hub_events: Vec<HubEvent>,
    pub(super) marks: Vec<StreamMark>,
    pub(super) acks: u64,
    pub(super) heartbeats: u64,
    pub(super) batches: u64,
    pub(super) lanes_read: Vec<Lane>,
    pub(super) in_flight_max: usize,
    /// Whether the hub commits what it gets at once.
    pub(super) commits: bool,
    /// Whether the agent makes Gaps durable at once and sends them.
    pub(super) gaps: bool,
}

impl World {
    pub(super) fn new(agent: AgentConfig, hub: HubConfig, outbox: BTreeMap<StreamId, Kept>) -> Self {
        Self {
            now: START,
            agent: AgentSession::new(agent, states(&outbox), START),
            hub: HubSession::new(hub, START, HUB_TIME),
            outbox,
            store: BTreeMap::new(),
            up: VecDeque::new(),
            down: VecDeque::new(),
            agent_events: Vec::new(),
            hub_events: Vec::new(),
            marks: Vec::new(),
            acks: 0,
            heartbeats: 0,
            batches: 0,
            lanes_read: Vec::new(),
            in_flight_max: 0,
            commits: true,
            gaps: true,
        }
    }

    pub(crate) fn plain() -> Self {
        Self::with(&[(LOGS, 0)])
    }

    /// Streams with so many records each.
    pub(super) fn with(streams: &[(StreamId, u64)]) -> Self {
        let outbox = streams.iter().map(|(stream, count)| (*stream, kept(*count))).collect();
        Self::new(agent_config(), hub_config(), outbox)
    }

    /// A new connection between the same outbox and store; what was on the wire is lost.
    pub(super) fn reconnect(&mut self) {
        let hub_time = HUB_TIME.after(self.now.since(START));
        self.agent = AgentSession::new(agent_config(), states(&self.outbox), self.now);
        self.hub = HubSession::new(hub_config(), self.now, hub_time);
        self.up.clear();
        self.down.clear();
    }

    pub(super) fn append(&mut self, stream: StreamId, count: u64) {
        let kept = self.outbox.get_mut(&stream).unwrap();
        for _ in 0..count {
            kept.records.push_back((kept.next, payload(kept.next)));
            kept.next += 1;
        }
        let next = kept.next;
        self.agent.handle_durable(stream, next);
    }

    /// Everything happens that can happen without time passing.
    pub(crate) fn settle(&mut self) {
        while self.agent_out() | self.hub_out() | self.agent_in() | self.hub_in() {}
    }

    /// Settles, and lets deadlines come until `duration` is over.
    pub(super) fn run(&mut self, duration: Duration) {
        let end = self.now.after(duration);
        let mut handled_at_once = 0;
        loop {
            self.settle();
            let deadlines = [self.agent.poll_timeout(), self.hub.poll_timeout()];
            let Some(next) = deadlines.into_iter().flatten().min().filter(|next| *next <= end) else { break };
            handled_at_once = if next > self.now { 0 } else { handled_at_once + 1 };
            assert!(handled_at_once < 100, "a deadline stays although it was handled");
            self.now = self.now.max(next);
            self.agent.handle_timeout(self.now);
            self.hub.handle_timeout(self.now);
        }
        self.now = end;
        self.settle();
    }

    /// Goes on, step by step, until the condition holds.
    pub(super) fn run_until(&mut self, done: impl Fn(&Self) -> bool) {
        for _ in 0..1_000_000 {
            if done(self) {
                return;
            }
            if !(self.agent_out() | self.hub_out() | self.agent_in() | self.hub_in()) {
                let deadlines = [self.agent.poll_timeout(), self.hub.poll_timeout()];
                self.now = deadlines.into_iter().flatten().min().unwrap().max(self.now);
                self.agent.handle_timeout(self.now);
                self.hub.handle_timeout(self.now);
            }
        }
        panic!("the condition never held");
    }

    pub(crate) fn agent_out(&mut self) -> bool {
        let mut moved = self.drain_agent_events();
        let mut out = BytesMut::new();
        while let Some(transmit) = self.agent.poll_transmit(self.now, &mut out) {
            moved = true;
            if transmit == Transmit::Frame {
                self.up.push_back(out.split().freeze());
            }
        }
        if let Some(request) = self.agent.poll_read() {
            self.lanes_read.push(request.stream.lane);
            let batch = self.read(request);
            self.agent.handle_batch(request, batch);
            moved = true;
        }
        moved
    }

    pub(crate) fn hub_out(&mut self) -> bool {
        let mut moved = self.drain_hub_events();
        let mut out = BytesMut::new();
        while let Some(transmit) = self.hub.poll_transmit(self.now, &mut out) {
            moved = true;
            if transmit == Transmit::Frame {
                self.down.push_back(out.split().freeze());
            }
        }
        moved
    }

    pub(crate) fn agent_in(&mut self) -> bool {
        let Some(frame) = self.down.pop_front() else { return false };
        self.agent.handle_frame(self.now, WallTime(5_000), frame);
        true
    }

    pub(crate) fn hub_in(&mut self) -> bool {
        let Some(frame) = self.up.pop_front() else { return false };
        self.hub.handle_frame(self.now, frame);
        self.in_flight_max = self.in_flight_max.max(self.hub.in_flight());
        true
    }

    pub(super) fn agent_closed(&self) -> Option<&Closed> {
        self.agent_events.iter().find_map(|event| match event {
            AgentEvent::Closed(closed) => Some(closed),
            _ => None,
        })
    }

    pub(super) fn hub_closed(&self) -> Option<&Closed> {
        self.hub_events.iter().find_map(|event| match event {
            HubEvent::Closed(closed) => Some(closed),
            _ => None,
        })
    }

    pub(super) fn hub_error(&self) -> Option<(u16, ErrorCode)> {
        self.hub_closed().and_then(|closed| Some((closed.code, closed.error?)))
    }

    pub(super) fn agent_error(&self) -> Option<(u16, ErrorCode)> {
        self.agent_closed().and_then(|closed| Some((closed.code, closed.error?)))
    }

    pub(super) fn resolutions(&self) -> Vec<Resolution> {
        let found = self.agent_events.iter().rev().find_map(|event| match event {
            AgentEvent::Registered { resolutions, .. } => Some(resolutions.clone()),
            _ => None,
        });
        found.expect("the agent registered")
    }

    pub(super) fn is_registered(&self) -> bool {
        self.agent_events.iter().any(|event| matches!(event, AgentEvent::Registered { .. }))
    }

    pub(super) fn hub_time(&self) -> HubTime {
        HUB_TIME.after(self.now.since(START))
    }
}

pub(super) fn kept(count: u64) -> Kept {
    Kept { cursor: 0, records: (1..=count).map(|seq| (seq, payload(seq))).collect(), next: count + 1 }
}

fn states(outbox: &BTreeMap<StreamId, Kept>) -> Vec<StreamState> {
    let state = |(stream, kept): (&StreamId, &Kept)| StreamState {
        stream: *stream,
        first_unacked: kept.cursor + 1,
        next: kept.next,
    };
    outbox.iter().map(state).collect()
}
