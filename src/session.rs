//! A session: what the two ends of one connection say to each other, as two state machines without I/O.
//!
//! [`AgentSession`] and [`HubSession`] are values. The driver tells them what happened (`handle_*`: a message came, a
//! deadline passed, records are durable, a mark was committed) and asks what to do (`poll_*`: bytes to send, records
//! to read, events, the next deadline). Time and randomness are arguments, so both run against each other in virtual
//! time. docs/protocol.md is the letter.
//!
//! Invariants:
//! * A frame is judged in the order size, MAC, decoding, clock, sequence, meaning; after the first wrong one nothing
//!   is looked at any more.
//! * Frames are numbered and signed when they are polled, never before, and never above the negotiated size.
//! * No record passes before RegisterAck.
//! * Hub time is the Challenge's plus boot time since, at both ends: a wall clock that steps does no harm.
//!
//! After `Closed` was polled the driver drains `poll_transmit` (an Error envelope may wait), closes the socket with
//! the code, and drops the session.

mod agent;
mod arriving;
mod clock;
mod event;
mod flow;
mod freight;
mod hub;
mod inbound;
mod keepalive;
mod listing;
mod marks;
mod outbound;
mod port;
mod queue;
mod rate;
mod relay;
#[cfg(test)]
pub(crate) mod tests;

pub use agent::{AgentConfig, AgentSession, Condition};
pub use event::{AgentEvent, Closed, HubEvent, LocalMark, ReadRequest, RegisterInfo, Resolution, Transmit};
pub use freight::Load;
pub use hub::{Carried, HubConfig, HubSession};
#[cfg(feature = "agent")]
pub(crate) use marks::{Verdict, judge};
pub use relay::{Progress, Relays};
