//! What the fuzz targets do: one module for each, with one `run` that panics where something is wrong.
//!
//! Most of what is fuzzed lies behind a MAC or a checksum. Bytes at random never get past those, so the targets make them
//! right for what the fuzzer invents: that is a peer who has the keys, the worst there is. Where nobody has them (`pair`
//! without a forged frame) more is checked: nothing may come through that was not said.

pub mod block;
pub mod browser_token;
pub mod bundle;
pub mod ends;
pub mod frame;
pub mod handshake;
pub mod live_config;
pub mod live_redis;
pub mod live_socket;
pub mod pair;
pub mod session;
pub mod zstd;
