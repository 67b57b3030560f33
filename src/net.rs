//! The shells around sockets: dialling, and a WebSocket as a source and sink of binary frames.

#[cfg(feature = "agent")]
pub mod dial;
#[cfg(feature = "agent")]
pub mod http;
pub mod ws;
