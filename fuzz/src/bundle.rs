//! A bundle as it comes on a stick: bytes, frames that verify with whatever in them, and sound bundles; and the ack file
//! that goes back.

use std::collections::BTreeMap;

use arbitrary::Arbitrary;
use bytes::{BufMut as _, Bytes, BytesMut};
use outpost::id::{BundleId, Lane, StreamId};
use outpost::limit;
use outpost::outbox::bundle::{Acks, BundleError, Event, Header, MAGIC, Range, Reader, VERSION, Writer};
use outpost::wire::entry::Entry;
use outpost::wire::message::{Gap, GapReason, StreamMark};

use crate::ends;

const BUNDLE: BundleId = BundleId::from_bytes([9; 16]);

/// What to read.
#[derive(Debug, Arbitrary)]
pub enum Input {
    /// These bytes.
    Raw(Vec<u8>),
    /// Frames of these kinds with this content, each with its index and a right MAC, after a header as said.
    Vouched {
        /// What the header names.
        ranges: Vec<RangeSpec>,
        /// How many chunks it promises.
        chunks: u8,
        /// The frames.
        frames: Vec<(u8, Vec<u8>)>,
    },
    /// A header frame with this content, and a right MAC.
    VouchedHeader(Vec<u8>),
    /// One Gap for each range, and then some.
    Gaps {
        /// What the header names.
        ranges: Vec<RangeSpec>,
        /// Gaps instead of the right one: the range by its number, and how far its ends are moved.
        moved: Option<(u8, i8, i8)>,
    },
    /// An ack file with this between its beginning and a right MAC.
    Acks(Vec<u8>),
    /// An ack file that says this.
    SoundAcks(Vec<(u8, u64, u32)>),
}

/// A range of a header.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub struct RangeSpec {
    lane: u8,
    epoch: u64,
    first: u64,
    count: u16,
    crc_before: u32,
}

impl RangeSpec {
    fn range(self) -> Range {
        let lane = Lane::ALL[usize::from(self.lane) % Lane::ALL.len()];
        let stream = ends::stream(lane, self.epoch & 0xFFFF_FFFF);
        let last = self.first.saturating_add(u64::from(self.count));
        Range { stream, first: self.first, last, crc_before: self.crc_before }
    }
}

/// Reads it, and judges what was believed.
pub fn run(input: Input) {
    match input {
        Input::Raw(bytes) => {
            assert!(Acks::decode(&bytes, &ends::key_file()).is_err(), "nobody vouched for it");
            drop(read(bytes.into()));
        }
        Input::Vouched { ranges, chunks, frames } => {
            let header = header(ranges.into_iter().map(RangeSpec::range).collect(), chunks.into());
            let (_, first) = Writer::new(header, &ends::root(), None);
            let mut bytes = BytesMut::from(first.as_ref());
            for (index, (kind, content)) in (1..).zip(frames) {
                bytes.put(frame(index, kind, &content));
            }
            drop(read(bytes.freeze()));
        }
        Input::VouchedHeader(content) => {
            let mut bytes = BytesMut::from(MAGIC.as_slice());
            bytes.put_u32(VERSION);
            bytes.put(frame(0, 1, &content));
            drop(read(bytes.freeze()));
        }
        Input::Gaps { ranges, moved } => gaps(&ranges, moved),
        Input::Acks(content) => vouched_acks(&content),
        Input::SoundAcks(marks) => sound_acks(&marks),
    }
}

fn header(ranges: Vec<Range>, chunks: u32) -> Header {
    let key = ends::key_file();
    Header { hub_id: key.hub_id, agent_id: key.agent_id, bundle: BUNDLE, key_id: key.key_id, chunks, ranges }
}

fn frame(index: u32, kind: u8, content: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u32(index);
    frame.put_u8(kind);
    frame.put_u32(u32::try_from(content.len()).expect("inputs are short"));
    frame.put_slice(content);
    let mac = ends::root().bundle_key(BUNDLE).sign(&frame);
    frame.put_slice(&mac);
    frame.freeze()
}

