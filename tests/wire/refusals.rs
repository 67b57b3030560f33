//! Frames that are ambiguous or out of bounds: each with its own code, in the order size, trailer, MAC, form, meaning.

use bytes::Bytes;
use outpost::limit;
use outpost::wire::batch;
use outpost::wire::envelope::{Opened, open};
use outpost::wire::error::ErrorCode;
use outpost::wire::message::{Message, RecordKind};

use crate::support::{
    TRAILER, beginning, field_bytes, field_varint, field64, header, key, refusal, signed, tag,
};

fn opened(fields: &[Vec<u8>]) -> Result<Opened, outpost::wire::error::WireError> {
    open(&signed(&[beginning(), fields.concat()].concat()), &key(), limit::MESSAGE_BYTES_MAX)
}

fn malformed(fields: &[Vec<u8>], detail: &str) {
    let (code, found) = refusal(opened(fields));
    assert_eq!((code, found.as_str()), (ErrorCode::Malformed, detail));
}

fn invalid(body: u32, content: &[Vec<u8>], detail: &str) {
    let opened = opened(&[field_bytes(body, &content.concat())]).expect("a frame with a wrong field opens");
    assert_eq!(opened.header.seq, 1, "the header is there to be judged before the body");
    let (code, found) = refusal(opened.into_message());
    assert_eq!((code, found.as_str()), (ErrorCode::Invalid, detail));
}

#[test]
fn checks_come_in_their_order() {
    let garbage = [0xFF; 10];
    let wrong_mac = |prefix: &[u8]| -> Bytes { [prefix, &TRAILER, &[0; 32]].concat().into() };
    let code = |frame: &Bytes, bytes_max| refusal(open(frame, &key(), bytes_max)).0;

    let without_trailer = Bytes::from([0xFF; 60].as_slice());
    assert_eq!(code(&without_trailer, 59), ErrorCode::TooLarge, "size before trailer");
    assert_eq!(code(&without_trailer, 60), ErrorCode::BadTrailer, "trailer before MAC");
    assert_eq!(code(&wrong_mac(&garbage), 60), ErrorCode::BadMac, "MAC before form");
    assert_eq!(code(&signed(&garbage), 60), ErrorCode::Malformed, "form before meaning");
    let meaningless = signed(&[beginning(), field_bytes(7, &[])].concat());
    let opened = open(&meaningless, &key(), 100).unwrap();
    assert_eq!(opened.header.seq, 1);
    assert_eq!(refusal(opened.into_message()).0, ErrorCode::Invalid, "header before meaning");
}

#[test]
fn frames_without_a_whole_trailer_are_refused() {
    let whole = signed(&[]);
    assert_eq!(whole.len(), limit::MAC_TRAILER_BYTES);
    assert_eq!(open(&whole, &key(), 34).unwrap().into_message().unwrap(), Message::Unknown(0));
    for frame in [Bytes::new(), whole.slice(1..), whole.slice(..33), Bytes::from([0x7A, 0x20].as_slice())] {
        assert_eq!(refusal(open(&frame, &key(), 34)).0, ErrorCode::BadTrailer, "{frame:?}");
    }
    let other_length = [[0x7A, 0x1F].as_slice(), &[0; 32]].concat().into();
    assert_eq!(refusal(open(&other_length, &key(), 34)).0, ErrorCode::BadTrailer);
}

#[test]
fn two_bodies_are_refused_known_or_not() {
    let ping = || field_bytes(11, &[]);
    malformed(&[ping(), field_bytes(12, &[])], "two bodies, fields 11 and 12");
    malformed(&[ping(), ping()], "two bodies, fields 11 and 11");
    malformed(&[ping(), field_bytes(199, &[])], "two bodies, fields 11 and 199");
    malformed(&[field_bytes(150, &[]), ping()], "two bodies, fields 150 and 11");
    malformed(&[field_varint(13, 1), field_bytes(150, &[])], "two bodies, fields 13 and 150");
}

#[test]
fn a_mac_before_the_trailer_is_refused() {
    malformed(&[field_bytes(15, &[0; 32])], "field 15 (mac) stands before the trailer");
    malformed(&[field_varint(15, 0), field_bytes(11, &[])], "field 15 (mac) stands before the trailer");
}

#[test]
fn a_repeated_number_or_time_is_refused() {
    malformed(&[field64(1, 9)], "field 1 (seq) stands twice");
    malformed(&[field_bytes(11, &[]), field64(2, 9)], "field 2 (sent_at_ms) stands twice");
}

#[test]
fn groups_and_reserved_forms_are_refused() {
    for wire_type in [3, 4, 6, 7] {
        let (code, _) = refusal(opened(&[tag(150, wire_type), tag(150, 4)]));
        assert_eq!(code, ErrorCode::Malformed, "wire type {wire_type}");
    }
    malformed(&[field_bytes(0, &[])], "a field has the number 0");
}

