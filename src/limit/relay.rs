//! Messages between agents.

use std::time::Duration;

use super::LINE_BUSY_MAX;

/// Payload of one relayed message: exactly this passes, one byte more is refused.
pub const RELAY_BYTES_MAX: usize = 64 * 1024;
/// What a `Relay` frame adds to its payload at most: envelope, two ids, two names, the handler's and the tags.
pub const RELAY_OVERHEAD_BYTES_MAX: usize = 512;
/// Messages of one agent that are not answered yet, in each direction: 1 MiB at both ends.
pub const RELAY_IN_FLIGHT: usize = 16;
/// Answers to relayed messages that wait for the socket; a peer that asks faster than it reads loses the oldest.
pub const RELAY_REPLIES_MAX: usize = 64;
/// Messages a second that one agent may relay where the hub's config does not say, and at once beyond that.
pub const RELAY_RATE: u32 = 20;
/// The most that config may say.
pub const RELAY_RATE_MAX: u32 = 10_000;
/// Rules of one hub: they are looked through for each message.
pub const RELAY_RULES_MAX: usize = 1024;
/// Payload bytes that the hub keeps for one agent that is away.
pub const RELAY_QUEUE_BYTES_MAX: u64 = 1024 * 1024;
/// Messages that it keeps: rows have their own cost, however little is in them.
pub const RELAY_QUEUE_MESSAGES_MAX: u64 = 1024;
/// How long it keeps them.
pub const RELAY_QUEUE_TIME: Duration = Duration::from_secs(24 * 3600);
/// How often the hub deletes those that are older.
pub const RELAY_SWEEP_INTERVAL: Duration = Duration::from_secs(60);
/// A handler that takes longer for one message is dropped, and the message with it.
pub const RELAY_HANDLER_TIMEOUT: Duration = Duration::from_secs(20);
/// How long the hub waits for an agent to answer: its handler's time, and that of a slow link.
pub const RELAY_ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a sender waits for the line to take a message, and then for the hub to answer it once it is there: longer than the hub
/// for the other agent.
pub const RELAY_REPLY_TIMEOUT: Duration = Duration::from_secs(45);
/// The same in all, with what the line needs for the message and for what comes before its answer.
pub const RELAY_SEND_MAX: Duration =
    Duration::from_secs(2 * RELAY_REPLY_TIMEOUT.as_secs() + 2 * LINE_BUSY_MAX.as_secs());
const _: () = assert!(
    RELAY_HANDLER_TIMEOUT.as_millis() < RELAY_ANSWER_TIMEOUT.as_millis()
        && RELAY_ANSWER_TIMEOUT.as_millis() < RELAY_REPLY_TIMEOUT.as_millis()
);
/// A queued message that its handler does not take now comes again after this at most, the first time: a handler that was busy with
/// another has had time for that. What the store could not read is asked for again after this.
pub const RELAY_RETRY: Duration = Duration::from_secs(5);
/// Each further time it is twice as long, up to this: on the slowest line that is served, one message may take as long.
pub const RELAY_RETRY_MAX: Duration = LINE_BUSY_MAX;
const _: () = assert!(RELAY_RETRY.as_millis() < RELAY_RETRY_MAX.as_millis());
/// Ids of messages that an agent knows again when they are sent a second time.
pub const RELAY_IDS_REMEMBERED: usize = 1024;
/// Handlers of one agent.
pub const RELAY_HANDLERS_MAX: usize = 64;
