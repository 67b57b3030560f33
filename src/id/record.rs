//! Where a record stands: its lane, that lane's epoch, and its number there.

use std::fmt;
use std::str::FromStr;

use super::ParseIdError;

/// A priority class of records, in the order they are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Job acks, status changes, results, loss reports. Never evicted.
    Control,
    /// Application status and health results.
    Events,
    /// Job output, build and runtime logs.
    Logs,
}

impl Lane {
    /// All lanes, the most urgent first.
    pub const ALL: [Self; 3] = [Self::Control, Self::Events, Self::Logs];

    /// The lane's name in texts, file names and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Events => "events",
            Self::Logs => "logs",
        }
    }

    /// A dense index: 0, 1, 2.
    pub const fn index(self) -> usize {
        match self {
            Self::Control => 0,
            Self::Events => 1,
            Self::Logs => 2,
        }
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Lane {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        Self::ALL
            .into_iter()
            .find(|lane| lane.name() == text)
            .ok_or_else(|| ParseIdError::new(text, "a lane (control, events or logs)"))
    }
}

/// One opening of a lane. The upper 32 bits count up from the greatest known, the lower 32 are random, so that
/// wiped, restored and cloned folders never reuse a number. Text form: 16 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(u64);

impl Epoch {
    /// The epoch with these 64 bits.
    pub const fn from_u64(bits: u64) -> Self {
        Self(bits)
    }

    /// All 64 bits.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The epoch after `greatest`, with `random` as its lower half. `None` when 2^32 openings are used up.
    pub fn after(greatest: Option<Self>, random: u32) -> Option<Self> {
        let count = match greatest {
            None => 1,
            Some(epoch) => (epoch.0 >> 32).checked_add(1)?,
        };
        if count > u64::from(u32::MAX) {
            return None;
        }
        Some(Self(count << 32 | u64::from(random)))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Epoch({self})")
    }
}

impl FromStr for Epoch {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let valid = text.len() == 16 && !text.starts_with('+');
        u64::from_str_radix(text, 16)
            .ok()
            .filter(|_| valid)
            .map(Self)
            .ok_or_else(|| ParseIdError::new(text, "an epoch (16 hex digits)"))
    }
}

/// A lane's epoch: the unit within which numbers are contiguous from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// The lane.
    pub lane: Lane,
    /// The opening of that lane.
    pub epoch: Epoch,
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.lane, self.epoch)
    }
}

/// One record. Text form: `lane/epoch/seq`, for example `logs/000000015b1c9f02/42`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId {
    /// Where it was numbered.
    pub stream: StreamId,
    /// Its number, from 1.
    pub seq: u64,
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.stream, self.seq)
    }
}

impl FromStr for RecordId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let wrong = || ParseIdError::new(text, "a record reference (lane/epoch/seq)");
        let mut parts = text.split('/');
        let (Some(lane), Some(epoch), Some(seq), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(wrong());
        };
        Ok(Self {
            stream: StreamId {
                lane: lane.parse().map_err(|_| wrong())?,
                epoch: epoch.parse().map_err(|_| wrong())?,
            },
            seq: seq.parse().map_err(|_| wrong())?,
        })
    }
}
