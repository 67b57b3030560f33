//! The hub's own copy of a bundle, and a pass over it.
//!
//! The file has no name from the moment it is made: whatever ends the hub, nothing is left behind.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use bytes::Bytes;

use crate::limit;
use crate::obs::random;
use crate::outbox::bundle::{Event, Header, Reader};
use crate::wire::entry::Entry;
use crate::wire::identity::BoundKey;
use crate::wire::key::MacRoot;

use super::ImportError;

/// A copy that is being made.
#[derive(Debug)]
pub struct Spool {
    file: File,
    bytes: u64,
}

impl Spool {
    /// Makes an empty one in the hub's folder.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn create(folder: &Path) -> Result<Self, ImportError> {
        let path = folder.join(format!("import-{}.new", hex::encode(random::bytes::<8>())));
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        std::fs::remove_file(&path)?;
        Ok(Self { file, bytes: 0 })
    }

    /// Appends what came.
    ///
    /// # Errors
    /// It is too much for a bundle, or the disk is full.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), ImportError> {
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        if self.bytes > limit::BUNDLE_BYTES_MAX {
            return Err(ImportError::TooLarge);
        }
        Ok(self.file.write_all(bytes)?)
    }

    /// The header, not verified, and the file for the passes over it.
    pub(super) fn header(self) -> Result<(Header, File), ImportError> {
        let (header, pass) = Pass::begin(self.file)?;
        Ok((header, pass.into_file()))
    }
}

/// One pass over a bundle, frame by frame.
pub(super) struct Pass {
    file: BufReader<File>,
    reader: Reader,
}

impl Pass {
    fn begin(mut file: File) -> Result<(Header, Self), ImportError> {
        file.rewind()?;
        let mut pass = Self { file: BufReader::new(file), reader: Reader::default() };
        loop {
            if let Some(Event::Header(header)) = pass.step()? {
                return Ok((header, pass));
            }
        }
    }

    /// A pass that verifies what it reads.
    pub(super) fn unlocked(
        file: File,
        root: &MacRoot,
        identity: Option<BoundKey>,
    ) -> Result<Self, ImportError> {
        let (_, mut pass) = Self::begin(file)?;
        pass.reader.unlock(root, identity)?;
        Ok(pass)
    }

    /// The next chunk; `None` once the end was verified.
    pub(super) fn next(&mut self) -> Result<Option<Vec<Entry>>, ImportError> {
        loop {
            match self.step()? {
                Some(Event::Chunk(entries)) => return Ok(Some(entries)),
                Some(Event::End) => {
                    let ended = self.file.read(&mut [0])? == 0;
                    return if ended { Ok(None) } else { Err(self.reader.truncated().into()) };
                }
                Some(Event::Header(_)) | None => {}
            }
        }
    }

    fn step(&mut self) -> Result<Option<Event>, ImportError> {
        let mut bytes = vec![0; self.reader.want()];
        self.file.read_exact(&mut bytes).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => ImportError::Bundle(self.reader.truncated()),
            _ => ImportError::Spool(error),
        })?;
        Ok(self.reader.take(Bytes::from(bytes))?)
    }

    pub(super) fn into_file(self) -> File {
        self.file.into_inner()
    }
}
