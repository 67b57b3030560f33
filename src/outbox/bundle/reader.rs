//! Reading: what is needed next, and what it says. Nothing may be believed before [`Event::End`].

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::limit;
use crate::wire::entry::{self, Entry};
use crate::wire::identity::BoundKey;
use crate::wire::key::{MacRoot, bundle_digest};
use crate::wire::mac::{MAC_BYTES, MacKey};

use super::coverage::Coverage;
use super::frame::{HEAD_BYTES, Head, Kind, PREAMBLE_BYTES, preamble};
use super::{BundleError, Header, MAGIC, VERSION};

/// The header must be read, then unlocked, then the rest.
const LOCKED: BundleError = BundleError::Frame { index: 1, what: "read before its header was verified" };

/// What the bytes said.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Who it is from, not verified yet: [`Reader::unlock`] is due.
    Header(Header),
    /// The next chunk's content.
    Chunk(Vec<Entry>),
    /// The bundle is whole and sound; nothing may follow.
    End,
}

/// A bundle that is being read.
#[derive(Debug)]
pub struct Reader {
    state: State,
    digest: Sha256,
    lock: Lock,
    coverage: Coverage,
}

#[derive(Debug)]
enum State {
    Preamble,
    Head { index: u32 },
    Content(Head),
    Ended,
}

/// How far it is known who the bundle is from.
#[derive(Debug)]
enum Lock {
    /// The header was not read yet.
    Unread,
    /// The header was read, and its MAC is to be verified.
    Claimed { header: Header, head: Head, rest: Bytes },
    /// The header is sound; the rest is verified with this.
    Open(Box<Opened>),
}

#[derive(Debug)]
struct Opened {
    header: Header,
    key: MacKey,
    identity: Option<BoundKey>,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            state: State::Preamble,
            digest: Sha256::new(),
            lock: Lock::Unread,
            coverage: Coverage::default(),
        }
    }
}

impl Reader {
    /// How many bytes [`Self::take`] wants next, at most a frame; 0 at the end.
    pub const fn want(&self) -> usize {
        match &self.state {
            State::Preamble => PREAMBLE_BYTES,
            State::Head { .. } => HEAD_BYTES,
            State::Content(head) => head.length + MAC_BYTES,
            State::Ended => 0,
        }
    }

    /// The error of a file that ends before [`Event::End`].
    pub const fn truncated(&self) -> BundleError {
        let index = match &self.state {
            State::Preamble => 0,
            State::Head { index } => *index,
            State::Content(head) => head.index,
            State::Ended => return BundleError::Trailing,
        };
        BundleError::Truncated { index }
    }

    /// Takes exactly as many bytes as were wanted. `None` where more is needed before anything can be said.
    ///
    /// # Errors
    /// What is wrong with the bundle; the reader is of no use afterwards.
    pub fn take(&mut self, bytes: Bytes) -> Result<Option<Event>, BundleError> {
        match self.state {
            State::Preamble => {
                self.take_preamble(&bytes)?;
                self.state = State::Head { index: 0 };
                Ok(None)
            }
            State::Head { index } => {
                let head = Head::decode(&bytes, index)?;
                self.allowed(head)?;
                self.digest_before_end(head.kind, &bytes);
                self.state = State::Content(head);
                Ok(None)
            }
            State::Content(head) => self.take_content(head, bytes).map(Some),
            State::Ended => Err(BundleError::Trailing),
        }
    }

    fn take_preamble(&mut self, bytes: &[u8]) -> Result<(), BundleError> {
        let version = bytes.strip_prefix(&MAGIC).ok_or(BundleError::NotABundle)?;
        let found = version.first_chunk().map_or(0, |version| u32::from_be_bytes(*version));
        if found > VERSION {
            return Err(BundleError::Newer { found, known: VERSION });
        }
        if bytes != preamble() {
            return Err(BundleError::NotABundle);
        }
        self.digest.update(bytes);
        Ok(())
    }

    /// Whether a frame of this kind may stand here.
    fn allowed(&self, head: Head) -> Result<(), BundleError> {
        let index = head.index;
        let due = match &self.lock {
            Lock::Unread => Kind::Header,
            Lock::Claimed { .. } => return Err(LOCKED),
            Lock::Open(opened) if index < opened.header.chunks => Kind::Chunk,
            Lock::Open(opened) if index == opened.header.chunks => Kind::LastChunk,
            Lock::Open(_) => Kind::End,
        };
        if head.kind == due {
            Ok(())
        } else {
            Err(BundleError::Frame { index, what: "not of the kind that is due" })
        }
    }

    /// The signature is over everything before the end's frame.
    fn digest_before_end(&mut self, kind: Kind, bytes: &[u8]) {
        if kind != Kind::End {
            self.digest.update(bytes);
        }
    }

    fn take_content(&mut self, head: Head, rest: Bytes) -> Result<Event, BundleError> {
        self.digest_before_end(head.kind, &rest);
        let content = rest.slice(..head.length.min(rest.len()));
        if head.kind == Kind::Header {
            let header = Header::decode(&content)?;
            self.lock = Lock::Claimed { header: header.clone(), head, rest };
            self.state = State::Head { index: 1 };
            return Ok(Event::Header(header));
        }
        let Lock::Open(opened) = &self.lock else { return Err(LOCKED) };
        head.verify(&rest, &opened.key)?;
        if head.kind == Kind::End {
            self.coverage.check_end()?;
            verify_signature(opened, &content, &self.digest)?;
            self.state = State::Ended;
            return Ok(Event::End);
        }
        let entries = decode(head.index, content)?;
        self.coverage.check(&opened.header, &entries)?;
        self.state = State::Head { index: head.index.saturating_add(1) };
        Ok(Event::Chunk(entries))
    }

    /// Verifies the header that was read with the key it names, and what follows with it too. With `identity` the
    /// bundle must be signed by it.
    ///
    /// # Errors
    /// The header's MAC is wrong, or there is no header yet.
    pub fn unlock(&mut self, root: &MacRoot, identity: Option<BoundKey>) -> Result<(), BundleError> {
        let Lock::Claimed { header, head, rest } = std::mem::replace(&mut self.lock, Lock::Unread) else {
            return Err(LOCKED);
        };
        let key = root.bundle_key(header.bundle);
        head.verify(&rest, &key)?;
        self.coverage = Coverage::of(&header);
        self.lock = Lock::Open(Box::new(Opened { header, key, identity }));
        Ok(())
    }
}

fn decode(index: u32, mut content: Bytes) -> Result<Vec<Entry>, BundleError> {
    let mut entries = Vec::new();
    while !content.is_empty() {
        let wrong = |detail: String| BundleError::Entry { index, detail };
        if entries.len() >= limit::BUNDLE_ENTRIES_MAX {
            return Err(wrong(format!("more than {} entries", limit::BUNDLE_ENTRIES_MAX)));
        }
        entries.push(entry::split(&mut content).map_err(|error| wrong(error.detail))?);
    }
    Ok(entries)
}

fn verify_signature(opened: &Opened, content: &[u8], digest: &Sha256) -> Result<(), BundleError> {
    let Header { hub_id, agent_id, bundle, .. } = &opened.header;
    let Some(identity) = &opened.identity else { return Ok(()) };
    if content.is_empty() {
        return Err(BundleError::Unsigned(*agent_id));
    }
    let digest = digest.clone().finalize().into();
    let signed = bundle_digest(*hub_id, *agent_id, *bundle, &digest);
    let verifies = content.try_into().is_ok_and(|signature| identity.verifies(&signed, signature));
    if verifies { Ok(()) } else { Err(BundleError::Signature(*agent_id)) }
}
