//! The journal's rows in the core.
//!
//! ```text
//!  j/<job>           reservation, then the journal's row         j/<job><n u16>    piece n of its spec
//!  k/jobs            what is remembered of the forgotten ones
//!  reservation: 0 | 1 (held) | 2 <epoch u64> <seq u64> (until that control record is acked)
//! ```

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes};

use crate::id::{Epoch, JobId, Lane, RecordId, StreamId};
use crate::limit;
use crate::outbox::job::{JobChange, JobRow, JobRows, Reservation, ReservationChange, SpecChange};
use crate::outbox::ledger::Ledger;
use crate::outbox::{AppendError, StoreError};
use crate::wire::message::StreamMark;

use super::core::{self, Core};
use super::host::Fault;
use super::thread::Store;

const REMEMBERED: &str = "jobs";
const PREFIX: &[u8; 2] = b"j/";
/// A piece of a spec: with its key and checksum well below a block.
const PIECE_BYTES: usize = 12 * 1024;

/// Space kept for jobs.
#[derive(Debug, Default)]
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
    for (bytes, limit) in [row, (change.spec.len(), limit::JOB_SPEC_BYTES_MAX)] {
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

impl Store {
    /// Puts a change's rows into the next commit. `last` is its last record.
    pub(super) fn put_job(&mut self, change: &JobChange, last: Option<RecordId>) -> Result<(), Fault> {
        let before = self.reservations.held.get(&change.job).copied();
        let reservation = match (change.reservation, last) {
            (ReservationChange::Take, _) => Some(Reservation::Held),
            (ReservationChange::Keep, _) => before,
            // What was never reserved is not kept free either.
            (ReservationChange::Release, Some(last)) => before.map(|_held| Reservation::UntilAcked(last)),
            (ReservationChange::Release, None) => None,
        };
        let Some(core) = &mut self.core else { return Ok(()) };
        core.put(&job_key(change.job), &job_value(reservation, &change.row));
        self.reservations.set(change.job, reservation);
        match &change.spec {
            SpecChange::Keep => {}
            SpecChange::Put(spec) => {
                for (number, piece) in (0u16..).zip(spec.chunks(PIECE_BYTES)) {
                    core.put(&piece_key(change.job, number), piece);
                }
            }
            SpecChange::Remove => remove_pieces(core, change.job)?,
        }
        if let Some(forget) = &change.forget {
            for job in &forget.jobs {
                core.remove(&job_key(*job));
                remove_pieces(core, *job)?;
                self.reservations.set(*job, None);
            }
            core.put(&core::name_key(REMEMBERED), &forget.remembered);
        }
        Ok(())
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
                let (_, row) = split(&key, &value)?;
                let value = job_value(None, row);
                core.put(&key, &value);
            }
        }
        Ok(())
    }

    /// The journal's rows, all of them.
    pub(super) fn jobs(&mut self) -> Result<JobRows, StoreError> {
        let path = self.dir.join("core");
        let core = self.core.as_mut().ok_or(StoreError::Closed)?;
        read(core).map_err(|fault| StoreError::Unreadable { path, detail: fault.to_string() })
    }
}

fn read(core: &mut Core) -> Result<JobRows, Fault> {
    let mut rows =
        JobRows { jobs: Vec::new(), remembered: core.get(&core::name_key(REMEMBERED))?.map(Bytes::from) };
    core.visit(PREFIX, |key, value| {
        if key.len() == PREFIX.len() + 16 {
            let (_, row) = split(key, value)?;
            let job = job_of(key)?;
            rows.jobs.push(JobRow { job, row: Bytes::copy_from_slice(row), spec: None });
            return Ok(());
        }
        // The pieces of a spec come right behind its job, in their order.
        let job = job_of(key)?;
        let Some(held) = rows.jobs.last_mut().filter(|held| held.job == job) else {
            return Err(Fault::Broken(format!("core row `{}` belongs to no job", key.escape_ascii())));
        };
        let spec = [held.spec.as_deref().unwrap_or_default(), value].concat();
        held.spec = Some(spec.into());
        Ok(())
    })?;
    Ok(rows)
}

/// What is reserved, as rows say it. One whose record was acked just before the process ended is over: its row says
/// otherwise until it is written the next time.
pub(super) fn reservations(core: &mut Core, ledger: &Ledger) -> Result<Reservations, Fault> {
    let mut reservations = Reservations::default();
    let waits = |id: &RecordId| ledger.stream(id.stream).is_some_and(|stream| stream.acked < id.seq);
    core.visit(PREFIX, |key, value| {
        if key.len() == PREFIX.len() + 16 {
            let reservation = match split(key, value)?.0 {
                Some(Reservation::UntilAcked(id)) if !waits(&id) => None,
                other => other,
            };
            reservations.set(job_of(key)?, reservation);
        }
        Ok(())
    })?;
    Ok(reservations)
}

fn remove_pieces(core: &mut Core, job: JobId) -> Result<(), Fault> {
    let mut keys = Vec::new();
    core.visit(&piece_prefix(job), |key, _| {
        keys.push(key.to_vec());
        Ok(())
    })?;
    // The job's own row stands first under this prefix.
    keys.iter().filter(|key| key.len() > PREFIX.len() + 16).for_each(|key| core.remove(key));
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

fn job_value(reservation: Option<Reservation>, row: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(17 + row.len());
    match reservation {
        None => value.put_u8(0),
        Some(Reservation::Held) => value.put_u8(1),
        Some(Reservation::UntilAcked(id)) => {
            value.put_u8(2);
            value.put_u64(id.stream.epoch.as_u64());
            value.put_u64(id.seq);
        }
    }
    value.put_slice(row);
    value
}

fn split<'a>(key: &[u8], value: &'a [u8]) -> Result<(Option<Reservation>, &'a [u8]), Fault> {
    let damaged = || Fault::Broken(format!("core row `{}` is damaged", key.escape_ascii()));
    match value.split_first().ok_or_else(damaged)? {
        (0, row) => Ok((None, row)),
        (1, row) => Ok((Some(Reservation::Held), row)),
        (2, rest) => {
            let (epoch, rest) = rest.split_first_chunk().ok_or_else(damaged)?;
            let (seq, row) = rest.split_first_chunk().ok_or_else(damaged)?;
            let stream = StreamId { lane: Lane::Control, epoch: Epoch::from_u64(u64::from_be_bytes(*epoch)) };
            let last = RecordId { stream, seq: u64::from_be_bytes(*seq) };
            Ok((Some(Reservation::UntilAcked(last)), row))
        }
        _ => Err(damaged()),
    }
}
