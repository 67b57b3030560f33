//! `core/`: one long-lived database, one tree, rows under prefixed keys.
//!
//! ```text
//!  e/<lane>                  greatest epoch ever drawn            n/<lane><epoch>        `next` of a closed epoch
//!  c/<lane><epoch>           cursor: acked u64, crc u32           g/<lane><epoch><from>  gap: to, reason, records, bytes
//!  r/<epoch><first>          a block of control records           k/<name>               small values of the agent
//!  j/<job>...                the journal of jobs, see `job`
//! ```
//! Lanes are one byte, numbers big-endian. A row's value is CRC-32C over key and value, then the value. In an encrypted
//! outbox the values of j/ and k/ are sealed (`cipher`), which their inverted checksum says; those of r/ are sealed blocks.
//! Changes gather in
//! one batch; [`Core::commit`] makes it durable at once, a lazy row (a cursor) waits for the next commit.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::BufMut;

use crate::id::{Epoch, Lane, StreamId};
use crate::limit;
use crate::obs::random;
use crate::outbox::block::{self, Form, Header};
use crate::outbox::cipher::Cipher;
use crate::outbox::ledger::PerLane;
use crate::wire::message::{Gap, GapReason};

use super::generation;
use super::host::{Batch, Database, Fault, Host, Scan, Tree};

/// Rows with what programs and hubs handed over.
const SECRET: [&[u8; 2]; 2] = [b"j/", b"k/"];

/// The open core.
#[derive(Debug)]
pub(super) struct Core {
    database: Box<dyn Database>,
    batch: Batch,
    reserved: u64,
    commits: u64,
    cipher: Option<Arc<Cipher>>,
}

/// Everything a start needs to know.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) epochs: PerLane<Option<Epoch>>,
    pub(super) nexts: BTreeMap<StreamId, u64>,
    pub(super) cursors: BTreeMap<StreamId, (u64, u32)>,
    pub(super) gaps: Vec<Gap>,
    /// Control blocks: header and bytes.
    pub(super) control: Vec<(Header, u64)>,
}

impl Core {
    pub(super) fn open(host: &dyn Host, dir: &Path) -> Result<Self, Fault> {
        let path = dir.join("core");
        let fresh = !host.exists(&path.join("db"));
        if !host.exists(&path) {
            host.create_folder(&path)?;
        }
        let database = host.open_database(&path)?;
        let mut core = Self { database, batch: Batch::default(), reserved: 0, commits: 0, cipher: None };
        core.reserve()?;
        if fresh {
            core.database.sync_new()?;
            host.sync_folder(dir)?;
        }
        Ok(core)
    }

    /// Seals what is put from now on, and opens what was sealed.
    pub(super) fn with_cipher(mut self, cipher: Option<Arc<Cipher>>) -> Self {
        self.cipher = cipher;
        self
    }

    /// What rows and blocks are opened with.
    pub(super) fn cipher(&self) -> Option<Arc<Cipher>> {
        self.cipher.clone()
    }

    fn reserve(&mut self) -> Result<(), Fault> {
        let length = self.database.length()?;
        if length + limit::CORE_AHEAD_BYTES / 2 > self.reserved {
            self.reserved = length + limit::CORE_AHEAD_BYTES;
            self.database.reserve(self.reserved)?;
        }
        Ok(())
    }

    /// Reads every row; control blocks only as far as their headers.
    pub(super) fn rows(&mut self) -> Result<Rows, Fault> {
        let mut rows = Rows::default();
        let mut fault = None;
        self.database.scan(Tree::Main, &[], &mut |key, sealed| match unseal(key, sealed)
            .and_then(|(_, value)| rows.take(key, value))
        {
            Ok(()) => Scan::Next,
            Err(found) => {
                fault = Some(found);
                Scan::Stop
            }
        })?;
        fault.map_or(Ok(rows), Err)
    }

    pub(super) fn put(&mut self, key: &[u8], value: &[u8]) {
        let secret = SECRET.iter().any(|prefix| key.starts_with(prefix.as_slice()));
        let row = match self.cipher.as_ref().filter(|_| secret) {
            Some(cipher) => seal(key, Form::Sealed, &cipher.seal(random::bytes(), &label(key), value)),
            None => seal(key, Form::Plain, value),
        };
        self.batch.push((key.to_vec(), Some(row)));
    }

