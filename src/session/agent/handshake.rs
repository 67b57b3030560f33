//! From the Challenge to the open session.
//!
//! The Challenge is believed only under the challenge key, which only the hub that holds our MAC root, for this hub
//! id, our agent id and our fresh nonce, can make. What we sign is labelled, hashed and of fixed length
//! ([`key::challenge_digest`]), so a hostile hub gets no signature over bytes of its choosing.

use std::time::Duration;

use bytes::Bytes;
use ed25519_dalek::Signer;

use crate::session::clock::HubClock;
use crate::session::event::{AgentEvent, LocalMark, Resolution};
use crate::session::inbound::{Inbound, check_sequence};
use crate::session::listing::{self, Complete};
use crate::session::marks::{self, Verdict};
use crate::session::outbound::Outbound;
use crate::session::port::unexpected;
#[cfg(all(test, feature = "agent"))]
use crate::sim::mutant::{self, Mutant};
use crate::time::{BootTime, ClockOffset, HubTime, WallTime};
use crate::wire::envelope;
use crate::wire::error::{ErrorCode, WireError};
use crate::wire::key::{self, Direction, SessionContext};
use crate::wire::message::{
    Challenge, Limits, Listing, Message, Register, RegisterAck, SignatureMode, StreamMark,
};

use super::binding;
use super::stream::{Hold, Stream};
use super::unacked::Unacked;
use super::{AgentSession, Condition, Link, Live, Phase};

/// A RegisterAck, and the marks that came with it and after it.
#[derive(Debug)]
pub(super) struct PendingAck {
    ack: RegisterAck,
    hub_time: HubTime,
    offset: ClockOffset,
    marks: Vec<StreamMark>,
}

impl AgentSession {
    pub(super) fn handle_challenge(
        &mut self,
        now: BootTime,
        wall: WallTime,
        frame: &Bytes,
    ) -> Result<(), WireError> {
        let config = &self.config;
        let bytes_max = config.limits.message_bytes as usize;
        let key = config.mac_root.challenge_key(&config.agent_nonce, config.hub_id, config.agent_id);
        let opened = envelope::open(frame, &key, bytes_max)?;
        let header = opened.header;
        let message = match opened.into_message()? {
            Message::Challenge(challenge) => challenge,
            other => return Err(unexpected(&other)),
        };
        let clock = HubClock::new(message.hub_time, now);
        clock.check(now, header.sent_at).map_err(|off| off.judge(Duration::ZERO, frame.len()))?;
        check_sequence(1, header.seq)?;
        if message.hub_id != config.hub_id {
            let detail = format!("hub {} answers, the key is for hub {}", message.hub_id, config.hub_id);
            return Err(WireError::new(ErrorCode::WrongHub, detail));
        }
        let context = self.context(&message)?;
        let root = &self.config.mac_root;
        let down = root.session_key(Direction::HubToAgent, &context);
        let up = root.session_key(Direction::AgentToHub, &context);
        self.reply(&context, &message)?;
        self.link = Some(Link {
            session_id: message.session_id,
            inbound: Inbound::new(down, clock, 2, bytes_max),
            outbound: Outbound::new(up, clock, self.config.message_id_seed, bytes_max),
            binding: message.binding,
        });
        self.register(wall);
        self.phase = Phase::Ack { since: now };
        Ok(())
    }

    fn context(&self, challenge: &Challenge) -> Result<SessionContext, WireError> {
        Ok(SessionContext {
            hub_id: self.config.hub_id,
            agent_id: self.config.agent_id,
            session_id: challenge.session_id,
            agent_nonce: self.config.agent_nonce,
            hub_nonce: challenge.hub_nonce,
            channel_binding: binding::resolve(self.config.exporter, challenge.binding)?,
        })
    }

    fn reply(&mut self, context: &SessionContext, challenge: &Challenge) -> Result<(), WireError> {
        if let Some(identity) = &self.config.identity {
            let signature = identity.sign(&key::challenge_digest(context, challenge.hub_time));
            self.port.queue.push(Message::ChallengeReply(Box::new(signature.to_bytes())));
            return Ok(());
        }
        match challenge.signature {
            SignatureMode::Required => {
                let detail = "the hub wants an Ed25519 signature and this agent has no identity key";
                Err(WireError::new(ErrorCode::BadSignature, detail))
            }
            SignatureMode::None | SignatureMode::Optional => Ok(()),
        }
    }

    fn register(&mut self, wall: WallTime) {
        let info = self.config.register.clone();
        let mut listings = listing::cut(&self.listed).into_iter();
        let streams = listings.next().unwrap_or(Listing { entries: Vec::new(), more: false });
        self.port.queue.push(Message::Register(Box::new(Register {
            instance: info.instance,
            agent_version: info.agent_version,
            hostname: info.hostname,
            os: info.os,
            arch: info.arch,
            runtimes: info.runtimes,
            capabilities: info.capabilities,
            last_known_config_version: info.last_known_config_version,
            streams,
            wall_time: wall,
        })));
        for more in listings {
            self.port.queue.push(Message::RegisterMore(more));
        }
    }

