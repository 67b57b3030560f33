//! The world as the two drivers: what they do with each event.

use bytes::BytesMut;

use crate::id::StreamId;
use crate::outbox::Batch;
use crate::session::*;
use crate::wire::batch;
use crate::wire::message::*;

use super::fixture::record;
use super::world::World;

impl World {
    pub(super) fn drain_agent_events(&mut self) -> bool {
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
                AgentEvent::JobOffer { .. } | AgentEvent::CancelJob(_) => {}
                AgentEvent::RotateKey(_) | AgentEvent::KeyStored(_) => {}
                AgentEvent::Relay(_) | AgentEvent::RelayReply(_) => {}
                AgentEvent::HubError(_) | AgentEvent::GoAway(_) | AgentEvent::Unknown(_) => {}
                AgentEvent::Closed(_) => {}
            }
            self.agent_events.push(event);
        }
        moved
    }

    pub(super) fn drain_hub_events(&mut self) -> bool {
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
                HubEvent::JobAck(_) | HubEvent::KeyAgreed { .. } => {}
                HubEvent::Relay(_) | HubEvent::RelayReply(_) => {}
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

    pub(super) fn read(&self, request: ReadRequest) -> Option<Batch> {
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
}
