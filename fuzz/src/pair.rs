//! An agent's session and a hub's, the wire between them, and somebody on it.
//!
//! Whoever is on the wire may delay, drop, repeat, turn round, change and invent frames. As long as no frame is *forged*
//! (signed with a session's key by other than its end), nothing may come through that was not said; and whatever was
//! forged, neither end may panic, go on after its end, hold more than its windows, or be told what cannot be.

mod agent;
mod forge;
mod hub;
mod op;
mod relay;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use outpost::id::{Lane, StreamId};
use outpost::session::{AgentSession, HubSession, Transmit};
use outpost::time::{BootTime, WallTime};
use outpost::wire::message::{SignatureMode, StreamState};

pub use op::{End, Op};

use crate::ends;

/// Frames that can be said again.
const REMEMBERED: usize = 64;
/// Deadlines in a row that may come without anything else.
const DEADLINES_MAX: usize = 1000;

/// What the two ends have.
#[derive(Debug, Clone, arbitrary::Arbitrary)]
pub struct Setup {
    /// Streams that the agent lists.
    pub streams: u8,
    /// Records in each of them.
    pub records: u8,
    /// The agent's identity, where it has one.
    pub identity: Option<bool>,
    /// The identity that is bound at the hub, where one is.
    pub bound: Option<bool>,
    /// What the hub wants of agents without one: none, optional, required.
    pub signature: u8,
    /// Whether the hub has another key of the agent.
    pub other_key: bool,
    /// What the hub says it has of each stream, by their order.
    pub marks: Vec<u8>,
}

impl Default for Setup {
    fn default() -> Self {
        let (identity, bound) = (None, None);
        Self { streams: 3, records: 5, identity, bound, signature: 0, other_key: false, marks: Vec::new() }
    }
}

impl Setup {
    fn signature(&self) -> SignatureMode {
        [SignatureMode::None, SignatureMode::Optional, SignatureMode::Required]
            [usize::from(self.signature % 3)]
    }

    /// Whether an honest hub lets this agent in.
    fn welcome(&self) -> bool {
        let signs = match self.bound {
            Some(bound) => self.identity == Some(bound),
            None => self.signature() != SignatureMode::Required,
        };
        signs && !self.other_key
    }

    /// Streams of all lanes in turn: few, or rarely more than one frame lists. Runs are to be short.
    fn states(&self) -> Vec<StreamState> {
        let id = |number: u8| ends::stream(Lane::ALL[usize::from(number % 3)], 1 + u64::from(number / 3));
        let next = 1 + u64::from(self.records % 16);
        let streams = if self.streams < 250 { self.streams % 8 } else { self.streams - 180 };
        (0..streams).map(|number| StreamState { stream: id(number), first_unacked: 1, next }).collect()
    }
}

/// How far somebody on the wire went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Meddling {
    /// Every frame arrives once, in order.
    None,
    /// Frames were lost, changed or said again.
    Frames,
    /// Frames were signed by somebody who has the keys.
    Forged,
}

/// What the agent's disk holds of a stream: numbers up to `next`, acked up to `cursor`.
#[derive(Debug, Clone, Copy)]
struct Kept {
    cursor: u64,
    next: u64,
}

/// What one end went through.
#[derive(Debug, Default)]
struct Seen {
    /// Frames that arrived at it, of whoever.
    heard: u64,
    /// Registers told, or RegisterAcks.
    registered: u32,
    closed: bool,
    frames_after_close: u32,
}

/// The two ends and the wire.
#[derive(Debug)]
pub struct Pair {
    setup: Setup,
    now: BootTime,
    agent: AgentSession,
    hub: HubSession,
    up: VecDeque<Bytes>,
    down: VecDeque<Bytes>,
    said: Vec<Bytes>,
    outbox: BTreeMap<StreamId, Kept>,
    /// What the hub was told of each stream, and what of it is durable.
    received: BTreeMap<StreamId, u64>,
    committed: BTreeMap<StreamId, u64>,
    agent_seen: Seen,
    hub_seen: Seen,
    meddling: Meddling,
}

impl Pair {
    /// A connection that was just made.
    pub fn new(setup: Setup) -> Self {
        let identity = |which| ends::identity(if which { 7 } else { 8 });
        let mut agent = ends::agent_config();
        agent.identity = setup.identity.map(identity);
        let mut hub = ends::hub_config();
        hub.identity = setup.bound.map(|which| identity(which).verifying_key().into());
        hub.signature = setup.signature();
        if setup.other_key {
            hub.mac_root = outpost::wire::key::AgentKey::new([4; 32]).mac_root();
        }
        let states = setup.states();
        let outbox =
            states.iter().map(|state| (state.stream, Kept { cursor: 0, next: state.next })).collect();
        Self {
            setup,
            now: ends::START,
            agent: AgentSession::new(agent, states, ends::START),
            hub: HubSession::new(hub, ends::START, ends::HUB_TIME),
            up: VecDeque::new(),
            down: VecDeque::new(),
            said: Vec::new(),
            outbox,
            received: BTreeMap::new(),
            committed: BTreeMap::new(),
            agent_seen: Seen::default(),
            hub_seen: Seen::default(),
            meddling: Meddling::None,
        }
    }

