//! Who says that it is there, and that it goes, is heard at once. Ignored where there may be no Redis.

use std::io::{BufRead as _, BufReader};
use std::time::Duration;

use outpost::limit;
use outpost::obs::clock::boot_now;
use serde_json::json;

use super::node::{LOOK, Node};
use super::redis::Redis;

fn node(redis: &Redis) -> Node {
    let node = Node::start(&format!("redis_url: {}\n", redis.url()));
    node.wait_for("linked", |status| status["status"] == "ok");
    node
}

/// A machine may be busy for longer, but not each time; where it is not done at once, it always takes longer.
pub(crate) fn assert_within(bound: Duration, what: &str, mut work: impl FnMut() -> Duration) {
    let mut times = Vec::new();
    for _ in 0..5 {
        let time = work();
        times.push(time);
        if time < bound {
            return;
        }
    }
    panic!("{what}: {times:?}");
}

#[test]
#[ignore = "needs redis-server"]
fn a_node_that_says_goodbye_is_not_counted_any_more() {
    let redis = Redis::start(&[]);
    let first = node(&redis);
    let count = |count: i64| drop(first.wait_for("counted", |status| status["cluster_nodes"] == count));
    // After this, at the earliest, one is given up that just goes.
    let silence = limit::LIVE_BEAT_TIMEOUT - limit::LIVE_BEAT_INTERVAL;
    assert_within(silence * 2 / 3, "a node that stopped", || {
        let mut other = node(&redis);
        count(2);
        let began = boot_now();
        assert!(other.stop());
        count(1);
        boot_now().since(began)
    });
}

#[test]
#[ignore = "needs redis-server"]
fn a_node_answers_each_that_comes_that_it_is_there() {
    const COME: u32 = 10;
    let redis = Redis::start(&[]);
    let node = node(&redis);
    let mut heard = BufReader::new(redis.say(&["SUBSCRIBE", "outpost.live:nodes"])).lines();
    // By itself it takes twice as long to say so as often; and who came first is not counted for ever.
    let bound = limit::LIVE_BEAT_INTERVAL * (COME - 1) / 2;
    assert_within(bound.min(limit::LIVE_BEAT_TIMEOUT), "answers, and all of them counted", || {
        let began = boot_now();
        for number in 0..COME {
            let hello = json!({"origin_id": format!("n{number}"), "type": "hello"}).to_string();
            redis.ask(&["PUBLISH", "outpost.live:nodes", &hello]);
            // It hears this one first, and its answer.
            heard.find(|line| line.as_ref().unwrap().contains("\"hello\"")).unwrap().unwrap();
            heard.find(|line| line.as_ref().unwrap().contains("\"beat\"")).unwrap().unwrap();
        }
        while node.status()["cluster_nodes"] != COME + 1 && boot_now().since(began) < limit::LIVE_BEAT_TIMEOUT
        {
            std::thread::park_timeout(LOOK);
        }
        boot_now().since(began)
    });
}
