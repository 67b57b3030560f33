//! The shells around sockets: dialling, and a WebSocket as a source and sink of binary frames.

#[cfg(feature = "agent")]
pub mod dial;
pub mod ws;
