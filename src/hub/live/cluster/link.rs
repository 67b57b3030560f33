//! The link to Redis: made, kept, and made anew. Two connections, since one that is subscribed takes no other requests.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::hub::config::RedisConfig;
use crate::hub::live::broker::Broker;
use crate::hub::live::registry::{Statement, Unheard};
use crate::hub::live::topic::Topic;
use crate::limit;
use crate::obs::{clock, random};
use crate::time::BootTime;

use super::connection::{Connection, RedisError, in_time, made};
use super::ledger::{self, Memory};
use super::message::{News, Notice};
use super::order::{Batch, Order};
use super::resp::Reply;
use super::url::RedisUrl;
use super::{Cluster, listener};

/// Topics that are compared with Redis in one go.
const MERGE_BATCH: usize = 128;

/// See the module.
pub(in crate::hub::live) struct Link {
    cluster: Arc<Cluster>,
    orders: mpsc::Receiver<Order>,
    url: RedisUrl,
    /// When the link was made that there is, or was last.
    since: Option<BootTime>,
    /// The id of Redis' memory as this node knows it.
    ledger: Option<String>,
    /// Missed messages that the other nodes were told of.
    confessed: u64,
}

/// How a session without a failure ends.
struct Stopped;

impl Link {
    pub(in crate::hub::live) fn new(config: &RedisConfig) -> (Self, Arc<Cluster>) {
        let (cluster, orders) = Cluster::new(config.channel.clone());
        let cluster = Arc::new(cluster);
        let link = Self {
            cluster: Arc::clone(&cluster),
            orders,
            url: config.url.clone(),
            since: None,
            ledger: None,
            confessed: 0,
        };
        (link, cluster)
    }

