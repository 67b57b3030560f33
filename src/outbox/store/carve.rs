//! Reading a database file raw: whatever state the file is in, every sound block in it is found by its magic.
//!
//! sled writes a value as one run of bytes, in each node that holds it: there may be several copies of a block, any sound
//! one does. Nothing is written and no database is opened, because opening repairs: sled cuts its log at the first byte
//! that is wrong and zeroes what follows, with every sound block in it. So generations that are not written any more are
//! only ever read here. A block counts when its checksum, lane, epoch and range are right, and is checked again each time
//! it is read.

use std::io;
use std::path::{Path, PathBuf};

use bytes::BytesMut;

use crate::limit;
use crate::outbox::block::{self, Header};
use crate::outbox::name::GenerationName;

use super::host::{Host, Scan};

/// What is read at once.
const WINDOW_BYTES: usize = 256 * 1024;
/// Where a window cannot be read, it is read by this much.
const PAGE_BYTES: usize = 4096;

/// What a raw scan calls at each place where the magic stands, with the place and what follows it: at least as much as the
/// longest thing has, but at the file's end. Gives how much to skip where something sound begins there.
pub(super) type Take<'a> = dyn FnMut(u64, &[u8]) -> Option<usize> + 'a;

/// Finds every place of `magic` in a file. What the disk cannot read counts as zeros, a missing file as empty.
///
/// # Errors
/// The file cannot be opened for a reason that has nothing to do with what is in it.
pub(super) fn scan(
    host: &dyn Host,
    path: &Path,
    magic: [u8; 4],
    bytes_max: usize,
    take: &mut Take<'_>,
) -> io::Result<()> {
    let length = match host.length(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    let mut window = vec![0; WINDOW_BYTES.max(bytes_max * 2)];
    let mut base = 0u64;
    while base < length {
        let filled = read_soft(host, path, base, length, &mut window)?;
        let bytes = window.get(..filled).unwrap_or_default();
        let is_end = base.saturating_add(filled as u64) >= length;
        let mut at = 0;
        while let Some(found) = find(bytes, at, magic) {
            let rest = bytes.get(found..).unwrap_or_default();
            if rest.len() < bytes_max && !is_end {
                // The next window begins here.
                at = found;
                break;
            }
            at = found + take(base.saturating_add(found as u64), rest).unwrap_or(1).max(1);
        }
        if is_end {
            break;
        }
        // What is behind the last place found holds no magic, but perhaps the beginning of one.
        let searched = if find(bytes, at, magic).is_some() { at } else { filled - (magic.len() - 1) };
        base = base.saturating_add(searched.max(1) as u64);
    }
    Ok(())
}

fn find(bytes: &[u8], from: usize, magic: [u8; 4]) -> Option<usize> {
    let [first, ..] = magic;
    let mut at = from;
    loop {
        let rest = bytes.get(at..)?;
        at += rest.iter().position(|byte| *byte == first)?;
        if bytes.get(at..)?.starts_with(&magic) {
            return Some(at);
        }
        at += 1;
    }
}

/// Fills the window as far as the file goes; unreadable pages are zeros.
fn read_soft(host: &dyn Host, path: &Path, at: u64, length: u64, window: &mut [u8]) -> io::Result<usize> {
    let left = usize::try_from(length.saturating_sub(at)).unwrap_or(usize::MAX);
    let wanted = left.min(window.len());
    let Some(window) = window.get_mut(..wanted) else { return Ok(0) };
    match host.read_at(path, at, window) {
        Ok(filled) => {
            window.get_mut(filled..).unwrap_or_default().fill(0);
            Ok(wanted)
        }
        Err(error) if !is_damage(&error) => Err(error),
        Err(_) => {
            let mut at = at;
            for page in window.chunks_mut(PAGE_BYTES) {
                match host.read_at(path, at, page) {
                    Ok(_) => {}
                    Err(error) if is_damage(&error) => page.fill(0),
                    Err(error) => return Err(error),
                }
                at = at.saturating_add(PAGE_BYTES as u64);
            }
            Ok(wanted)
        }
    }
}

/// Whether an error says that the bytes are lost; others (no more files may be opened, no permission) may pass, and
/// nothing is given up for them.
pub(super) fn is_damage(error: &io::Error) -> bool {
    use rustix::io::Errno;
    const LOST: [Errno; 5] = [Errno::IO, Errno::UCLEAN, Errno::BADMSG, Errno::NODATA, Errno::REMOTEIO];
    error.raw_os_error().is_some_and(|code| LOST.iter().any(|lost| lost.raw_os_error() == code))
}

/// A block and where it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Found {
    first: u64,
    end: u64,
    at: u64,
    bytes: u32,
}

/// What reading from a number came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Visited {
    /// It was visited.
    Sound,
    /// No sound block holds it or what follows, up to this number.
    Missing {
        /// The last one missing.
        to: u64,
    },
}

/// A generation that is read raw.
#[derive(Debug)]
pub(super) struct Carved {
    pub(super) name: GenerationName,
    /// The number after its last, as names say it.
    end: u64,
    path: PathBuf,
    blocks: Vec<Found>,
    window: Vec<u8>,
    window_at: u64,
}

