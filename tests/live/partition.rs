//! One node's link to Redis is cut, or slow, and the others' are not. Ignored where there may be no Redis.

use outpost::limit;
use outpost::obs::clock::boot_now;
use serde_json::json;

use super::node::Node;
use super::page::Page;
use super::proxy::{Proxy, Start};
use super::redis::Redis;

fn node(url: &str) -> Node {
    Node::start(&format!("redis_url: {url}\n"))
}

fn linked(node: &Node) {
    node.wait_for("linked", |status| status["status"] == "ok");
}

fn away(node: &Node) {
    node.wait_for("away", |status| status["status"] == "degraded");
}

/// A Redis, a proxy, the node behind it, and one that is not.
fn pair() -> (Redis, Proxy, Node, Node) {
    let redis = Redis::start(&[]);
    let proxy = Proxy::before(redis.port(), Start::Open);
    let (cut, other) = (node(&proxy.url()), node(&redis.url()));
    linked(&cut);
    linked(&other);
    (redis, proxy, cut, other)
}

fn answer(node: &Node, path: &str, topic: &str) -> u16 {
    node.ask("POST", path, &json!({"topic": topic, "payload": 1}).to_string()).status
}

/// Waits until a node has heard how a topic is.
fn knows(node: &Node, topic: &str, access: Option<&str>) {
    node.wait_for("heard", |status| {
        let listed = status["topic_list"].as_array().unwrap().contains(&json!(topic));
        match access {
            None => !listed,
            Some(access) => listed && opens(node, topic) == access,
        }
    });
}

/// What a guest is told.
fn opens(node: &Node, topic: &str) -> &'static str {
    let mut page = Page::open(node, topic);
    page.say(r#"{"type":"auth"}"#);
    if page.hear().contains("auth_ok") { "open" } else { "token" }
}

/// The offset of a push with this payload.
fn offset(text: &str, payload: u64) -> u64 {
    let frame: serde_json::Value = serde_json::from_str(text).unwrap();
    assert_eq!((&frame["type"], &frame["payload"]), (&json!("push"), &json!(payload)), "{text}");
    frame["offset"].as_u64().unwrap()
}

const GAP: &str = r#"{"type":"gap"}"#;

#[test]
#[ignore = "needs redis-server"]
fn subscribers_of_a_node_that_stayed_hear_that_another_node_could_not_tell_them_something() {
    let (_redis, proxy, cut, other) = pair();
    cut.register("t", false);
    let mut page = Page::subscribe(&other, "t&offsets=1", None);
    cut.publish("t", "1");
    let first = offset(&page.hear(), 1);
    for round in 0..2 {
        proxy.cut();
        away(&cut);
        cut.publish("t", "2");
        assert_eq!(other.status()["status"], "ok", "its own link is there");
        proxy.heal();
        linked(&cut);
        cut.publish("t", "3");
        assert_eq!(page.hear(), GAP, "round {round}");
        assert_eq!(offset(&page.hear(), 3), first + 2 * (round + 1), "a number is left out, too");
    }
    // Where nothing was missed there is no gap: this is answered after what was published before it.
    cut.register("t", false);
    proxy.cut();
    away(&cut);
    proxy.heal();
    linked(&cut);
    cut.publish("t", "4");
    assert_eq!(offset(&page.hear(), 4), first + 5);
}

#[test]
#[ignore = "needs redis-server"]
fn a_node_whose_redis_comes_later_tells_of_a_gap() {
    let redis = Redis::start(&[]);
    let proxy = Proxy::before(redis.port(), Start::Cut);
    let (late, other) = (node(&proxy.url()), node(&redis.url()));
    linked(&other);
    late.register("w", false);
    other.register("w", false);
    let mut page = Page::subscribe(&late, "w&offsets=1", None);
    other.publish("w", "1");
    proxy.heal();
    linked(&late);
    other.publish("w", "2");
    assert_eq!(page.hear(), GAP);
    offset(&page.hear(), 2);
}

#[test]
#[ignore = "needs redis-server"]
fn what_another_node_unregistered_meanwhile_does_not_come_back() {
    let (redis, proxy, cut, other) = pair();
    cut.register("t", false);
    cut.register("kept", false);
    knows(&other, "t", Some("open"));
    // A node that comes back within minutes is told, and one that comes later finds nothing.
    for remembered in [true, false] {
        proxy.cut();
        away(&cut);
        assert_eq!(answer(&other, "/internal/unregister", "t"), 200);
        if !remembered {
            // As when its time is over.
            redis.ask(&["DEL", "outpost.live:topic:t"]);
        }
        proxy.heal();
        linked(&cut);
        for node in [&cut, &other] {
            knows(node, "t", None);
            assert_eq!(answer(node, "/internal/publish", "t"), 404);
            assert_eq!(answer(node, "/internal/publish", "kept"), 200);
        }
        cut.register("t", false);
        knows(&other, "t", Some("open"));
    }
}

