//! `[limits]`: who is let in, and how much one message may be.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::Deserialize;

use crate::limit;
use crate::unit::{self, Scalar};

use super::relay::RelayConfig;
use super::{Config, ConfigError, Network, bound, wrong};

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
    /// Requests to the API a second with one token, or from one address without; `None`: no bound.
    pub api_rate: Option<NonZeroU32>,
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
            api_rate: NonZeroU32::new(limit::API_RATE),
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
    api: Option<Scalar>,
}

impl LimitsFile {
    pub(super) fn overlay_environment(&mut self, variable: &impl Fn(&str) -> Option<String>) {
        let scalar = |name: &str, value: &mut Option<Scalar>| {
            *value = variable(name).map(Scalar::Text).or(value.take());
        };
        scalar("OUTPOST_LIMITS_MAX_SESSIONS", &mut self.max_sessions);
        scalar("OUTPOST_LIMITS_HANDSHAKES", &mut self.handshakes);
        scalar("OUTPOST_LIMITS_PER_IP", &mut self.per_ip);
        scalar("OUTPOST_LIMITS_API", &mut self.api);
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
            api_rate: match &self.api {
                None => defaults.api_rate,
                Some(value) => NonZeroU32::new(count("limits.api", value)?),
            },
            auth: match &self.auth {
                None => defaults.auth,
                Some(text) => bound::AUTH.read(unit::duration(text).ok(), text)?,
            },
            trusted_proxies: trusted_proxies.iter().map(|text| network(text)).collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn message(&self) -> Result<u32, ConfigError> {
        let default = Config::default().message_bytes;
        let Some(text) = &self.message else { return Ok(default) };
        let bytes = bound::MESSAGE.read(unit::bytes(text).ok(), text)?;
        Ok(u32::try_from(bytes).unwrap_or(default))
    }

    /// Payload bytes of one relayed message.
    pub(super) fn relay(&self) -> Result<u32, ConfigError> {
        let default = RelayConfig::default().bytes;
        let Some(value) = &self.relay else { return Ok(default) };
        let bytes = bound::RELAY.read(value.bytes().ok(), &value.to_string())?;
        Ok(u32::try_from(bytes).unwrap_or(default))
    }
}

fn count(key: &'static str, value: &Scalar) -> Result<u32, ConfigError> {
    value
        .count()
        .and_then(|number| u32::try_from(number).ok())
        .ok_or_else(|| wrong(key, &value.to_string(), "a whole number; 0 is no bound"))
}

fn network(text: &str) -> Result<Network, ConfigError> {
    let expected = "an address, or a range of them like 10.0.0.0/8";
    text.trim().parse().map_err(|_| wrong("trusted_proxies", text, expected))
}
