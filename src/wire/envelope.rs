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
use prost::encoding::{DecodeContext, WireType, encode_varint};
use prost::{DecodeError, Message as _};

use crate::id::MessageId;
use crate::limit;
use crate::time::HubTime;

use super::error::{ErrorCode, WireError};
use super::mac::{MAC_BYTES, MacKey};
use super::message::{Message, Records};
use super::{convert, proto, walk};

const TRAILER_TAG: [u8; 2] = [0x7A, 0x20];
/// Field number of `records`.
const RECORDS_FIELD: u32 = 7;
/// Bodies the generated decoder knows, from `records` to `pong`; it must not be given any other number.
const HOT_BODIES: std::ops::RangeInclusive<u32> = 7..=12;

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
    let start = out.len();
    match message {
        Message::Records(records) => put_records(header, &records, out),
        message => {
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
            out.reserve(envelope.encoded_len() + limit::MAC_TRAILER_BYTES);
            envelope.encode_raw(out);
        }
    }
    let mac = key.sign(out.get(start..).unwrap_or_default());
    let mut trailer = [0; limit::MAC_TRAILER_BYTES];
    let (tag, rest) = trailer.split_at_mut(TRAILER_TAG.len());
    tag.copy_from_slice(&TRAILER_TAG);
    rest.copy_from_slice(&mac);
    out.put_slice(&trailer);
}

/// The prefix of the one hot message, byte for byte what prost writes: all but the batch is gathered on the stack, so
/// that the buffer grows in three steps instead of thirty.
fn put_records(header: Header, records: &Records, out: &mut BytesMut) {
    let Header { seq, sent_at, id, correlation } = header;
    let body = convert::RecordsEdges::new(records);
    let mut scratch = [0; 80];
    let mut head = scratch.as_mut_slice();
    for (tag, value) in [
        (0x09, seq),
        (0x11, sent_at.0),
        (0x19, id.hi),
        (0x21, id.lo),
        (0x29, correlation.hi),
        (0x31, correlation.lo),
    ] {
        if value != 0 {
            head.put_u8(tag);
            head.put_u64_le(value);
        }
    }
    let (before, after) = (body.before(), body.after());
    head.put_u8(0x3A);
    encode_varint((before.len() + records.batch.len() + after.len()) as u64, &mut head);
    let unused = head.len();
    let head = scratch.get(..scratch.len() - unused).unwrap_or_default();
    let whole = head.len() + before.len() + records.batch.len() + after.len();
    out.reserve(whole + limit::MAC_TRAILER_BYTES);
    out.put_slice(head);
    out.put_slice(before);
    out.put_slice(&records.batch);
    out.put_slice(after);
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
    let prefix = frame.get(..prefix_len).unwrap_or_default();
    if !key.verify(prefix, mac) {
        let detail = format!("a frame of {} bytes", frame.len());
        return Err(WireError::new(ErrorCode::BadMac, detail));
    }
    let walked = walk::walk(prefix)?;
    let [seq, sent_at, id_hi, id_lo, correlation_hi, correlation_lo] = walked.header;
    Ok(Opened {
        header: Header {
            seq,
            sent_at: HubTime(sent_at),
            id: MessageId { hi: id_hi, lo: id_lo },
            correlation: MessageId { hi: correlation_hi, lo: correlation_lo },
        },
        body: decode_body(frame, prefix_len, &walked)
            .map_err(|error| WireError::new(ErrorCode::Malformed, error.to_string()))?,
        body_field: walked.body_field,
    })
}

/// The body the walk found. The hot ones are decoded where they stand, the others with the whole prefix.
fn decode_body(
    frame: &Bytes,
    prefix_len: usize,
    walked: &walk::Walked,
) -> Result<Option<proto::envelope::Body>, DecodeError> {
    if !HOT_BODIES.contains(&walked.body_field) {
        return Ok(proto::Envelope::decode(frame.slice(..prefix_len))?.body);
    }
    let wire_type = WireType::try_from(walked.body_type)?;
    if let (RECORDS_FIELD, WireType::LengthDelimited) = (walked.body_field, wire_type)
        && let Some(records) = walk::records(frame, walked.body_at)
    {
        return Ok(Some(proto::envelope::Body::Records(records)));
    }
    let mut value = frame.slice(walked.body_at..prefix_len);
    let mut body = None;
    proto::envelope::Body::merge(
        &mut body,
        walked.body_field,
        wire_type,
        &mut value,
        DecodeContext::default(),
    )?;
    Ok(body)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::id::{Epoch, Lane, StreamId};
    use crate::time::ClockOffset;
    use crate::wire::message::Codec;
    use crate::wire::walk;

    proptest! {
        #[test]
        fn records_are_written_as_the_generated_encoder_would(
            [seq, sent_at, hi, lo, correlation_hi, correlation_lo] in any::<[u64; 6]>(),
            (epoch, first, count, raw_len) in any::<(u64, u64, u32, u32)>(),
            (zstd, offset) in any::<(bool, Option<i64>)>(),
            batch in proptest::collection::vec(any::<u8>(), 0..300),
            zeroed in 0u8..64,
        ) {
            let keep = |bit: u8, value: u64| if zeroed & bit == 0 { value } else { 0 };
            let records = Records {
                stream: StreamId { lane: Lane::Logs, epoch: Epoch::from_u64(keep(1, epoch)) },
                first,
                count,
                codec: if zstd { Codec::Zstd } else { Codec::None },
                raw_len,
                batch: batch.into(),
                clock_offset: offset.map(ClockOffset),
            };
            let header = Header {
                seq: keep(2, seq),
                sent_at: HubTime(keep(4, sent_at)),
                id: MessageId { hi: keep(8, hi), lo: keep(16, lo) },
                correlation: MessageId { hi: keep(32, correlation_hi), lo: keep(32, correlation_lo) },
            };
            let mut ours = BytesMut::new();
            put_records(header, &records, &mut ours);
            let generated = proto::Envelope {
                seq: header.seq,
                sent_at_ms: header.sent_at.0,
                id_hi: header.id.hi,
                id_lo: header.id.lo,
                correlation_hi: header.correlation.hi,
                correlation_lo: header.correlation.lo,
                body: convert::to_proto(Message::Records(records)),
                mac: Bytes::new(),
            };
            prop_assert_eq!(ours.freeze(), generated.encode_to_vec());
        }

        #[test]
        fn records_are_read_as_the_generated_decoder_would(
            values in any::<[u64; 6]>(),
            batch in proptest::collection::vec(any::<u8>(), 0..40),
            flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        ) {
            let [epoch, first, count, raw_len, offset, lane] = values;
            let records = proto::Records {
                lane: i32::try_from(lane % 5).unwrap_or_default(),
                epoch,
                first,
                count: u32::try_from(count >> 32).unwrap_or_default(),
                codec: 1,
                raw_len: u32::try_from(raw_len >> 32).unwrap_or_default(),
                batch: batch.into(),
                clock_offset_ms: Some(offset.cast_signed()),
            };
            let mut value = records.encode_length_delimited_to_vec();
            for (at, byte) in flips {
                let at = at.index(value.len());
                value[at] = byte;
            }
            let value = Bytes::from(value);
            if let Some(read) = walk::records(&value, 0) {
                let generated = proto::Records::decode_length_delimited(value);
                prop_assert_eq!(Ok(read), generated);
            }
        }
    }
}
