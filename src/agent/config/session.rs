//! The times of a session and of the way to one: `[session]`, `[reconnect]` and `[heartbeat]`.

use std::time::Duration;

use crate::limit;
use crate::wire::message::Limits;

use super::raw::Raw;
use super::{Config, ConfigError, Origin};

/// The `[session]` section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionSettings {
    /// Distance of pings.
    pub ping: Duration,
    /// Silence that ends a session.
    pub idle: Duration,
    /// Time without one byte accepted by the peer that ends a session.
    pub write: Duration,
    /// Unacked bytes in flight.
    pub window_bytes: u32,
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self {
            ping: limit::PING_INTERVAL,
            idle: limit::IDLE_TIMEOUT,
            write: limit::WRITE_TIMEOUT,
            window_bytes: limit::WINDOW_BYTES,
        }
    }
}

impl Config {
    pub(super) fn check_times(&mut self, raw: &Raw, origin: &Origin<'_>) -> Result<(), ConfigError> {
        let section = &raw.reconnect;
        let pace = &mut self.reconnect;
        origin.time("reconnect.min", &section.min, &mut pace.min)?;
        origin.time("reconnect.max", &section.max, &mut pace.max)?;
        origin.time("reconnect.fast", &section.fast, &mut pace.fast)?;
        origin.time("reconnect.fast_for", &section.fast_for, &mut pace.fast_for)?;
        origin.time("reconnect.stable", &section.stable, &mut pace.stable)?;
        origin.time("reconnect.no_ack", &section.no_ack, &mut self.no_ack)?;
        if pace.min > pace.max {
            return Err(origin.wrong("reconnect.min", "is greater than reconnect.max; make it smaller"));
        }
        origin.time("session.ping", &raw.session.ping, &mut self.session.ping)?;
        origin.time("session.idle", &raw.session.idle, &mut self.session.idle)?;
        origin.time("session.write", &raw.session.write, &mut self.session.write)?;
        if self.session.ping >= self.session.idle {
            return Err(origin.wrong(
                "session.ping",
                "is not smaller than session.idle; a healthy session would end for idleness",
            ));
        }
        if let Some(window) = origin.size("session.window", raw.session.window.as_ref())? {
            let least = limit::BATCH_BYTES as u64;
            let window =
                u32::try_from(window).ok().filter(|window| u64::from(*window) >= least).ok_or_else(|| {
                    origin.wrong("session.window", format!("must be {least} bytes to 4 GiB less one byte"))
                })?;
            self.session.window_bytes = window;
        }
        self.warn_of_limits();
        let mut interval = limit::HEARTBEAT_INTERVAL;
        origin.time("heartbeat.interval", &raw.heartbeat.interval, &mut interval)?;
        if interval < Duration::from_secs(1) {
            return Err(origin.wrong("heartbeat.interval", "must be at least 1s"));
        }
        self.heartbeat = raw.heartbeat.interval.as_ref().map(|_| interval);
        Ok(())
    }
    /// Says what does nothing: of the two ends' limits the smaller holds, and a hub has these.
    fn warn_of_limits(&mut self) {
        let SessionSettings { ping, idle, window_bytes, .. } = self.session;
        let hub = Limits::default();
        let time = |value: Duration| format!("{} s", value.as_secs());
        let above = [
            ("session.ping", ping > hub.ping_interval, time(hub.ping_interval)),
            ("session.idle", idle > hub.idle, time(hub.idle)),
            ("session.window", window_bytes > hub.window_bytes, format!("{} bytes", hub.window_bytes)),
        ];
        self.warnings.extend(above.into_iter().filter(|(_, above, _)| *above).map(|(key, _, most)| {
            format!(
                "{key} is above the {most} that hubs allow, and the smaller holds; leave it out or lower it"
            )
        }));
    }
}
