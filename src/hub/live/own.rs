//! Outpost's own streams: `agent.<id>`, `job.<id>`, `job.<id>.logs`, `fleet`. docs/live.md is their protocol.
//!
//! * `stream`, `position`: names, and where somebody is in one. Values.
//! * `pass`: tokens. They are made with the hub's own secret, never the workers', by whoever has a token of the API, and are good
//!   no longer than that one is.
//! * `follower`, `lines`, `events`: what a subscriber is sent, read from the store as fast as it takes it. A commit rings, the
//!   store says what happened: a ring that is lost costs time, nothing else, and nobody waits for anybody.
//! * `door`: the upgrade at the hub's own listener; the broker's public listener has them, too.
//!
//! Nobody can publish or register here: nothing of the broker leads to a follower, and nothing of a follower to the broker's
//! subscribers or to Redis.

mod door;
mod events;
mod follower;
mod lines;
mod pass;
mod position;
mod stream;

pub(in crate::hub) use door::connect;
pub(super) use follower::{Admitted, Follower, Wanted};
pub(in crate::hub) use pass::Selling;
pub(in crate::hub) use stream::Stream;
