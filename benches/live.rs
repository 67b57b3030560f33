//! Live topics beside a redis-server's own pub/sub: one topic with 1,000 subscribers, and how fast messages can be published.
//! Both are processes of their own on this machine; payloads, sockets and the code that reads them are the same.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods, reason = "a bench reads a clock")]

#[path = "../tests/live/node.rs"]
#[allow(dead_code, reason = "the tests' broker, of which this uses a part")]
mod node;
#[path = "live/peer.rs"]
mod peer;
#[path = "../tests/live/redis.rs"]
#[allow(dead_code, reason = "the tests' Redis, of which this uses a part")]
mod redis;
mod report;

use std::sync::Arc;
use std::time::Instant;

use peer::{Peer, Subscriber};
use report::{Report, Target};
use tokio::sync::{Semaphore, mpsc};

/// Who listens.
const SUBSCRIBERS: usize = 1_000;
/// Turns of each; medians are of them.
const TURNS: usize = 7;
/// Messages of a turn, the next one once all have the one before.
const PACED: u64 = 40;
/// Messages of a turn that go out as fast as they are taken.
const HURRIED: u64 = 200;
/// The same to one subscriber.
const ALONE: u64 = 20_000;
/// Messages that somebody has not got yet, then; half of what waits for a subscriber at most.
const OUTSTANDING: usize = 16;

/// For comparison.
const ANY: Target = Target::AtMost(f64::INFINITY);

fn main() {
    // One thread reads for all: what is left of the machine is the server's.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (outpost, redis) = (Peer::outpost(), Peer::redis());
    let mut turns = Vec::new();
    for _ in 0..TURNS {
        turns.push((runtime.block_on(Turn::measure(&outpost)), runtime.block_on(Turn::measure(&redis))));
    }
    let mut report = Report::new("live");
    let pairs = |of: fn(&Turn) -> f64| -> Vec<_> {
        turns.iter().map(|(outpost, redis)| (of(outpost), of(redis))).collect()
    };
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let p99 = turns.iter().map(|(outpost, _)| outpost.p99).collect();
    report.figure("fan_out/p99", median(p99), "ms", Target::AtMost(50.0));
    report.rates("fan_out/p50_beside_redis", "ms", &pairs(|turn| turn.p50), ANY);
    report.rates("fan_out/p99_beside_redis", "ms", &pairs(|turn| turn.p99), ANY);
    report.rates("deliveries/1000_subscribers", "messages/s", &pairs(|turn| turn.delivered), ANY);
    report.rates("publish/1_subscriber", "messages/s", &pairs(|turn| turn.published), ANY);
    report.write("live");
}

/// The figures of one turn.
struct Turn {
    /// From the moment before a message is handed over to the one when a subscriber has it, in milliseconds.
    p50: f64,
    p99: f64,
    /// Messages a second that arrive at all subscribers together.
    delivered: f64,
    /// Messages a second to one subscriber.
    published: f64,
}

impl Turn {
    async fn measure(peer: &Peer) -> Self {
        let (many, mut arrivals) = audience(peer, SUBSCRIBERS).await;
        let mut publisher = peer.publisher().await;
        let mut times = Vec::new();
        for number in 0..PACED {
            let begin = Instant::now();
            publisher.publish(number).await;
            for _ in 0..SUBSCRIBERS {
                let (arrived, at) = arrivals.recv().await.unwrap();
                assert_eq!(arrived, number);
                times.push(at.duration_since(begin).as_secs_f64() * 1e3);
            }
        }
        times.sort_by(f64::total_cmp);
        let percentile = |percent: usize| times[(times.len() - 1) * percent / 100];
        let delivered = hurry(peer, &mut arrivals, SUBSCRIBERS, HURRIED).await * SUBSCRIBERS as f64;
        drop((many, arrivals));
        let (one, mut arrivals) = audience(peer, 1).await;
        let published = hurry(peer, &mut arrivals, 1, ALONE).await;
        drop(one);
        Self { p50: percentile(50), p99: percentile(99), delivered, published }
    }
}

/// Who reads until it is dropped.
struct Audience(Vec<tokio::task::JoinHandle<()>>);

impl Drop for Audience {
    fn drop(&mut self) {
        self.0.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

/// Subscribers, and what arrives at any of them.
async fn audience(peer: &Peer, size: usize) -> (Audience, mpsc::Receiver<(u64, Instant)>) {
    let (arrived, arrivals) = mpsc::channel(size * 2 * OUTSTANDING);
    let mut tasks = Vec::new();
    for _ in 0..size {
        let mut subscriber: Subscriber = peer.subscriber().await;
        let arrived = arrived.clone();
        tasks.push(tokio::spawn(async move {
            loop {
                let number = subscriber.next().await;
                // The turn may be over.
                let _over = arrived.send((number, Instant::now())).await;
            }
        }));
    }
    (Audience(tasks), arrivals)
}

/// Publishes `count` messages over `OUTSTANDING` connections, no more on the way than these; messages a second until the last
/// subscriber has the last one. Whoever lost one would be waited for without end.
async fn hurry(
    peer: &Peer,
    arrivals: &mut mpsc::Receiver<(u64, Instant)>,
    subscribers: usize,
    count: u64,
) -> f64 {
    let permits = Arc::new(Semaphore::new(OUTSTANDING));
    let mut publishers = Vec::new();
    for lane in 0..OUTSTANDING as u64 {
        publishers.push((lane, peer.publisher().await));
    }
    let begin = Instant::now();
    let mut tasks = Vec::new();
    for (lane, mut publisher) in publishers {
        let permits = Arc::clone(&permits);
        tasks.push(tokio::spawn(async move {
            for number in (lane..count).step_by(OUTSTANDING) {
                // Given back when all have it.
                permits.acquire().await.unwrap().forget();
                publisher.publish(number).await;
            }
        }));
    }
    let mut seen = vec![0_usize; usize::try_from(count).unwrap()];
    let mut last = begin;
    for _ in 0..count * subscribers as u64 {
        let (number, at) = arrivals.recv().await.unwrap();
        let times = &mut seen[usize::try_from(number).unwrap()];
        *times += 1;
        if *times == subscribers {
            permits.add_permits(1);
            last = at;
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert!(seen.iter().all(|times| *times == subscribers));
    count as f64 / last.duration_since(begin).as_secs_f64()
}
