//! Decrypting what is read: a byte is given only after its whole chunk was verified.

use std::io::{self, BufRead, Read};

use crate::secret::Secret;

use super::header::{FileKey, HEADER_LINE_BYTES_MAX, HeaderReader};
use super::stream::{NONCE_BYTES, Open, SEALED_CHUNK_BYTES};
use super::{AgeError, Identity};

/// Decrypts a file; its reader fails with an [`AgeError`] inside an `io::Error`.
pub struct Decrypt<R> {
    inner: R,
    /// `None` after the last chunk.
    open: Option<Open>,
    chunk: Vec<u8>,
    given: usize,
}

fn wrong(error: AgeError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl<R: BufRead> Decrypt<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// None of `identities` opens it, or it is damaged.
    pub fn new(mut inner: R, identities: &[Identity]) -> io::Result<Self> {
        let mut header = HeaderReader::default();
        let file_key: Secret<FileKey> = loop {
            let mut line = Vec::new();
            (&mut inner).take(HEADER_LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
            if line.is_empty() {
                return Err(wrong(AgeError::Truncated));
            }
            if let Some(key) = header.line(&line, identities).map_err(wrong)? {
                break key;
            }
        };
        let mut nonce = [0; NONCE_BYTES];
        inner.read_exact(&mut nonce).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => wrong(AgeError::Truncated),
            _ => error,
        })?;
        let open = Some(Open::new(file_key.expose(), &nonce));
        Ok(Self { inner, open, chunk: Vec::with_capacity(SEALED_CHUNK_BYTES), given: 0 })
    }

    fn next_chunk(&mut self) -> io::Result<()> {
        let Some(mut open) = self.open.take() else { return Ok(()) };
        self.chunk.clear();
        self.given = 0;
        (&mut self.inner).take(SEALED_CHUNK_BYTES as u64).read_to_end(&mut self.chunk)?;
        let more = self.chunk.len() == SEALED_CHUNK_BYTES && !self.inner.fill_buf()?.is_empty();
        if more {
            open.chunk(&mut self.chunk).map_err(wrong)?;
            self.open = Some(open);
            return Ok(());
        }
        open.last(&mut self.chunk).map_err(wrong)
    }
}

impl<R: BufRead> Read for Decrypt<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.given >= self.chunk.len() {
            self.chunk.clear();
            self.next_chunk()?;
        }
        let count = self.chunk.get(self.given..).unwrap_or_default().read(out)?;
        self.given = self.given.saturating_add(count);
        Ok(count)
    }
}
