//! The bounds that the two ends announce to each other.

use std::time::Duration;

use crate::limit;

/// Bounds one end announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one WebSocket message.
    pub message_bytes: u32,
    /// Unacked bytes in flight, events and logs together.
    pub window_bytes: u32,
    /// Unacked bytes in flight, control.
    pub control_window_bytes: u32,
    /// Bytes of one record before it is cut.
    pub record_bytes: u32,
    /// Distance of pings.
    pub ping_interval: Duration,
    /// Silence that ends the session.
    pub idle: Duration,
    /// Whether zstd batches are understood.
    pub zstd: bool,
}

impl Default for Limits {
    /// What an end announces that is not told otherwise: as much as it may.
    fn default() -> Self {
        Self {
            message_bytes: u32::try_from(limit::MESSAGE_BYTES_MAX).unwrap_or(u32::MAX),
            window_bytes: limit::WINDOW_BYTES,
            control_window_bytes: limit::CONTROL_WINDOW_BYTES,
            record_bytes: u32::try_from(limit::RECORD_BYTES_MAX).unwrap_or(u32::MAX),
            ping_interval: limit::PING_INTERVAL,
            idle: limit::IDLE_TIMEOUT,
            zstd: true,
        }
    }
}
