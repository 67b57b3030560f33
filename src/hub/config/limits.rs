//! `[limits]`: who is let in, and how much one message may be.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::Deserialize;

use crate::limit;
use crate::unit::{self, Scalar};

use super::relay::{self, RelayConfig};
use super::{Config, ConfigError, Network, wrong};

/// Who is let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdmissionConfig {
    /// Sessions at once; `None`: as many as file descriptors allow.
    pub max_sessions: Option<NonZeroU32>,
    /// Handshakes in flight, from the credential to the registration.
    pub handshakes: NonZeroU32,
    /// What one address may fail in a minute, and have open without having proved anything; `None`: no bound.
    pub per_ip: Option<NonZeroU32>,
    /// How long a peer that has proved nothing may take to send a request, and to have it answered.
    pub auth: Duration,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
}

impl Default for AdmissionConfig {
    fn default() -> Self {
        Self {
            max_sessions: None,
            handshakes: limit::HANDSHAKES,
            per_ip: NonZeroU32::new(limit::PER_ADDRESS),
            auth: limit::HANDSHAKE_TIMEOUT,
            trusted_proxies: Vec::new(),
        }
    }
}

/// The section as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitsFile {
    message: Option<String>,
    relay: Option<Scalar>,
    max_sessions: Option<Scalar>,
    handshakes: Option<Scalar>,
    per_ip: Option<Scalar>,
    auth: Option<String>,
}

impl LimitsFile {
    pub(super) fn overlay_environment(&mut self, variable: &impl Fn(&str) -> Option<String>) {
        let scalar = |name: &str, value: &mut Option<Scalar>| {
            *value = variable(name).map(Scalar::Text).or(value.take());
        };
        scalar("OUTPOST_LIMITS_MAX_SESSIONS", &mut self.max_sessions);
        scalar("OUTPOST_LIMITS_HANDSHAKES", &mut self.handshakes);
        scalar("OUTPOST_LIMITS_PER_IP", &mut self.per_ip);
        scalar("OUTPOST_LIMITS_RELAY", &mut self.relay);
        self.auth = variable("OUTPOST_LIMITS_AUTH").or(self.auth.take());
        self.message = variable("OUTPOST_LIMITS_MESSAGE").or(self.message.take());
    }

    pub(super) fn admission(&self, trusted_proxies: &[String]) -> Result<AdmissionConfig, ConfigError> {
        let defaults = AdmissionConfig::default();
        Ok(AdmissionConfig {
            max_sessions: match &self.max_sessions {
                None => defaults.max_sessions,
                Some(value) => NonZeroU32::new(count("limits.max_sessions", value)?),
            },
            handshakes: match &self.handshakes {
                None => defaults.handshakes,
                Some(value) => NonZeroU32::new(count("limits.handshakes", value)?).ok_or_else(|| {
                    wrong("limits.handshakes", &value.to_string(), "a whole number from 1 on")
                })?,
            },
            per_ip: match &self.per_ip {
                None => defaults.per_ip,
                Some(value) => NonZeroU32::new(count("limits.per_ip", value)?),
            },
            auth: self.auth.as_deref().map_or(Ok(defaults.auth), auth)?,
            trusted_proxies: trusted_proxies.iter().map(|text| network(text)).collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn message(&self) -> Result<u32, ConfigError> {
        let default = Config::default().message_bytes;
        self.message.as_deref().map_or(Ok(default), |text| message(text, default))
    }

    /// Payload bytes of one relayed message; their bounds are the relay's own to check.
    pub(super) fn relay(&self) -> Result<u32, ConfigError> {
        let Some(value) = &self.relay else { return Ok(RelayConfig::default().bytes) };
        value
            .bytes()
            .ok()
            .and_then(|bytes| u32::try_from(bytes).ok())
            .ok_or_else(|| wrong("limits.relay", &value.to_string(), relay::BYTES))
    }
}

fn count(key: &'static str, value: &Scalar) -> Result<u32, ConfigError> {
    value
        .count()
        .and_then(|number| u32::try_from(number).ok())
        .ok_or_else(|| wrong(key, &value.to_string(), "a whole number; 0 is no bound"))
}

/// Longer would give silence more time than a session gives it.
fn auth(text: &str) -> Result<Duration, ConfigError> {
    unit::duration(text)
        .ok()
        .filter(|auth| (Duration::from_secs(1)..=limit::IDLE_TIMEOUT).contains(auth))
        .ok_or_else(|| wrong("limits.auth", text, "a duration from 1s to 90s"))
}

fn network(text: &str) -> Result<Network, ConfigError> {
    let expected = "an address, or a range of them like 10.0.0.0/8";
    text.trim().parse().map_err(|_| wrong("trusted_proxies", text, expected))
}

pub(super) const MESSAGE: &str = "a size from 64KiB to 2MiB";

/// A batch must fit, and what fits into the protocol's limit.
fn message(text: &str, most: u32) -> Result<u32, ConfigError> {
    let least = limit::MESSAGE_BYTES_LEAST;
    unit::bytes(text)
        .ok()
        .and_then(|bytes| u32::try_from(bytes).ok())
        .filter(|bytes| (least..=most).contains(bytes))
        .ok_or_else(|| wrong("limits.message", text, MESSAGE))
}
