//! The frame: an envelope's encoding with its MAC appended.
//!
//! ```text
//!   prefix: protobuf Envelope with `mac` unset            trailer
//!  +------------------------------------------------+----+----+--------------------+
//!  | seq | sent_at_ms | ids | correlation | one body | 7A | 20 | HMAC-SHA256(prefix)|
//!  +------------------------------------------------+----+----+--------------------+
//! ```
//! The whole is legal protobuf, but nobody may rely on that: the receiver checks, in this order and each with its own
//! error, the size, the trailer, the MAC over the bytes as received, and only then decodes the prefix. Clock, sequence
//! and meaning are the session's to judge: the body of an [`Opened`] frame becomes a message on request.

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message as _;

use crate::id::MessageId;
use crate::limit;
use crate::time::HubTime;

use super::error::{ErrorCode, WireError};
use super::mac::{MAC_BYTES, MacKey};
use super::message::Message;
use super::{convert, proto, walk};

const TRAILER_TAG: [u8; 2] = [0x7A, 0x20];

/// Everything of an envelope but its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// 1, 2, 3 ... per connection and direction.
    pub seq: u64,
    /// When it was signed, in hub time.
    pub sent_at: HubTime,
    /// Its own id.
    pub id: MessageId,
    /// The message it answers.
    pub correlation: MessageId,
}

/// A frame whose MAC holds and whose prefix decodes.
#[derive(Debug)]
pub struct Opened {
    /// Its header, to be judged before the body.
    pub header: Header,
    body: Option<proto::envelope::Body>,
    body_field: u32,
}

impl Opened {
    /// The body, once clock and sequence are found right.
    ///
    /// # Errors
    /// `invalid` where a field is outside its bounds.
    pub fn into_message(self) -> Result<Message, WireError> {
        match self.body {
            Some(body) => convert::from_proto(body),
            None => Ok(Message::Unknown(self.body_field)),
        }
    }
}

/// Encodes and signs one frame into `out`, which is appended to; allocates nothing where `out` has room.
pub fn seal(header: Header, message: Message, key: &MacKey, out: &mut BytesMut) {
    let envelope = proto::Envelope {
        seq: header.seq,
        sent_at_ms: header.sent_at.0,
        id_hi: header.id.hi,
        id_lo: header.id.lo,
        correlation_hi: header.correlation.hi,
        correlation_lo: header.correlation.lo,
        body: convert::to_proto(message),
        mac: Bytes::new(),
    };
    let start = out.len();
    out.reserve(envelope.encoded_len() + limit::MAC_TRAILER_BYTES);
    envelope.encode_raw(out);
    let mac = key.sign(out.get(start..).unwrap_or_default());
    out.put_slice(&TRAILER_TAG);
    out.put_slice(&mac);
}

/// Verifies and decodes one frame of at most `bytes_max` bytes. The body shares the frame's memory: copy what is kept.
///
/// # Errors
/// `too_large`, `bad_trailer`, `bad_mac`, `malformed`, judged in this order.
pub fn open(frame: &Bytes, key: &MacKey, bytes_max: usize) -> Result<Opened, WireError> {
    if frame.len() > bytes_max {
        let detail = format!("{} bytes, the limit is {bytes_max}", frame.len());
        return Err(WireError::new(ErrorCode::TooLarge, detail));
    }
    let (prefix_len, mac) = split_trailer(frame)?;
    let prefix = frame.slice(..prefix_len);
    if !key.verify(&prefix, mac) {
        let detail = format!("a frame of {} bytes", frame.len());
        return Err(WireError::new(ErrorCode::BadMac, detail));
    }
    let body_field = walk::body_field(&prefix)?;
    let envelope = proto::Envelope::decode(prefix)
        .map_err(|error| WireError::new(ErrorCode::Malformed, error.to_string()))?;
    Ok(Opened {
        header: Header {
            seq: envelope.seq,
            sent_at: HubTime(envelope.sent_at_ms),
            id: MessageId { hi: envelope.id_hi, lo: envelope.id_lo },
            correlation: MessageId { hi: envelope.correlation_hi, lo: envelope.correlation_lo },
        },
        body: envelope.body,
        body_field,
    })
}

/// Where the prefix ends, and the MAC after it.
fn split_trailer(frame: &[u8]) -> Result<(usize, &[u8]), WireError> {
    frame
        .split_last_chunk::<MAC_BYTES>()
        .and_then(|(signed, mac)| {
            let prefix = signed.strip_suffix(&TRAILER_TAG)?;
            Some((prefix.len(), mac.as_slice()))
        })
        .ok_or_else(|| {
            let detail = format!("a frame of {} bytes", frame.len());
            WireError::new(ErrorCode::BadTrailer, detail)
        })
}
