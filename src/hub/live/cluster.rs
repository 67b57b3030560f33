//! Several brokers over one Redis: what is published at one reaches the subscribers of all, and a topic that is registered at
//! one is known to all.
//!
//! * A node hands a message to its own subscribers first, then to Redis, and leaves alone what comes back with its own
//!   `origin_id`: so each subscriber of each node gets it once. Redis keeps no messages: what is published while a node is away
//!   from Redis does not reach it.
//! * Each node keeps what it knows of topics, so that nothing waits for Redis but a worker that changes it, and a topic that is
//!   unknown here. Of two words about a topic the later one holds, in whatever order they are heard: `ledger`.
//! * Who is there is counted by what was heard of them. No clock of another machine is believed.
//! * Where Redis is away, everything goes on within the node. What a worker says meanwhile is told to Redis when it is back, and
//!   holds where nobody else said anything since.
//! * A message that may not have reached the others is counted, and they are told that there was one.

mod connection;
#[cfg(fuzzing)]
pub(super) mod fuzzing;
mod ledger;
mod link;
mod listener;
mod message;
mod nodes;
mod order;
mod resp;
#[cfg(test)]
mod tests;
mod url;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::value::RawValue;
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};

use crate::limit;
use crate::obs::{clock, random};

use super::broker::Broker;
use super::registry::{Generation, Statement, Word};
use super::topic::Topic;
pub(super) use link::Link;
use message::Publication;
use nodes::Nodes;
use order::Order;
pub use url::{ParseRedisUrlError, RedisUrl};

/// This node's part in the cluster.
pub(super) struct Cluster {
    /// What this node calls itself, anew with each start.
    origin: String,
    channel: String,
    orders: mpsc::Sender<Order>,
    linked: AtomicBool,
    nodes: Mutex<Nodes>,
    /// The highest number of a generation that was heard of.
    seen: AtomicU64,
    /// There is something to tell the others: that this node is there, or that they missed something.
    asked: Notify,
    /// Bytes that may wait for Redis.
    room: Arc<Semaphore>,
    missed: AtomicU64,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("origin", &self.origin).finish_non_exhaustive()
    }
}

impl Cluster {
    /// The receiver is the link's.
    fn new(channel: String) -> (Self, mpsc::Receiver<Order>) {
        let (orders, receiver) = mpsc::channel(limit::LIVE_REDIS_QUEUE);
        let cluster = Self {
            origin: hex::encode(random::bytes::<16>()),
            channel,
            orders,
            linked: AtomicBool::new(false),
            nodes: Mutex::default(),
            seen: AtomicU64::new(0),
            asked: Notify::new(),
            room: Arc::new(Semaphore::new(limit::LIVE_REDIS_QUEUE_BYTES_MAX)),
            missed: AtomicU64::new(0),
        };
        (cluster, receiver)
    }

    /// Whether Redis is there.
    pub(super) fn is_linked(&self) -> bool {
        self.linked.load(Ordering::Acquire)
    }

    /// Nodes that are there, this one among them.
    pub(super) fn nodes(&self) -> usize {
        lock(&self.nodes).count(clock::boot_now()).saturating_add(1)
    }

    /// Messages of this node that Redis did not say it has, since the start.
    pub(super) fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    /// Hands a message to the other nodes, or counts it as missed; waits for Redis no longer than `limit::LIVE_REDIS_WAIT`.
    pub(super) async fn publish(&self, topic: &Topic, payload: &RawValue) {
        let origin_id = self.origin.as_str().into();
        let message = Publication { origin_id, topic: topic.as_str().to_owned(), payload };
        let sent = match serde_json::to_vec(&message) {
            Ok(message) if self.is_linked() => {
                tokio::time::timeout(limit::LIVE_REDIS_WAIT, self.hand_over(message)).await == Ok(Some(()))
            }
            Ok(_) | Err(_) => false,
        };
        if !sent {
            self.missed.fetch_add(1, Ordering::Relaxed);
            self.asked.notify_one();
        }
    }

    async fn hand_over(&self, message: Vec<u8>) -> Option<()> {
        let bytes = u32::try_from(message.len()).ok()?;
        let room = Arc::clone(&self.room).acquire_many_owned(bytes).await.ok()?;
        self.orders.send(Order::Publish { message, _room: room }).await.ok()
    }

    /// Tells all nodes what a worker says of a topic, and when Redis has it said that was. `None`: it did not in time.
    pub(super) async fn say(&self, topic: &Topic, word: Word, ttl: Duration) -> Option<Generation> {
        self.ask(|said| Order::Say { topic: topic.clone(), word, ttl, said }).await
    }

    /// What Redis has of a topic; `None` where it has nothing, or is away.
    pub(super) async fn find(&self, topic: &Topic) -> Option<Statement> {
        self.ask(|found| Order::Find { topic: topic.clone(), found }).await.flatten()
    }

    async fn ask<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> Order) -> Option<T> {
        if !self.is_linked() {
            return None;
        }
        let (answer, answered) = oneshot::channel();
        let asking = async {
            self.orders.send(order(answer)).await.ok()?;
            answered.await.ok()
        };
        tokio::time::timeout(limit::LIVE_REDIS_WAIT, asking).await.ok().flatten()
    }

    /// What Redis or another node says of a topic.
    fn hear(&self, broker: &Broker, topic: &Topic, statement: Statement) {
        self.seen.fetch_max(statement.generation.ordered(), Ordering::Relaxed);
        // Where there is no room, the log says so.
        let _full = broker.hear(topic, statement);
    }

    fn seen(&self) -> u64 {
        self.seen.load(Ordering::Relaxed)
    }

    /// The key of what is common to all topics.
    fn ledger(&self) -> String {
        format!("{}:ledger", self.channel)
    }

    /// The key that says who may read a topic.
    fn key(&self, topic: &Topic) -> String {
        format!("{}:topic:{}", self.channel, topic.as_str())
    }

    /// Where nodes tell each other what is no message.
    fn notices(&self) -> String {
        format!("{}:nodes", self.channel)
    }
}

/// Nothing is left half done while one of these locks is held.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
