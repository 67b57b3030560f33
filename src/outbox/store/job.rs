//! The journal's rows in the core.
//!
//! ```text
//!  j/<job>           | length u32 | now | before |               j/<job><n u16>    piece n of its spec
//!  k/jobs            what is remembered of the forgotten ones
//!  now, before:      | pieces u16 | reservation | the journal's row |
//!  reservation:      0 | 1 (held) | 2 <epoch u64> <seq u64> (until that control record is acked)
//! ```
//!
//! A change keeps what the row said before it: a start that finds the core dirty goes back to that. So pieces of a spec go
//! only with the commit after the one that ended their job.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes};

use crate::id::{Epoch, JobId, Lane, RecordId, StreamId};
use crate::limit;
use crate::outbox::job::{
    JobChange, JobRow, JobRows, REMEMBERED, Reservation, ReservationChange, SpecChange, Trust,
};
use crate::outbox::ledger::Ledger;
use crate::outbox::{AppendError, StoreError};
use crate::wire::message::StreamMark;

use super::core::{self, Core};
use super::host::Fault;
use super::thread::Store;

const PREFIX: &[u8; 2] = b"j/";
/// A piece of a spec; what is sealed becomes longer.
const PIECE_BYTES: usize = limit::ROW_BYTES_MAX - 64;
pub(super) const JOB_KEY_BYTES: usize = PREFIX.len() + 16;

/// Space kept for jobs.
#[derive(Debug, Clone, Default)]
pub(super) struct Reservations {
    held: BTreeMap<JobId, Reservation>,
}

impl Reservations {
    pub(super) fn bytes(&self) -> u64 {
        limit::JOB_RESERVATION_BYTES.saturating_mul(self.held.len() as u64)
    }

    pub(super) fn contains(&self, job: JobId) -> bool {
        self.held.contains_key(&job)
    }

    fn set(&mut self, job: JobId, reservation: Option<Reservation>) {
        match reservation {
            Some(reservation) => self.held.insert(job, reservation),
            None => self.held.remove(&job),
        };
    }

    /// Jobs whose last record the mark covers.
    fn covered(&self, mark: &StreamMark) -> Vec<JobId> {
        let covered = |reservation: &Reservation| match reservation {
            Reservation::Held => false,
            Reservation::UntilAcked(id) => id.stream == mark.stream && id.seq <= mark.acked,
        };
        self.held.iter().filter(|(_, held)| covered(held)).map(|(job, _)| *job).collect()
    }
}

/// Checks a change before it is queued.
pub(super) fn check(change: &JobChange) -> Result<(), AppendError> {
    let row = (change.row.len(), limit::JOB_ROW_BYTES_MAX);
    for (bytes, limit) in [row, (change.spec.len(), limit::JOB_SPEC_STORED_BYTES_MAX)] {
        if bytes > limit {
            return Err(AppendError::CallTooLarge { bytes, limit });
        }
    }
    Ok(())
}

/// Bytes a change adds to the core besides its records.
pub(super) fn bytes(change: &JobChange) -> u64 {
    (change.row.len() + change.spec.len()) as u64
}

/// What one commit asks of the rows of jobs, beyond the core.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// What is reserved once it is durable.
    reservations: Vec<(JobId, Option<Reservation>)>,
    /// How many pieces the specs have that come with it.
    specs: BTreeMap<JobId, u16>,
    /// Pieces of specs that nobody needs then.
    pieces: Vec<Vec<u8>>,
}

impl Pending {
    fn reservation(&self, job: JobId, held: &Reservations) -> Option<Reservation> {
        let own = self.reservations.iter().rev().find(|(other, _)| *other == job);
        own.map_or_else(|| held.held.get(&job).copied(), |(_, reservation)| *reservation)
    }
}

