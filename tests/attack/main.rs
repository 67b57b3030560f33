//! Who is not who they say they are: a real hub against hand-made peers, and a real agent against hubs that lie, over
//! real sockets. Each attack ends with the right code, moves the right counter and no other, and leaves nothing stored.

#![cfg(all(feature = "agent", feature = "hub"))]
#![allow(missing_docs)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

#[path = "../e2e/hand_hub/accept.rs"]
mod accept;
mod keys;
mod lies;
mod lying_hub;
#[allow(dead_code, reason = "tests/e2e uses the rest of it")]
#[path = "../e2e/raw_agent.rs"]
mod raw_agent;
mod replays;
mod scene;
mod signatures;
mod silence;
