//! Whole parts over real sockets: port 0, a folder of their own, no sleeps.
#![cfg(all(feature = "agent", unix))]

mod agent_link;
mod agent_socket;
mod hand_hub;
