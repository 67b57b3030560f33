//! The whole format without a file.

use bytes::{Bytes, BytesMut};
use ed25519_dalek::SigningKey;
use proptest::prelude::*;

use super::*;
use crate::id::{AgentId, BundleId, Epoch, HubId, Lane, StreamId};
use crate::limit;
use crate::time::{ClockOffset, WallTime};
use crate::wire::batch;
use crate::wire::entry::Entry;
use crate::wire::key::{AgentKey, KeyFile};
use crate::wire::message::{Codec, Gap, GapReason, Record, RecordKind, Records, StreamMark, StreamState};

const EVENTS: StreamId = StreamId { lane: Lane::Events, epoch: Epoch::from_u64(1 << 32 | 7) };
const LOGS: StreamId = StreamId { lane: Lane::Logs, epoch: Epoch::from_u64(2 << 32 | 9) };

fn key_file() -> KeyFile {
    KeyFile {
        hub_id: HubId::from_bytes([1; 16]),
        agent_id: AgentId::from_bytes([2; 16]),
        key_id: "k1".parse().unwrap(),
        key: AgentKey::new([3; 32]),
    }
}

fn records(stream: StreamId, first: u64, payloads: &[&str]) -> Entry {
    let mut encoded = BytesMut::new();
    for payload in payloads {
        let record = Record {
            recorded_at: WallTime(5),
            source: "test".to_owned(),
            kind: RecordKind::Opaque,
            payload: Bytes::copy_from_slice(payload.as_bytes()),
            part: None,
            app: None,
        };
        batch::push(record, &mut encoded);
    }
    Entry::Records(Records {
        stream,
        first,
        count: payloads.len().try_into().unwrap(),
        codec: Codec::None,
        raw_len: encoded.len().try_into().unwrap(),
        batch: encoded.freeze(),
        clock_offset: Some(ClockOffset(-7)),
    })
}

fn gap(stream: StreamId, from: u64, to: u64) -> Gap {
    Gap { stream, from, to, reason: GapReason::Evicted, records: to - from + 1, bytes: 640 }
}

fn header(chunks: u32) -> Header {
    let KeyFile { hub_id, agent_id, key_id, .. } = key_file();
    let ranges = vec![
        Range { stream: EVENTS, first: 4, last: 9, crc_before: 77 },
        Range { stream: LOGS, first: 1, last: 2, crc_before: 0 },
    ];
    Header { hub_id, agent_id, bundle: BundleId::from_bytes([9; 16]), key_id, chunks, ranges }
}

fn chunks() -> Vec<Vec<Entry>> {
    vec![
        vec![records(EVENTS, 4, &["four", "five"])],
        vec![Entry::Gap(gap(EVENTS, 6, 8)), records(EVENTS, 9, &["nine"])],
        vec![records(LOGS, 1, &["", "two"])],
    ]
}

/// The bundle's frames, the preamble with the first.
fn write(signing: Option<SigningKey>) -> Vec<Bytes> {
    let (mut writer, first) = Writer::new(header(3), &key_file().key.mac_root(), signing);
    let mut frames = vec![first];
    for entries in chunks() {
        frames.push(writer.chunk(entries).unwrap());
    }
    frames.push(writer.finish().unwrap());
    frames
}

/// What a reader makes of it: the chunks, once the end was sound.
fn read(bytes: &[u8], identity: Option<&SigningKey>) -> Result<Vec<Vec<Entry>>, BundleError> {
    let mut reader = Reader::default();
    let (mut rest, mut found) = (Bytes::copy_from_slice(bytes), Vec::new());
    loop {
        if rest.len() < reader.want() {
            return Err(reader.truncated());
        }
        match reader.take(rest.split_to(reader.want()))? {
            Some(Event::Header(_)) => {
                reader.unlock(&key_file().key.mac_root(), identity.map(|key| key.verifying_key().into()))?;
            }
            Some(Event::Chunk(entries)) => found.push(entries),
            Some(Event::End) if rest.is_empty() => return Ok(found),
            Some(Event::End) => return Err(reader.truncated()),
            None => {}
        }
    }
}

