//! Opening the core whatever its files look like.
//!
//! The database repairs itself when it is opened, and loses more than what is damaged. So its file is copied aside first.
//! A core that does not open, has a bad row, lacks rows (see `sum`) or ends before the mark says is carved out of that
//! copy: every row that is found sound, in the version of the greatest commit, goes into `core.new`, which takes its
//! place. The copy goes then: all that could be read of it was.
//!
//! Rows that were removed may come back so, and newer versions may be lost. An old cursor makes records travel again, which
//! the hub drops by its mark, as it does control records it has. A job that is not over may have been: it is not run any
//! more, see [`Rows::carved_upto`]. Where it is not certain that nothing is lost, the row `x/lost` waits until the hub was
//! told.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::id::StreamId;
use crate::limit;
use crate::outbox::block;
use crate::outbox::cipher::Cipher;
use crate::outbox::store::carve;
use crate::outbox::store::host::{Database, Fault, Host};
use crate::outbox::store::job::JOB_KEY_BYTES;
use crate::outbox::store::mark::{CoreMark, CoreState};

use super::envelope::{self, Row};
use super::renew::{self, Renewal};
use super::sum::{self, Sum};
use super::{Core, Rows, key};

/// Holds the copy; removed at the next start whatever happens.
const ASIDE: &str = "new-core-aside";
/// Up to which commit rows were carved; a job's row that old is not certain.
pub(super) const CARVED: &[u8] = b"x/carved";
/// The hub is to be told that something of the core may be lost.
pub(in crate::outbox::store) const LOST: &[u8] = b"x/lost";

/// Opens or makes the core and reads its rows. `mark` is what the mark says of it.
///
/// # Errors
/// The disk is full or does not work; never for what is in the files.
pub(in crate::outbox::store) fn open(
    host: &dyn Host,
    dir: &Path,
    mark: Option<CoreMark>,
    cipher: Option<&Arc<Cipher>>,
) -> Result<(Core, Rows), Fault> {
    let commit = mark.map_or(0, |mark| mark.commit);
    if !host.exists(&dir.join("core").join("db")) && mark.is_none() {
        return open_whole(host, dir, mark, cipher).and_then(|found| found.map_err(Fault::Broken));
    }
    let aside = copy_aside(host, dir)?;
    match open_whole(host, dir, mark, cipher) {
        Ok(Ok(found)) => {
            host.remove_folder(&dir.join(ASIDE))?;
            return Ok(found);
        }
        Err(Fault::Full(detail)) => {
            host.remove_folder(&dir.join(ASIDE))?;
            return Err(Fault::Full(detail));
        }
        Ok(Err(detail)) | Err(Fault::Broken(detail)) => {
            tracing::error!(detail, path = %dir.display(), "the outbox's core is damaged: its rows are carved out");
        }
    }
    carve_rows(host, dir, &aside, mark)?;
    renew::swap(host, dir)?;
    host.remove_folder(&dir.join(ASIDE))?;
    let mut core = Core::open(host, dir, commit, cipher.cloned())?;
    let rows = core.rows(refused_above(mark))?;
    Ok((core, rows))
}

impl Core {
    /// While it is open and a row cannot be read: its rows are carved out of the file. What waits for a commit goes on
    /// waiting. Says whether something may be lost.
    pub(in crate::outbox::store) fn rescue(&mut self, host: &dyn Host, dir: &Path) -> Result<bool, Fault> {
        let mark = CoreMark { commit: self.durable(), state: CoreState::Clean };
        carve_rows(host, dir, &self.path.join("db"), Some(mark))?;
        // Closing would write.
        self.database.take().into_iter().for_each(Database::abandon);
        self.move_in(host, dir)?;
        Ok(self.get(LOST)?.is_some())
    }
}

fn refused_above(mark: Option<CoreMark>) -> Option<u64> {
    mark.filter(|mark| mark.state == CoreState::Dirty).map(|mark| mark.commit)
}

type Whole = Result<(Core, Rows), String>;

/// The core as it lies there; an inner error where it is not whole.
fn open_whole(
    host: &dyn Host,
    dir: &Path,
    mark: Option<CoreMark>,
    cipher: Option<&Arc<Cipher>>,
) -> Result<Whole, Fault> {
    let commit = mark.map_or(0, |mark| mark.commit);
    let mut core = Core::open(host, dir, commit, cipher.cloned())?;
    match core.rows(refused_above(mark)) {
        Ok(rows) if rows.commit < commit => {
            core.abandon();
            Ok(Err(format!("it ends with commit {}, the last one was {commit}", rows.commit)))
        }
        // Made, and the process ended before its first commit.
        Ok(rows) if mark.is_none() && rows.commit == 0 => Ok(Ok((core, rows))),
        Ok(rows) if !rows.is_whole() => {
            core.abandon();
            Ok(Err("rows are missing".to_owned()))
        }
        Ok(rows) => Ok(Ok((core, rows))),
        Err(fault @ Fault::Full(_)) => {
            // It is opened again at once.
            if let Err(fault) = core.close() {
                tracing::debug!(%fault, "the core closed after its failure");
            }
            Err(fault)
        }
        Err(fault) => {
            core.abandon();
            Err(fault)
        }
    }
}

