//! An agent with an outbox, a hub with a store, and a wire between them that tests may cut, bend and record.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ed25519_dalek::SigningKey;

use crate::id::{AgentId, Epoch, HubId, InstanceId, Lane, SessionId, StreamId};
use crate::limit;
use crate::outbox::Batch;
use crate::session::*;
use crate::time::{BootTime, HubTime, WallTime};
use crate::wire::batch;
use crate::wire::envelope::{self, Header};
use crate::wire::error::ErrorCode;
use crate::wire::key::{AgentKey, Direction, MacRoot, SessionContext};
use crate::wire::message::*;

pub(super) const START: BootTime = BootTime(Duration::from_secs(1_000));
pub(super) const HUB_TIME: HubTime = HubTime(1_800_000_000_000);
pub(super) const LOGS: StreamId = stream(Lane::Logs, 1);

pub(super) const fn stream(lane: Lane, epoch: u64) -> StreamId {
    StreamId { lane, epoch: Epoch::from_u64(epoch << 32) }
}

pub(super) fn root() -> MacRoot {
    AgentKey::new([3; 32]).mac_root()
}

pub(super) fn limits() -> Limits {
    Limits {
        message_bytes: u32::try_from(limit::MESSAGE_BYTES_MAX).unwrap(),
        window_bytes: limit::WINDOW_BYTES,
        control_window_bytes: limit::CONTROL_WINDOW_BYTES,
        record_bytes: u32::try_from(limit::RECORD_BYTES_MAX).unwrap(),
        ping_interval: limit::PING_INTERVAL,
        idle: limit::IDLE_TIMEOUT,
        zstd: false,
    }
}

pub(super) fn agent_config() -> AgentConfig {
    AgentConfig {
        hub_id: HubId::from_bytes([1; 16]),
        agent_id: AgentId::from_bytes([2; 16]),
        mac_root: root(),
        identity: None,
        agent_nonce: [5; 32],
        channel_binding: [0; 32],
        register: RegisterInfo {
            instance: InstanceId::from_bytes([9; 16]),
            agent_version: "0.1.0".to_owned(),
            hostname: "edge".to_owned(),
            os: "linux".to_owned(),
            arch: "x86_64".to_owned(),
            runtimes: BTreeMap::new(),
            capabilities: Vec::new(),
            last_known_config_version: 0,
        },
        limits: limits(),
        message_id_seed: [0xFF; 16],
    }
}

pub(super) fn hub_config() -> HubConfig {
    HubConfig {
        hub_id: HubId::from_bytes([1; 16]),
        agent_id: AgentId::from_bytes([2; 16]),
        mac_root: root(),
        identity: None,
        signature: SignatureMode::None,
        agent_nonce: [5; 32],
        hub_nonce: [6; 32],
        session_id: SessionId::from_bytes([4; 16]),
        binding: ChannelBinding::None,
        channel_binding: [0; 32],
        limits: limits(),
        heartbeat_interval: limit::HEARTBEAT_INTERVAL,
        message_id_seed: [8; 16],
    }
}

pub(super) fn identity() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

/// A frame as the other end would have made it, with any number and time.
pub(super) fn forge(direction: Direction, seq: u64, sent_at: HubTime, message: Message) -> Bytes {
    seal(&root().session_key(direction, &context()), seq, sent_at, message)
}

pub(super) fn seal(key: &crate::wire::mac::MacKey, seq: u64, sent_at: HubTime, message: Message) -> Bytes {
    let id = crate::id::MessageId { hi: 0, lo: seq };
    let mut out = BytesMut::new();
    envelope::seal(
        Header { seq, sent_at, id, correlation: crate::id::MessageId::NONE },
        message,
        key,
        &mut out,
    );
    out.freeze()
}

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

pub(super) struct World {
    pub(super) now: BootTime,
    pub(super) agent: AgentSession,
    pub(super) hub: HubSession,
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

