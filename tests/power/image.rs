//! What a disk may hold after a power cut, built from its [`BlockLog`].
//!
//! Legal is: every write before the last barrier, and of the writes after it any subset, each of them perhaps only in
//! part, in pieces no smaller than [`PIECE`]. Nothing after the moment of the cut is there.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use fastrand::Rng;
use outpost::obs::clock::boot_now;
use outpost::time::BootTime;

use crate::block_log::{Action, BlockLog};

/// A disk writes sectors whole; ext4's block is what it hands over at once.
const PIECE: usize = 4096;

/// A disk after a cut.
pub(crate) struct Image {
    pub(crate) bytes: Vec<u8>,
    /// What was reported before this must be there; what was begun after it must not.
    pub(crate) cut_at: BootTime,
}

/// Everything that the device was given so far, in order.
pub(crate) fn copied(log: &BlockLog) -> Image {
    Image { bytes: log.now().to_vec(), cut_at: boot_now() }
}

/// Everything up to a random barrier, and a random part of what came before the next one.
pub(crate) fn replayed(log: &BlockLog, random: &mut Rng) -> Image {
    let requests = log.requests();
    let is_barrier = |index: &usize| matches!(requests[*index].action, Action::Barrier);
    let barriers: Vec<usize> = (0..requests.len()).filter(is_barrier).collect();
    assert!(!barriers.is_empty(), "no flush reached the device in {} requests", requests.len());
    let chosen = random.usize(..barriers.len());
    let barrier = barriers[chosen];
    let next = barriers.get(chosen + 1).copied().unwrap_or(requests.len());
    let end = random.usize(barrier + 1..=next);
    let cut_at = requests.get(end).map_or_else(boot_now, |request| request.at);

    let mut bytes = log.base().to_vec();
    let kept = random.f64();
    for (index, request) in requests.iter().enumerate().take(end) {
        let Action::Write { offset, bytes: written } = &request.action else { continue };
        for (number, piece) in written.chunks(PIECE).enumerate() {
            if index < barrier || random.f64() < kept {
                let at = offset + number * PIECE;
                bytes[at..at + piece.len()].copy_from_slice(piece);
            }
        }
    }
    Image { bytes, cut_at }
}

impl Image {
    /// Writes it to a file that takes no space where it is zero.
    pub(crate) fn save(&self, path: &Path) {
        let mut file = File::create(path).unwrap();
        file.set_len(self.bytes.len() as u64).unwrap();
        for (index, piece) in self.bytes.chunks(16 * PIECE).enumerate() {
            if piece.iter().any(|byte| *byte != 0) {
                file.seek(SeekFrom::Start((index * 16 * PIECE) as u64)).unwrap();
                file.write_all(piece).unwrap();
            }
        }
    }
}
