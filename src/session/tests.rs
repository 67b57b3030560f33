//! Both machines against each other in virtual time, without sockets.

mod bounds;
mod channel;
mod cut;
mod delivery;
mod departure;
mod driver;
pub(crate) mod fixture;
mod handshake;
mod jobs;
mod keepalive;
mod line;
mod random;
mod refusals;
mod relay;
mod rotation;
mod slow;
mod slow_line;
#[cfg(feature = "hub")]
mod stranded;
pub(crate) mod world;
