//! Arbitrary, flipped and cut bytes: an answer, never a panic, and never a message that was not signed.

use bytes::Bytes;
use outpost::limit;
use outpost::wire::batch;
use outpost::wire::envelope::open;
use outpost::wire::error::ErrorCode;
use outpost::wire::key::{Bearer, KeyFile, decode32};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::messages;
use crate::support::{beginning, field_bytes, key, refusal, sealed, signed};

/// Opens a frame as far as it goes; a batch inside is decoded too.
fn open_whole(frame: &Bytes) -> Option<ErrorCode> {
    match open(frame, &key(), limit::MESSAGE_BYTES_MAX)
        .and_then(outpost::wire::envelope::Opened::into_message)
    {
        Ok(outpost::wire::message::Message::Records(records)) => {
            batch::decode(&records.batch, records.count).err().map(|error| error.code)
        }
        Ok(_) => None,
        Err(error) => Some(error.code),
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_refused(bytes in vec(any::<u8>(), 0..600)) {
        let code = open_whole(&bytes.into()).unwrap();
        prop_assert!(matches!(code, ErrorCode::BadTrailer | ErrorCode::BadMac));
    }

    #[test]
    fn arbitrary_signed_bytes_never_panic(prefix in vec(any::<u8>(), 0..600)) {
        if let Some(code) = open_whole(&signed(&prefix)) {
            prop_assert!(matches!(code, ErrorCode::Malformed | ErrorCode::Invalid | ErrorCode::RecordTooLarge));
        }
    }

    #[test]
    fn arbitrary_signed_bodies_never_panic(number in 7u32..24, body in vec(any::<u8>(), 0..300)) {
        let frame = signed(&[beginning(), field_bytes(number, &body)].concat());
        if let Some(code) = open_whole(&frame) {
            prop_assert!(matches!(code, ErrorCode::Malformed | ErrorCode::Invalid | ErrorCode::RecordTooLarge));
        }
    }

    #[test]
    fn a_flipped_bit_is_refused(message in messages::message(), at in any::<prop::sample::Index>(), bit in 0..8) {
        let mut frame = sealed(message).to_vec();
        let at = at.index(frame.len());
        frame[at] ^= 1u8 << bit;
        let trailer = frame.len() - limit::MAC_TRAILER_BYTES;
        let expected =
            if (trailer..trailer + 2).contains(&at) { ErrorCode::BadTrailer } else { ErrorCode::BadMac };
        prop_assert_eq!(open_whole(&frame.into()), Some(expected));
    }

    #[test]
    fn a_flipped_bit_under_a_good_mac_never_panics(
        message in messages::message(),
        flips in vec((any::<prop::sample::Index>(), 0..8), 1..4),
    ) {
        let frame = sealed(message);
        let mut prefix = frame[..frame.len() - limit::MAC_TRAILER_BYTES].to_vec();
        for (at, bit) in flips {
            let at = at.index(prefix.len());
            prefix[at] ^= 1u8 << bit;
        }
        if let Some(code) = open_whole(&signed(&prefix)) {
            prop_assert!(matches!(code, ErrorCode::Malformed | ErrorCode::Invalid | ErrorCode::RecordTooLarge));
        }
    }

    #[test]
    fn a_cut_frame_is_refused(message in messages::message(), at in any::<prop::sample::Index>()) {
        let frame = sealed(message);
        let cut = frame.slice(..at.index(frame.len()));
        let code = open_whole(&cut).unwrap();
        prop_assert!(matches!(code, ErrorCode::BadTrailer | ErrorCode::BadMac));
    }

    #[test]
    fn a_cut_prefix_under_a_good_mac_never_panics(
        message in messages::message(),
        at in any::<prop::sample::Index>(),
    ) {
        let frame = sealed(message);
        let prefix = &frame[..frame.len() - limit::MAC_TRAILER_BYTES];
        if let Some(code) = open_whole(&signed(&prefix[..at.index(prefix.len())])) {
            prop_assert!(matches!(code, ErrorCode::Malformed | ErrorCode::Invalid | ErrorCode::RecordTooLarge));
        }
    }

    #[test]
    fn an_arbitrary_batch_never_panics(bytes in vec(any::<u8>(), 0..400), count in 0u32..20, index in 0usize..20) {
        if let Err(error) = batch::decode(&bytes.clone().into(), count) {
            prop_assert!(matches!(error.code, ErrorCode::Invalid | ErrorCode::RecordTooLarge));
        }
        if let Some(offset) = batch::offset_of(&bytes, index) {
            prop_assert!(offset <= bytes.len());
        }
        if let Err(error) = batch::decode_loss(&bytes) {
            prop_assert_eq!(error.code, ErrorCode::Invalid);
        }
    }

    #[test]
    fn a_damaged_batch_never_panics(
        records in vec(messages::record(), 1..6),
        at in any::<prop::sample::Index>(),
        bit in 0..8,
    ) {
        let count = u32::try_from(records.len()).unwrap();
        let mut encoded = bytes::BytesMut::new();
        records.into_iter().for_each(|record| batch::push(record, &mut encoded));
        let at = at.index(encoded.len());
        let cut = encoded.clone().freeze().slice(..at);
        if let Err(error) = batch::decode(&cut, count) {
            prop_assert_eq!(error.code, ErrorCode::Invalid);
        }
        encoded[at] ^= 1u8 << bit;
        for index in 0..=count as usize {
            if let Some(offset) = batch::offset_of(&encoded, index) {
                prop_assert!(offset <= encoded.len());
            }
        }
        if let Err(error) = batch::decode(&encoded.freeze(), count) {
            prop_assert_eq!(error.code, ErrorCode::Invalid);
        }
    }

    #[test]
    fn arbitrary_texts_are_no_keys(text in "\\PC{0,200}") {
        prop_assert!(text.parse::<KeyFile>().is_err());
        prop_assert!(text.parse::<Bearer>().is_err());
        if let Some(bytes) = decode32(&text) {
            prop_assert_eq!(bytes.len(), 32);
        }
    }

    #[test]
    fn texts_like_keys_never_panic(
        head in "opk1|opa1|op",
        fields in vec("[0-9a-f]{32}|[a-z0-9]{0,33}|[A-Za-z0-9_-]{43}|\\PC{0,8}", 0..7),
    ) {
        let text = format!("{head}.{}", fields.join("."));
        if let Ok(file) = text.parse::<KeyFile>() {
            let line = file.to_line();
            prop_assert_eq!(line.expose().as_str(), text.as_str());
        }
        if let Ok(bearer) = text.parse::<Bearer>() {
            let line = bearer.to_text();
            prop_assert_eq!(line.expose().as_str(), text.as_str());
        }
    }
}

#[test]
fn a_refusal_never_shows_the_key() {
    let secret = "qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq";
    let hub = "0".repeat(32);
    for text in [format!("opk1.{hub}.{hub}.K.{secret}"), format!("opk1.{secret}"), secret.to_owned()] {
        let shown = text.parse::<KeyFile>().unwrap_err();
        assert!(!format!("{shown} {shown:?}").contains("qqqq"), "{shown}");
        let shown = text.parse::<Bearer>().unwrap_err();
        assert!(!format!("{shown} {shown:?}").contains("qqqq"), "{shown}");
    }
}

#[test]
fn a_batch_of_a_million_empty_records_is_refused_by_its_count() {
    let batch = Bytes::from([0x0A, 0x00].repeat(limit::MESSAGE_BYTES_MAX / 2));
    assert_eq!(refusal(batch::decode(&batch, 5)).0, ErrorCode::Invalid);
}
