//! What comes through Redis: messages for this node's subscribers, and what other nodes say of themselves and of topics.

use std::convert::Infallible;

use bytes::Bytes;

use crate::hub::live::broker::Broker;
use crate::hub::live::label::Label;
use crate::hub::live::registry::Statement;
use crate::hub::live::topic::{Owner, Topic};
use crate::limit;
use crate::obs::clock;

use super::connection::{Connection, RedisError, in_time};
use super::message::{self, News, Notice, Publication, ttl};
use super::resp::Reply;
use super::{Cluster, lock};

/// Takes what other nodes say, and sees to it that silence is noticed.
pub(super) async fn listen(
    listener: &mut Connection,
    cluster: &Cluster,
    broker: &Broker,
) -> Result<Infallible, RedisError> {
    let meter = listener.meter();
    let mut looks = tokio::time::interval(limit::LIVE_BEAT_INTERVAL);
    loop {
        tokio::select! {
            biased;
            reply = listener.reply() => {
                if let Reply::List(parts) = reply? {
                    take(&parts, cluster, broker);
                }
            }
            _ = looks.tick() => {
                // A large message on a slow line is no silence.
                if clock::boot_now().since(meter.last_read()) > limit::LIVE_REDIS_TIMEOUT {
                    return Err(RedisError::Silent);
                }
                // Its answer is a list of other words.
                listener.feed(&[b"PING"]);
                in_time(&meter, listener.flush()).await?;
            }
        }
    }
}

fn take(parts: &[Reply], cluster: &Cluster, broker: &Broker) {
    let [Reply::Bytes(kind), Reply::Bytes(channel), Reply::Bytes(text)] = parts else { return };
    if *kind != Bytes::from_static(b"message") {
        return;
    }
    let taken = if channel == cluster.channel.as_bytes() {
        published(text, cluster, broker)
    } else {
        noticed(text, cluster, broker)
    };
    if taken.is_none() {
        let text = String::from_utf8_lossy(text.get(..text.len().min(256)).unwrap_or_default());
        tracing::debug!(text = %Label(&text), "what came through Redis is no node's and is left alone");
    }
}

/// `None` where it cannot be read.
fn published(text: &[u8], cluster: &Cluster, broker: &Broker) -> Option<()> {
    let message: Publication<'_> = serde_json::from_slice(text).ok()?;
    if message.origin_id == cluster.origin {
        return Some(());
    }
    broker.deliver(&workers(&message.topic)?, message.payload);
    Some(())
}

/// `None` where it cannot be read.
fn noticed(text: &[u8], cluster: &Cluster, broker: &Broker) -> Option<()> {
    let notice: Notice = serde_json::from_slice(text).ok()?;
    if let News::Word { topic, word, ttl_ms, generation } = &notice.news {
        // One's own, too: it has its place among those of others.
        let word = message::word_of(word)?;
        let heard = Statement { word, generation: generation.parse().ok()?, left: ttl(*ttl_ms) };
        cluster.hear(broker, &workers(topic)?, heard);
    }
    if notice.origin_id == cluster.origin {
        return Some(());
    }
    match notice.news {
        News::Bye => {
            lock(&cluster.nodes).left(&notice.origin_id);
            return Some(());
        }
        News::Hello => cluster.asked.notify_one(),
        News::Beat => {}
        News::Gap => broker.note_gap(),
        News::Word { .. } => {}
    }
    lock(&cluster.nodes).heard(&notice.origin_id, clock::boot_now());
    Some(())
}

/// Nobody says anything of Outpost's own topics here.
pub(super) fn workers(topic: &str) -> Option<Topic> {
    topic.parse().ok().filter(|topic: &Topic| topic.owner() == Owner::Workers)
}