/// Copies the data file; gives what is to be carved: the file itself where there is no room for a copy.
fn copy_aside(host: &dyn Host, dir: &Path) -> Result<PathBuf, Fault> {
    let (db, folder) = (dir.join("core").join("db"), dir.join(ASIDE));
    host.remove_folder(&folder)?;
    host.create_folder(&folder)?;
    let aside = folder.join("db");
    // What is left of a full disk is for opening.
    let needed = host.length(&db).unwrap_or_default().saturating_add(2 * limit::BALLAST_BYTES);
    let copied = match host.free_bytes(dir) {
        Ok(free) if free < needed => Err(io::ErrorKind::StorageFull.into()),
        _ => host.copy_file(&db, &aside),
    };
    match copied {
        Ok(()) => Ok(aside),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(db),
        Err(error) => {
            tracing::warn!(%error, "no copy of the core: if it is damaged, more of it is lost");
            host.remove_folder(&folder)?;
            Ok(db)
        }
    }
}

/// A row's place in the file.
#[derive(Debug, Clone, Copy)]
struct Place {
    commit: u64,
    at: u64,
    length: usize,
}

fn carve_rows(host: &dyn Host, dir: &Path, file: &Path, mark: Option<CoreMark>) -> Result<(), Fault> {
    let commit = mark.map_or(0, |mark| mark.commit);
    let mut last: Option<(u64, Sum)> = None;
    each_row(host, file, &mut |_, found, row, _| {
        if found == sum::KEY && last.is_none_or(|(commit, _)| commit < row.commit) {
            last = Sum::parse(row).map(|sum| (row.commit, sum));
        }
    })?;
    // What is above both was on its way to a commit and never answered for; there may be a part of it.
    let upto = commit.max(last.map_or(0, |(commit, _)| commit));
    let refused = refused_above(mark).unwrap_or(u64::MAX);
    let mut places: BTreeMap<Vec<u8>, Place> = BTreeMap::new();
    each_row(host, file, &mut |at, found, row, length| {
        let is_refused = row.commit > refused && key::is_asked_for(found, row.value);
        let is_newer = places.get(found).is_none_or(|place| place.commit < row.commit);
        if row.commit <= upto && !is_refused && is_newer {
            places.insert(found.to_vec(), Place { commit: row.commit, at, length });
        }
    })?;
    let mut rows = Places { host, file, places };
    let mut cursors = BTreeMap::new();
    let mut renewal = Renewal::begin(host, dir)?;
    for found in rows.keys(|key| key.starts_with(b"c/")) {
        let cursor = rows
            .read(&found)?
            .and_then(|sealed| key::cursor(&found, envelope::unseal(&found, &sealed).ok()?));
        cursors.extend(cursor);
    }
    for found in rows.keys(|_| true) {
        let Some(sealed) = rows.read(&found)? else { continue };
        if !is_acked(&found, &sealed, &cursors) && !rows.is_orphan(&found) {
            renewal.put(&found, &sealed)?;
        }
    }
    let never_committed = mark.is_none() && rows.places.is_empty();
    let is_all = never_committed || last.is_some_and(|(found, sum)| found >= commit && sum == renewal.sum());
    if !is_all {
        tracing::error!(upto, "something of the outbox's core is lost");
        for (key, value) in [(CARVED, upto.to_be_bytes().as_slice()), (LOST, &[])] {
            let sealed = envelope::seal(key, upto, value);
            // Damaged before, it has them already.
            match rows.read(key)? {
                Some(before) => renewal.replace(key, &before, &sealed)?,
                None => renewal.put(key, &sealed)?,
            }
        }
    }
    renewal.finish(upto)
}

/// Whether a row is a control block whose every record is acked: it was removed, and only its bytes were left.
fn is_acked(found: &[u8], sealed: &[u8], cursors: &BTreeMap<StreamId, (u64, u32)>) -> bool {
    let row = envelope::unseal(found, sealed).ok().filter(|_| found.starts_with(b"r/"));
    let header = row.and_then(|row| block::decode(row.value).ok()).map(|(header, _)| header);
    header.is_some_and(|header| {
        cursors.get(&header.stream).is_some_and(|(acked, _)| header.end() <= acked.saturating_add(1))
    })
}

/// Is given a row's place, key, content and sealed length.
type VisitRow<'a> = dyn FnMut(u64, &[u8], Row<'_>, usize) + 'a;

fn each_row(host: &dyn Host, file: &Path, visit: &mut VisitRow<'_>) -> io::Result<()> {
    carve::scan(host, file, envelope::MAGIC, envelope::BYTES_MAX, &mut |at, bytes| {
        let (key, row, length) = envelope::open_first(bytes)?;
        visit(at, key, row, length);
        Some(length)
    })
}

struct Places<'a> {
    host: &'a dyn Host,
    file: &'a Path,
    places: BTreeMap<Vec<u8>, Place>,
}

impl Places<'_> {
    fn keys(&self, wanted: impl Fn(&[u8]) -> bool) -> Vec<Vec<u8>> {
        self.places.keys().filter(|key| wanted(key)).cloned().collect()
    }

    /// Whether it is a piece of a job's spec without its job.
    fn is_orphan(&self, key: &[u8]) -> bool {
        let job = key.starts_with(b"j/").then(|| key.get(..JOB_KEY_BYTES)).flatten();
        job.is_some_and(|job| !self.places.contains_key(job))
    }

    /// A sealed row; `None` where it is not sound any more.
    fn read(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        let Some(place) = self.places.get(key) else { return Ok(None) };
        let mut sealed = vec![0; place.length];
        let read = self.host.read_at(self.file, place.at, &mut sealed);
        match read {
            Ok(_) => Ok(envelope::unseal(key, &sealed).is_ok().then_some(sealed)),
            Err(error) if carve::is_damage(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
