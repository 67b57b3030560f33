//! What Redis is asked to do while the link is there, and doing it: many orders at once, but no more bytes than a slow line
//! carries in time.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use crate::hub::live::registry::{Generation, Statement, Word};
use crate::hub::live::topic::Topic;
use crate::limit;

use super::connection::{Connection, RedisError};
use super::resp::Reply;
use super::{Cluster, ledger};

/// See the module.
pub(super) enum Order {
    /// A message for the other nodes, and its part of the memory that such may take.
    Publish {
        message: Vec<u8>,
        _room: OwnedSemaphorePermit,
    },
    Say {
        topic: Topic,
        word: Word,
        ttl: Duration,
        said: oneshot::Sender<Generation>,
    },
    Find {
        topic: Topic,
        found: oneshot::Sender<Option<Statement>>,
    },
}

impl Order {
    /// Bytes it puts on the line, about.
    fn bytes(&self) -> usize {
        match self {
            Self::Publish { message, .. } => message.len(),
            Self::Say { .. } | Self::Find { .. } => limit::LIVE_TOPIC_BYTES_MAX,
        }
    }

    fn feed(&self, commands: &mut Connection, cluster: &Cluster) {
        match self {
            Self::Publish { message, .. } => {
                commands.feed(&[b"PUBLISH", cluster.channel.as_bytes(), message]);
            }
            Self::Say { topic, word, ttl, .. } => ledger::feed_word(commands, cluster, topic, *word, *ttl),
            Self::Find { topic, .. } => {
                let key = cluster.key(topic);
                commands.feed(&[b"GET", key.as_bytes()]);
                commands.feed(&[b"PTTL", key.as_bytes()]);
            }
        }
    }
}

/// Orders that go out together. Those that are dropped unanswered are counted where a message is lost with them; it may have
/// gone further.
pub(super) struct Batch<'a> {
    orders: VecDeque<Order>,
    missed: &'a AtomicU64,
}

impl<'a> Batch<'a> {
    /// Those that wait, at least one. Cancel safe.
    pub(super) async fn next(orders: &mut mpsc::Receiver<Order>, missed: &'a AtomicU64) -> Self {
        let first = match orders.recv().await {
            Some(first) => first,
            // The cluster, which the link has a part of, has the other end.
            None => std::future::pending().await,
        };
        Self::filled(first, orders, missed)
    }

    /// Those that wait; `None` where there is none.
    pub(super) fn rest(orders: &mut mpsc::Receiver<Order>, missed: &'a AtomicU64) -> Option<Self> {
        Some(Self::filled(orders.try_recv().ok()?, orders, missed))
    }

    fn filled(first: Order, orders: &mut mpsc::Receiver<Order>, missed: &'a AtomicU64) -> Self {
        let mut bytes = first.bytes();
        let mut batch = VecDeque::from([first]);
        while bytes < limit::LIVE_REDIS_BATCH_BYTES
            && let Ok(order) = orders.try_recv()
        {
            bytes = bytes.saturating_add(order.bytes());
            batch.push_back(order);
        }
        Self { orders: batch, missed }
    }

    pub(super) fn feed(&self, commands: &mut Connection, cluster: &Cluster) {
        for order in &self.orders {
            order.feed(commands, cluster);
        }
    }

    /// Takes the answers to what was fed.
    pub(super) async fn take_answers(mut self, commands: &mut Connection) -> Result<(), RedisError> {
        while !self.orders.is_empty() {
            let first = commands.reply().await?;
            let second = match self.orders.front() {
                Some(Order::Find { .. }) => commands.reply().await?,
                Some(Order::Publish { .. } | Order::Say { .. }) | None => Reply::Nothing,
            };
            // Who asked may have gone.
            match self.orders.pop_front() {
                Some(Order::Say { said, .. }) => {
                    if let Some(generation) = generation_of(&first) {
                        let _gone = said.send(generation);
                    }
                }
                Some(Order::Find { found, .. }) => {
                    let _gone = found.send(ledger::statement_of(&first, &second));
                }
                Some(Order::Publish { .. }) | None => {}
            }
        }
        Ok(())
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        let lost = self.orders.iter().filter(|order| matches!(order, Order::Publish { .. })).count();
        self.missed.fetch_add(u64::try_from(lost).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// `None` where what answers is no such Redis.
fn generation_of(reply: &Reply) -> Option<Generation> {
    let Reply::Bytes(text) = reply else { return None };
    str::from_utf8(text).ok()?.parse().ok()
}
