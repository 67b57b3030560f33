//! Names of things: hubs, agents, sessions, lanes, epochs and records.
//!
//! Every id is a newtype with one text form, made by `parse` (`FromStr`) and printed by `Display`. Nothing here
//! draws randomness: callers pass random bytes in.

use std::fmt;
use std::str::FromStr;

/// A text that is not the id it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct ParseIdError {
    text: String,
    expected: &'static str,
}

impl ParseIdError {
    fn new(text: &str, expected: &'static str) -> Self {
        // A wrong id may be a pasted secret or a whole file: show only its beginning.
        Self { text: text.chars().take(40).collect(), expected }
    }
}

/// Declares a 16-byte id whose text form is 32 lower-case hexadecimal digits.
macro_rules! id16 {
    ($(#[$doc:meta])* $name:ident, $expected:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// The id with these bytes.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The id's 16 bytes.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = ParseIdError;

            fn try_from(bytes: &[u8]) -> Result<Self, ParseIdError> {
                bytes
                    .try_into()
                    .map(Self)
                    .map_err(|_| ParseIdError::new(&format!("{} bytes", bytes.len()), $expected))
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let mut bytes = [0; 16];
                let lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
                if lower && hex::decode_to_slice(text, &mut bytes).is_ok() {
                    Ok(Self(bytes))
                } else {
                    Err(ParseIdError::new(text, $expected))
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                for byte in self.0 {
                    write!(f, "{byte:02x}")?;
                }
                Ok(())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    };
}

id16!(
    /// An installation of the hub; all its nodes share it.
    HubId,
    "a hub id (32 lower-case hex digits)"
);
id16!(
    /// An agent.
    AgentId,
    "an agent id (32 lower-case hex digits)"
);
id16!(
    /// One registered connection.
    SessionId,
    "a session id (32 lower-case hex digits)"
);
id16!(
    /// One process of an agent: random at each start, so that clones are told apart.
    InstanceId,
    "an instance id (32 lower-case hex digits)"
);
id16!(
    /// One outbox folder: random when it is made.
    OutboxId,
    "an outbox id (32 lower-case hex digits)"
);

/// Declares a validated text id.
macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $expected:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(ParseIdError::new(text, $expected))
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id!(
    /// Which of an agent's keys is meant.
    KeyId,
    "a key id (1 to 32 of a-z and 0-9)",
    |text| (1..=32).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
);
text_id!(
    /// The name an operator gave an agent.
    AgentName,
    "an agent name (1 to 63 of a-z, 0-9 and `-`, not beginning with `-`)",
    |text| (1..=63).contains(&text.len())
        && !text.starts_with('-')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
);

/// A job. Text form: a lower-case UUID, for example `01938c5e-7b1a-7c3e-9a44-0242ac120002`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId([u8; 16]);

impl JobId {
    /// The id with these bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The id's 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// A UUID of version 7 (RFC 9562): 48 bits of milliseconds since 1970, then random bits. Later ids sort later.
    pub fn from_time(at_ms: u64, random: [u8; 10]) -> Self {
        let time = u128::from(at_ms & ((1 << 48) - 1)) << 80;
        let [a, b, c @ ..] = random;
        let upper = u128::from(u16::from_be_bytes([a, b]) & 0x0fff) << 64;
        let lower = u128::from(u64::from_be_bytes(c) >> 2);
        Self((time | 7 << 76 | upper | 0b10 << 62 | lower).to_be_bytes())
    }
}

impl TryFrom<&[u8]> for JobId {
    type Error = ParseIdError;

    fn try_from(bytes: &[u8]) -> Result<Self, ParseIdError> {
        let wrong = |_| ParseIdError::new(&format!("{} bytes", bytes.len()), "a job id (16 bytes)");
        bytes.try_into().map(Self).map_err(wrong)
    }
}

impl FromStr for JobId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let wrong = || ParseIdError::new(text, "a job id (a lower-case UUID)");
        let digits: String = text.split('-').collect();
        let mut bytes = [0; 16];
        hex::decode_to_slice(&digits, &mut bytes).map_err(|_| wrong())?;
        let id = Self(bytes);
        // One text form only: the same id written in two ways would be two jobs to whoever compares texts.
        (id.to_string() == text).then_some(id).ok_or_else(wrong)
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobId({self})")
    }
}

/// A message's 128-bit id; `NONE` (zero) where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct MessageId {
    /// The upper 64 bits.
    pub hi: u64,
    /// The lower 64 bits.
    pub lo: u64,
}

impl MessageId {
    /// No message.
    pub const NONE: Self = Self { hi: 0, lo: 0 };
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:016x}", self.hi, self.lo)
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_survive_their_text_form() {
        let record: RecordId = "logs/00000001deadbeef/42".parse().unwrap();
        assert_eq!(record.to_string(), "logs/00000001deadbeef/42");
        let agent = AgentId::from_bytes([0xab; 16]);
        assert_eq!(agent.to_string().parse::<AgentId>().unwrap(), agent);
    }

    #[test]
    fn job_ids_are_uuids_in_one_text_form() {
        let id = JobId::from_time(0x0193_8c5e_7b1a, [0xff; 10]);
        assert_eq!(id.to_string(), "01938c5e-7b1a-7fff-bfff-ffffffffffff");
        assert_eq!(id.to_string().parse::<JobId>().unwrap(), id);
        assert!(JobId::from_time(0x0193_8c5e_7b1b, [0; 10]) > id);
        for wrong in ["", "01938c5e7b1a7fffbfffffffffffffff", "01938C5E-7B1A-7FFF-BFFF-FFFFFFFFFFFF", "nope"]
        {
            assert!(wrong.parse::<JobId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn wrong_texts_are_refused_by_name() {
        for text in ["", "logs", "logs/1/2", "logs/00000001deadbeef/2/3", "x/00000001deadbeef/2"] {
            assert!(text.parse::<RecordId>().is_err(), "{text}");
        }
        assert!("ABCDEF00000000000000000000000000".parse::<AgentId>().is_err());
        assert!("-edge".parse::<AgentName>().is_err());
        assert!("Edge".parse::<AgentName>().is_err());
        assert!("".parse::<KeyId>().is_err());
        let error = "nope".parse::<Lane>().unwrap_err();
        assert_eq!(error.to_string(), "`nope` is not a lane (control, events or logs)");
    }

    #[test]
    fn epochs_count_up_and_end_with_an_answer() {
        let first = Epoch::after(None, 7).unwrap();
        assert_eq!(first.as_u64(), 1 << 32 | 7);
        assert_eq!(Epoch::after(Some(first), 9).unwrap().as_u64(), 2 << 32 | 9);
        assert_eq!(Epoch::after(Some(Epoch::from_u64(u64::MAX)), 0), None);
    }
}
