//! A store that takes its time stops nobody's connection.

use outpost::wire::message::Message;
use outpost::wire::relay::RelayOutcome;

use super::*;

/// Holds the hub's database: nothing can be written to it while this lives.
async fn held(world: &World) -> sqlx::SqliteConnection {
    use sqlx::Connection as _;
    let file = world.folder.path().join("hub.db");
    let mut database = sqlx::SqliteConnection::connect(&format!("sqlite:{}", file.display())).await.unwrap();
    sqlx::query("begin immediate").execute(&mut database).await.unwrap();
    database
}

#[tokio::test]
async fn a_store_that_takes_its_time_for_a_message_does_not_stop_its_senders_connection() {
    let mut site = Site::new().await;
    let (mut sender, mut other) = (site.sender().await, site.other().await);
    let mut database = held(&site.world).await;
    send(&mut sender, queued(1, "for the store")).await;
    send(&mut sender, relay(2, "for now")).await;
    sender.say(Message::Ping).await;
    loop {
        match sender.hear().await {
            Message::Pong => break,
            Message::RelayReply(reply) => panic!("the store was waited for: {reply:?}"),
            _ => {}
        }
    }
    sqlx::query("rollback").execute(&mut database).await.unwrap();
    // The store itself gives up after some seconds of a stranger's lock.
    let first = outcome(&mut sender, 1).await;
    assert!(["queued", "storage_full"].contains(&first), "{first}");
    let mut arrived = vec![take(&mut other).await.payload];
    if first == "queued" {
        arrived.push(take(&mut other).await.payload);
        // What is for now does not wait until the store has given what it keeps.
        arrived.sort();
        assert_eq!(arrived.pop().unwrap(), "for the store");
    }
    assert_eq!(arrived, ["for now"]);
    assert_eq!(outcome(&mut sender, 2).await, "delivered");
    site.world.hub.shutdown().await;
}

#[tokio::test]
async fn a_store_that_takes_its_time_to_forget_a_message_does_not_stop_its_recipients_connection() {
    let mut site = Site::new().await;
    let (mut sender, mut other) = (site.sender().await, site.other().await);
    send(&mut sender, queued(1, "first")).await;
    let first = arrival(&mut other).await;
    send(&mut sender, queued(2, "second")).await;
    assert_eq!((outcome(&mut sender, 1).await, outcome(&mut sender, 2).await), ("queued", "queued"));
    let mut database = held(&site.world).await;
    answer(&mut other, first.id, RelayOutcome::Delivered).await;
    other.say(Message::Ping).await;
    loop {
        match other.hear().await {
            Message::Pong => break,
            Message::Relay(relay) => panic!("the store was waited for: {relay:?}"),
            _ => {}
        }
    }
    // Nor does what is to be delivered now wait for it.
    send(&mut sender, relay(3, "now")).await;
    assert_eq!(take(&mut other).await.payload, "now");
    assert_eq!(outcome(&mut sender, 3).await, "delivered");
    sqlx::query("rollback").execute(&mut database).await.unwrap();
    // The store itself gives up after some seconds of a stranger's lock: then the first comes again.
    let mut next = take(&mut other).await;
    if next.id == first.id {
        next = take(&mut other).await;
    }
    assert_eq!(next.payload, "second");
    site.world.hub.shutdown().await;
}
