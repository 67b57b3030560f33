//! What is sealed opens as what it was.

use bytes::BytesMut;
use outpost::id::{AgentId, HubId, KeyId};
use outpost::limit;
use outpost::secret::Secret;
use outpost::time::WallTime;
use outpost::wire::batch;
use outpost::wire::envelope::{open, seal};
use outpost::wire::error::ErrorCode;
use outpost::wire::key::{AgentKey, Bearer, KeyFile, decode32, encode32};
use outpost::wire::mac::MacKey;
use outpost::wire::message::{Message, Record, RecordKind};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::messages;
use crate::support::{key, refusal};

proptest! {
    #[test]
    fn a_message_opens_as_what_was_sealed(header in messages::header(), message in messages::message()) {
        let mut frame = BytesMut::new();
        seal(header, message.clone(), &key(), &mut frame);
        let opened = open(&frame.freeze(), &key(), limit::MESSAGE_BYTES_MAX).unwrap();
        prop_assert_eq!(opened.header, header);
        prop_assert_eq!(opened.into_message().unwrap(), message);
    }

    #[test]
    fn a_frame_is_appended_to_what_the_buffer_holds(message in messages::message(), before in vec(any::<u8>(), 0..80)) {
        let mut frame = BytesMut::from(before.as_slice());
        seal(crate::support::header(), message.clone(), &key(), &mut frame);
        prop_assert_eq!(&frame[..before.len()], before.as_slice());
        let frame = frame.freeze().slice(before.len()..);
        prop_assert_eq!(open(&frame, &key(), frame.len()).unwrap().into_message().unwrap(), message);
    }

    #[test]
    fn a_frame_does_not_open_with_another_key(message in messages::message(), other in any::<[u8; 32]>()) {
        prop_assume!(other != [7; 32]);
        let frame = crate::support::sealed(message);
        let result = open(&frame, &MacKey::new(&Secret::new(other)), limit::MESSAGE_BYTES_MAX);
        prop_assert_eq!(refusal(result).0, ErrorCode::BadMac);
    }

    #[test]
    fn a_batch_holds_the_records_pushed_into_it(records in vec(messages::record(), 0..20)) {
        let mut encoded = BytesMut::new();
        let mut offsets = vec![0];
        for record in &records {
            let before = encoded.len();
            batch::push(record.clone(), &mut encoded);
            let app = record.app.as_ref().map_or(0, |app| app.as_str().len());
            let most = batch::encoded_len_max(record.payload.len(), record.source.len(), app);
            prop_assert!(encoded.len() - before <= most);
            offsets.push(encoded.len());
        }
        let encoded = encoded.freeze();
        for (index, offset) in offsets.iter().enumerate() {
            prop_assert_eq!(batch::offset_of(&encoded, index), Some(*offset));
        }
        prop_assert_eq!(batch::offset_of(&encoded, records.len() + 1), None);
        let count = u32::try_from(records.len()).unwrap();
        prop_assert_eq!(batch::decode(&encoded, count).unwrap(), records);
        prop_assert_eq!(refusal(batch::decode(&encoded, count + 1)).0, ErrorCode::Invalid);
    }

    #[test]
    fn joined_batches_hold_the_records_of_both(
        left in vec(messages::record(), 0..5),
        right in vec(messages::record(), 0..5),
    ) {
        let mut encoded = BytesMut::new();
        left.iter().chain(&right).for_each(|record| batch::push(record.clone(), &mut encoded));
        let cut = batch::offset_of(&encoded, left.len()).unwrap();
        let encoded = encoded.freeze();
        let count = |records: &[Record]| u32::try_from(records.len()).unwrap();
        prop_assert_eq!(batch::decode(&encoded.slice(..cut), count(&left)).unwrap(), left);
        prop_assert_eq!(batch::decode(&encoded.slice(cut..), count(&right)).unwrap(), right);
    }

    #[test]
    fn a_loss_report_survives_its_record(report in messages::loss_report(), at in any::<u64>()) {
        let record = batch::loss_record(report, WallTime(at));
        prop_assert_eq!(record.kind, RecordKind::LossReport);
        prop_assert_eq!(record.recorded_at, WallTime(at));
        prop_assert_eq!(batch::decode_loss(&record.payload).unwrap(), report);
    }

    #[test]
    fn a_mark_tells_number_and_payload_apart(seq in any::<u64>(), payload in vec(any::<u8>(), 0..40)) {
        let crc = batch::record_crc(seq, &payload);
        let whole = [seq.to_be_bytes().as_slice(), payload.as_slice()].concat();
        prop_assert_eq!(crc, crc32c::crc32c(&whole));
        prop_assert_ne!(crc, batch::record_crc(seq ^ 1, &payload));
    }

    #[test]
    fn key_files_and_bearers_survive_their_text(
        ids in any::<([u8; 16], [u8; 16])>(),
        key_id in "[a-z0-9]{1,32}",
        key in any::<[u8; 32]>(),
    ) {
        let file = KeyFile {
            hub_id: HubId::from_bytes(ids.0),
            agent_id: AgentId::from_bytes(ids.1),
            key_id: key_id.parse::<KeyId>().unwrap(),
            key: AgentKey::new(key),
        };
        prop_assert_eq!(&format!("{}\r\n", file.to_line().expose()).parse::<KeyFile>().unwrap(), &file);
        let bearer = file.bearer();
        prop_assert_eq!(bearer.to_text().expose().parse::<Bearer>().unwrap(), bearer);
        prop_assert_eq!(decode32(&encode32(&key)), Some(key));
    }
}

#[test]
fn a_body_we_only_know_by_number_is_sealed_as_no_body() {
    let frame = crate::support::sealed(Message::Unknown(150));
    let opened = open(&frame, &key(), limit::MESSAGE_BYTES_MAX).unwrap();
    assert_eq!(opened.into_message().unwrap(), Message::Unknown(0));
}