/// What a reader makes of it. Believed to the end: the entries cover just what the header says.
fn read(bytes: Bytes) -> Result<(), BundleError> {
    let mut reader = Reader::default();
    let (mut rest, mut claimed, mut entries) = (bytes, None, Vec::new());
    loop {
        let want = reader.want();
        assert!(want <= limit::BUNDLE_FRAME_BYTES_MAX + 32, "{want} bytes are wanted at once");
        if rest.len() < want {
            return Err(reader.truncated());
        }
        match reader.take(rest.split_to(want))? {
            Some(Event::Header(header)) => {
                claimed = Some(header);
                reader.unlock(&ends::root(), None)?;
            }
            Some(Event::Chunk(chunk)) => entries.extend(chunk),
            Some(Event::End) => {
                covered(&claimed.expect("a header came first"), &entries);
                assert_eq!(reader.want(), 0);
                return Ok(());
            }
            None => {}
        }
    }
}

/// Each range from its first to its last number, without a hole, and nothing else.
fn covered(header: &Header, entries: &[Entry]) {
    let mut next: BTreeMap<StreamId, u64> =
        header.ranges.iter().map(|range| (range.stream, range.first)).collect();
    for entry in entries {
        let (stream, first, last) = match entry {
            Entry::Records(records) => (records.stream, records.first, records.last()),
            Entry::Gap(gap) => (gap.stream, gap.from, gap.to),
        };
        let due = next.get_mut(&stream).expect("a stream that the header names");
        assert_eq!(*due, first, "{stream} goes on where it ended");
        *due = last + 1;
    }
    for range in &header.ranges {
        assert_eq!(next[&range.stream], range.last + 1, "{} is covered to its end", range.stream);
    }
}

fn gaps(specs: &[RangeSpec], moved: Option<(u8, i8, i8)>) {
    let mut ranges: Vec<Range> = specs.iter().map(|spec| spec.range()).collect();
    ranges.sort_by_key(|range| range.stream);
    ranges.dedup_by_key(|range| range.stream);
    ranges.retain(|range| range.first > 0 && range.last <= limit::RECORD_NUMBER_MAX);
    ranges.truncate(limit::BUNDLE_ENTRIES_MAX);
    if ranges.is_empty() {
        return;
    }
    let mut gaps: Vec<Gap> = ranges.iter().map(gap_of).collect();
    let mut sound = true;
    if let Some((which, from, to)) = moved {
        let gap = &mut gaps[usize::from(which) % ranges.len()];
        let (from, to) =
            (gap.from.saturating_add_signed(from.into()), gap.to.saturating_add_signed(to.into()));
        sound = (from, to) == (gap.from, gap.to);
        (gap.from, gap.to) = (from, to);
    }
    let (mut writer, first) = Writer::new(header(ranges, 1), &ends::root(), None);
    let mut bytes = BytesMut::from(first.as_ref());
    bytes.put(writer.chunk(gaps.into_iter().map(Entry::Gap).collect()).expect("one chunk was promised"));
    bytes.put(writer.finish().expect("one chunk was written"));
    let read = read(bytes.freeze());
    assert_eq!(read.is_ok(), sound, "{read:?}");
}

fn gap_of(range: &Range) -> Gap {
    let numbers = range.last - range.first + 1;
    let reason = GapReason::Evicted;
    Gap { stream: range.stream, from: range.first, to: range.last, reason, records: numbers, bytes: 0 }
}

fn vouched_acks(content: &[u8]) {
    let key = ends::key_file();
    let mut file = BytesMut::from(b"OPBNDACK".as_slice());
    file.put_u32(VERSION);
    file.put_slice(content);
    let mac = ends::root().bundle_ack_key(key.hub_id, key.agent_id).sign(&file);
    file.put_slice(&mac);
    if let Ok(acks) = Acks::decode(&file, &key) {
        assert_eq!((acks.hub_id, acks.agent_id), (key.hub_id, key.agent_id));
        assert_eq!(acks.encode(&ends::root()), file, "another file with the same meaning");
    }
}

fn sound_acks(marks: &[(u8, u64, u32)]) {
    let key = ends::key_file();
    let mark = |(epoch, acked, acked_crc): &(u8, u64, u32)| StreamMark {
        stream: ends::stream(Lane::Logs, (*epoch).into()),
        acked: *acked,
        acked_crc: *acked_crc,
    };
    let acks = Acks {
        hub_id: key.hub_id,
        agent_id: key.agent_id,
        bundle: BUNDLE,
        key_id: key.key_id.clone(),
        marks: marks.iter().map(mark).collect(),
    };
    let mut file = acks.encode(&ends::root());
    let read = Acks::decode(&file, &key);
    assert!(read.is_err() || read == Ok(acks));
    *file.last_mut().expect("a MAC") ^= 1;
    assert!(Acks::decode(&file, &key).is_err(), "a flipped bit was not found");
}
