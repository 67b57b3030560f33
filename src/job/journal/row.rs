//! A job's row.
//!
//! ```text
//!  version u8 = 1 · created_at u64 · run u32 · stage u8, then
//!    0 accepted    at u64
//!    1 starting    accepted_at u64 · boot [16]
//!    2 running     accepted_at u64 · boot [16] · started_at u64 · pid u32 (0: none) · start_ticks u64
//!    3 finished    at u64 · state u8
//!  the forgotten:  version u8 = 1 · created_at u64
//! ```
//! Numbers are big-endian.

use bytes::{Buf, BufMut, TryGetError};

use crate::time::{HubTime, WallTime};
use crate::wire::job::JobState;

use crate::job::process::{BootId, ProcessId};

use super::{Entry, Stage};

const VERSION: u8 = 1;

/// A row that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// Written by a later version.
    #[error(
        "a row of the job journal has version {0}, this program knows 1: install the newer program again"
    )]
    Newer(u8),
    /// Too short, or with numbers that mean nothing.
    #[error("a row of the job journal is damaged")]
    Damaged,
}

impl From<TryGetError> for RowError {
    fn from(_short: TryGetError) -> Self {
        Self::Damaged
    }
}

pub(super) fn encode(entry: &Entry) -> Vec<u8> {
    let mut row = Vec::with_capacity(64);
    row.put_u8(VERSION);
    row.put_u64(entry.created_at.0);
    row.put_u32(entry.run);
    match entry.stage {
        Stage::Accepted { at } => {
            row.put_u8(0);
            row.put_u64(at.0);
        }
        Stage::Starting { accepted_at, boot } => {
            row.put_u8(1);
            row.put_u64(accepted_at.0);
            row.put_slice(&boot.to_bytes());
        }
        Stage::Running { accepted_at, boot, process, started_at } => {
            row.put_u8(2);
            row.put_u64(accepted_at.0);
            row.put_slice(&boot.to_bytes());
            row.put_u64(started_at.0);
            row.put_u32(process.map_or(0, |process| process.pid));
            row.put_u64(process.map_or(0, |process| process.start_ticks));
        }
        Stage::Finished { state, at } => {
            row.put_u8(3);
            row.put_u64(at.0);
            let index = JobState::ALL.iter().position(|known| *known == state).unwrap_or_default();
            row.put_u8(u8::try_from(index).unwrap_or_default());
        }
    }
    row
}

pub(super) fn decode(mut row: &[u8]) -> Result<Entry, RowError> {
    check_version(&mut row)?;
    let created_at = HubTime(row.try_get_u64()?);
    let run = row.try_get_u32()?;
    let stage = match row.try_get_u8()? {
        0 => Stage::Accepted { at: WallTime(row.try_get_u64()?) },
        1 => Stage::Starting { accepted_at: WallTime(row.try_get_u64()?), boot: boot(&mut row)? },
        2 => {
            let (accepted_at, boot) = (WallTime(row.try_get_u64()?), boot(&mut row)?);
            let started_at = WallTime(row.try_get_u64()?);
            let process = ProcessId { pid: row.try_get_u32()?, start_ticks: row.try_get_u64()?, boot };
            Stage::Running { accepted_at, boot, process: (process.pid > 0).then_some(process), started_at }
        }
        3 => {
            let at = WallTime(row.try_get_u64()?);
            let state = JobState::ALL.get(usize::from(row.try_get_u8()?)).copied();
            Stage::Finished { state: state.filter(|state| state.is_final()).ok_or(RowError::Damaged)?, at }
        }
        _ => return Err(RowError::Damaged),
    };
    if row.has_remaining() { Err(RowError::Damaged) } else { Ok(Entry { created_at, run, stage }) }
}

pub(super) fn encode_remembered(newest: HubTime) -> Vec<u8> {
    let mut row = Vec::with_capacity(9);
    row.put_u8(VERSION);
    row.put_u64(newest.0);
    row
}

pub(super) fn decode_remembered(mut row: &[u8]) -> Result<HubTime, RowError> {
    check_version(&mut row)?;
    Ok(HubTime(row.try_get_u64()?))
}

fn check_version(row: &mut &[u8]) -> Result<(), RowError> {
    match row.try_get_u8()? {
        VERSION => Ok(()),
        0 => Err(RowError::Damaged),
        newer => Err(RowError::Newer(newer)),
    }
}

fn boot(row: &mut &[u8]) -> Result<BootId, RowError> {
    let mut bytes = [0; 16];
    row.try_copy_to_slice(&mut bytes)?;
    Ok(BootId::from_bytes(bytes))
}
