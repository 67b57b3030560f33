//! How long topics are registered: each register begins their time anew, and when it is over they are gone, at every node.

use std::time::Duration;

use outpost::limit;
use outpost::obs::clock::boot_now;
use serde_json::json;

use super::node::{DEADLINE, Node};
use super::page::{Page, push};
use super::redis::Redis;

/// For how long a topic is registered here.
const TTL: Duration = Duration::from_secs(4);
/// How often it is registered anew: much more often than it had to be.
const PACE: Duration = Duration::from_millis(200);
/// For how long that goes on.
const LASTS: Duration = Duration::from_secs(10);

fn published(node: &Node, topic: &str, payload: u32) -> u16 {
    node.ask("POST", "/internal/publish", &json!({"topic": topic, "payload": payload}).to_string()).status
}

/// Registered for as long as it takes.
fn subscriber(registrar: &Node, node: &Node) -> Page {
    let began = boot_now();
    loop {
        assert!(boot_now().since(began) < DEADLINE, "never let in");
        registrar.register("a", false);
        if let Ok(page) = Page::try_open(node, "a") {
            return page.let_in(None);
        }
    }
}

/// Registers the topic at one node again and again: it is there at the other all the while. The last that was published.
/// Where it is not, what was done has to have taken as long as the `excuse`.
fn outlives_its_time(registrar: &Node, node: &Node, page: &mut Page, excuse: Duration) -> u32 {
    let began = boot_now();
    let (mut number, mut late) = (0, 0);
    page.socket().set_read_timeout(Some(PACE)).unwrap();
    while boot_now().since(began) < LASTS || late == 0 {
        assert!(boot_now().since(began) < DEADLINE, "it is never there later than {TTL:?}");
        let registered = boot_now();
        registrar.register("a", false);
        number += 1;
        if published(node, "a", number) == 200 {
            let mut heard = None;
            while heard.is_none() {
                heard = page.try_hear();
            }
            assert_eq!(heard, Some(push(&number.to_string())));
            late += u32::from(boot_now().since(began) > TTL * 3 / 2);
        } else {
            // Only a machine that took as long for this has a reason.
            assert!(boot_now().since(registered) >= excuse, "registered anew, and gone");
        }
        assert_eq!(page.try_hear(), None, "once");
    }
    page.socket().set_read_timeout(Some(DEADLINE)).unwrap();
    number
}

/// From now on nobody registers it: it is gone, and who listened hears it once it is registered again.
fn ends(nodes: &[&Node], page: &mut Page, number: u32) {
    for node in nodes {
        node.wait_for("gone", |status| status["registered_topics"] == 0);
        assert_eq!(published(node, "a", number + 1), 404);
        assert_eq!(Page::try_open(node, "a").err(), Some(404));
        let status = node.status();
        assert_eq!((&status["topic_list"], &status["uptime"].is_string()), (&json!([]), &true));
    }
    let began = boot_now();
    loop {
        assert!(boot_now().since(began) < DEADLINE, "it never comes back");
        nodes[0].register("a", false);
        if published(nodes[0], "a", number + 2) == 200 {
            break;
        }
    }
    assert_eq!(page.hear(), push(&(number + 2).to_string()), "nothing of what was refused");
}

#[test]
fn a_topic_that_is_registered_again_in_time_stays_and_one_that_is_not_is_gone() {
    let node = Node::start(&format!("topic_ttl: {}s\n", TTL.as_secs()));
    let mut page = subscriber(&node, &node);
    let last = outlives_its_time(&node, &node, &mut page, TTL);
    assert_eq!(node.status()["active_topic_list"], json!(["a"]));
    ends(&[&node], &mut page, last);
}

fn start(redis: &Redis) -> Node {
    let node = Node::start(&format!("topic_ttl: {}s\nredis_url: {}\n", TTL.as_secs(), redis.url()));
    node.wait_for("linked", |status| status["status"] == "ok");
    node
}

#[test]
#[ignore = "needs redis-server"]
fn a_topic_that_one_node_registers_again_stays_at_all_of_them_and_then_is_gone_everywhere() {
    let redis = Redis::start(&[]);
    let nodes = [(); 2].map(|()| start(&redis));
    let mut page = subscriber(&nodes[0], &nodes[1]);
    // A node goes on without Redis where that takes longer for an answer.
    let last = outlives_its_time(&nodes[0], &nodes[1], &mut page, limit::LIVE_REDIS_WAIT);
    let [one, two] = &nodes;
    for _ in 0..50 {
        let began = boot_now();
        one.register("a", false);
        let left = redis.ask(&["PTTL", "outpost.live:topic:a"]);
        let left = Duration::from_millis(left.trim().trim_start_matches(':').parse().unwrap());
        // Redis counts whole milliseconds.
        let least = TTL.saturating_sub(boot_now().since(began)).saturating_sub(Duration::from_millis(5));
        assert!((least..=TTL).contains(&left), "{left:?} of {least:?}");
    }
    // One that comes later and asks Redis knows no other end.
    let late = loop {
        let registered = boot_now();
        one.register("a", false);
        let told = boot_now().since(registered);
        let late = start(&redis);
        let asked = boot_now();
        if published(&late, "a", last) == 200 {
            assert_eq!(page.hear(), push(&last.to_string()));
            break late;
        }
        let unanswered = told.max(boot_now().since(asked)) >= limit::LIVE_REDIS_WAIT;
        assert!(unanswered || boot_now().since(registered) >= TTL, "registered, and not found");
    };
    ends(&[one, two, &late], &mut page, last);
    one.wait_for("gone", |_| redis.ask(&["EXISTS", "outpost.live:topic:a"]) == ":0\r\n");
}