    pub(super) fn remove(&mut self, key: &[u8]) {
        self.batch.push((key.to_vec(), None));
    }

    /// Whether changes wait for a commit.
    pub(super) const fn changed(&self) -> bool {
        !self.batch.is_empty()
    }

    /// Makes every change durable; gives the commit's number.
    pub(super) fn commit(&mut self) -> Result<u64, Fault> {
        self.reserve()?;
        self.database.apply(std::mem::take(&mut self.batch))?;
        self.database.commit()?;
        self.commits += 1;
        Ok(self.commits)
    }

    pub(super) fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        let cipher = self.cipher.clone();
        let row = self.database.get(Tree::Main, key)?;
        row.map(|row| open_row(key, &row, cipher.as_deref()).map(Cow::into_owned)).transpose()
    }

    /// Visits the rows under a prefix in their order.
    pub(super) fn visit(
        &mut self,
        prefix: &[u8],
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut fault = None;
        let cipher = self.cipher.clone();
        self.database.scan(Tree::Main, prefix, &mut |key, sealed| {
            if !key.starts_with(prefix) {
                return Scan::Stop;
            }
            match open_row(key, sealed, cipher.as_deref()).and_then(|value| visit(key, &value)) {
                Ok(()) => Scan::Next,
                Err(found) => {
                    fault = Some(found);
                    Scan::Stop
                }
            }
        })?;
        fault.map_or(Ok(()), Err)
    }

    /// Visits control blocks in order, beginning with the one that holds `from`.
    pub(super) fn visit_control(
        &mut self,
        stream: StreamId,
        from: u64,
        mut visit: impl FnMut(&Header, &[u8]) -> Scan,
    ) -> Result<(), Fault> {
        let Some((start, _)) = self.database.at_or_before(Tree::Main, &control_key(stream, from))? else {
            return Ok(());
        };
        let mut fault = None;
        self.database.scan(Tree::Main, &start, &mut |key, sealed| {
            if !key.starts_with(b"r/") {
                return Scan::Stop;
            }
            let block = unseal(key, sealed).and_then(|(_, value)| block::decode(value).map_err(broken));
            match block {
                Ok((header, _)) if header.stream != stream => Scan::Stop,
                Ok((header, _)) if header.end() <= from => Scan::Next,
                Ok((header, body)) => visit(&header, body),
                Err(found) => {
                    fault = Some(found);
                    Scan::Stop
                }
            }
        })?;
        fault.map_or(Ok(()), Err)
    }

    pub(super) fn length(&self) -> Result<u64, Fault> {
        self.database.length()
    }

    pub(super) fn close(self) -> Result<(), Fault> {
        self.database.close()
    }

    pub(super) fn abandon(self) {
        self.database.abandon();
    }
}

impl Rows {
    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), Fault> {
        let short = || Fault::Broken(format!("core row `{}` is damaged", key.escape_ascii()));
        let (prefix, rest) = key.split_first_chunk::<2>().ok_or_else(short)?;
        match prefix {
            b"e/" => {
                let lane = rest.first().and_then(|code| block::lane_from_code(*code)).ok_or_else(short)?;
                *self.epochs.of_mut(lane) = Some(Epoch::from_u64(number(value).ok_or_else(short)?.0));
            }
            b"n/" => {
                self.nexts.insert(stream(rest).ok_or_else(short)?.0, number(value).ok_or_else(short)?.0);
            }
            b"c/" => {
                let (acked, crc) = number(value).ok_or_else(short)?;
                let crc = crc.first_chunk().copied().map(u32::from_be_bytes).ok_or_else(short)?;
                self.cursors.insert(stream(rest).ok_or_else(short)?.0, (acked, crc));
            }
            b"g/" => self.gaps.push(gap(rest, value).ok_or_else(short)?),
            b"r/" => {
                let (header, _) = block::decode(value).map_err(broken)?;
                self.control.push((header, value.len() as u64));
            }
            // What a later version of this format keeps here is not ours to judge.
            _ => {}
        }
        Ok(())
    }
}

fn broken(error: block::BlockError) -> Fault {
    Fault::Broken(error.to_string())
}

/// What a sealed row's key is bound to.
fn label(key: &[u8]) -> Vec<u8> {
    [b"row ".as_slice(), key].concat()
}

