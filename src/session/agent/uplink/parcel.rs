//! A batch as it goes out: whole records, no more than the line takes, compressed where that is worth it.
//!
//! How much smaller a batch becomes is known only when it has been done. So more is read than the line takes as it is, by what
//! the last batch gained, and what turns out to be too long for the line is cut. One record goes whole, whatever its length.
//!
//! Compression begins with the first batch of a session, at the rate that its registration showed, which is rather too low: a
//! fast line's first batches are compressed in vain, a slow one's are never sent plain. A registration that took no time that can
//! be measured is that of a fast line, until acks show otherwise.

use bytes::Bytes;

use crate::limit;
use crate::outbox::Batch;
use crate::wire::error::{ErrorCode, WireError};
use crate::wire::message::Codec;
use crate::wire::{batch, zstd};

/// Records that are ready to be signed.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) first: u64,
    pub(super) count: u32,
    pub(super) codec: Codec,
    /// Bytes before compression.
    pub(super) raw: usize,
    /// As sent.
    pub(super) bytes: Bytes,
}

impl Parcel {
    /// The number behind its last one.
    pub(super) fn end(&self) -> u64 {
        self.first.saturating_add(self.count.into())
    }
}

/// Makes parcels of batches.
#[derive(Debug, Default)]
pub(super) struct Packer {
    /// Bytes of one batch before compression.
    batch_max: usize,
    compression: Compression,
}

/// Whether batches become smaller.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Compression {
    /// The hub does not take it.
    #[default]
    Off,
    /// It does; `gain` times as many bytes as were sent went into the last batch.
    On {
        /// At least 1.
        gain: usize,
    },
}

/// What the line is at present.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    /// Bytes a second, where that is known.
    pub(super) per_second: Option<u64>,
    /// Bytes that the next batch may take on it.
    pub(super) bytes: usize,
}

impl Line {
    fn is_slow(self) -> bool {
        self.per_second.is_some_and(|rate| rate < limit::ZSTD_RATE_MAX)
    }
}

/// The greatest gain that is reckoned with: the next batch may be another text.
const GAIN_MAX: usize = 8;

impl Packer {
    pub(super) const fn new(batch_max: usize, zstd: bool) -> Self {
        let compression = if zstd { Compression::On { gain: 1 } } else { Compression::Off };
        Self { batch_max, compression }
    }

    /// Bytes that are read for a line that takes so many.
    pub(super) fn read_for(&self, line: usize) -> usize {
        let gain = match self.compression {
            Compression::Off => 1,
            Compression::On { gain } => gain,
        };
        line.saturating_mul(gain).min(limit::BATCH_BYTES).min(self.batch_max).max(1)
    }

    /// As many of the batch's records as one message can carry and the line takes.
    ///
    /// # Errors
    /// `too_large` where not even the first fits into a message.
    pub(super) fn pack(&mut self, batch: Batch, line: Line) -> Result<Parcel, WireError> {
        let most = self.batch_max;
        let batch = up_to(batch, most);
        if batch.count == 0 || batch.batch.len() > most {
            let detail =
                format!("record {} does not fit into a message of {most} bytes, or is damaged", batch.first);
            return Err(WireError::new(ErrorCode::TooLarge, detail));
        }
        let whole = self.wrap(&batch, line);
        if whole.bytes.len() <= line.bytes || batch.count == 1 {
            return Ok(whole);
        }
        // By what this one gains, not the last; and where its beginning gains less, by nothing.
        let share = whole.raw.saturating_mul(line.bytes) / whole.bytes.len().max(1);
        let batch = up_to(batch, share);
        let part = self.wrap(&batch, line);
        if part.bytes.len() <= line.bytes {
            return Ok(part);
        }
        Ok(self.wrap(&up_to(batch, line.bytes), line))
    }

