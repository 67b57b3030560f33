//! Outpost runs jobs on machines that are often offline and loses nothing they produce.
//!
//! The layers, top to bottom; imports go downward only (see ARCHITECTURE.md):
//! `cli` · `agent`, `hub` · `net`, `outbox::store`, `hub::store`, `obs` · `session`, `outbox` · `wire` · `id`, `limit`, `time`.

pub mod cli;
pub mod id;
pub mod limit;
pub mod obs;
pub mod outbox;
pub mod secret;
pub mod time;
pub mod wire;
