//! From the Challenge to the RegisterAck.
//!
//! The first frame that verifies under the session key proves the agent key; the Ed25519 signature proves the
//! identity key besides. It is over a digest that holds both nonces, both ids, the session and the channel, so a reply
//! made for another connection, hub or time never verifies here. How old the Challenge may be needs no check of its
//! own: every frame is held against the handshake's deadlines first, by the same clock, and those are shorter.

use crate::id::StreamId;
use crate::limit;
use crate::session::event::HubEvent;
use crate::session::listing::{self, Complete};
use crate::session::port::unexpected;
use crate::time::{BootTime, HubTime};
use crate::wire::error::{ErrorCode, WireError};
use crate::wire::identity::BoundKey;
use crate::wire::key::{self, SessionContext};
use crate::wire::message::{
    Challenge, ConfigSnapshot, Listing, Message, Register, RegisterAck, SignatureMode, StreamMark,
    StreamState,
};

use super::{HubConfig, HubSession, Phase, Signed};

pub(super) fn context(config: &HubConfig) -> SessionContext {
    SessionContext {
        hub_id: config.hub_id,
        agent_id: config.agent_id,
        session_id: config.session_id,
        agent_nonce: config.agent_nonce,
        hub_nonce: config.hub_nonce,
        channel_binding: config.channel_binding,
    }
}

pub(super) fn challenge(config: &HubConfig, hub_time: HubTime) -> Challenge {
    Challenge {
        hub_id: config.hub_id,
        hub_nonce: config.hub_nonce,
        session_id: config.session_id,
        hub_time,
        signature: if config.identity.is_some() { SignatureMode::Required } else { config.signature },
        binding: config.binding,
    }
}

impl HubSession {
    pub(super) fn wants_signature(&self) -> bool {
        self.config.identity.is_some() || self.config.signature == SignatureMode::Required
    }

    pub(super) fn handle_handshake(&mut self, message: Message) -> Result<(), WireError> {
        match (std::mem::replace(&mut self.phase, Phase::Challenge { signed: Signed::No }), message) {
            (Phase::Challenge { signed: Signed::No }, Message::ChallengeReply(signature)) => {
                self.verify(&signature)?;
                self.phase = Phase::Challenge { signed: Signed::Yes };
                Ok(())
            }
            (Phase::Challenge { signed }, Message::Register(mut register)) => {
                if self.wants_signature() && signed == Signed::No {
                    let detail = "Register came without the Ed25519 signature before it";
                    return Err(WireError::new(ErrorCode::BadSignature, detail));
                }
                let empty = Listing { entries: Vec::new(), more: false };
                let listing = std::mem::replace(&mut register.streams, empty);
                self.collect(register, listing)
            }
            (Phase::Listing { register }, Message::RegisterMore(listing)) => self.collect(register, listing),
            (phase, message) => {
                self.phase = phase;
                Err(unexpected(&message))
            }
        }
    }

    fn verify(&self, signature: &[u8; 64]) -> Result<(), WireError> {
        let Some(identity) = &self.config.identity else {
            // Nothing is bound to this agent, so there is nothing to check against: refused where it is required.
            if self.config.signature == SignatureMode::Required {
                let detail = "a signature is required and no public key is bound to this agent";
                return Err(WireError::new(ErrorCode::BadSignature, detail));
            }
            return Ok(());
        };
        verify(identity, &context(&self.config), self.challenge_time, signature)
    }

    fn collect(
        &mut self,
        mut register: Box<Register>,
        listing: Listing<StreamState>,
    ) -> Result<(), WireError> {
        let complete = listing::collect(&mut register.streams.entries, listing, limit::STREAMS_MAX)?;
        self.phase = match complete {
            Complete::No => Phase::Listing { register },
            Complete::Yes => {
                let streams: Vec<StreamId> =
                    register.streams.entries.iter().map(|state| state.stream).collect();
                check_distinct(&streams)?;
                self.port.tell(HubEvent::Register(register));
                Phase::Deciding { streams }
            }
        };
        Ok(())
    }

    pub(super) fn go_live(
        &mut self,
        now: BootTime,
        streams: &[StreamId],
        marks: &[StreamMark],
        config: Option<ConfigSnapshot>,
    ) -> Result<(), WireError> {
        if !marks.iter().map(|mark| mark.stream).eq(streams.iter().copied()) {
            let detail =
                format!("{} marks for {} listed streams, or in another order", marks.len(), streams.len());
            return Err(WireError::new(ErrorCode::Internal, detail));
        }
        self.intake.open(marks);
        self.relays.open();
        let mut listings = listing::cut(marks).into_iter();
        let first = listings.next().unwrap_or(Listing { entries: Vec::new(), more: false });
        self.port.queue.push(Message::RegisterAck(Box::new(RegisterAck {
            hub_time: self.clock.now(now),
            heartbeat_interval: self.config.heartbeat_interval,
            limits: self.config.limits,
            marks: first,
            config,
            retry: None,
        })));
        for more in listings {
            self.port.queue.push(Message::RegisterAckMore(more));
        }
        Ok(())
    }
}

fn verify(
    identity: &BoundKey,
    context: &SessionContext,
    hub_time: HubTime,
    signature: &[u8; 64],
) -> Result<(), WireError> {
    if identity.verifies(&key::challenge_digest(context, hub_time), signature) {
        return Ok(());
    }
    Err(WireError::new(ErrorCode::BadSignature, "the signature does not verify under the bound key"))
}

fn check_distinct(streams: &[StreamId]) -> Result<(), WireError> {
    let mut sorted = streams.to_vec();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair.first() == pair.last()) {
        None => Ok(()),
        Some(pair) => {
            let name = pair.first().map(ToString::to_string).unwrap_or_default();
            Err(WireError::new(ErrorCode::Invalid, format!("stream {name} is listed twice")))
        }
    }
}