    fn wrap(&mut self, batch: &Batch, line: Line) -> Parcel {
        let raw = batch.batch.len();
        let (codec, bytes) = match self.compress(&batch.batch, line) {
            Some(smaller) => (Codec::Zstd, smaller),
            None => (Codec::None, batch.batch.clone()),
        };
        Parcel { first: batch.first, count: batch.count, codec, raw, bytes }
    }

    fn compress(&mut self, batch: &Bytes, line: Line) -> Option<Bytes> {
        let Compression::On { gain } = &mut self.compression else { return None };
        if !line.is_slow() || batch.len() < limit::ZSTD_BYTES_MIN {
            return None;
        }
        let smaller = zstd::compress(batch);
        *gain = smaller.as_ref().map_or(1, |smaller| (batch.len() / smaller.len().max(1)).clamp(1, GAIN_MAX));
        smaller
    }
}

/// The batch, cut between records to so many bytes and to what one batch may hold; one record at least.
fn up_to(batch: Batch, bytes_max: usize) -> Batch {
    if batch.batch.len() <= bytes_max && batch.count <= limit::BATCH_RECORDS_MAX {
        return batch;
    }
    let (mut count, mut end) = (0, 0);
    while count < batch.count.min(limit::BATCH_RECORDS_MAX) {
        let next = batch.batch.get(end..).and_then(|rest| batch::offset_of(rest, 1)).unwrap_or_default();
        if next == 0 || (count > 0 && end.saturating_add(next) > bytes_max) {
            break;
        }
        (count, end) = (count.saturating_add(1), end.saturating_add(next));
    }
    Batch { count, batch: batch.batch.slice(..end), ..batch }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::time::WallTime;
    use crate::wire::message::{Record, RecordKind};

    const SLOW: u64 = 300;

    /// Records with these payloads, numbered from 7 on.
    fn of(payloads: impl IntoIterator<Item = Vec<u8>>) -> Batch {
        let (mut encoded, mut count, mut payload_bytes) = (BytesMut::new(), 0, 0);
        for payload in payloads {
            (count, payload_bytes) = (count + 1, payload_bytes + payload.len() as u64);
            let recorded_at = WallTime(1_800_000_000_000);
            let (kind, source) = (RecordKind::Opaque, "a program".to_owned());
            batch::push(
                Record { recorded_at, source, kind, payload: payload.into(), part: None, app: None },
                &mut encoded,
            );
        }
        Batch { first: 7, count, batch: encoded.freeze(), payload_bytes }
    }

    fn log(lines: u32) -> Batch {
        of((0..lines).map(|line| format!("{line:06} the pump runs at its usual speed\n").into_bytes()))
    }

    fn noise(records: u32) -> Batch {
        let mut random = fastrand::Rng::with_seed(1);
        of((0..records).map(|_| (0..100).map(|_| random.u8(..)).collect()))
    }

    fn line(bytes: usize) -> Line {
        Line { per_second: Some(SLOW), bytes }
    }

    fn packer() -> Packer {
        Packer::new(1 << 20, true)
    }

    fn raw(parcel: &Parcel) -> Bytes {
        match parcel.codec {
            Codec::None => parcel.bytes.clone(),
            Codec::Zstd => zstd::decompress(&parcel.bytes, parcel.raw, 1 << 20).unwrap(),
        }
    }

    /// That it is the beginning of the batch, in whole records.
    fn assert_begins(batch: &Batch, parcel: &Parcel) {
        assert_eq!((parcel.first, parcel.end()), (batch.first, batch.first + u64::from(parcel.count)));
        let end = batch::offset_of(&batch.batch, parcel.count as usize).unwrap();
        assert_eq!((raw(parcel), parcel.raw), (batch.batch.slice(..end), end));
    }

    #[test]
    fn a_batch_that_does_not_become_smaller_after_one_that_did_is_cut_to_what_the_line_takes() {
        let mut packer = packer();
        let parcel = packer.pack(log(200), line(4096)).unwrap();
        assert_eq!((parcel.codec, parcel.count), (Codec::Zstd, 200));
        let wanted = packer.read_for(1000);
        assert!(wanted >= 4000, "{wanted} bytes are read, by what the last one gained");
        let batch = noise(100);
        assert!(batch.batch.len() > wanted, "{}", batch.batch.len());
        let parcel = packer.pack(batch.clone(), line(1000)).unwrap();
        assert_begins(&batch, &parcel);
        assert!((800..=1000).contains(&parcel.bytes.len()), "{}", parcel.bytes.len());
        assert_eq!(packer.read_for(1000), 1000, "the next one is no longer guessed to gain");
    }

    #[test]
    fn what_gains_less_than_was_guessed_fills_the_line_by_what_it_gains() {
        let mut packer = packer();
        let batch = log(800);
        let parcel = packer.pack(batch.clone(), line(1500)).unwrap();
        assert_begins(&batch, &parcel);
        assert_eq!(parcel.codec, Codec::Zstd);
        let gain = parcel.raw as f64 / parcel.bytes.len() as f64;
        assert!(gain > 2.0 && (700..=1500).contains(&parcel.bytes.len()), "{gain} {}", parcel.bytes.len());
    }

    #[test]
    fn what_begins_with_noise_and_ends_with_a_log_is_no_longer_than_the_line_takes() {
        let mixed = [noise(40).batch, log(400).batch].concat().into();
        let batch = Batch { first: 7, count: 440, batch: mixed, payload_bytes: 0 };
        for bytes in [600, 1000, 2000, 4000, 6000] {
            let parcel = packer().pack(batch.clone(), line(bytes)).unwrap();
            assert_begins(&batch, &parcel);
            assert!(parcel.bytes.len() <= bytes, "{} of {bytes}", parcel.bytes.len());
        }
    }

    #[test]
    fn one_record_goes_whole_and_alone() {
        let batch = of([vec![7; 5000], vec![8; 10]]);
        let parcel = Packer::new(1 << 20, false).pack(batch.clone(), line(512)).unwrap();
        assert_begins(&batch, &parcel);
        assert_eq!((parcel.count, parcel.codec), (1, Codec::None));
    }

    #[test]
    fn a_batch_with_too_little_that_repeats_is_not_compressed() {
        let batch = log(40);
        assert!(batch.batch.len() < limit::ZSTD_BYTES_MIN && zstd::compress(&batch.batch).is_some());
        let parcel = packer().pack(batch.clone(), line(1 << 20)).unwrap();
        assert_begins(&batch, &parcel);
        assert_eq!((parcel.count, parcel.codec), (40, Codec::None));
    }

    #[test]
    fn a_record_that_fits_into_no_message_is_an_error() {
        let error = Packer::new(1000, true).pack(of([vec![7; 5000]]), line(9000)).unwrap_err();
        assert_eq!(error.code, ErrorCode::TooLarge);
        assert!(
            error.detail.contains("record 7 ") && error.detail.contains("1000 bytes"),
            "{}",
            error.detail
        );
    }

    #[test]
    fn a_damaged_batch_loses_its_end_and_not_its_sense() {
        let sound = noise(3);
        let cut = sound.batch.len() - 50;
        let batch = Batch { batch: sound.batch.slice(..cut), ..sound };
        let parcel = Packer::new(200, false).pack(batch.clone(), line(9000)).unwrap();
        assert_begins(&batch, &parcel);
    }

    #[test]
    fn batches_are_compressed_from_the_first_on_where_the_line_is_known_to_be_slow() {
        for (per_second, expected) in
            [(Some(SLOW), Codec::Zstd), (Some(limit::ZSTD_RATE_MAX), Codec::None), (None, Codec::None)]
        {
            let parcel = packer().pack(log(200), Line { per_second, bytes: 1 << 20 }).unwrap();
            assert_eq!((parcel.codec, parcel.count), (expected, 200), "{per_second:?}");
        }
    }
}
