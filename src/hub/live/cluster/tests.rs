use serde_json::value::RawValue;

use super::order::Batch;
use super::*;

fn topic(name: &str) -> Topic {
    name.parse().unwrap()
}

/// Linked, and nobody takes any order.
fn linked() -> (Cluster, mpsc::Receiver<Order>) {
    let (cluster, orders) = Cluster::new("channel".to_owned());
    cluster.linked.store(true, Ordering::Release);
    (cluster, orders)
}

/// Of so many bytes.
fn payload(bytes: usize) -> Box<RawValue> {
    RawValue::from_string(format!("\"{}\"", "x".repeat(bytes - 2))).unwrap()
}

/// How long it took.
async fn published(cluster: &Cluster, bytes: usize) -> Duration {
    let began = tokio::time::Instant::now();
    cluster.publish(&topic("a"), &payload(bytes)).await;
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn as_many_orders_wait_as_may_and_one_more_waits_a_second_for_room() {
    let (cluster, mut orders) = linked();
    for _ in 0..limit::LIVE_REDIS_QUEUE {
        assert_eq!(published(&cluster, 10).await, Duration::ZERO);
    }
    assert_eq!(cluster.missed(), 0);
    assert_eq!(published(&cluster, 10).await, limit::LIVE_REDIS_WAIT);
    assert_eq!(cluster.missed(), 1);
    let began = tokio::time::Instant::now();
    assert_eq!(cluster.say(&topic("a"), Word::Open, limit::LIVE_TOPIC_TTL).await, None);
    assert_eq!(cluster.find(&topic("a")).await, None);
    assert_eq!(began.elapsed(), limit::LIVE_REDIS_WAIT * 2);
    assert_eq!(cluster.missed(), 1, "nobody lost a message by these");
    orders.recv().await.unwrap();
    assert_eq!(published(&cluster, 10).await, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn no_more_bytes_wait_than_may_and_they_are_free_again_with_their_order() {
    let (cluster, mut orders) = linked();
    let size = limit::LIVE_BODY_BYTES_MAX;
    let mut count = 0;
    while published(&cluster, size).await == Duration::ZERO {
        count += 1;
    }
    assert_eq!(
        count,
        limit::LIVE_REDIS_QUEUE_BYTES_MAX / size - 1,
        "each is a little longer than its payload"
    );
    assert_eq!(cluster.missed(), 1);
    assert_eq!(published(&cluster, 10).await, Duration::ZERO, "a short one has room");
    drop(orders.recv().await.unwrap());
    assert_eq!(published(&cluster, size).await, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn away_from_redis_nobody_waits_and_what_was_not_sent_is_counted() {
    let (cluster, mut orders) = Cluster::new("channel".to_owned());
    assert_eq!(published(&cluster, 10).await, Duration::ZERO);
    let began = tokio::time::Instant::now();
    assert_eq!(cluster.say(&topic("a"), Word::Open, limit::LIVE_TOPIC_TTL).await, None);
    assert_eq!(cluster.find(&topic("a")).await, None);
    assert_eq!((began.elapsed(), cluster.missed()), (Duration::ZERO, 1));
    assert!(orders.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn what_goes_out_together_is_bounded_and_what_is_dropped_of_it_is_counted() {
    let (cluster, mut orders) = linked();
    let size = limit::LIVE_REDIS_BATCH_BYTES / 5 * 2;
    for _ in 0..4 {
        published(&cluster, size).await;
    }
    let waiting = tokio::time::timeout(limit::LIVE_REDIS_WAIT, cluster.find(&topic("a"))).await;
    assert_eq!(waiting, Ok(None), "it is asked for");
    let missed = AtomicU64::new(0);
    let first = Batch::next(&mut orders, &missed).await;
    assert_eq!(orders.len(), 2, "the third went beyond the bound, and was the last");
    drop(first);
    assert_eq!(missed.load(Ordering::Relaxed), 3);
    drop(Batch::rest(&mut orders, &missed).unwrap());
    assert_eq!(missed.load(Ordering::Relaxed), 4, "nobody lost a message by the question");
    assert!(Batch::rest(&mut orders, &missed).is_none());
}