#[test]
#[ignore = "needs redis-server"]
fn what_was_unregistered_away_from_redis_gives_way_to_a_newer_registration() {
    let (_redis, proxy, cut, other) = pair();
    for topic in ["u", "alone"] {
        cut.register(topic, false);
        knows(&other, topic, Some("open"));
    }
    proxy.cut();
    away(&cut);
    for topic in ["u", "alone"] {
        assert_eq!(answer(&cut, "/internal/unregister", topic), 200);
        assert_eq!(answer(&cut, "/internal/publish", topic), 404);
    }
    other.register("u", false);
    proxy.heal();
    linked(&cut);
    for node in [&cut, &other] {
        assert_eq!(answer(node, "/internal/publish", "u"), 200, "registered since");
        knows(node, "alone", None);
        assert_eq!(answer(node, "/internal/publish", "alone"), 404, "nobody said anything since");
    }
}

#[test]
#[ignore = "needs redis-server"]
fn what_was_opened_away_from_redis_does_not_open_what_was_closed_since() {
    let (_redis, proxy, cut, other) = pair();
    for topic in ["v", "alone"] {
        other.register(topic, true);
        knows(&cut, topic, Some("token"));
    }
    proxy.cut();
    away(&cut);
    for topic in ["v", "alone", "new"] {
        cut.register(topic, false);
    }
    assert_eq!(opens(&cut, "v"), "open");
    other.register("v", true);
    proxy.heal();
    linked(&cut);
    for node in [&cut, &other] {
        knows(node, "v", Some("token"));
        knows(node, "alone", Some("open"));
        knows(node, "new", Some("open"));
    }
    // And it stays so.
    proxy.cut();
    away(&cut);
    proxy.heal();
    linked(&cut);
    assert_eq!((opens(&cut, "v"), opens(&other, "v")), ("token", "token"));
}

#[test]
#[ignore = "needs redis-server"]
fn a_redis_that_lost_everything_learns_what_was_said_last_whoever_comes_first() {
    for cut_first in [true, false] {
        let mut redis = Redis::start(&[]);
        let proxies = [(); 2].map(|()| Proxy::before(redis.port(), Start::Open));
        let nodes = [node(&proxies[0].url()), node(&proxies[1].url())];
        nodes.iter().for_each(linked);
        for topic in ["v", "u"] {
            nodes[1].register(topic, topic == "v");
            knows(&nodes[0], topic, Some(if topic == "v" { "token" } else { "open" }));
        }
        proxies[0].cut();
        away(&nodes[0]);
        // Stale by what is said next at the other node.
        nodes[0].register("v", false);
        nodes[0].register("u", true);
        nodes[1].register("v", true);
        assert_eq!(answer(&nodes[1], "/internal/unregister", "u"), 200);
        proxies[1].cut();
        away(&nodes[1]);
        redis.kill();
        redis.restart();
        let order = if cut_first { [0, 1] } else { [1, 0] };
        for place in order {
            proxies[place].heal();
            linked(&nodes[place]);
        }
        for node in &nodes {
            knows(node, "v", Some("token"));
            knows(node, "u", None);
        }
    }
}

#[test]
#[ignore = "needs redis-server"]
fn a_slow_link_carries_everything_and_one_that_carries_nothing_is_owned_up_to() {
    let (_redis, proxy, cut, other) = pair();
    cut.register("t", false);
    let mut page = Page::subscribe(&other, "t&offsets=1", None);
    cut.publish("t", "0");
    let first = offset(&page.hear(), 0);
    let large = "x".repeat(500_000);
    // Slow from the beginning, and at the proxy's own pace: how fast this test is makes no difference.
    proxy.slow(200_000);
    // No more than a subscriber has room for.
    for number in 1..=12 {
        cut.publish("t", &format!("[{number},\"{large}\"]"));
    }
    let began = boot_now();
    // So slow that all of it together takes longer than any silence may.
    while boot_now().since(began) < limit::LIVE_REDIS_TIMEOUT * 3 / 2 {
        assert_eq!(cut.status()["status"], "ok", "{}", cut.log());
    }
    proxy.heal();
    for number in 1..=12 {
        let text = page.hear();
        assert!(
            text.contains(&format!("\"offset\":{},\"payload\":[{number},", first + number)),
            "{}",
            &text[..80]
        );
    }
    // Now nothing passes at all.
    proxy.hold();
    cut.publish("t", "13");
    away(&cut);
    proxy.heal();
    linked(&cut);
    cut.publish("t", "14");
    let mut heard = Vec::new();
    while heard.last().is_none_or(|text: &String| !text.contains("\"payload\":14}")) {
        heard.push(page.hear());
    }
    assert!(heard.contains(&GAP.to_owned()), "{heard:?}");
    let missed = cut.log();
    assert!(missed.contains("no answer for 5 s"), "{missed}");
}