    /// Until the broker stops.
    pub(in crate::hub::live) async fn run(mut self, broker: Arc<Broker>, stop: CancellationToken) {
        let mut bound = limit::LIVE_REDIS_RETRY_MIN;
        let cluster = Arc::clone(&self.cluster);
        loop {
            let ended = tokio::select! {
                biased;
                ended = self.session(&broker, &stop) => ended,
                () = stop_while_away(&stop, &cluster) => return,
            };
            cluster.linked.store(false, Ordering::Release);
            let error = match ended {
                Ok(Stopped) => return,
                Err(error) => error,
            };
            // Those who wait for an answer go on without.
            while Batch::rest(&mut self.orders, &cluster.missed).is_some() {}
            if self
                .since
                .take()
                .is_some_and(|since| clock::boot_now().since(since) >= limit::LIVE_REDIS_STABLE)
            {
                bound = limit::LIVE_REDIS_RETRY_MIN;
            }
            tracing::warn!(redis = %self.url.name(), %error, "Redis is away; live topics go on within this node");
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(jittered(bound)) => {}
            }
            bound = bound.saturating_mul(2).min(limit::LIVE_REDIS_RETRY_MAX);
        }
    }

    async fn session(&mut self, broker: &Broker, stop: &CancellationToken) -> Result<Stopped, RedisError> {
        let (mut listener, mut commands) = made(self.connect()).await?;
        // What the others publish from here on arrives; what they did before may not have.
        broker.note_gap();
        let cluster = Arc::clone(&self.cluster);
        tokio::select! {
            biased;
            ended = self.lead(&mut commands, broker, stop) => ended,
            ended = listener::listen(&mut listener, &cluster, broker) => ended.map(|never| match never {}),
        }
    }

    /// One that is subscribed, and one for the rest.
    async fn connect(&self) -> Result<(Connection, Connection), RedisError> {
        let mut listener = Connection::open(&self.url).await?;
        let notices = self.cluster.notices();
        listener.feed(&[b"SUBSCRIBE", self.cluster.channel.as_bytes(), notices.as_bytes()]);
        listener.flush().await?;
        // One reply for each channel.
        for _ in 0..2 {
            listener.reply().await?;
        }
        Ok((listener, Connection::open(&self.url).await?))
    }

    async fn lead(
        &mut self,
        commands: &mut Connection,
        broker: &Broker,
        stop: &CancellationToken,
    ) -> Result<Stopped, RedisError> {
        self.tell(commands, News::Hello).await?;
        self.meet(commands, broker).await?;
        self.cluster.linked.store(true, Ordering::Release);
        self.since = Some(clock::boot_now());
        tracing::info!(redis = %self.url.name(), node = self.cluster.origin, "linked to the other nodes");
        self.serve(commands, broker, stop).await
    }

    /// Tells Redis what it does not know of topics, and learns what it knows.
    async fn meet(&mut self, commands: &mut Connection, broker: &Broker) -> Result<(), RedisError> {
        let fresh = hex::encode(random::bytes::<16>());
        ledger::feed_open(commands, &self.cluster, &fresh);
        let id = match answer(commands).await? {
            Reply::Bytes(id) => Some(String::from_utf8_lossy(&id).into_owned()),
            // No Redis says so: it is believed in nothing.
            Reply::Number(_) | Reply::Nothing | Reply::List(_) | Reply::Error(_) => None,
        };
        let memory = if id.is_some() && id == self.ledger { Memory::Whole } else { Memory::Lost };
        self.merge(commands, broker, memory, &broker.statements()).await?;
        self.ledger = id;
        Ok(())
    }

    async fn merge(
        &self,
        commands: &mut Connection,
        broker: &Broker,
        memory: Memory,
        statements: &[(Topic, Statement, Unheard)],
    ) -> Result<(), RedisError> {
        for batch in statements.chunks(MERGE_BATCH) {
            ledger::feed_merge(commands, &self.cluster, memory, batch);
            let Reply::List(answers) = answer(commands).await? else { continue };
            for ((topic, told, _), there) in batch.iter().zip(answers.chunks_exact(2)) {
                let [value, left] = there else { continue };
                match ledger::statement_of(value, left) {
                    Some(found) if (found.word, found.generation) == (told.word, told.generation) => {
                        broker.settle(topic, told);
                    }
                    Some(found) => self.cluster.hear(broker, topic, found),
                    None if *value == Reply::Bytes(bytes::Bytes::new()) => {
                        broker.forget_unheard(topic, told);
                    }
                    None => {}
                }
            }
        }
        Ok(())
    }

    /// Carries out orders, many at once, and says that this node is there.
    async fn serve(
        &mut self,
        commands: &mut Connection,
        broker: &Broker,
        stop: &CancellationToken,
    ) -> Result<Stopped, RedisError> {
        let cluster = Arc::clone(&self.cluster);
        let mut beats = tokio::time::interval(limit::LIVE_BEAT_INTERVAL);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => {
                    while let Some(batch) = Batch::rest(&mut self.orders, &cluster.missed) {
                        self.carry_out(commands, batch).await?;
                    }
                    self.tell(commands, News::Bye).await?;
                    return Ok(Stopped);
                }
                _ = beats.tick() => {
                    self.tell(commands, News::Beat).await?;
                    // What could not be said in time, though the link was there.
                    self.merge(commands, broker, Memory::Whole, &broker.owed()).await?;
                }
                () = cluster.asked.notified() => self.tell(commands, News::Beat).await?,
                batch = Batch::next(&mut self.orders, &cluster.missed) => {
                    self.carry_out(commands, batch).await?;
                }
            }
        }
    }

    async fn carry_out(&mut self, commands: &mut Connection, batch: Batch<'_>) -> Result<(), RedisError> {
        let confession = self.feed_confession(commands);
        batch.feed(commands, &self.cluster);
        let meter = commands.meter();
        in_time(&meter, async {
            commands.flush().await?;
            if confession.is_some() {
                commands.reply().await?;
            }
            batch.take_answers(commands).await
        })
        .await?;
        self.confessed = confession.unwrap_or(self.confessed);
        Ok(())
    }

    async fn tell(&mut self, commands: &mut Connection, news: News) -> Result<(), RedisError> {
        if let Some(missed) = self.feed_confession(commands) {
            answer(commands).await?;
            self.confessed = missed;
        }
        self.feed_notice(commands, news);
        answer(commands).await.map(drop)
    }

    /// Where the others have missed messages that they do not know of: before the next one. How many there are then.
    fn feed_confession(&self, commands: &mut Connection) -> Option<u64> {
        let missed = self.cluster.missed();
        (missed > self.confessed).then(|| {
            self.feed_notice(commands, News::Gap);
            missed
        })
    }

    fn feed_notice(&self, commands: &mut Connection, news: News) {
        let notice = Notice { origin_id: self.cluster.origin.clone(), news };
        commands.feed(&[b"PUBLISH", self.cluster.notices().as_bytes(), &notice.to_bytes()]);
    }
}

/// The one answer to what was fed.
async fn answer(commands: &mut Connection) -> Result<Reply, RedisError> {
    let meter = commands.meter();
    in_time(&meter, async {
        commands.flush().await?;
        commands.reply().await
    })
    .await
}

/// Completes when the broker stops before the link is there: then there is nobody to say goodbye to.
async fn stop_while_away(stop: &CancellationToken, cluster: &Cluster) {
    stop.cancelled().await;
    if cluster.is_linked() {
        std::future::pending::<()>().await;
    }
}

/// From half of the bound to all of it.
fn jittered(bound: Duration) -> Duration {
    let half = bound / 2;
    let share = f64::from(u32::from_le_bytes(random::bytes())) / f64::from(u32::MAX);
    half.saturating_add(half.mul_f64(share))
}
