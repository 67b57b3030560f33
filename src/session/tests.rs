//! Both machines against each other in virtual time, without sockets.

mod delivery;
mod handshake;
mod keepalive;
mod random;
mod refusals;
mod world;
