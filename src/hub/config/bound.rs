//! What each setting with a range may be: one bound for what is written in a file, what the environment says, and what a
//! program that embeds a hub gives.

use std::fmt::Debug;
use std::time::Duration;

use crate::limit;

use super::ConfigError;
use super::error::wrong;

/// One setting and its range, both ends in it.
pub(super) struct Bound<T> {
    key: &'static str,
    least: T,
    most: T,
    expected: &'static str,
}

/// A batch must fit, and what fits into the protocol's limit.
pub(super) const MESSAGE: Bound<u64> = Bound {
    key: "limits.message",
    least: limit::MESSAGE_BYTES_LEAST as u64,
    most: limit::MESSAGE_BYTES_MAX as u64,
    expected: "a size from 64KiB to 2MiB",
};

/// Longer would give silence more time than a session gives it.
pub(super) const AUTH: Bound<Duration> = Bound {
    key: "limits.auth",
    least: Duration::from_secs(1),
    most: limit::IDLE_TIMEOUT,
    expected: "a duration from 1s to 90s",
};

/// The same.
pub(super) const WRITE: Bound<Duration> = Bound {
    key: "write_timeout",
    least: Duration::from_secs(1),
    most: limit::IDLE_TIMEOUT,
    expected: "a duration from 1s to 90s",
};

/// How long a token opens upgrades.
pub(super) const JWT_TTL: Bound<Duration> = Bound {
    key: "auth.jwt_ttl",
    least: limit::JWT_TTL_MIN,
    most: limit::JWT_TTL_MAX,
    expected: "a time from 1m to 24h",
};

/// Payload bytes of one relayed message.
pub(super) const RELAY: Bound<u64> = Bound {
    key: "limits.relay",
    least: 1,
    most: limit::RELAY_BYTES_MAX as u64,
    expected: "a size from 1B to 64KiB",
};

/// Relayed messages a second.
pub(super) const RELAY_RATE: Bound<u64> = Bound {
    key: "relay.rate",
    least: 1,
    most: limit::RELAY_RATE_MAX as u64,
    expected: "messages a second, from 1 to 10000",
};

/// What is read of one agent.
pub(super) const QUOTA_RATE: Bound<u64> = Bound {
    key: "quota.rate",
    least: limit::QUOTA_RATE_MIN,
    most: COUNTED_MAX,
    expected: "a size for each second from 64KiB on, or 0 for none",
};

/// What is stored of one agent.
pub(super) const QUOTA_BYTES: Bound<u64> =
    Bound { key: "quota.bytes", least: 1, most: COUNTED_MAX, expected: "a size like 10GiB, or 0 for none" };

/// The database counts with a sign.
const COUNTED_MAX: u64 = i64::MAX.cast_unsigned();

impl<T: PartialOrd + Debug> Bound<T> {
    /// A value, as far as there is one, that was written so.
    ///
    /// # Errors
    /// Where there is none, or it lies beyond the bound.
    pub(super) fn read(&self, value: Option<T>, written: &str) -> Result<T, ConfigError> {
        let value = value.filter(|value| self.holds(value));
        value.ok_or_else(|| wrong(self.key, written, self.expected))
    }

    /// A value that a program gave.
    ///
    /// # Errors
    /// Where it lies beyond the bound.
    pub(super) fn check(&self, value: T) -> Result<(), ConfigError> {
        if self.holds(&value) { Ok(()) } else { Err(wrong(self.key, &format!("{value:?}"), self.expected)) }
    }

    fn holds(&self, value: &T) -> bool {
        (&self.least..=&self.most).contains(&value)
    }
}