    /// A connection whose registration is done.
    pub fn registered(setup: Setup) -> Self {
        let mut pair = Self::new(setup);
        pair.settle();
        assert_eq!((pair.agent_seen.registered, pair.hub_seen.registered), (1, 1), "nobody was in the way");
        pair
    }

    /// Everything happens that can happen without time passing.
    fn settle(&mut self) {
        loop {
            let moved = self.send(End::Agent) | self.send(End::Hub);
            if !(self.deliver(End::Agent) | self.deliver(End::Hub) | moved) {
                return;
            }
        }
    }

    /// The end: where nobody was in the way, everything has arrived and both ends know it.
    pub fn finish(mut self) {
        self.run(Duration::from_secs(20));
        if self.meddling > Meddling::None || self.agent_seen.closed || self.hub_seen.closed {
            return;
        }
        assert!(self.setup.welcome(), "a session stays open that nobody should have got");
        for (stream, kept) in &self.outbox {
            if self.setup.marks.iter().all(|mark| *mark == 0) {
                assert_eq!(self.received.get(stream), Some(&(kept.next - 1)), "{stream} at the hub");
                assert_eq!(kept.cursor, kept.next - 1, "{stream} at the agent");
            }
        }
    }

    /// Settles, and lets deadlines come until `duration` is over.
    fn run(&mut self, duration: Duration) {
        let end = self.now.after(duration);
        for _ in 0..DEADLINES_MAX {
            self.settle();
            // What is acked makes room for more.
            while self.commit() {
                self.settle();
            }
            let deadlines = [self.agent.poll_timeout(), self.hub.poll_timeout()];
            let Some(next) = deadlines.into_iter().flatten().min().filter(|next| *next <= end) else {
                return;
            };
            self.pass_to(self.now.max(next));
        }
        panic!("deadlines come again though they were handled");
    }

    fn pass_to(&mut self, now: BootTime) {
        self.now = now;
        self.agent.handle_timeout(now);
        self.hub.handle_timeout(now);
        self.drain();
    }

    /// One frame or ping, where there is one.
    fn send(&mut self, end: End) -> bool {
        let mut out = BytesMut::new();
        let transmit = match end {
            End::Agent => {
                self.answer_reads();
                self.agent.poll_transmit(self.now, &mut out)
            }
            End::Hub => self.hub.poll_transmit(self.now, &mut out),
        };
        self.drain();
        match transmit {
            Some(Transmit::Frame) => {
                let frame = out.freeze();
                let seen = self.seen(end);
                seen.frames_after_close += u32::from(seen.closed);
                assert!(seen.frames_after_close <= 1, "{end:?} goes on after its end");
                if self.said.len() < REMEMBERED {
                    self.said.push(frame.clone());
                }
                self.towards(end.other()).push_back(frame);
                true
            }
            Some(Transmit::Ping) => {
                assert!(out.is_empty(), "a ping has no bytes of its own");
                self.activity(end.other());
                true
            }
            None => {
                assert!(out.is_empty(), "bytes without a frame");
                false
            }
        }
    }

    fn deliver(&mut self, to: End) -> bool {
        let Some(frame) = self.towards(to).pop_front() else { return false };
        self.hear(to, frame);
        true
    }

    fn hear(&mut self, to: End, frame: Bytes) {
        self.seen(to).heard += 1;
        match to {
            End::Agent => self.agent.handle_frame(self.now, WallTime(5), frame),
            End::Hub => self.hub.handle_frame(self.now, frame),
        }
        self.drain();
        assert!(self.hub.in_flight() <= (1 << 20) + (64 << 10) + 2 * (2 << 20), "{}", self.hub.in_flight());
    }

    fn activity(&mut self, at: End) {
        match at {
            End::Agent => self.agent.handle_activity(self.now),
            End::Hub => self.hub.handle_activity(self.now),
        }
    }

    fn drain(&mut self) {
        self.drain_agent();
        self.drain_hub();
    }

    fn towards(&mut self, end: End) -> &mut VecDeque<Bytes> {
        match end {
            End::Agent => &mut self.down,
            End::Hub => &mut self.up,
        }
    }

    fn seen(&mut self, end: End) -> &mut Seen {
        match end {
            End::Agent => &mut self.agent_seen,
            End::Hub => &mut self.hub_seen,
        }
    }

    fn meddle(&mut self, how: Meddling) {
        self.meddling = self.meddling.max(how);
    }
}

/// What record `seq` of a stream holds: nobody can say another under its number.
fn payload(stream: StreamId, seq: u64) -> Bytes {
    format!("{stream} {seq}").into()
}
