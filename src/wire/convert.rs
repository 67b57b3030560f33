//! Between generated protobuf types and domain types; every bound a peer could break is checked here, once.
//!
//! One file for each family of messages; this one knows which message is which body.

mod control;
mod field;
mod handshake;
mod job;
mod record;
mod relay;
mod rotation;
mod stream;

use bytes::Bytes;

use super::error::WireError;
use super::message::Message;
use super::proto;
use proto::envelope::Body;

pub use job::{OUTPUT_LINE_OVERHEAD, OUTPUT_OVERHEAD};
pub(super) use record::{
    RecordsEdges, gap_from_proto, gap_to_proto, loss_from_proto, loss_to_proto, record_from_proto,
    record_to_proto, records_from_proto, records_to_proto,
};

/// The body of a message; `None` for `Unknown`, which nobody sends.
pub(super) fn to_proto(message: Message) -> Option<Body> {
    Some(match message {
        Message::Records(records) => Body::Records(record::records_to_proto(records)),
        Message::Gap(gap) => Body::Gap(record::gap_to_proto(gap)),
        Message::Heartbeat(heartbeat) => Body::Heartbeat(control::heartbeat_to_proto(heartbeat)),
        Message::Ack(mark) => Body::Ack(record::ack_to_proto(&mark)),
        Message::Ping => Body::Ping(proto::Ping {}),
        Message::Pong => Body::Pong(proto::Pong {}),
        Message::Challenge(challenge) => Body::Challenge(handshake::challenge_to_proto(&challenge)),
        Message::ChallengeReply(signature) => Body::ChallengeReply(proto::ChallengeReply {
            signature: Bytes::copy_from_slice(signature.as_slice()),
        }),
        Message::Register(register) => Body::Register(handshake::register_to_proto(*register)),
        Message::RegisterMore(listing) => Body::RegisterMore(proto::RegisterMore {
            streams: listing.entries.iter().map(stream::state_to_proto).collect(),
            more: listing.more,
        }),
        Message::RegisterAck(ack) => Body::RegisterAck(handshake::register_ack_to_proto(*ack)),
        Message::RegisterAckMore(listing) => Body::RegisterAckMore(proto::RegisterAckMore {
            streams: listing.entries.iter().map(stream::mark_to_proto).collect(),
            more: listing.more,
        }),
        Message::Error(error) => Body::Error(control::error_to_proto(error)),
        Message::GoAway(go_away) => Body::GoAway(control::go_away_to_proto(go_away)),
        Message::JobOffer(offer) => Body::JobOffer(job::offer_to_proto(offer)),
        Message::JobAck(ack) => Body::JobAck(job::ack_to_proto(ack)),
        Message::CancelJob(id) => Body::CancelJob(job::cancel_to_proto(id)),
        Message::RotateKey(share) => Body::RotateKey(rotation::rotate_to_proto(&share)),
        Message::KeyReply(share) => Body::KeyReply(rotation::reply_to_proto(&share)),
        Message::KeyStored(key_id) => Body::KeyStored(rotation::stored_to_proto(&key_id)),
        Message::Relay(relay) => Body::Relay(relay::relay_to_proto(*relay)),
        Message::RelayReply(reply) => Body::RelayReply(relay::reply_to_proto(reply)),
        Message::Unknown(_) => return None,
    })
}

/// The message of a body.
pub(super) fn from_proto(body: Body) -> Result<Message, WireError> {
    Ok(match body {
        Body::Records(records) => Message::Records(record::records_from_proto(records)?),
        Body::Gap(gap) => Message::Gap(record::gap_from_proto(&gap)?),
        Body::Heartbeat(heartbeat) => Message::Heartbeat(control::heartbeat_from_proto(heartbeat)?),
        Body::Ack(ack) => Message::Ack(record::ack_from_proto(&ack)?),
        Body::Ping(proto::Ping {}) => Message::Ping,
        Body::Pong(proto::Pong {}) => Message::Pong,
        Body::Challenge(challenge) => Message::Challenge(handshake::challenge_from_proto(&challenge)?),
        Body::ChallengeReply(reply) => {
            Message::ChallengeReply(Box::new(field::fixed(&reply.signature, "signature")?))
        }
        Body::Register(register) => Message::Register(Box::new(handshake::register_from_proto(register)?)),
        Body::RegisterMore(more) => {
            Message::RegisterMore(stream::listing(&more.streams, more.more, stream::state_from_proto)?)
        }
        Body::RegisterAck(ack) => Message::RegisterAck(Box::new(handshake::register_ack_from_proto(ack)?)),
        Body::RegisterAckMore(more) => {
            Message::RegisterAckMore(stream::listing(&more.streams, more.more, stream::mark_from_proto)?)
        }
        Body::Error(error) => Message::Error(control::error_from_proto(error)?),
        Body::GoAway(go_away) => Message::GoAway(control::go_away_from_proto(go_away)?),
        Body::JobOffer(offer) => Message::JobOffer(job::offer_from_proto(offer)?),
        Body::JobAck(ack) => Message::JobAck(job::ack_from_proto(ack)?),
        Body::CancelJob(cancel) => Message::CancelJob(job::cancel_from_proto(&cancel)?),
        Body::RotateKey(rotate) => Message::RotateKey(rotation::rotate_from_proto(&rotate)?),
        Body::KeyReply(reply) => Message::KeyReply(rotation::reply_from_proto(&reply)?),
        Body::KeyStored(stored) => Message::KeyStored(rotation::stored_from_proto(&stored)?),
        Body::Relay(relay) => Message::Relay(Box::new(relay::relay_from_proto(relay)?)),
        Body::RelayReply(reply) => Message::RelayReply(relay::reply_from_proto(reply)?),
    })
}
