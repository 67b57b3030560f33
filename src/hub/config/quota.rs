//! `[quota]`: what one agent may use of this hub. Everything is off until it is set.

use std::num::{NonZeroU32, NonZeroU64};

use serde::Deserialize;

use crate::unit::Scalar;

use super::bound::{self, Bound};
use super::{ConfigError, wrong};

/// What each agent may use; `None`: no bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QuotaConfig {
    /// Bytes a second that its session is read with. Beyond it the hub reads slower, and the agent's outbox keeps the rest.
    pub rate: Option<NonZeroU64>,
    /// Bytes of its records that the hub stores. Beyond it nothing more is taken and nothing acked.
    pub bytes: Option<NonZeroU64>,
    /// Jobs of it that are not over. Beyond it no more are taken.
    pub open_jobs: Option<NonZeroU32>,
}

impl QuotaConfig {
    /// Whether everything is within its bounds.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let check = |bound: &Bound<u64>, value: Option<NonZeroU64>| {
            value.map_or(Ok(()), |value| bound.check(value.get()))
        };
        check(&bound::QUOTA_RATE, self.rate)?;
        check(&bound::QUOTA_BYTES, self.bytes)
    }
}

/// The section as it is written; 0 is off.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct QuotaFile {
    rate: Option<Scalar>,
    bytes: Option<Scalar>,
    open_jobs: Option<Scalar>,
}

impl QuotaFile {
    pub(super) fn overlay_environment(&mut self, variable: &impl Fn(&str) -> Option<String>) {
        let scalar = |name: &str, value: &mut Option<Scalar>| {
            *value = variable(name).map(Scalar::Text).or(value.take());
        };
        scalar("OUTPOST_QUOTA_RATE", &mut self.rate);
        scalar("OUTPOST_QUOTA_BYTES", &mut self.bytes);
        scalar("OUTPOST_QUOTA_OPEN_JOBS", &mut self.open_jobs);
    }

    pub(super) fn check(&self) -> Result<QuotaConfig, ConfigError> {
        let open = "a whole number, or 0 for none";
        Ok(QuotaConfig {
            rate: size(self.rate.as_ref(), &bound::QUOTA_RATE)?,
            bytes: size(self.bytes.as_ref(), &bound::QUOTA_BYTES)?,
            open_jobs: match &self.open_jobs {
                None => None,
                Some(value) => NonZeroU32::new(
                    value
                        .count()
                        .and_then(|number| u32::try_from(number).ok())
                        .ok_or_else(|| wrong("quota.open_jobs", &value.to_string(), open))?,
                ),
            },
        })
    }
}

/// 0 is no bound, and is within every one.
fn size(value: Option<&Scalar>, bound: &Bound<u64>) -> Result<Option<NonZeroU64>, ConfigError> {
    let Some(value) = value else { return Ok(None) };
    match value.bytes() {
        Ok(0) => Ok(None),
        bytes => bound.read(bytes.ok(), &value.to_string()).map(NonZeroU64::new),
    }
}