#[test]
fn fields_cut_off_or_of_the_wrong_form_are_refused() {
    malformed(&[vec![0x5A, 0x05, 0x00]], "a field is cut off 3 bytes before the end");
    malformed(&[vec![0x80]], "a field is cut off 1 bytes before the end");
    let endless = [vec![0x5A], vec![0xFF; 10]].concat();
    malformed(&[endless], "a field is cut off 11 bytes before the end");
    for fields in [[field_varint(7, 1)], [field_varint(3, 1)], [field_bytes(7, &[0x0A])]] {
        assert_eq!(refusal(opened(&fields)).0, ErrorCode::Malformed);
    }
    let wrong_seq = signed(&field_varint(1, 1));
    assert_eq!(refusal(open(&wrong_seq, &key(), 100)).0, ErrorCode::Malformed);
}

#[test]
fn bodies_of_later_versions_are_told_by_number() {
    for number in [13, 14, 33, 100, 199] {
        let opened = opened(&[field_bytes(number, b"later")]).unwrap();
        assert_eq!(opened.header, header_without_id());
        assert_eq!(opened.into_message().unwrap(), Message::Unknown(number));
    }
    let opened = opened(&[field_varint(42, 7)]).unwrap();
    assert_eq!(opened.into_message().unwrap(), Message::Unknown(42));
}

fn header_without_id() -> outpost::wire::envelope::Header {
    outpost::wire::envelope::Header { id: outpost::id::MessageId::NONE, ..header() }
}

#[test]
fn a_record_kind_of_a_later_version_is_kept_as_it_is() {
    let later = Bytes::from(field_bytes(1, &field_varint(3, 99)));
    let records = batch::decode(&later, 1).unwrap();
    assert_eq!(records[0].kind, RecordKind::Unknown(99));
}

#[test]
fn extensions_from_200_on_do_not_matter() {
    let extensions = [field_bytes(200, b"x"), field_varint(200, 1), field64(536_870_911, 1)].concat();
    let message = opened(&[field_bytes(11, &[]), extensions.clone()]).unwrap().into_message().unwrap();
    assert_eq!(message, Message::Ping);
    assert_eq!(opened(&[extensions]).unwrap().into_message().unwrap(), Message::Unknown(0));
}

#[test]
fn fields_outside_their_bounds_are_invalid_and_say_what() {
    let lane = || field_varint(1, 1);
    invalid(7, &[lane(), field_varint(3, 1)], "records from 1 count 0");
    invalid(7, &[lane(), field_varint(3, 1), field_varint(4, 1), field_varint(5, 9)], "codec 9");
    invalid(8, &[], "lane 0");
    invalid(8, &[field_varint(1, 4)], "lane 4");
    invalid(9, &[field_bytes(1, &field_varint(1, 9))], "lane 9");
    invalid(10, &[lane(), field_varint(3, 5), field_varint(4, 4)], "gap from 5 to 4");
    invalid(10, &[lane(), field_varint(4, 4)], "gap from 0 to 4");
    invalid(10, &[lane(), field_varint(3, 1), field_varint(4, 1)], "gap reason 0");
    invalid(16, &[field_bytes(1, &[0; 15])], "hub_id has 15 bytes instead of 16");
    let ids = || [field_bytes(1, &[0; 16]), field_bytes(2, &[0; 32]), field_bytes(3, &[0; 16])].concat();
    invalid(16, &[ids()], "signature mode 0");
    invalid(16, &[ids(), field_varint(5, 1), field_varint(6, 3)], "channel binding 3");
    invalid(17, &[field_bytes(1, &[0; 63])], "signature has 63 bytes instead of 64");
    invalid(18, &[], "instance has 0 bytes instead of 16");
    invalid(19, &[field_bytes(1, &lane())], "stream with first_unacked 0 and next 0");
    invalid(20, &[], "RegisterAck without limits");
    invalid(20, &[field_bytes(3, &[])], "RegisterAck with a limit or interval of 0");
    invalid(21, &[field_bytes(1, &[])], "lane 0");
    let long = [0x78; limit::ERROR_TEXT_BYTES_MAX + 1];
    invalid(22, &[field_bytes(2, &long)], "error text of 1025 bytes, the limit is 1024");
    invalid(23, &[field_bytes(2, &long)], "reason of 1025 bytes, the limit is 1024");
}

#[test]
fn records_and_reports_outside_their_bounds_are_invalid_and_say_what() {
    let lane = field_varint(1, 1);
    assert_eq!(refusal(batch::decode_loss(&lane)), (ErrorCode::Invalid, "loss reason 0".to_owned()));
    assert_eq!(refusal(batch::decode_loss(&[])), (ErrorCode::Invalid, "lane 0".to_owned()));
    assert_eq!(refusal(batch::decode_loss(&[0xFF])).0, ErrorCode::Invalid);
}