impl Store {
    /// Puts a change's rows into the next commit. `last` is its last record.
    pub(super) fn put_job(
        &mut self,
        change: &JobChange,
        last: Option<RecordId>,
        pending: &mut Pending,
    ) -> Result<(), Fault> {
        let before = pending.reservation(change.job, &self.reservations);
        let reservation = match (change.reservation, last) {
            (ReservationChange::Take, _) => Some(Reservation::Held),
            (ReservationChange::Keep, _) => before,
            // What was never reserved is not kept free either.
            (ReservationChange::Release, Some(last)) => before.map(|_held| Reservation::UntilAcked(last)),
            (ReservationChange::Release, None) => None,
        };
        let Some(core) = &mut self.core else { return Ok(()) };
        let key = job_key(change.job);
        let stored = core.get(&key)?;
        let stored = stored.as_deref().map(|value| parse(&key, value)).transpose()?;
        let stored_pieces = stored.as_ref().map_or(0, |stored| stored.pieces);
        let held = pending.specs.get(&change.job).copied().unwrap_or(stored_pieces);
        let pieces = match &change.spec {
            SpecChange::Keep => held,
            SpecChange::Put(spec) => {
                let mut pieces = 0;
                for piece in spec.chunks(PIECE_BYTES) {
                    core.put(&piece_key(change.job, pieces), piece);
                    pieces += 1;
                }
                pending.specs.insert(change.job, pieces);
                pieces
            }
            SpecChange::Remove => {
                pending.specs.insert(change.job, 0);
                pending.pieces.extend((0..held).map(|number| piece_key(change.job, number)));
                0
            }
        };
        core.put(&key, &job_value(pieces, reservation, &change.row, stored.map(|stored| stored.now)));
        pending.reservations.push((change.job, reservation));
        // After damage that row says by its commit whether jobs may be missing: until that is settled nothing is forgotten.
        if let Some(forget) = &change.forget
            && remembered(core)?.1 == Trust::Certain
        {
            for job in &forget.jobs {
                core.remove(&job_key(*job));
                remove_pieces(core, *job)?;
                pending.reservations.push((*job, None));
            }
            core.put(&core::name_key(REMEMBERED), &forget.remembered);
        }
        Ok(())
    }

    /// The commit of these changes is durable.
    pub(super) fn settle_jobs(&mut self, pending: Pending) {
        for (job, reservation) in pending.reservations {
            self.reservations.set(job, reservation);
        }
        if let Some(core) = &mut self.core
            && !pending.pieces.is_empty()
        {
            pending.pieces.iter().for_each(|key| core.remove_later(key));
            self.mark.touch();
        }
    }

    /// Gives back what was reserved for jobs whose last record is acked; in the commit that carries the ack.
    pub(super) fn release_reservations(&mut self, mark: &StreamMark) -> Result<(), Fault> {
        if mark.stream.lane != Lane::Control {
            return Ok(());
        }
        for job in self.reservations.covered(mark) {
            self.reservations.set(job, None);
            let Some(core) = &mut self.core else { return Ok(()) };
            let key = job_key(job);
            if let Some(value) = core.get(&key)? {
                let stored = parse(&key, &value)?;
                core.put_later(&key, &job_value(stored.pieces, None, stored.row, Some(stored.now)));
            }
        }
        Ok(())
    }

    /// The journal's rows, all of them.
    pub(super) fn jobs(&mut self) -> Result<JobRows, StoreError> {
        self.read_core(read)
    }
}

fn trust_of(commit: u64, carved_upto: Option<u64>) -> Trust {
    if carved_upto.is_some_and(|upto| commit <= upto) { Trust::Doubtful } else { Trust::Certain }
}

/// What is remembered of forgotten jobs, and whether every other job is there.
fn remembered(core: &mut Core) -> Result<(Option<Bytes>, Trust), Fault> {
    let carved_upto = core.carved_upto()?;
    let mut found = (None, trust_of(0, carved_upto));
    core.visit(&core::name_key(REMEMBERED), |key, row| {
        if key == core::name_key(REMEMBERED) {
            found = (Some(Bytes::copy_from_slice(row.value)), trust_of(row.commit, carved_upto));
        }
        Ok(())
    })?;
    Ok(found)
}

fn read(core: &mut Core) -> Result<JobRows, Fault> {
    let carved_upto = core.carved_upto()?;
    let (remembered, trust) = remembered(core)?;
    let mut rows = JobRows { jobs: Vec::new(), remembered, trust };
    let mut pieces = 0;
    core.visit(PREFIX, |key, stored| {
        if key.len() == JOB_KEY_BYTES {
            let trust = trust_of(stored.commit, carved_upto);
            let stored = parse(key, stored.value)?;
            pieces = stored.pieces;
            let row = Bytes::copy_from_slice(stored.row);
            rows.jobs.push(JobRow { job: job_of(key)?, row, spec: None, trust });
            return Ok(());
        }
        // The pieces of a spec come right behind its job, in their order; those it does not need any more wait to be removed.
        let job = job_of(key)?;
        let Some(held) = rows.jobs.last_mut().filter(|held| held.job == job) else {
            return Err(Fault::Broken(format!("core row `{}` belongs to no job", key.escape_ascii())));
        };
        if piece_of(key).is_some_and(|number| number < pieces) {
            let spec = [held.spec.as_deref().unwrap_or_default(), stored.value].concat();
            held.spec = Some(spec.into());
        }
        Ok(())
    })?;
    Ok(rows)
}