    pub(super) fn handle_register_ack(
        &mut self,
        now: BootTime,
        wall: WallTime,
        message: Message,
    ) -> Result<(), WireError> {
        let phase = std::mem::replace(&mut self.phase, Phase::Ack { since: now });
        let (since, mut pending, listing) = match (phase, message) {
            (Phase::Ack { since }, Message::RegisterAck(mut ack)) => {
                self.opening.round_trip = now.since(since).min(crate::limit::ROUND_TRIP_MAX);
                self.check_condition(ack.hub_time)?;
                let empty = Listing { entries: Vec::new(), more: false };
                let listing = std::mem::replace(&mut ack.marks, empty);
                let offset = ClockOffset::between(ack.hub_time, wall);
                let (hub_time, marks) = (ack.hub_time, Vec::new());
                (since, Box::new(PendingAck { ack: *ack, hub_time, offset, marks }), listing)
            }
            (Phase::AckMore { since, pending }, Message::RegisterAckMore(listing)) => {
                (since, pending, listing)
            }
            (phase, message) => {
                self.phase = phase;
                return Err(unexpected(&message));
            }
        };
        let complete = listing::collect(&mut pending.marks, listing, self.listed.len())?;
        self.check_marks(&pending.marks, complete)?;
        self.phase = match complete {
            Complete::No => Phase::AckMore { since, pending },
            Complete::Yes => {
                self.uplink.rate.opened(self.opening.bytes, now.since(since));
                self.port.tell(AgentEvent::Marks(pending.marks.clone()));
                Phase::Marks { pending }
            }
        };
        Ok(())
    }

    /// A certificate that was believed on condition: the hub has to say a time within its dates.
    fn check_condition(&self, hub_time: HubTime) -> Result<(), WireError> {
        #[cfg(all(test, feature = "agent"))]
        if mutant::active(Mutant::ConditionIgnored) {
            return Ok(());
        }
        match &self.config.condition {
            Some(Condition { host, valid }) if !valid.contains(hub_time) => {
                let detail = format!(
                    "the certificate of {host} is valid {valid}, and the hub itself says that it is {}: renew it there (`outpost hub cert init`)",
                    hub_time.to_second()
                );
                Err(WireError::new(ErrorCode::Clock, detail))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// One mark for every stream listed, in our order.
    fn check_marks(&self, marks: &[StreamMark], complete: Complete) -> Result<(), WireError> {
        let invalid = |detail: String| Err(WireError::new(ErrorCode::Invalid, detail));
        for (mark, state) in marks.iter().zip(&self.listed) {
            if mark.stream != state.stream {
                return invalid(format!("a mark of {} came where {} is due", mark.stream, state.stream));
            }
        }
        if complete == Complete::Yes && marks.len() != self.listed.len() {
            return invalid(format!("{} marks came for {} streams", marks.len(), self.listed.len()));
        }
        Ok(())
    }

    pub(super) fn go_live(&mut self, now: BootTime, pending: PendingAck, local: &[LocalMark]) {
        let PendingAck { ack, hub_time, offset, marks } = pending;
        let limits = smaller(&self.config.limits, &ack.limits);
        let Some(link) = self.link.as_mut() else { return };
        link.inbound.bytes_max = limits.message_bytes as usize;
        link.outbound.bytes_max = limits.message_bytes as usize;
        let session_id = link.session_id;
        self.port.agreed(&limits, now);
        let (streams, resolutions) = self.judge(&marks, local);
        self.uplink.open(&limits, offset, streams);
        for (stream, next) in std::mem::take(&mut self.durable) {
            self.uplink.durable(stream, next);
        }
        let mut unacked = Unacked::default();
        if self.uplink.has_backlog() {
            unacked.waits(now);
        }
        let heartbeat_interval = ack.heartbeat_interval;
        self.phase = Phase::Live(Live { heartbeat_at: now, heartbeat_interval, unacked });
        self.relays.open();
        self.port.tell(AgentEvent::Registered {
            session_id,
            hub_time,
            offset,
            heartbeat_interval,
            config: ack.config,
            retry: ack.retry,
            resolutions,
        });
    }

    fn judge(&self, marks: &[StreamMark], local: &[LocalMark]) -> (Vec<Stream>, Vec<Resolution>) {
        let local: std::collections::BTreeMap<_, _> = local.iter().map(|mark| (mark.stream, mark)).collect();
        let mut resolutions = Vec::new();
        let streams = marks.iter().zip(&self.listed).map(|(mark, state)| {
            let stream = state.stream;
            let (hold, resolution) = match marks::judge(state, mark, local.get(&stream).copied()) {
                Verdict::Equal => (Hold::Free, None),
                Verdict::Behind => (Hold::Free, Some(Resolution::Acked(*mark))),
                Verdict::HubRestored(gap) => (Hold::Gap, Some(Resolution::HubLost(gap))),
                Verdict::RolledBack(report) => {
                    (Hold::RolledBack, Some(Resolution::RolledBack { stream, report }))
                }
            };
            resolutions.extend(resolution);
            #[cfg(all(test, feature = "agent"))]
            if mutant::active(Mutant::SentCountsAsAcked) {
                return Stream::new(stream, state.next.saturating_sub(1), state.next, hold);
            }
            Stream::new(stream, mark.acked, state.next, hold)
        });
        let streams = streams.collect();
        (streams, resolutions)
    }
}

/// The smaller of both ends' limits holds.
fn smaller(own: &Limits, hub: &Limits) -> Limits {
    Limits {
        message_bytes: own.message_bytes.min(hub.message_bytes),
        window_bytes: own.window_bytes.min(hub.window_bytes),
        control_window_bytes: own.control_window_bytes.min(hub.control_window_bytes),
        record_bytes: own.record_bytes.min(hub.record_bytes),
        ping_interval: own.ping_interval.min(hub.ping_interval),
        idle: own.idle.min(hub.idle),
        zstd: own.zstd && hub.zstd,
    }
}
