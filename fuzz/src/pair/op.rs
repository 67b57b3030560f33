//! What can happen to a pair of sessions.

use std::time::Duration;

use arbitrary::Arbitrary;
use bytes::Bytes;
use outpost::id::{JobId, Lane};
use outpost::wire::error::ErrorCode;
use outpost::wire::job::JobOffer;

use super::forge::Forgery;
use super::{Meddling, Pair};
use crate::ends;

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Arbitrary)]
pub enum End {
    /// The agent.
    Agent,
    /// The hub.
    Hub,
}

impl End {
    /// The one it talks to.
    pub const fn other(self) -> Self {
        match self {
            Self::Agent => Self::Hub,
            Self::Hub => Self::Agent,
        }
    }
}

/// One thing that happens.
#[derive(Debug, Clone, Arbitrary)]
pub enum Op {
    /// The end puts a frame on the wire.
    Send(End),
    /// The next frame reaches the end.
    Deliver(End),
    /// The end has so many turns of both.
    Turns(u8),
    /// So many times 10 ms go by.
    Pass(u16),
    /// The agent makes records durable.
    Append {
        /// In which of its streams.
        stream: u8,
        /// How many.
        count: u8,
    },
    /// The hub makes durable what it was told.
    Commit,
    /// The agent's disk has nothing to say to a read.
    ReadNothing,
    /// The agent says how it is.
    Heartbeat,
    /// The hub has a job.
    Offer(u8),
    /// The hub wants a job ended.
    Cancel(u8),
    /// A sign of life of the socket.
    Activity(End),
    /// A text message.
    Text(End),
    /// The end closes.
    Close(End),
    /// The next frame is lost.
    Drop(End),
    /// The next frame comes after the others.
    Delay(End),
    /// A frame that was said comes again, at whichever end.
    Repeat {
        /// Where.
        to: End,
        /// Which.
        which: u8,
    },
    /// A bit of the next frame changes.
    Flip {
        /// Of those on the way to this end.
        to: End,
        /// Which byte.
        at: u16,
        /// Which bit.
        bit: u8,
    },
    /// Bytes come.
    Raw(End, Vec<u8>),
    /// A frame of somebody who has the keys comes.
    Forge(Forgery),
    /// The hub wants a new key.
    Rotate(u8),
    /// The end has a message for the other's program.
    Relay(End, u8),
}

impl Pair {
    /// It happens.
    pub fn step(&mut self, op: Op) {
        match op {
            Op::Send(end) => drop(self.send(end)),
            Op::Deliver(end) => drop(self.deliver(end)),
            Op::Turns(turns) => {
                for _ in 0..turns % 16 {
                    for end in [End::Agent, End::Hub] {
                        self.send(end);
                        self.deliver(end.other());
                    }
                }
            }
            Op::Pass(steps) => self.pass_to(self.now.after(Duration::from_millis(10 * u64::from(steps)))),
            Op::Append { stream, count } => self.append(stream, count),
            Op::Commit => drop(self.commit()),
            Op::ReadNothing => {
                if let Some(request) = self.agent.poll_read() {
                    self.agent.handle_batch(request, None);
                    // The stream waits for more, which may not come.
                    self.meddle(Meddling::Frames);
                }
            }
            Op::Heartbeat => self.agent.send_heartbeat(Default::default()),
            Op::Offer(job) => {
                if self.hub.takes_orders() {
                    let (job, created_at) = (JobId::from_bytes([job; 16]), ends::HUB_TIME);
                    let (spec, signature) = (Bytes::from_static(b"{}"), None);
                    self.hub.offer_job(JobOffer { job, created_at, spec, signature });
                }
            }
            Op::Relay(from, number) => self.relay(from, number),
            Op::Rotate(key) => self.hub.rotate_key(crate::ends::key_id(key), [key; 32]),
            Op::Cancel(job) => {
                if self.hub.takes_orders() {
                    self.hub.cancel_job(JobId::from_bytes([job; 16]));
                }
            }
            Op::Activity(end) => self.activity(end),
            meddling => self.meddle_with(meddling),
        }
        self.drain();
    }

    /// What only happens where something is wrong at an end or on the wire.
    fn meddle_with(&mut self, op: Op) {
        self.meddle(Meddling::Frames);
        match op {
            Op::Text(End::Agent) => self.agent.handle_text(self.now),
            Op::Text(End::Hub) => self.hub.handle_text(self.now),
            Op::Close(End::Agent) => self.agent.close(self.now),
            Op::Close(End::Hub) => self.hub.close(self.now, ErrorCode::GoingAway, "it goes"),
            Op::Drop(to) => drop(self.towards(to).pop_front()),
            Op::Delay(to) => {
                let frames = self.towards(to);
                if !frames.is_empty() {
                    frames.rotate_left(1);
                }
            }
            Op::Repeat { to, which } => {
                if !self.said.is_empty() {
                    let frame = self.said[usize::from(which) % self.said.len()].clone();
                    self.hear(to, frame);
                }
            }
            Op::Flip { to, at, bit } => {
                if let Some(frame) = self.towards(to).front_mut() {
                    let mut bytes = frame.to_vec();
                    let at = usize::from(at) % bytes.len();
                    bytes[at] ^= 1 << (bit % 8);
                    *frame = bytes.into();
                }
            }
            Op::Raw(to, bytes) => self.hear(to, bytes.into()),
            Op::Forge(forgery) => {
                self.meddle(Meddling::Forged);
                self.forge(forgery);
            }
            Op::Send(_)
            | Op::Deliver(_)
            | Op::Turns(_)
            | Op::Pass(_)
            | Op::Append { .. }
            | Op::Commit
            | Op::ReadNothing
            | Op::Heartbeat
            | Op::Offer(_)
            | Op::Cancel(_)
            | Op::Rotate(_)
            | Op::Relay(..)
            | Op::Activity(_) => {}
        }
    }

    fn append(&mut self, stream: u8, count: u8) {
        let lane = Lane::ALL[usize::from(stream) % Lane::ALL.len()];
        let stream = ends::stream(lane, 1 + u64::from(stream) / 3);
        if let Some(kept) = self.outbox.get_mut(&stream) {
            kept.next += u64::from(count % 32);
            self.agent.handle_durable(stream, kept.next);
        }
    }
}