#[test]
fn a_bundle_survives_and_shows_who_it_is_from() {
    assert_eq!(read(&write(None).concat(), None), Ok(chunks()));
    let mut reader = Reader::default();
    let bytes = Bytes::from(write(None).concat());
    let mut at = 0;
    let seen = loop {
        let end = at + reader.want();
        let event = reader.take(bytes.slice(at..end)).unwrap();
        at = end;
        if let Some(event) = event {
            break event;
        }
    };
    assert_eq!(seen, Event::Header(header(3)));
    // Without the key nothing more is said.
    let want = reader.want();
    assert!(reader.take(bytes.slice(at..at + want)).is_err());
}

#[test]
fn a_signature_is_asked_for_where_the_identity_is_known() {
    let (own, other) = (SigningKey::from_bytes(&[5; 32]), SigningKey::from_bytes(&[6; 32]));
    let signed = write(Some(own.clone())).concat();
    assert_eq!(read(&signed, Some(&own)), Ok(chunks()));
    assert_eq!(read(&signed, None), Ok(chunks()));
    assert_eq!(read(&signed, Some(&other)), Err(BundleError::Signature(AgentId::from_bytes([2; 16]))));
    assert_eq!(
        read(&write(None).concat(), Some(&own)),
        Err(BundleError::Unsigned(AgentId::from_bytes([2; 16])))
    );
}

#[test]
fn every_cut_every_flipped_bit_and_every_byte_too_many_is_refused() {
    for signing in [None, Some(SigningKey::from_bytes(&[5; 32]))] {
        let sound = write(signing).concat();
        for end in 0..sound.len() {
            assert!(read(&sound[..end], None).is_err(), "cut at {end}");
        }
        for at in 0..sound.len() {
            for bit in 0..8 {
                let mut flipped = sound.clone();
                flipped[at] ^= 1 << bit;
                assert!(read(&flipped, None).is_err(), "bit {bit} of byte {at}");
            }
        }
        let longer = [sound.as_slice(), &[0]].concat();
        assert_eq!(read(&longer, None), Err(BundleError::Trailing));
    }
}

#[test]
fn frames_that_are_swapped_repeated_or_left_out_are_refused() {
    let frames = write(None);
    let orders: [&[usize]; 6] =
        [&[0, 2, 1, 3, 4], &[0, 1, 1, 2, 3, 4], &[0, 1, 3, 4], &[0, 1, 2, 4], &[0, 1, 2, 3, 3, 4], &[0, 4]];
    for order in orders {
        let bytes: Vec<u8> = order.iter().flat_map(|at| frames[*at].to_vec()).collect();
        assert!(matches!(read(&bytes, None), Err(BundleError::Frame { .. })), "{order:?}");
    }
    // The last flag moved to another chunk.
    let mut bytes = frames.concat();
    let second = frames[0].len() + frames[1].len();
    bytes[second + 4] = 3;
    assert!(read(&bytes, None).is_err());
    // A frame of another bundle of the same agent at the same place.
    let other = Header { bundle: BundleId::from_bytes([8; 16]), ..header(3) };
    let (mut writer, _) = Writer::new(other, &key_file().key.mac_root(), None);
    let foreign = writer.chunk(chunks().remove(0)).unwrap();
    let bytes = [frames[0].as_ref(), &foreign, &frames[2], &frames[3], &frames[4]].concat();
    assert_eq!(read(&bytes, None), Err(BundleError::Mac { index: 1 }));
}

#[test]
fn other_files_and_newer_versions_are_told_apart() {
    assert_eq!(read(b"age-encryption.org/v1\n...", None), Err(BundleError::NotABundle));
    let mut newer = write(None).concat();
    newer[11] = 2;
    assert_eq!(read(&newer, None), Err(BundleError::Newer { found: 2, known: 1 }));
    newer[11] = 0;
    assert_eq!(read(&newer, None), Err(BundleError::NotABundle));
}