    pub(super) fn plain() -> Self {
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
    pub(super) fn settle(&mut self) {
        while self.agent_out() | self.hub_out() | self.agent_in() | self.hub_in() {}
    }

    /// Settles, and lets deadlines come until `duration` is over.
    pub(super) fn run(&mut self, duration: Duration) {
        let end = self.now.after(duration);
        loop {
            self.settle();
            let deadlines = [self.agent.poll_timeout(), self.hub.poll_timeout()];
            let Some(next) = deadlines.into_iter().flatten().min().filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            self.agent.handle_timeout(self.now);
            self.hub.handle_timeout(self.now);
        }
        self.now = end;
        self.settle();
    }

    pub(super) fn agent_out(&mut self) -> bool {
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

    pub(super) fn hub_out(&mut self) -> bool {
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

    pub(super) fn agent_in(&mut self) -> bool {
        let Some(frame) = self.down.pop_front() else { return false };
        self.agent.handle_frame(self.now, WallTime(5_000), frame);
        true
    }

    pub(super) fn hub_in(&mut self) -> bool {
        let Some(frame) = self.up.pop_front() else { return false };
        self.hub.handle_frame(self.now, frame);
        self.in_flight_max = self.in_flight_max.max(self.hub.in_flight());
        true
    }

    fn drain_agent_events(&mut self) -> bool {
        let mut moved = false;
        while let Some(event) = self.agent.poll_event() {
            moved = true;
            match &event {
                AgentEvent::Marks(marks) => {
                    let local = marks.iter().map(|mark| self.local(mark)).collect();
                    self.agent.resolve_marks(self.now, local);
                }
                AgentEvent::Acked(mark) => self.acked(*mark),
                AgentEvent::HeartbeatDue => self.agent.send_heartbeat(Heartbeat::default()),
                AgentEvent::Registered { resolutions, .. } => {
                    for resolution in resolutions {
                        match resolution {
                            Resolution::Acked(mark) => self.acked(*mark),
                            Resolution::HubLost(gap) if self.gaps => self.agent.send_gap(*gap),
                            Resolution::HubLost(_) => {}
                            Resolution::RolledBack { .. } => {}
                        }
                    }
                }
                AgentEvent::HubError(_) | AgentEvent::GoAway(_) | AgentEvent::Unknown(_) => {}
                AgentEvent::Closed(_) => {}
            }
            self.agent_events.push(event);
        }
        moved
    }

    fn drain_hub_events(&mut self) -> bool {
        let mut moved = false;
        while let Some(event) = self.hub.poll_event() {
            moved = true;
            match &event {
                HubEvent::Register(register) => {
                    let mark = |state: &StreamState| {
                        let stored = self.store.entry(state.stream).or_default();
                        StreamMark { stream: state.stream, acked: stored.mark, acked_crc: stored.crc }
                    };
                    let marks = register.streams.entries.iter().map(mark).collect();
                    self.hub.accept(self.now, marks, None);
                }
                HubEvent::Records { records, skip } => {
                    self.batches += 1;
                    self.store_records(records, *skip);
                }
                HubEvent::Gap(gap) => {
                    let stored = self.store.get_mut(&gap.stream).unwrap();
                    assert_eq!(gap.from, stored.mark + 1, "a gap joins the mark");
                    (stored.mark, stored.crc) = (gap.to, 0);
                    stored.gaps.push(*gap);
                    self.commit(gap.stream);
                }
                HubEvent::Heartbeat(_) => self.heartbeats += 1,
                HubEvent::Unknown(_) | HubEvent::Closed(_) => {}
            }
            if !matches!(event, HubEvent::Records { .. }) {
                self.hub_events.push(event);
            }
        }
        moved
    }

    fn store_records(&mut self, records: &Records, skip: u32) {
        let stored = self.store.get_mut(&records.stream).unwrap();
        let decoded = batch::decode(&records.batch, records.count).unwrap();
        for (seq, record) in (records.first..).zip(decoded).skip(skip as usize) {
            assert_eq!(seq, stored.mark + 1, "the hub got a hole or a duplicate");
            stored.mark = seq;
            stored.crc = batch::record_crc(seq, &record.payload);
            assert!(stored.payloads.insert(seq, record.payload).is_none());
        }
        self.commit(records.stream);
    }

    fn commit(&mut self, stream: StreamId) {
        let stored = &self.store[&stream];
        let mark = StreamMark { stream, acked: stored.mark, acked_crc: stored.crc };
        if self.commits {
            self.hub.handle_committed(self.now, mark);
        }
    }

    fn acked(&mut self, mark: StreamMark) {
        self.acks += 1;
        self.marks.push(mark);
        let kept = self.outbox.get_mut(&mark.stream).unwrap();
        kept.cursor = kept.cursor.max(mark.acked);
        while kept.records.front().is_some_and(|(seq, _)| *seq <= mark.acked) {
            kept.records.pop_front();
        }
    }

    fn local(&self, mark: &StreamMark) -> LocalMark {
        let kept = &self.outbox[&mark.stream];
        let held = kept.records.iter().find(|(seq, _)| *seq == mark.acked);
        let crc = held.map(|(seq, payload)| batch::record_crc(*seq, payload));
        LocalMark { stream: mark.stream, cursor: kept.cursor, crc }
    }

    fn read(&self, request: ReadRequest) -> Option<Batch> {
        let kept = &self.outbox[&request.stream];
        let begin = kept.records.partition_point(|(seq, _)| *seq < request.from);
        let mut out = BytesMut::new();
        let (mut count, mut payload_bytes) = (0, 0);
        for (seq, payload) in kept.records.range(begin..) {
            let mut one = BytesMut::new();
            batch::push(record(payload.clone()), &mut one);
            if count > 0 && out.len() + one.len() > request.bytes_max {
                break;
            }
            assert_eq!(*seq, request.from + u64::from(count));
            out.extend_from_slice(&one);
            count += 1;
            payload_bytes += payload.len() as u64;
        }
        (count > 0).then(|| Batch { first: request.from, count, batch: out.freeze(), payload_bytes })
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

pub(super) fn payload(seq: u64) -> Bytes {
    Bytes::from(format!("record {seq}"))
}

pub(super) fn record(payload: Bytes) -> Record {
    Record {
        recorded_at: WallTime(1),
        source: "test".to_owned(),
        kind: RecordKind::Opaque,
        payload,
        part: None,
    }
}

pub(super) fn records(stream: StreamId, first: u64, count: u32) -> Message {
    let mut out = BytesMut::new();
    for seq in (first..).take(count as usize) {
        batch::push(record(payload(seq)), &mut out);
    }
    let raw_len = u32::try_from(out.len()).unwrap();
    let (codec, batch) = (Codec::None, out.freeze());
    Message::Records(Records { stream, first, count, codec, raw_len, batch, clock_offset: None })
}

fn states(outbox: &BTreeMap<StreamId, Kept>) -> Vec<StreamState> {
    let state = |(stream, kept): (&StreamId, &Kept)| StreamState {
        stream: *stream,
        first_unacked: kept.cursor + 1,
        next: kept.next,
    };
    outbox.iter().map(state).collect()
}

pub(super) fn context() -> SessionContext {
    SessionContext {
        hub_id: HubId::from_bytes([1; 16]),
        agent_id: AgentId::from_bytes([2; 16]),
        session_id: SessionId::from_bytes([4; 16]),
        agent_nonce: [5; 32],
        hub_nonce: [6; 32],
        channel_binding: [0; 32],
    }
}

pub(super) fn register(entries: Vec<StreamState>, more: bool) -> Register {
    Register {
        instance: InstanceId::from_bytes([9; 16]),
        agent_version: String::new(),
        hostname: String::new(),
        os: String::new(),
        arch: String::new(),
        runtimes: BTreeMap::new(),
        capabilities: Vec::new(),
        last_known_config_version: 0,
        streams: Listing { entries, more },
        wall_time: WallTime(0),
    }
}

pub(super) fn register_ack(marks: Vec<StreamMark>) -> Message {
    Message::RegisterAck(Box::new(RegisterAck {
        hub_time: HUB_TIME,
        heartbeat_interval: limit::HEARTBEAT_INTERVAL,
        limits: limits(),
        marks: Listing { entries: marks, more: false },
        config: None,
        retry: None,
    }))
}
