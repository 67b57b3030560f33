//! What the hub's driver does with each event, and what it may be told.

use outpost::session::HubEvent;
use outpost::wire::batch;
use outpost::wire::message::{Records, Register, StreamMark, StreamState};

use super::relay::delivered;
use super::{Meddling, Pair, payload};

impl Pair {
    pub(super) fn drain_hub(&mut self) {
        while let Some(event) = self.hub.poll_event() {
            assert!(!self.hub_seen.closed, "the hub is told {event:?} after its end");
            match event {
                HubEvent::Register(register) => self.hub_registers(&register),
                HubEvent::Records { records, skip } => self.hub_records(&records, skip),
                HubEvent::Gap(gap) => {
                    let received = self.received.get_mut(&gap.stream).expect("a stream that was listed");
                    assert_eq!(gap.from, *received + 1, "a Gap joins what came before");
                    assert!(gap.to >= gap.from);
                    *received = gap.to;
                }
                HubEvent::KeyAgreed { .. } => self.hub.key_stored(),
                HubEvent::Relay(relay) => self.hub.relays_mut().answer(delivered(&relay)),
                HubEvent::Closed(_) => self.hub_seen.closed = true,
                HubEvent::Heartbeat(_)
                | HubEvent::JobAck(_)
                | HubEvent::RelayReply(_)
                | HubEvent::Unknown(_) => {}
            }
        }
    }

    fn hub_registers(&mut self, register: &Register) {
        self.hub_seen.registered += 1;
        assert_eq!(self.hub_seen.registered, 1, "one session registers once");
        let listed = &register.streams.entries;
        if self.meddling < Meddling::Forged {
            assert!(self.setup.welcome(), "an agent that must not come in");
            assert_eq!(*listed, self.setup.states(), "what the agent listed");
        }
        let mark = |(number, state): (usize, &StreamState)| {
            let acked = self.setup.marks.get(number).copied().unwrap_or_default().into();
            StreamMark { stream: state.stream, acked, acked_crc: 0 }
        };
        let marks: Vec<_> = listed.iter().enumerate().map(mark).collect();
        self.received = marks.iter().map(|mark| (mark.stream, mark.acked)).collect();
        self.hub.accept(self.now, marks, None);
    }

    fn hub_records(&mut self, records: &Records, skip: u32) {
        let received = self.received.get_mut(&records.stream).expect("a stream that was listed");
        assert_eq!(records.first + u64::from(skip), *received + 1, "records join what came before");
        assert!(records.last() > *received, "nothing of it is new");
        *received = records.last();
        if self.meddling == Meddling::Forged {
            return;
        }
        let decoded = batch::decode(&records.batch, records.count).expect("the agent's own batch");
        for (seq, record) in (records.first..).zip(decoded) {
            assert_eq!(record.payload, payload(records.stream, seq), "what nobody said");
        }
    }

    /// Everything that was told is durable. Whether that is more than before.
    pub(super) fn commit(&mut self) -> bool {
        let more = self.committed != self.received;
        self.committed.clone_from(&self.received);
        for (stream, acked) in self.received.clone() {
            self.hub.handle_committed(self.now, StreamMark { stream, acked, acked_crc: 0 });
        }
        self.drain();
        more
    }
}
