//! A frame as it comes from a socket, with a MAC that is wrong (as it is) or right (over whatever precedes it).

use bytes::{Bytes, BytesMut};
use outpost::limit;
use outpost::wire::batch;
use outpost::wire::envelope::{self, Opened};
use outpost::wire::error::ErrorCode;
use outpost::wire::job::JobRecord;
use outpost::wire::message::{Message, RecordKind};

use crate::ends;

/// The frame as it is, then the same bytes as a prefix with its trailer.
pub fn run(data: &[u8]) {
    let key = ends::mac_key();
    let refused = envelope::open(&Bytes::copy_from_slice(data), &key, limit::MESSAGE_BYTES_MAX);
    let refused = refused.expect_err("the MAC of bytes that nobody signed does not hold").code;
    assert!(
        matches!(refused, ErrorCode::TooLarge | ErrorCode::BadTrailer | ErrorCode::BadMac),
        "{refused:?}"
    );
    let frame = ends::signed(&key, data);
    assert!(envelope::open(&frame, &key, frame.len() - 1).is_err(), "above the limit");
    let Ok(opened) = envelope::open(&frame, &key, frame.len()) else { return };
    judge(opened);
}

/// A message that passed every bound says the same after another way through the wire.
fn judge(opened: Opened) {
    let header = opened.header;
    let Ok(message) = opened.into_message() else { return };
    if let Message::Records(records) = &message {
        read_batch(&records.batch, records.count);
    }
    if matches!(message, Message::Unknown(_)) {
        return;
    }
    let key = ends::mac_key();
    let mut again = BytesMut::new();
    envelope::seal(header, message.clone(), &key, &mut again);
    let again = again.freeze();
    let opened = envelope::open(&again, &key, again.len()).expect("what was sealed opens");
    assert_eq!(opened.header, header);
    assert_eq!(opened.into_message().expect("what was a message is one"), message);
}

/// A batch holds just its records, and each is read or refused.
fn read_batch(encoded: &Bytes, count: u32) {
    let Ok(records) = batch::decode(encoded, count) else { return };
    assert_eq!(records.len(), count as usize);
    let mut rest = encoded.as_ref();
    let mut again = BytesMut::new();
    for record in records {
        let (lying, after) = batch::split_first(rest).expect("a batch that decodes is cut");
        assert_eq!(lying.payload, record.payload);
        rest = after;
        // Whatever a payload is, reading it ends in a value or an error.
        let read = JobRecord::decode(record.kind, &record.payload);
        assert!(record.kind != RecordKind::Opaque || read == Ok(None));
        drop(batch::decode_loss(&record.payload));
        batch::push(record, &mut again);
    }
    assert!(rest.is_empty());
    let again = again.freeze();
    assert_eq!(batch::decode(&again, count).map(|records| records.len()), Ok(count as usize));
}