impl Carved {
    /// Finds the sound blocks of a generation that reaches up to `end`, in its folder.
    ///
    /// # Errors
    /// As [`scan`].
    pub(super) fn open(host: &dyn Host, folder: &Path, name: GenerationName, end: u64) -> io::Result<Self> {
        let path = folder.join("db");
        let mut blocks = Vec::new();
        scan(host, &path, block::MAGIC, limit::BLOCK_BYTES_MAX, &mut |at, bytes| {
            let (header, body) = block::decode_first(bytes).ok()?;
            let length = block::HEADER_BYTES + body.len();
            if header.stream == name.stream && header.first >= name.first && header.first < end {
                let bytes = u32::try_from(length).unwrap_or(u32::MAX);
                blocks.push(Found { first: header.first, end: header.end(), at, bytes });
            }
            Some(length)
        })?;
        blocks.sort_unstable_by_key(|found| (found.first, found.at));
        let mut next = 0;
        blocks.retain(|found| {
            let follows = found.first >= next;
            next = next.max(found.end);
            follows
        });
        Ok(Self { name, end, path, blocks, window: Vec::new(), window_at: 0 })
    }

    /// Where the blocks lie from now on: their folder got another name.
    pub(super) fn moved(&mut self, folder: &Path) {
        self.path = folder.join("db");
    }

    /// Ranges from `from` on that no sound block holds: first and last number.
    pub(super) fn holes(&self, from: u64) -> Vec<(u64, u64)> {
        let mut holes = Vec::new();
        let mut next = from.max(self.name.first);
        let end = Found { first: self.end, end: self.end, at: 0, bytes: 0 };
        for found in self.blocks.iter().chain([&end]) {
            if found.first > next {
                holes.push((next, found.first - 1));
            }
            next = next.max(found.end);
        }
        holes
    }

    /// Whether it has a sound block at all from `from` on.
    pub(super) fn holds_any(&self, from: u64) -> bool {
        self.blocks.last().is_some_and(|found| found.end > from)
    }

    /// Encoded bytes of a record, on an average.
    pub(super) fn record_bytes(&self) -> u64 {
        let (records, bytes) = self.blocks.iter().fold((0u64, 0u64), |(records, bytes), found| {
            let body = u64::from(found.bytes).saturating_sub(block::HEADER_BYTES as u64);
            (records + (found.end - found.first), bytes + body)
        });
        bytes.checked_div(records).unwrap_or_default()
    }

    /// The last block found: its header and body.
    ///
    /// # Errors
    /// The file cannot be read just now.
    pub(super) fn last_block(&mut self, host: &dyn Host) -> io::Result<Option<(Header, BytesMut)>> {
        while let Some(found) = self.blocks.last().copied() {
            if let Some((header, body)) = self.block(host, found)? {
                return Ok(Some((header, BytesMut::from(body))));
            }
            self.blocks.pop();
        }
        Ok(None)
    }

    /// Visits blocks in order, beginning with the one that holds `from`, until told to stop or something is missing.
    ///
    /// # Errors
    /// The file cannot be read just now.
    pub(super) fn visit(
        &mut self,
        host: &dyn Host,
        from: u64,
        mut visit: impl FnMut(&Header, &[u8]) -> Scan,
    ) -> io::Result<Visited> {
        let mut next = from;
        let mut at = self.blocks.partition_point(|found| found.end <= from);
        loop {
            match self.blocks.get(at).copied() {
                Some(found) if found.first <= next => {
                    let Some((header, body)) = self.block(host, found)? else {
                        // It was sound when the file was scanned.
                        self.blocks.remove(at);
                        continue;
                    };
                    if visit(&header, body) == Scan::Stop {
                        return Ok(Visited::Sound);
                    }
                    next = found.end;
                    at += 1;
                }
                _ if next > from => return Ok(Visited::Sound),
                Some(found) => return Ok(Visited::Missing { to: found.first - 1 }),
                None => return Ok(Visited::Missing { to: self.end.saturating_sub(1).max(from) }),
            }
        }
    }

    /// One block, checked again; `None` where it is not sound any more.
    fn block(&mut self, host: &dyn Host, found: Found) -> io::Result<Option<(Header, &[u8])>> {
        let length = usize::try_from(found.bytes).unwrap_or(usize::MAX);
        let offset = |at: u64, window_at: u64| {
            at.checked_sub(window_at).and_then(|offset| usize::try_from(offset).ok())
        };
        let lies = |window: &[u8], window_at| {
            offset(found.at, window_at).is_some_and(|offset| offset.saturating_add(length) <= window.len())
        };
        if !lies(&self.window, self.window_at) {
            self.window.resize(WINDOW_BYTES, 0);
            let upto = found.at.saturating_add(WINDOW_BYTES as u64);
            self.window_at = found.at;
            if let Err(error) = read_soft(host, &self.path, found.at, upto, &mut self.window) {
                self.window.clear();
                return Err(error);
            }
        }
        let offset = offset(found.at, self.window_at).unwrap_or(usize::MAX);
        let bytes = offset.checked_add(length).and_then(|end| self.window.get(offset..end));
        let block = bytes.and_then(|bytes| block::decode(bytes).ok());
        let is_it = |header: &Header| {
            header.stream == self.name.stream && header.first == found.first && header.end() == found.end
        };
        Ok(block.filter(|(header, _)| is_it(header)))
    }
}
