//! What the agent's driver does with each event, and what it may be told.

use bytes::BytesMut;
use outpost::outbox::Batch;
use outpost::session::{AgentEvent, LocalMark, ReadRequest, Resolution};
use outpost::time::WallTime;
use outpost::wire::batch;
use outpost::wire::job::{Answer, JobAck, JobState};
use outpost::wire::message::{Record, RecordKind, StreamMark};

use super::relay::delivered;
use super::{Meddling, Pair, payload};

/// Records of one batch.
const BATCH_MAX: u64 = 100;

impl Pair {
    pub(super) fn drain_agent(&mut self) {
        while let Some(event) = self.agent.poll_event() {
            assert!(!self.agent_seen.closed, "the agent is told {event:?} after its end");
            match event {
                AgentEvent::Marks(marks) => {
                    let local = |mark: &StreamMark| {
                        let cursor = self.outbox[&mark.stream].cursor;
                        LocalMark { stream: mark.stream, cursor, crc: None }
                    };
                    let local = marks.iter().map(local).collect();
                    self.agent.resolve_marks(self.now, local);
                }
                AgentEvent::Registered { resolutions, .. } => self.agent_registered(resolutions),
                AgentEvent::Acked(mark) => self.agent_acked(mark),
                AgentEvent::HeartbeatDue => self.agent.send_heartbeat(Default::default()),
                AgentEvent::JobOffer { id, offer } => {
                    let answer = Answer::Accepted(JobState::Accepted);
                    self.agent.answer_offer(id, JobAck { job: offer.job, answer });
                }
                AgentEvent::RotateKey(share) => {
                    if self.agent.agree_key(&share, [5; 32]).is_some() {
                        self.agent.key_is_durable();
                    }
                }
                AgentEvent::Relay(relay) => self.agent.relays_mut().answer(delivered(&relay)),
                AgentEvent::Closed(_) => self.agent_seen.closed = true,
                AgentEvent::HubError(_)
                | AgentEvent::KeyStored(_)
                | AgentEvent::GoAway(_)
                | AgentEvent::CancelJob(_)
                | AgentEvent::RelayReply(_)
                | AgentEvent::Unknown(_) => {}
            }
        }
    }

    fn agent_registered(&mut self, resolutions: Vec<Resolution>) {
        self.agent_seen.registered += 1;
        assert_eq!(self.agent_seen.registered, 1, "one session registers once");
        if self.meddling < Meddling::Forged {
            assert!(self.setup.welcome(), "a session that nobody should have got");
            assert_eq!(self.hub_seen.registered, 1, "the hub did not let anybody in");
        }
        for resolution in resolutions {
            match resolution {
                Resolution::Acked(mark) => self.agent_acked(mark),
                Resolution::HubLost(gap) => {
                    assert!(gap.from <= gap.to && gap.to < self.outbox[&gap.stream].next);
                    self.agent.send_gap(gap);
                }
                Resolution::RolledBack { report, .. } => assert!(report.from <= report.to, "{report:?}"),
            }
        }
    }

    /// Whatever a hub says, nothing is dropped that was never there, and an ack never goes back.
    fn agent_acked(&mut self, mark: StreamMark) {
        let kept = self.outbox.get_mut(&mark.stream).expect("a stream of this agent");
        assert!(mark.acked < kept.next, "{mark:?} is beyond {}", kept.next);
        assert!(mark.acked > kept.cursor, "{mark:?} is not above {}", kept.cursor);
        kept.cursor = mark.acked;
        if self.meddling < Meddling::Forged {
            let received = self.received.get(&mark.stream).copied().unwrap_or_default();
            assert!(mark.acked <= received, "{mark:?} is acked and was not received");
        }
    }

    pub(super) fn answer_reads(&mut self) {
        while let Some(request) = self.agent.poll_read() {
            let batch = self.read(request);
            self.agent.handle_batch(request, batch);
        }
    }

    fn read(&self, request: ReadRequest) -> Option<Batch> {
        let kept = self.outbox[&request.stream];
        assert!(request.from > 0 && request.from <= kept.next, "{request:?} of {kept:?}");
        let mut encoded = BytesMut::new();
        let (mut count, mut payload_bytes) = (0, 0);
        for seq in (request.from..kept.next).take(BATCH_MAX as usize) {
            let payload = payload(request.stream, seq);
            let mut one = BytesMut::new();
            let length = payload.len() as u64;
            let (recorded_at, source) = (WallTime(1), "fuzz".to_owned());
            batch::push(
                Record { recorded_at, source, kind: RecordKind::Opaque, payload, part: None, app: None },
                &mut one,
            );
            if count > 0 && encoded.len() + one.len() > request.bytes_max {
                break;
            }
            encoded.extend_from_slice(&one);
            count += 1;
            payload_bytes += length;
        }
        (count > 0).then(|| Batch { first: request.from, count, batch: encoded.freeze(), payload_bytes })
    }
}