#[test]
fn chunks_that_do_not_cover_the_header_are_refused_though_their_macs_are_right() {
    let wrong: [Vec<Vec<Entry>>; 5] = [
        // A hole, an overlap, too far, the streams swapped, one missing.
        vec![chunks().remove(0), vec![records(EVENTS, 7, &["7", "8", "9"])], chunks().remove(2)],
        vec![chunks().remove(0), vec![records(EVENTS, 5, &["5", "6", "7", "8", "9"])], chunks().remove(2)],
        vec![chunks().remove(0), vec![records(EVENTS, 6, &["6", "7", "8", "9", "10"])], chunks().remove(2)],
        vec![chunks().remove(2), chunks().remove(0), chunks().remove(1)],
        vec![chunks().remove(0), chunks().remove(1), vec![records(LOGS, 1, &["one"])]],
    ];
    for chunks in wrong {
        let (mut writer, first) = Writer::new(header(3), &key_file().key.mac_root(), None);
        let mut bytes = first.to_vec();
        for entries in chunks {
            bytes.extend_from_slice(&writer.chunk(entries).unwrap());
        }
        bytes.extend_from_slice(&writer.finish().unwrap());
        assert!(matches!(read(&bytes, None), Err(BundleError::Coverage(_))));
    }
}

#[test]
fn a_writer_keeps_to_its_header() {
    let (mut writer, _) = Writer::new(header(1), &key_file().key.mac_root(), None);
    writer.chunk(chunks().remove(0)).unwrap();
    assert!(matches!(writer.chunk(chunks().remove(1)), Err(BundleError::Coverage(_))));
    let (writer, _) = Writer::new(header(2), &key_file().key.mac_root(), None);
    assert!(matches!(writer.finish(), Err(BundleError::Coverage(_))));
}

fn held(stream: StreamId, first_unacked: u64, next: u64) -> Held {
    Held { state: StreamState { stream, first_unacked, next }, acked_crc: 5 }
}

#[test]
fn a_plan_covers_what_waits_in_chunks_that_fit() {
    let step = limit::BUNDLE_CHUNK_RECORDS;
    let plan = Plan::new(&[held(EVENTS, 3, 3), held(LOGS, 11, 12 + 2 * step)], &[]).unwrap();
    assert_eq!(plan.ranges(), [Range { stream: LOGS, first: 11, last: 11 + 2 * step, crc_before: 5 }]);
    assert_eq!((plan.chunks(), plan.numbers()), (3, 2 * step + 1));
    let spans: Vec<_> = plan.into_spans().map(|span| (span.first, span.last)).collect();
    assert_eq!(spans, [(11, 10 + step), (11 + step, 10 + 2 * step), (11 + 2 * step, 11 + 2 * step)]);
    assert_eq!(Plan::new(&[held(EVENTS, 3, 3)], &[]).unwrap().chunks(), 0);
}

#[test]
fn gaps_that_wait_are_chunks_of_their_own_also_those_below_the_cursor() {
    // The hub was restored: 3 to 10 are lost there though they were acked. 20 to 5000 were evicted.
    let gaps = [gap(LOGS, 3, 10), gap(LOGS, 20, 5000), gap(EVENTS, 1, 1)];
    let plan = Plan::new(&[held(LOGS, 11, 5002)], &gaps).unwrap();
    assert_eq!(plan.ranges(), [Range { stream: LOGS, first: 3, last: 5001, crc_before: 0 }]);
    let spans: Vec<_> = plan.clone().into_spans().map(|span| (span.first, span.last)).collect();
    assert_eq!(spans, [(3, 10), (11, 19), (20, 5000), (5001, 5001)]);
    assert_eq!(plan.chunks() as usize, spans.len());
    // One that ends too far below is not part of a range without a hole.
    let plan = Plan::new(&[held(LOGS, 11, 12)], &[gap(LOGS, 3, 9)]).unwrap();
    assert_eq!(plan.ranges().first().unwrap().first, 11);
}

