//! Every bound of the product in one place, with its unit and where it comes from.
//!
//! The two ends negotiate down: `RegisterAck` carries the hub's figures and the smaller one holds.

mod agent;
mod bundle;
mod hub;
mod identity;
mod job;
mod link;
mod live;
mod logbus;
mod outbox;
mod relay;
mod session;

pub use agent::*;
pub use bundle::*;
pub use hub::*;
pub use identity::*;
pub use job::*;
pub use link::*;
pub use live::*;
pub use logbus::*;
pub use outbox::*;
pub use relay::*;
pub use session::*;