/// What is reserved, as rows say it. One whose record was acked just before the process ended is over: its row says
/// otherwise until it is written the next time. Pieces that no row needs any more go with the next commit.
pub(super) fn reservations(core: &mut Core, ledger: &Ledger) -> Result<Reservations, Fault> {
    let mut reservations = Reservations::default();
    let (mut pieces, mut unneeded) = (0, Vec::new());
    let waits = |id: &RecordId| ledger.stream(id.stream).is_some_and(|stream| stream.acked < id.seq);
    core.visit(PREFIX, |key, stored| {
        if key.len() == JOB_KEY_BYTES {
            let stored = parse(key, stored.value)?;
            pieces = stored.pieces;
            let reservation = match stored.reservation {
                Some(Reservation::UntilAcked(id)) if !waits(&id) => None,
                other => other,
            };
            reservations.set(job_of(key)?, reservation);
        } else if piece_of(key).is_none_or(|number| number >= pieces) {
            unneeded.push(key.to_vec());
        }
        Ok(())
    })?;
    unneeded.iter().for_each(|key| core.remove_later(key));
    Ok(reservations)
}

/// Puts back what a row of a refused commit said before: only a job's was there.
pub(super) fn undo(core: &mut Core, key: &[u8], value: &[u8]) -> Result<(), Fault> {
    let job = key.starts_with(PREFIX) && key.len() == JOB_KEY_BYTES;
    let before = if job { parse(key, value)?.before } else { &[] };
    if before.is_empty() {
        core.remove(key);
    } else {
        // Undone once more where the next start finds the same refusal, it says the same.
        core.put(key, &with_before(before, before));
    }
    Ok(())
}

fn remove_pieces(core: &mut Core, job: JobId) -> Result<(), Fault> {
    let mut keys = Vec::new();
    core.visit(&piece_prefix(job), |key, _| {
        keys.push(key.to_vec());
        Ok(())
    })?;
    // The job's own row stands first under this prefix.
    keys.iter().filter(|key| key.len() > JOB_KEY_BYTES).for_each(|key| core.remove(key));
    Ok(())
}

fn job_key(job: JobId) -> Vec<u8> {
    [PREFIX.as_slice(), job.as_bytes()].concat()
}

fn piece_prefix(job: JobId) -> Vec<u8> {
    job_key(job)
}

fn piece_key(job: JobId, number: u16) -> Vec<u8> {
    [job_key(job).as_slice(), &number.to_be_bytes()].concat()
}

fn job_of(key: &[u8]) -> Result<JobId, Fault> {
    key.get(PREFIX.len()..PREFIX.len() + 16)
        .and_then(|id| JobId::try_from(id).ok())
        .ok_or_else(|| Fault::Broken(format!("core row `{}` is damaged", key.escape_ascii())))
}

fn piece_of(key: &[u8]) -> Option<u16> {
    key.get(JOB_KEY_BYTES..)?.try_into().ok().map(u16::from_be_bytes)
}

/// What a job's row says.
struct Stored<'a> {
    pieces: u16,
    reservation: Option<Reservation>,
    row: &'a [u8],
    /// The bytes of these three.
    now: &'a [u8],
    /// The same as it was before the row's last change; empty where there was none.
    before: &'a [u8],
}

fn job_value(pieces: u16, reservation: Option<Reservation>, row: &[u8], before: Option<&[u8]>) -> Vec<u8> {
    let mut now = Vec::with_capacity(19 + row.len());
    now.put_u16(pieces);
    match reservation {
        None => now.put_u8(0),
        Some(Reservation::Held) => now.put_u8(1),
        Some(Reservation::UntilAcked(id)) => {
            now.put_u8(2);
            now.put_u64(id.stream.epoch.as_u64());
            now.put_u64(id.seq);
        }
    }
    now.put_slice(row);
    with_before(&now, before.unwrap_or_default())
}

fn with_before(now: &[u8], before: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(4 + now.len() + before.len());
    value.put_u32(u32::try_from(now.len()).unwrap_or(u32::MAX));
    value.put_slice(now);
    value.put_slice(before);
    value
}

fn parse<'a>(key: &[u8], value: &'a [u8]) -> Result<Stored<'a>, Fault> {
    stored(value).ok_or_else(|| Fault::Broken(format!("core row `{}` is damaged", key.escape_ascii())))
}

fn stored(value: &[u8]) -> Option<Stored<'_>> {
    let (length, rest) = value.split_first_chunk()?;
    let (now, before) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    let (pieces, rest) = now.split_first_chunk()?;
    let (reservation, row) = match rest.split_first()? {
        (0, row) => (None, row),
        (1, row) => (Some(Reservation::Held), row),
        (2, rest) => {
            let (epoch, rest) = rest.split_first_chunk()?;
            let (seq, row) = rest.split_first_chunk()?;
            let stream = StreamId { lane: Lane::Control, epoch: Epoch::from_u64(u64::from_be_bytes(*epoch)) };
            let last = RecordId { stream, seq: u64::from_be_bytes(*seq) };
            (Some(Reservation::UntilAcked(last)), row)
        }
        _ => return None,
    };
    Some(Stored { pieces: u16::from_be_bytes(*pieces), reservation, row, now, before })
}
