//! Writing: header, chunks in their order, end.

use bytes::{Bytes, BytesMut};
use ed25519_dalek::{Signer as _, SigningKey};
use sha2::{Digest, Sha256};

use crate::limit;
use crate::wire::entry::{self, Entry};
use crate::wire::key::{MacRoot, bundle_digest};
use crate::wire::mac::MacKey;

use super::frame::{self, Kind};
use super::{BundleError, Header};

/// A bundle that is being written. What its methods give is to be written in that order.
pub struct Writer {
    header: Header,
    key: MacKey,
    signing: Option<SigningKey>,
    digest: Sha256,
    written: u32,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer")
            .field("header", &self.header)
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}

impl Writer {
    /// Begins a bundle; gives its first bytes too.
    pub fn new(header: Header, root: &MacRoot, signing: Option<SigningKey>) -> (Self, Bytes) {
        let key = root.bundle_key(header.bundle);
        let mut digest = Sha256::new();
        let preamble = frame::preamble();
        digest.update(preamble);
        let frame = frame::seal(0, Kind::Header, &header.encode(), &key, &mut digest);
        let mut first = BytesMut::from(preamble.as_slice());
        first.extend_from_slice(&frame);
        (Self { header, key, signing, digest, written: 0 }, first.freeze())
    }

    /// The next chunk.
    ///
    /// # Errors
    /// More chunks than the header says, or more bytes than a frame may have.
    pub fn chunk(&mut self, entries: Vec<Entry>) -> Result<Bytes, BundleError> {
        let index = self.written.saturating_add(1);
        if index > self.header.chunks {
            return Err(BundleError::Coverage(format!("more than {} chunks", self.header.chunks)));
        }
        let mut content = BytesMut::new();
        entries.into_iter().for_each(|entry| entry::push(entry, &mut content));
        if content.len() > limit::BUNDLE_FRAME_BYTES_MAX {
            return Err(BundleError::Frame { index, what: "longer than a frame may be" });
        }
        self.written = index;
        let kind = if index == self.header.chunks { Kind::LastChunk } else { Kind::Chunk };
        Ok(frame::seal(index, kind, &content, &self.key, &mut self.digest))
    }

    /// The end.
    ///
    /// # Errors
    /// Fewer chunks than the header says.
    pub fn finish(mut self) -> Result<Bytes, BundleError> {
        let Header { hub_id, agent_id, bundle, chunks, .. } = self.header;
        if self.written != chunks {
            return Err(BundleError::Coverage(format!("{} chunks instead of {chunks}", self.written)));
        }
        let content = self.digest.clone().finalize().into();
        let signature = self
            .signing
            .as_ref()
            .map(|key| key.sign(&bundle_digest(hub_id, agent_id, bundle, &content)).to_bytes());
        let signature = signature.as_ref().map_or::<&[u8], _>(&[], |signature| signature);
        Ok(frame::seal(chunks.saturating_add(1), Kind::End, signature, &self.key, &mut self.digest))
    }
}