fn open_row<'a>(key: &[u8], row: &'a [u8], cipher: Option<&Cipher>) -> Result<Cow<'a, [u8]>, Fault> {
    match unseal(key, row)? {
        (Form::Plain, value) => Ok(Cow::Borrowed(value)),
        (Form::Sealed, value) => {
            cipher.and_then(|cipher| cipher.open(&label(key), value)).map(Cow::Owned).ok_or_else(|| {
                Fault::Broken(format!(
                    "core row `{}` does not open with the outbox's key",
                    key.escape_ascii()
                ))
            })
        }
    }
}

fn seal(key: &[u8], form: Form, value: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(4 + value.len());
    let crc = crc32c::crc32c_append(crc32c::crc32c(key), value);
    sealed.put_u32(match form {
        Form::Plain => crc,
        Form::Sealed => !crc,
    });
    sealed.put_slice(value);
    sealed
}

fn unseal<'a>(key: &[u8], sealed: &'a [u8]) -> Result<(Form, &'a [u8]), Fault> {
    let found = sealed.split_first_chunk::<4>().and_then(|(stored, value)| {
        let (stored, crc) = (u32::from_be_bytes(*stored), crc32c::crc32c_append(crc32c::crc32c(key), value));
        match stored {
            stored if stored == crc => Some((Form::Plain, value)),
            stored if stored == !crc => Some((Form::Sealed, value)),
            _ => None,
        }
    });
    found.ok_or_else(|| Fault::Broken(format!("core row `{}`: its checksum is wrong", key.escape_ascii())))
}

fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    bytes.split_first_chunk().map(|(head, rest)| (u64::from_be_bytes(*head), rest))
}

fn stream(bytes: &[u8]) -> Option<(StreamId, &[u8])> {
    let (lane, rest) = bytes.split_first()?;
    let (epoch, rest) = number(rest)?;
    Some((StreamId { lane: block::lane_from_code(*lane)?, epoch: Epoch::from_u64(epoch) }, rest))
}

const REASONS: [GapReason; 5] =
    [GapReason::Evicted, GapReason::Expired, GapReason::Corrupt, GapReason::CutTail, GapReason::HubLost];

fn gap(key: &[u8], value: &[u8]) -> Option<Gap> {
    let (stream, rest) = stream(key)?;
    let (from, _) = number(rest)?;
    let (to, rest) = number(value)?;
    let (reason, rest) = rest.split_first()?;
    let (records, rest) = number(rest)?;
    let (bytes, _) = number(rest)?;
    Some(Gap { stream, from, to, reason: *REASONS.get(usize::from(*reason))?, records, bytes })
}

/// A gap's row.
pub(super) fn gap_row(gap: &Gap) -> (Vec<u8>, Vec<u8>) {
    let mut key = stream_key(b"g/", gap.stream);
    key.put_u64(gap.from);
    let mut value = Vec::with_capacity(25);
    value.put_u64(gap.to);
    let reason = REASONS.iter().position(|reason| *reason == gap.reason).unwrap_or_default();
    value.put_u8(u8::try_from(reason).unwrap_or_default());
    value.put_u64(gap.records);
    value.put_u64(gap.bytes);
    (key, value)
}

fn stream_key(prefix: &[u8; 2], stream: StreamId) -> Vec<u8> {
    let mut key = Vec::with_capacity(19);
    key.put_slice(prefix);
    key.put_u8(block::lane_code(stream.lane));
    key.put_u64(stream.epoch.as_u64());
    key
}

pub(super) fn epoch_key(lane: Lane) -> Vec<u8> {
    vec![b'e', b'/', block::lane_code(lane)]
}

pub(super) fn next_key(stream: StreamId) -> Vec<u8> {
    stream_key(b"n/", stream)
}

pub(super) fn cursor_key(stream: StreamId) -> Vec<u8> {
    stream_key(b"c/", stream)
}

pub(super) fn cursor_value(acked: u64, crc: u32) -> Vec<u8> {
    let mut value = Vec::with_capacity(12);
    value.put_u64(acked);
    value.put_u32(crc);
    value
}

pub(super) fn control_key(stream: StreamId, first: u64) -> Vec<u8> {
    let mut key = Vec::with_capacity(18);
    key.put_slice(b"r/");
    key.put_slice(&generation::key(stream, first));
    key
}

pub(super) fn name_key(name: &str) -> Vec<u8> {
    [b"k/", name.as_bytes()].concat()
}
