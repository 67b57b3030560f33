//! A small file of the model disk: whole, or written in place.

use fastrand::Rng;

/// Its bytes now, and what of them is durable.
#[derive(Debug, Clone, Default)]
pub(super) struct Plain {
    pub(super) bytes: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<(usize, Vec<u8>)>,
    pub(super) reserved: u64,
}

fn write(into: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if into.len() < at + bytes.len() {
        into.resize(at + bytes.len(), 0);
    }
    into[at..at + bytes.len()].copy_from_slice(bytes);
}

impl Plain {
    /// A file whose bytes are durable.
    pub(super) fn durable(bytes: Vec<u8>) -> Self {
        Self { durable: bytes.clone(), bytes, ..Self::default() }
    }

    pub(super) fn write(&mut self, at: usize, bytes: &[u8]) {
        write(&mut self.bytes, at, bytes);
        self.pending.push((at, bytes.to_vec()));
    }

    pub(super) fn sync(&mut self) {
        self.durable.clone_from(&self.bytes);
        self.pending.clear();
    }

    /// Each write that was not synced survives, or a part of it does, or nothing.
    pub(super) fn cut(&mut self, rng: &mut Rng) {
        for (at, bytes) in std::mem::take(&mut self.pending) {
            let kept = match rng.u8(0..8) {
                0..=3 => 0,
                4 => rng.usize(0..=bytes.len()),
                _ => bytes.len(),
            };
            write(&mut self.durable, at, &bytes[..kept]);
        }
        self.bytes.clone_from(&self.durable);
    }

    pub(super) fn takes(&self) -> u64 {
        (self.bytes.len() as u64).max(self.reserved)
    }

    /// Changes a byte; says whether there was one.
    pub(super) fn damage(&mut self, rng: &mut Rng) -> bool {
        if self.bytes.is_empty() {
            return false;
        }
        self.sync();
        let at = rng.usize(0..self.bytes.len());
        self.bytes[at] ^= 1 << rng.u8(0..8);
        self.sync();
        true
    }
}
