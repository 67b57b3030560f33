//! The content: chunks of 64 KiB under a counter, the last one marked (STREAM).

use chacha20poly1305::aead::{AeadInOut as _, KeyInit as _};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};

use super::AgeError;
use super::header::{FileKey, derive};

/// Bytes of a chunk; only the last one may be shorter.
pub(super) const CHUNK_BYTES: usize = 64 * 1024;
/// A chunk and its tag.
pub(super) const SEALED_CHUNK_BYTES: usize = CHUNK_BYTES + 16;
/// Random bytes before the first chunk.
pub(super) const NONCE_BYTES: usize = 16;

/// Whether more chunks follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Inner,
    Last,
}

struct Chunks {
    cipher: ChaCha20Poly1305,
    count: u64,
}

impl Chunks {
    fn new(file_key: &FileKey, nonce: &[u8; NONCE_BYTES]) -> Self {
        let key = derive(file_key, nonce, b"payload");
        Self { cipher: ChaCha20Poly1305::new(key.expose().into()), count: 0 }
    }

    /// The nonce of the next chunk: 11 bytes of counter (2^64 chunks are never reached) and the mark of the last.
    fn nonce(&mut self, place: Place) -> Nonce {
        let mut nonce = Nonce::default();
        let counter = self.count.to_be_bytes();
        nonce.iter_mut().skip(3).zip(counter).for_each(|(byte, count)| *byte = count);
        if let Some(mark) = nonce.last_mut() {
            *mark = u8::from(place == Place::Last);
        }
        self.count = self.count.saturating_add(1);
        nonce
    }
}

/// Encrypts chunk by chunk.
pub(super) struct Seal(Chunks);

impl Seal {
    /// With a file's key and the nonce that is written before the first chunk.
    pub(super) fn new(file_key: &FileKey, nonce: &[u8; NONCE_BYTES]) -> Self {
        Self(Chunks::new(file_key, nonce))
    }

    /// Encrypts a whole chunk in place, which is not the last.
    pub(super) fn chunk(&mut self, chunk: &mut Vec<u8>) {
        self.seal(chunk, Place::Inner);
    }

    /// Encrypts the last chunk in place: it may be short, and empty only where it is the first.
    pub(super) fn last(mut self, chunk: &mut Vec<u8>) {
        self.seal(chunk, Place::Last);
    }

    fn seal(&mut self, chunk: &mut Vec<u8>, place: Place) {
        let nonce = self.0.nonce(place);
        #[expect(clippy::expect_used, reason = "fails above 256 GiB only; a chunk has 64 KiB")]
        self.0.cipher.encrypt_in_place(&nonce, &[], chunk).expect("a chunk is far below the cipher's bound");
    }
}

/// Decrypts chunk by chunk.
pub(super) struct Open(Chunks);

impl Open {
    /// With a file's key and the nonce that stands before the first chunk.
    pub(super) fn new(file_key: &FileKey, nonce: &[u8; NONCE_BYTES]) -> Self {
        Self(Chunks::new(file_key, nonce))
    }

    /// Decrypts a whole chunk in place, after which more came.
    ///
    /// # Errors
    /// It was changed, or is not the one that is due.
    pub(super) fn chunk(&mut self, chunk: &mut Vec<u8>) -> Result<(), AgeError> {
        self.open(chunk, Place::Inner)
    }

    /// Decrypts the last chunk in place.
    ///
    /// # Errors
    /// It was changed or is not the last, or is empty behind others.
    pub(super) fn last(mut self, chunk: &mut Vec<u8>) -> Result<(), AgeError> {
        let number = self.0.count;
        self.open(chunk, Place::Last)?;
        if chunk.is_empty() && number > 0 { Err(AgeError::Chunk(number)) } else { Ok(()) }
    }

    fn open(&mut self, chunk: &mut Vec<u8>, place: Place) -> Result<(), AgeError> {
        let number = self.0.count;
        let nonce = self.0.nonce(place);
        self.0.cipher.decrypt_in_place(&nonce, &[], chunk).map_err(|_| AgeError::Chunk(number))
    }
}
