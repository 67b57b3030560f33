//! Encrypting what is written.

use std::io::{self, Write};

use crate::secret::Secret;

use super::Recipient;
use super::header::{FileKey, header};
use super::stream::{CHUNK_BYTES, NONCE_BYTES, SEALED_CHUNK_BYTES, Seal};

/// Random bytes for one file.
pub struct Seed {
    /// The file's key.
    pub file_key: Secret<FileKey>,
    /// The sender's half of the key agreement.
    pub ephemeral: Secret,
    /// Tells this file's chunks from those of another under the same key.
    pub nonce: [u8; NONCE_BYTES],
}

/// Encrypts to one recipient; [`Encrypt::finish`] must be called, or the file is cut off.
pub struct Encrypt<W> {
    inner: W,
    seal: Seal,
    chunk: Vec<u8>,
}

impl<W: Write> Encrypt<W> {
    /// Writes the header.
    ///
    /// # Errors
    /// What the writer says.
    pub fn new(mut inner: W, recipient: &Recipient, seed: &Seed) -> io::Result<Self> {
        inner.write_all(&header(seed.file_key.expose(), recipient, &seed.ephemeral))?;
        inner.write_all(&seed.nonce)?;
        let seal = Seal::new(seed.file_key.expose(), &seed.nonce);
        Ok(Self { inner, seal, chunk: Vec::with_capacity(SEALED_CHUNK_BYTES) })
    }

    /// Writes the last chunk; gives the writer back.
    ///
    /// # Errors
    /// What the writer says.
    pub fn finish(mut self) -> io::Result<W> {
        self.seal.last(&mut self.chunk);
        self.inner.write_all(&self.chunk)?;
        Ok(self.inner)
    }
}

impl<W: Write> Write for Encrypt<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full chunk waits until it is known not to be the last.
        if self.chunk.len() == CHUNK_BYTES && !bytes.is_empty() {
            self.seal.chunk(&mut self.chunk);
            self.inner.write_all(&self.chunk)?;
            self.chunk.clear();
        }
        let room = CHUNK_BYTES.saturating_sub(self.chunk.len());
        let taken = bytes.get(..room).unwrap_or(bytes);
        self.chunk.extend_from_slice(taken);
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
