//! Live topics over real sockets: real processes of `outpost live run` and `hub run`, on ports that were free.
//!
//! * `node`: a broker as a process, and requests to it byte by byte; `page`: a subscriber.
//! * `refusals`: every answer that is no success; `late`: what never comes whole; `log`: what strangers can write into it.
//! * `pushes`: what reaches subscribers, a thousand of them, a slow one, a thousand at once.
//! * `cluster`: several nodes over a real `redis` server; ignored by a plain `cargo test`, which need not find one.
//! * `browser`: the page of examples/live.html in a `chromium`; ignored likewise.
//! * `liar`: a Redis that breaks its protocol; `tls`: to Redis, and to a hub's broker.
//! * `own`: the streams that tell of agents and jobs.
//! * `partition`: one node's link to `redis` is cut or slow, by a `proxy` before it alone; ignored likewise.
//! * `ttl`: how long topics are registered.
//! * `memory`: what Redis and nodes know of topics in the end; `presence`: who is there; ignored likewise.
//! * `tokens`, `commands`, `config_check`, `part_of_hub`: as their names say.

#![cfg(feature = "hub")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test ends where its world does not hold")]

#[path = "../tls/authority.rs"]
#[allow(dead_code, reason = "the tests' authority, of which this uses a part")]
mod authority;
mod browser;
mod chromium;
mod cluster;
mod commands;
mod config_check;
mod late;
mod liar;
mod log;
mod memory;
mod node;
mod own;
mod page;
mod part_of_hub;
mod partition;
mod presence;
mod proxy;
mod pushes;
mod redis;
mod refusals;
mod tls;
mod tokens;
mod ttl;
