//! The wire: one signed protobuf envelope in one binary WebSocket message.
//!
//! Pure values and functions: no sockets, clocks or randomness. The generated protobuf types never leave this module;
//! `message` holds the domain types that do. docs/protocol.md draws the frame and the key schedule.

pub mod batch;
pub mod browser_token;
mod convert;
pub mod entry;
pub mod envelope;
pub mod error;
pub mod identity;
pub mod invite;
pub mod job;
pub mod json_object;
pub mod jwt;
pub mod key;
pub mod mac;
pub mod message;
pub mod operator;
pub mod relay;
pub mod signed_upgrade;
pub mod url;
mod walk;
pub mod zstd;

/// Generated from `proto/outpost/v1` by build.rs.
#[allow(missing_docs, unreachable_pub, clippy::all)]
mod proto {
    include!(concat!(env!("OUT_DIR"), "/outpost.v1.rs"));
}

/// The WebSocket subprotocol; an unknown one is answered 426.
pub const SUBPROTOCOL: &str = "outpost.v1";
/// The version that goes into what an agent signs.
pub const VERSION: u32 = 1;
/// Path of the upgrade below the hub's base URL.
pub const CONNECT_PATH: &str = "/v1/agents/connect";
/// Path of the tokens below the hub's base URL.
pub const TOKEN_PATH: &str = "/v1/agents/token";
/// Path of enrolment below the hub's base URL.
pub const ENROLL_PATH: &str = "/v1/enroll";
