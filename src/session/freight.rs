//! What a frame is to the line.

use crate::id::{JobId, MessageId};
use crate::time::BootTime;
use crate::wire::message::Message;

use super::rate::Rate;
use super::relay::Relays;

/// Something large that was signed and is not known to have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Of its spec or payload.
    pub bytes: usize,
    /// When it was signed.
    pub since: BootTime,
    /// Of what is no record: so many bytes were on the line before it then.
    pub before: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Freight {
    /// Records, which have an account of their own, and what is small: it goes at any time and is not counted.
    Uncounted,
    /// Shows what came through before it.
    Ping,
    /// The relayed message with this id.
    Relay(MessageId),
    /// An offer of this job, whose spec has so many bytes.
    Offer(JobId, usize),
    /// The answer to a Register.
    Welcome,
}

impl Freight {
    pub(super) fn of(message: &Message) -> Self {
        match message {
            Message::Ping => Self::Ping,
            Message::Relay(relay) => Self::Relay(relay.id),
            Message::JobOffer(offer) => Self::Offer(offer.job, offer.spec.len()),
            Message::RegisterAck(_) | Message::RegisterAckMore(_) => Self::Welcome,
            _ => Self::Uncounted,
        }
    }

    /// Counts a frame of so many bytes that was signed under this id.
    pub(super) fn count(
        self,
        now: BootTime,
        id: MessageId,
        bytes: usize,
        relays: &mut Relays,
        rate: &mut Rate,
    ) {
        match self {
            Self::Uncounted => {}
            Self::Ping => rate.pinged(id),
            Self::Offer(..) | Self::Welcome => rate.sent_other(now, bytes),
            Self::Relay(relay) => {
                rate.sent_other(now, bytes);
                relays.signed(now, relay, rate);
            }
        }
    }
}
