//! The local socket.

pub mod frame;
pub mod lines;
