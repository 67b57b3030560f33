//! Payloads that say who they are: everything in one follows from its number, so that any copy of it can be checked
//! anywhere, and a number that was refused is recognised wherever it turns up.

use bytes::Bytes;
use fastrand::Rng;
use outpost::id::Lane;
use outpost::limit;
use outpost::outbox::NewRecord;
use outpost::outbox::admit::part_bytes_max;
use outpost::time::WallTime;
use outpost::wire::batch;
use outpost::wire::message::{Part, Record, RecordKind};
use serde::{Deserialize, Serialize};

use crate::findings::Loss;

const NUMBER_BYTES: usize = 8;

/// The payload of this number: mostly short, seldom a block, now and then cut into parts.
pub(crate) fn payload(number: u64) -> Bytes {
    let (length, mut random) = length(number);
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.resize(length, 0);
    random.fill(&mut bytes[NUMBER_BYTES..]);
    bytes.into()
}

/// Its length, and the source of what follows its number.
fn length(number: u64) -> (usize, Rng) {
    let mut random = Rng::with_seed(number);
    let length = match random.u8(..) {
        0..=1 => random.usize(14 * 1024..40 * 1024),
        2..=7 => random.usize(2 * 1024..limit::RECORD_PART_BYTES_MAX - NUMBER_BYTES),
        _ => random.usize(..700),
    };
    (NUMBER_BYTES + length, random)
}

/// How many numbers of its stream the payload of this number takes in a lane.
pub(crate) fn parts(lane: Lane, number: u64) -> u32 {
    u32::try_from(length(number).0.div_ceil(part_bytes_max(lane))).unwrap()
}

/// A record with that payload.
pub(crate) fn record(number: u64) -> NewRecord {
    NewRecord {
        recorded_at: WallTime(number),
        source: "power".to_owned(),
        kind: RecordKind::Opaque,
        payload: payload(number),
        app: None,
    }
}

/// What one number of a stream holds: part `part` (from 1) of the payload of `number`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Piece {
    pub(crate) number: u64,
    pub(crate) part: u32,
}

impl Piece {
    /// The pieces of `count` records from this number on, in order.
    pub(crate) fn of(lane: Lane, numbers: std::ops::Range<u64>) -> impl Iterator<Item = Self> {
        numbers.flat_map(move |number| (1..=parts(lane, number)).map(move |part| Self { number, part }))
    }

    /// Which piece these bytes are, byte for byte; `before` is the piece in front, whose number a later part has.
    pub(crate) fn recognise(
        lane: Lane,
        bytes: &[u8],
        part: Option<Part>,
        before: Option<Self>,
    ) -> Option<Self> {
        let index = part.map_or(1, |part| part.index);
        let number = match index {
            1 => u64::from_be_bytes(*bytes.first_chunk()?),
            _ => before.filter(|before| before.part + 1 == index)?.number,
        };
        let whole = payload(number);
        let expected = whole.chunks(part_bytes_max(lane)).nth(index as usize - 1)?;
        (expected == bytes && part.is_none_or(|part| part.of == parts(lane, number)))
            .then_some(Self { number, part: index })
    }
}

/// What reading shows at one number of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Seen {
    /// A payload of ours, or a part of one, with exactly its bytes.
    Piece(Piece),
    /// A later part of a payload whose beginning was acked before.
    Tail,
    /// The outbox's own word about a loss.
    Report(Loss),
    /// Anything else: never to be seen.
    Wrong(String),
}

/// Looks at a record that follows `before`, or is the first that was read.
pub(crate) fn look(lane: Lane, record: &Record, before: Option<&Seen>) -> Seen {
    match record.kind {
        RecordKind::Opaque => {}
        RecordKind::LossReport => {
            let report = batch::decode_loss(&record.payload);
            return report
                .map_or_else(|error| Seen::Wrong(error.to_string()), |report| Seen::Report(report.into()));
        }
        kind => return Seen::Wrong(format!("{kind:?}")),
    }
    let index = record.part.map_or(1, |part| part.index);
    if index > 1 && matches!(before, None | Some(Seen::Tail)) {
        return Seen::Tail;
    }
    let before = before.and_then(|before| if let Seen::Piece(piece) = before { Some(*piece) } else { None });
    Piece::recognise(lane, &record.payload, record.part, before)
        .map_or_else(|| Seen::Wrong(format!("{} bytes that nobody wrote", record.payload.len())), Seen::Piece)
}
