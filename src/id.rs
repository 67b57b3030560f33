//! Names of things: hubs, agents, sessions, lanes, epochs and records.
//!
//! Every id is a newtype with one text form, made by `parse` (`FromStr`) and printed by `Display`. Nothing here
//! draws randomness: callers pass random bytes in.

mod record;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

pub use record::{Epoch, Lane, RecordId, StreamId};

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
id16!(
    /// One exported bundle: random when it is written.
    BundleId,
    "a bundle id (32 lower-case hex digits)"
);
id16!(
    /// An operator's token; not the secret in it.
    TokenId,
    "a token's id (32 lower-case hex digits)"
);
id16!(
    /// The jobs of one submission to several agents.
    GroupId,
    "a job group's id (32 lower-case hex digits)"
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

            /// The text alone.
            pub fn into_string(self) -> String {
                self.0
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

text_id!(
    /// What an agent's program calls one of its receivers of relayed messages.
    HandlerName,
    "a handler's name (1 to 64 of a-z, 0-9, `-`, `_` and `.`)",
    |text| (1..=64).contains(&text.len())
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.'))
);

text_id!(
    /// The name an operator's token was given.
    TokenName,
    "a token's name (1 to 63 of a-z, 0-9 and `-`, not beginning with `-`)",
    |text| text.parse::<AgentName>().is_ok()
);

text_id!(
    /// What an operator thinks of as one program, on however many agents: its log lines come together under this name.
    AppName,
    "an app's name (1 to 63 of a-z, 0-9 and `-`, not beginning with `-`)",
    |text| text.parse::<AgentName>().is_ok()
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MessageId {
    /// The upper 64 bits.
    pub hi: u64,
    /// The lower 64 bits.
    pub lo: u64,
}

impl MessageId {
    /// No message.
    pub const NONE: Self = Self { hi: 0, lo: 0 };

    /// The id with these bytes, the uppermost first.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        let [hi @ .., _, _, _, _, _, _, _, _] = bytes;
        let [_, _, _, _, _, _, _, _, lo @ ..] = bytes;
        Self { hi: u64::from_be_bytes(hi), lo: u64::from_be_bytes(lo) }
    }

    /// The id's 16 bytes, the uppermost first.
    pub fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.hi) << 64 | u128::from(self.lo)).to_be_bytes()
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:016x}", self.hi, self.lo)
    }
}
