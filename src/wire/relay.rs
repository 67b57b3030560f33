//! Messages between agents: opaque bytes for a handler, and what became of them.

use bytes::Bytes;

use crate::id::{AgentId, AgentName, HandlerName, MessageId};

use super::error::{ErrorCode, Retry};

/// Bytes for a named handler of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relay {
    /// Drawn by the end that sends; the answer repeats it.
    pub id: MessageId,
    /// To the hub: nobody, or the agent that sends. From the hub: the agent whose session it came in; nobody where the
    /// hub's own program sends.
    pub sender: Option<Sender>,
    /// To the hub: whom it is for. From the hub: nobody.
    pub to: Option<AgentName>,
    /// Who takes it there.
    pub handler: HandlerName,
    /// The bytes. How many there may be is for whoever takes them to say: more are answered, not an error of the wire.
    pub payload: Bytes,
    /// What to do where that agent is away.
    pub delivery: Delivery,
}

/// An agent that sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// Its id.
    pub id: AgentId,
    /// Its name at the hub.
    pub name: Option<AgentName>,
}

/// What to do with a message for an agent that is not connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It is refused at once.
    Now,
    /// The hub keeps it until that agent has confirmed it, at most `limit::RELAY_QUEUE_TIME`.
    Queued,
}

/// Answers a [`Relay`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayReply {
    /// The message's id.
    pub id: MessageId,
    /// What became of it.
    pub outcome: RelayOutcome,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RelayOutcome {
    /// Its handler took it.
    Delivered,
    /// It is durable at the hub.
    Queued,
    /// It was begun on its way to the agent, which did not answer: its handler may have it or not. What was not begun is refused.
    Unanswered,
    /// Nobody took it.
    Refused {
        /// The entry of the error table; `None` for a number this version does not know.
        code: Option<ErrorCode>,
        /// What exactly was wrong.
        detail: String,
    },
}

/// A message that somebody has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receipt {
    /// The handler took it.
    Delivered,
    /// The hub keeps it, durably.
    Queued,
}

/// A message that was sent and that nobody is known to have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotDelivered {
    /// It was handed on, and no answer came: its handler may have it or not.
    #[error("no answer came: the message may have been delivered or not")]
    Unanswered,
    /// Nobody took it.
    #[error("the message was refused: {}{}", code.map_or_else(|| "for a reason this version does not know".to_owned(), |code| code.to_string()), particulars(detail))]
    Refused {
        /// The entry of the error table; `None` for a number this version does not know.
        code: Option<ErrorCode>,
        /// What exactly was wrong.
        detail: String,
    },
}

fn particulars(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!(" ({detail})") }
}

impl RelayOutcome {
    /// Whether the same message sent again could not fare better.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Delivered => true,
            Self::Queued | Self::Unanswered => false,
            Self::Refused { code, .. } => code.is_none_or(|code| code.retry() == Retry::Capped),
        }
    }

    /// The same for whoever sent the message.
    ///
    /// # Errors
    /// Where nobody is known to have it.
    pub fn into_receipt(self) -> Result<Receipt, NotDelivered> {
        match self {
            Self::Delivered => Ok(Receipt::Delivered),
            Self::Queued => Ok(Receipt::Queued),
            Self::Unanswered => Err(NotDelivered::Unanswered),
            Self::Refused { code, detail } => Err(NotDelivered::Refused { code, detail }),
        }
    }

    /// A refusal with its particulars.
    pub fn refused(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self::Refused { code: Some(code), detail: detail.into() }
    }

    /// The outcome's name, for logs and counters: a refusal's is that of its error.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Queued => "queued",
            Self::Unanswered => "unanswered",
            Self::Refused { code, .. } => code.map_or("unknown_error", ErrorCode::name),
        }
    }
}
