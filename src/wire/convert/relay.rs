//! Relayed messages and their answers.

use bytes::Bytes;

use crate::id::{AgentId, MessageId, ParseIdError};
use crate::limit;
use crate::wire::error::{ErrorCode, WireError};
use crate::wire::proto;
use crate::wire::relay::{Delivery, Relay, RelayOutcome, RelayReply, Sender};

use super::field::{bounded, cut_text, invalid};

pub(super) fn relay_to_proto(relay: Relay) -> proto::Relay {
    let (sender, sender_name) = match relay.sender {
        None => (Bytes::new(), String::new()),
        Some(Sender { id, name }) => (
            Bytes::copy_from_slice(id.as_bytes()),
            name.map(|name| name.as_str().to_owned()).unwrap_or_default(),
        ),
    };
    let delivery = match relay.delivery {
        Delivery::Now => proto::RelayDelivery::Now,
        Delivery::Queued => proto::RelayDelivery::Queued,
    };
    proto::Relay {
        id_hi: relay.id.hi,
        id_lo: relay.id.lo,
        sender,
        sender_name,
        to: relay.to.map(|name| name.as_str().to_owned()).unwrap_or_default(),
        handler: relay.handler.as_str().to_owned(),
        payload: relay.payload,
        delivery: delivery as i32,
    }
}

pub(super) fn relay_from_proto(relay: proto::Relay) -> Result<Relay, WireError> {
    let delivery = match proto::RelayDelivery::try_from(relay.delivery) {
        Ok(proto::RelayDelivery::Unspecified | proto::RelayDelivery::Now) => Delivery::Now,
        Ok(proto::RelayDelivery::Queued) => Delivery::Queued,
        Err(_) => return Err(invalid(format!("delivery {}", relay.delivery))),
    };
    let name = given(&relay.sender_name)?;
    let sender = match (relay.sender.is_empty(), name) {
        (true, None) => None,
        (true, Some(name)) => return Err(invalid(format!("a sender `{name}` without its id"))),
        (false, name) => Some(Sender { id: AgentId::try_from(&*relay.sender).map_err(unusable)?, name }),
    };
    Ok(Relay {
        id: MessageId { hi: relay.id_hi, lo: relay.id_lo },
        sender,
        to: given(&relay.to)?,
        handler: relay.handler.parse().map_err(unusable)?,
        payload: relay.payload,
        delivery,
    })
}

pub(super) fn reply_to_proto(reply: RelayReply) -> proto::RelayReply {
    let (outcome, code, detail) = match reply.outcome {
        RelayOutcome::Delivered => (proto::RelayOutcome::Delivered, 0, String::new()),
        RelayOutcome::Queued => (proto::RelayOutcome::Queued, 0, String::new()),
        RelayOutcome::Unanswered => (proto::RelayOutcome::Unanswered, 0, String::new()),
        RelayOutcome::Refused { code, detail } => {
            (proto::RelayOutcome::Refused, code.map_or(0, ErrorCode::number), detail)
        }
    };
    proto::RelayReply {
        id_hi: reply.id.hi,
        id_lo: reply.id.lo,
        outcome: outcome as i32,
        code,
        detail: cut_text(detail, limit::ERROR_TEXT_BYTES_MAX),
    }
}

pub(super) fn reply_from_proto(reply: proto::RelayReply) -> Result<RelayReply, WireError> {
    let outcome = match proto::RelayOutcome::try_from(reply.outcome) {
        Ok(proto::RelayOutcome::Delivered) => RelayOutcome::Delivered,
        Ok(proto::RelayOutcome::Queued) => RelayOutcome::Queued,
        Ok(proto::RelayOutcome::Unanswered) => RelayOutcome::Unanswered,
        Ok(proto::RelayOutcome::Refused) => RelayOutcome::Refused {
            code: ErrorCode::from_number(reply.code),
            detail: bounded(reply.detail, limit::ERROR_TEXT_BYTES_MAX, "detail")?,
        },
        Ok(proto::RelayOutcome::Unspecified) | Err(_) => {
            return Err(invalid(format!("outcome {}", reply.outcome)));
        }
    };
    Ok(RelayReply { id: MessageId { hi: reply.id_hi, lo: reply.id_lo }, outcome })
}

/// A name that need not be there.
fn given<T: std::str::FromStr<Err = ParseIdError>>(text: &str) -> Result<Option<T>, WireError> {
    (!text.is_empty()).then(|| text.parse().map_err(unusable)).transpose()
}

fn unusable(error: ParseIdError) -> WireError {
    invalid(error.to_string())
}
