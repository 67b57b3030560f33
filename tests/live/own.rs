//! Outpost's own streams: a real hub and a real agent as processes, followed over real sockets at both listeners.

mod browser;
mod endings;
mod refusals;
mod retention;
mod room;
mod streams;
mod subscriber;
mod world;
