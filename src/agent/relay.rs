//! Messages between this agent's program and those of other agents, through the hub.
//!
//! ```text
//! RelayClient::send -> Line -> the session there is -> hub -> another agent's Inbox -> its handler
//!        ^                                                            |
//!        +------------------------- the answer <----------------------+
//! ```
//! Nothing here is stored: a message that is sent without a link is refused at once, and one that comes is answered when its
//! handler is through with it. What the hub keeps comes again until then, under the same id, and is known again by it as
//! long as this process runs.

mod client;
mod inbox;
mod memory;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

use crate::id::{HandlerName, MessageId};
use crate::wire::error::ErrorCode;
use crate::wire::relay::{Delivery, Sender};

pub(super) use client::{Line, Outgoing, Said};
pub use client::{RelayClient, RelayError};
pub(super) use inbox::Inbox;
#[cfg(all(test, feature = "hub"))]
pub(crate) use memory::{Memory, Seen};

/// A message for a handler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayMessage {
    /// The same each time the message comes.
    pub id: MessageId,
    /// The agent that sent it, as the hub authenticated it; `None`: the hub's own program.
    pub sender: Option<Sender>,
    /// The bytes, at most `limit::RELAY_BYTES_MAX`.
    pub payload: Bytes,
    /// Whether the hub kept it. One it kept may have been handled by an earlier process of this agent that was ended before
    /// it could say so.
    pub delivery: Delivery,
}

/// Why a handler does not take a message; its sender is told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct RelayRefusal {
    code: ErrorCode,
    reason: String,
}

impl RelayRefusal {
    /// For good, for this reason, of which `limit::ERROR_TEXT_BYTES_MAX` bytes reach the sender: what the hub kept is lost.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { code: ErrorCode::RelayHandler, reason: reason.into() }
    }

    /// For now: what the hub kept comes again after `limit::RELAY_RETRY` at most, then after twice that, and so on up to
    /// `limit::RELAY_RETRY_MAX`; until then nothing else comes that it kept for this handler.
    pub fn for_now(reason: impl Into<String>) -> Self {
        Self { code: ErrorCode::RelayFull, reason: reason.into() }
    }
}

/// Takes the messages of one name, one after the other in the order they came.
///
/// ```
/// use outpost::agent::relay::{RelayHandler, RelayMessage, RelayRefusal};
///
/// struct Door;
///
/// impl RelayHandler for Door {
///     async fn handle(&self, message: RelayMessage) -> Result<(), RelayRefusal> {
///         match message.payload.as_ref() {
///             b"open" => Ok(()),
///             _ => Err(RelayRefusal::new("a door knows no more than `open`")),
///         }
///     }
/// }
/// ```
pub trait RelayHandler: Send + Sync + 'static {
    /// Takes one message. When this returns, its sender is told that it is delivered, or why not, and the hub forgets one
    /// that it kept.
    ///
    /// A panic is a refusal; so is a call that takes longer than `limit::RELAY_HANDLER_TIMEOUT`, which is dropped.
    ///
    /// # Errors
    /// The message is not taken.
    fn handle(&self, message: RelayMessage) -> impl Future<Output = Result<(), RelayRefusal>> + Send;
}

/// A [`RelayHandler`] without its type.
trait AnyHandler: Send + Sync + 'static {
    fn handle(
        self: Arc<Self>,
        message: RelayMessage,
    ) -> Pin<Box<dyn Future<Output = Result<(), RelayRefusal>> + Send>>;
}

impl<H: RelayHandler> AnyHandler for H {
    fn handle(
        self: Arc<Self>,
        message: RelayMessage,
    ) -> Pin<Box<dyn Future<Output = Result<(), RelayRefusal>> + Send>> {
        Box::pin(async move { RelayHandler::handle(&*self, message).await })
    }
}

/// The handlers of an agent by their names.
#[derive(Clone, Default)]
pub(super) struct RelayHandlers(BTreeMap<HandlerName, Arc<dyn AnyHandler>>);

impl RelayHandlers {
    /// With this one, in place of an earlier one of the name.
    pub(super) fn with(mut self, name: HandlerName, handler: impl RelayHandler) -> Self {
        self.0.insert(name, Arc::new(handler));
        self
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for RelayHandlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
