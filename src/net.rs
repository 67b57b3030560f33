//! The shells around sockets: connections and what runs over them.

mod answer;
pub mod dial;
#[cfg(any(feature = "agent", feature = "hub"))]
pub mod http;
pub mod meter;
pub mod monitor;
pub mod network;
pub mod options;
pub mod patience;
pub mod proxy;
pub mod stream;
pub mod tls;
pub mod upgrade;
pub mod ws;