#[test]
fn a_gap_that_is_cut_keeps_its_sum() {
    let whole = gap(LOGS, 1, 100);
    let pieces = [cut_gap(&whole, 1, 64), cut_gap(&whole, 65, 100)];
    assert_eq!(pieces.iter().map(|piece| piece.records).sum::<u64>(), 100);
    assert_eq!(pieces.map(|piece| (piece.from, piece.to)), [(1, 64), (65, 100)]);
}

proptest! {
    #[test]
    fn a_plans_spans_are_its_ranges(first in 1u64..300, len in 1u64..700, gaps in proptest::collection::vec((1u64..1000, 0u64..200), 0..5)) {
        let gaps: Vec<_> = gaps.into_iter().map(|(from, more)| gap(LOGS, from, from + more)).collect();
        let plan = Plan::new(&[held(LOGS, first, first + len)], &gaps).unwrap();
        let range = plan.ranges()[0];
        prop_assert!(range.first <= first && range.last == first + len - 1);
        let (chunks, mut next, mut count) = (plan.chunks(), range.first, 0);
        for span in plan.into_spans() {
            prop_assert_eq!(span.first, next);
            next = span.last + 1;
            count += 1;
        }
        prop_assert_eq!((next, count), (range.last + 1, chunks));
    }

    #[test]
    fn arbitrary_bytes_are_no_bundle_and_no_ack_file(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(read(&bytes, None).is_err());
        let framed = [b"OPBUNDLE\0\0\0\x01\0\0\0\0\x01".as_slice(), &bytes].concat();
        prop_assert!(read(&framed, None).is_err());
        prop_assert!(Acks::decode(&bytes, &key_file()).is_err());
        let begun = [b"OPBNDACK\0\0\0\x01".as_slice(), &bytes].concat();
        prop_assert!(Acks::decode(&begun, &key_file()).is_err());
    }
}

fn acks() -> Acks {
    let KeyFile { hub_id, agent_id, key_id, .. } = key_file();
    let marks = vec![
        StreamMark { stream: EVENTS, acked: 9, acked_crc: 3 },
        StreamMark { stream: LOGS, acked: 2, acked_crc: 0 },
    ];
    Acks { hub_id, agent_id, bundle: BundleId::from_bytes([9; 16]), key_id, marks }
}

#[test]
fn an_ack_file_survives_and_any_change_of_it_is_found() {
    let own = key_file();
    let file = acks().encode(&own.key.mac_root());
    assert_eq!(Acks::decode(&file, &own), Ok(acks()));
    for end in 0..file.len() {
        assert!(Acks::decode(&file[..end], &own).is_err(), "cut at {end}");
    }
    for bit in 0..file.len() * 8 {
        let mut flipped = file.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(Acks::decode(&flipped, &own).is_err(), "bit {bit}");
    }
    assert_eq!(Acks::decode(&[file.as_slice(), &[0]].concat(), &own), Err(AcksError::Damaged));
}

#[test]
fn an_ack_file_for_somebody_else_says_so() {
    let own = key_file();
    let file = acks().encode(&own.key.mac_root());
    let other_agent = KeyFile { agent_id: AgentId::from_bytes([7; 16]), ..own.clone() };
    assert!(matches!(Acks::decode(&file, &other_agent), Err(AcksError::OtherAgent { .. })));
    let other_hub = KeyFile { hub_id: HubId::from_bytes([7; 16]), ..own.clone() };
    assert!(matches!(Acks::decode(&file, &other_hub), Err(AcksError::OtherHub { .. })));
    let other_key = KeyFile { key_id: "k2".parse().unwrap(), ..own.clone() };
    assert!(matches!(Acks::decode(&file, &other_key), Err(AcksError::OtherKey { .. })));
    let forged = KeyFile { key: AgentKey::new([4; 32]), ..own };
    assert_eq!(Acks::decode(&file, &forged), Err(AcksError::Mac));
}
