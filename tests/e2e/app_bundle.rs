//! Lines of apps that come as a file, and over the line as well.

use outpost::hub::import::{Imported, Spool, import};
use outpost::wire::message::Message;

use crate::app_follow::Follower;
use crate::asked::ask;
use crate::delivery::bundle;
use crate::raw_agent::{World, records_of};

/// Log lines of the app `web` and one record of nobody's.
fn said(first: u64, count: usize) -> Message {
    let texts = ["one", "two", "nobody's", "three", "four", "five"];
    let from = usize::try_from(first - 1).unwrap();
    let app = |text: &str| (text != "nobody's").then_some("web");
    let records: Vec<_> = texts[from..from + count].iter().map(|text| (app(text), text.as_bytes())).collect();
    records_of(first, &records)
}

async fn take_in(world: &World, records: Message) -> Imported {
    let mut spool = Spool::create(world.folder.path()).unwrap();
    spool.push(&bundle(&world.key, records)).unwrap();
    import(world.hub.store(), spool).await.unwrap()
}

#[tokio::test]
async fn lines_that_come_by_a_bundle_and_over_the_line_are_there_once() {
    let world = World::new().await;
    let mut follower = Follower::new(&world, "/v1/apps/web/logs/follow", "").await;
    // Some over the line, then all of them and more in a file.
    let (mut agent, _) = world.register().await;
    agent.say(said(1, 1)).await;
    assert_eq!(agent.acked().await, 1);
    assert_eq!(follower.line().await, (1, "one".to_owned()));
    let imported = take_in(&world, said(1, 5)).await;
    assert_eq!((imported.records, imported.known), (4, 1));
    // Who follows is told at once.
    for line in [(2, "two"), (3, "three"), (4, "four")] {
        assert_eq!(follower.line().await, (line.0, line.1.to_owned()));
    }
    let again = take_in(&world, said(1, 5)).await;
    assert_eq!((again.records, again.known), (0, 5));
    // The same over the line, by an agent that has not heard of the file, and a new one.
    drop(agent);
    let (mut agent, marks) = world.register().await;
    assert_eq!(marks[0].acked, 5);
    agent.say(said(1, 6)).await;
    while agent.acked().await < 6 {}
    assert_eq!(follower.line().await, (5, "five".to_owned()));
    let log = ask(&world, "GET", "/v1/apps/web/logs?since=0", &[], "").await.json();
    let lines = log["lines"].as_array().unwrap();
    let texts: Vec<_> = lines.iter().map(|line| (line["seq"].as_i64().unwrap(), &line["text"])).collect();
    let expected = ["one", "two", "three", "four", "five"].map(serde_json::Value::from);
    assert_eq!(texts, (1..).zip(&expected).collect::<Vec<_>>());
    assert_eq!((&log["gap"], &log["next"]), (&false.into(), &5.into()), "{log}");
    assert!(lines.iter().all(|line| line["agent"] == "edge-1"), "{log}");
    // And they are the same after a restart.
    drop((agent, follower));
    let world = world.restart().await;
    let mut follower = Follower::new(&world, "/v1/apps/web/logs/follow", "1").await;
    for line in [(2, "two"), (3, "three"), (4, "four"), (5, "five")] {
        assert_eq!(follower.line().await, (line.0, line.1.to_owned()));
    }
    world.hub.shutdown().await;
}
