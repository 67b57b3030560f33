//! Several nodes over a real Redis. Ignored where there may be none; scripts/test runs them where there is.

use std::time::Duration;

use outpost::limit;
use outpost::obs::clock::boot_now;
use rustix::process::Signal;
use serde_json::json;

use super::node::Node;
use super::page::{End, Page, push};
use super::presence::assert_within;
use super::redis::Redis;

fn node(redis: &Redis) -> Node {
    let node = Node::start(&format!("redis_url: {}\n", redis.url()));
    linked(&node);
    node
}

fn linked(node: &Node) {
    node.wait_for("linked", |status| status["status"] == "ok");
}

fn nodes(node: &Node, count: i64) {
    node.wait_for("counted", |status| status["cluster_nodes"] == count);
}

fn answer(node: &Node, path: &str, topic: &str) -> u16 {
    node.ask("POST", path, &json!({"topic": topic, "payload": 1}).to_string()).status
}

/// Does what finds a topic at once, wherever it was registered; else there is a status. Where Redis takes a second for a
/// question, a node goes on without its answer: after that long, and only then, it is done anew.
fn at_once<T>(mut work: impl FnMut() -> Result<T, u16>) -> T {
    for _ in 0..3 {
        let began = boot_now();
        match work() {
            Ok(done) => return done,
            Err(status) => {
                let took = boot_now().since(began);
                assert!(status == 404 && took >= limit::LIVE_REDIS_WAIT, "{status} after {took:?}");
            }
        }
    }
    panic!("not found, as Redis takes a second each time");
}

/// Registers a topic and subscribes at these nodes.
fn opened<'a>(registrar: &Node, nodes: impl Iterator<Item = &'a Node> + Clone, topic: &str) -> Vec<Page> {
    let pages: Vec<Page> = at_once(|| {
        registrar.register(topic, false);
        nodes.clone().map(|node| Page::try_open(node, topic)).collect()
    });
    pages.into_iter().map(|page| page.let_in(None)).collect()
}

/// Publishes at each node, and wants each message once at each page, whoever it came from.
fn each_hears_each_once(all: &[Node], pages: &mut [Page], topic: &str, round: &str) {
    let payloads: Vec<_> = (0..all.len()).map(|number| format!("\"{round} {number}\"")).collect();
    for (node, payload) in all.iter().zip(&payloads) {
        node.publish(topic, payload);
        // What comes first at one node comes first everywhere only if the next waits for it.
        for page in &mut *pages {
            assert_eq!(page.hear(), push(payload), "{round}");
        }
    }
}

/// The number of a push that has one.
fn offset(text: &str) -> u64 {
    let frame: serde_json::Value = serde_json::from_str(text).unwrap();
    assert_eq!(frame["type"], "push", "{text}");
    frame["offset"].as_u64().unwrap()
}

#[test]
#[ignore = "needs redis-server"]
fn every_subscriber_of_every_node_gets_each_message_once() {
    let redis = Redis::start(&[]);
    for count in 1..=3_i64 {
        let all: Vec<_> = (0..count).map(|_| node(&redis)).collect();
        all.iter().for_each(|node| nodes(node, count));
        let topic = format!("t{count}");
        // At once, at every node: nobody has to wait for the news.
        let mut pages = opened(&all[0], all.iter().chain(&all), &topic);
        for round in ["first", "second", "third"] {
            each_hears_each_once(&all, &mut pages, &topic, round);
        }
        let payload = r#"{ "b":1.0, "b" : [ ]}"#;
        all[0].publish(&topic, payload);
        assert!(pages.iter_mut().all(|page| page.hear() == push(payload)), "to the byte, through Redis too");
        for mut node in all {
            assert!(node.stop());
        }
    }
}

#[test]
#[ignore = "needs redis-server"]
fn a_topic_registered_at_one_node_is_known_to_all_until_it_is_not() {
    let redis = Redis::start(&[]);
    let all = [node(&redis), node(&redis), node(&redis)];
    let mut page = at_once(|| {
        all[0].register("a", true);
        match answer(&all[1], "/internal/publish", "a") {
            200 => Page::try_open(&all[2], "a"),
            status => Err(status),
        }
    });
    page.say(r#"{"type":"auth"}"#);
    assert_eq!(page.end().error.as_deref(), Some("auth_required"), "who may read it is known, too");
    all.iter().for_each(|node| drop(node.wait_for("known", |status| status["topic_list"] == json!(["a"]))));
    let ttl = redis.ask(&["PTTL", "outpost.live:topic:a"]);
    let ttl: u64 = ttl.trim().trim_start_matches(':').parse().unwrap();
    assert!((86_300_000..=86_400_000).contains(&ttl), "{ttl}");
    // A guest at one node has to go when another registers the topic anew.
    all[1].register("a", false);
    all[2].wait_for("known", |_| answer(&all[2], "/internal/publish", "a") == 200);
    let mut guest = loop {
        let mut page = Page::open(&all[2], "a");
        page.say(r#"{"type":"auth"}"#);
        if page.hear().contains("auth_ok") {
            break page;
        }
    };
    all[0].register("a", true);
    assert_eq!(guest.end(), End { error: Some("unauthorized".to_owned()), close: 1008 });
    assert_eq!(answer(&all[1], "/internal/unregister", "a"), 200);
    for node in &all {
        node.wait_for("forgotten", |status| status["registered_topics"] == 0);
        assert_eq!(answer(node, "/internal/publish", "a"), 404);
    }
}

#[test]
#[ignore = "needs redis-server"]
fn nodes_are_counted_while_they_live() {
    let redis = Redis::start(&[]);
    let (first, mut second, third) = (node(&redis), node(&redis), node(&redis));
    nodes(&first, 3);
    assert!(second.stop());
    nodes(&first, 2);
    drop(third);
    nodes(&first, 1);
}

#[test]
#[ignore = "needs redis-server"]
fn each_node_goes_on_without_redis_and_they_find_each_other_again() {
    let mut redis = Redis::start(&[]);
    let all = [node(&redis), node(&redis)];
    let mut pages = opened(&all[0], all.iter(), "before");
    each_hears_each_once(&all, &mut pages, "before", "together");
    let mut asked = Page::subscribe(&all[1], "before&offsets=1", None);
    all[0].publish("before", "0");
    pages.iter_mut().for_each(|page| drop(page.hear()));
    let mut number = offset(&asked.hear());
    for round in 0..3 {
        redis.kill();
        for node in &all {
            node.wait_for("degraded", |status| status["status"] == "degraded");
        }
        let during = format!("during-{round}");
        all[0].register(&during, false);
        assert_eq!(answer(&all[1], "/internal/publish", &during), 404, "nobody could tell it");
        for (node, page) in all.iter().zip(&mut pages) {
            node.publish("before", "\"alone\"");
            assert_eq!(page.hear(), push("\"alone\""));
        }
        redis.restart();
        all.iter().for_each(linked);
        all.iter().for_each(|node| nodes(node, 2));
        number += 1;
        assert_eq!(offset(&asked.hear()), number, "what its own node published");
        let gap = r#"{"type":"gap"}"#;
        assert_eq!(asked.hear(), gap);
        // Those who listened before have lost nothing but what was said elsewhere meanwhile.
        each_hears_each_once(&all, &mut pages, "before", "again");
        let (mut gaps, mut next) = (1, asked.hear());
        while next == gap {
            (gaps, next) = (gaps + 1, asked.hear());
        }
        assert!(gaps <= 2, "its own node was away, and so was the other one, which had a message");
        number += gaps + 1;
        assert_eq!(offset(&next), number, "one number is left out for each gap");
        number += 1;
        assert_eq!(offset(&asked.hear()), number);
        let late = all.iter().map(|node| at_once(|| Page::try_open(node, &during)));
        let mut late: Vec<_> = late.map(|page| page.let_in(None)).collect();
        each_hears_each_once(&all, &mut late, &during, "since");
    }
}

#[test]
#[ignore = "needs redis-server"]
fn a_redis_that_hangs_holds_up_nobody_for_long() {
    let redis = Redis::start(&[]);
    let all = [node(&redis), node(&redis)];
    all[0].register("a", false);
    let mut page = Page::subscribe(&all[0], "a", None);
    assert_within(Duration::from_secs(5), "a message while Redis hangs", || {
        redis.signal(Signal::STOP);
        let began = boot_now();
        all[0].publish("a", "1");
        assert_eq!(page.hear(), push("1"));
        let took = boot_now().since(began);
        all.iter().for_each(|node| drop(node.wait_for("degraded", |status| status["status"] == "degraded")));
        redis.signal(Signal::CONT);
        all.iter().for_each(linked);
        took
    });
    all[1].publish("a", "2");
    assert_eq!(page.hear(), push("2"));
}

#[test]
#[ignore = "needs redis-server"]
fn a_password_opens_redis_and_is_never_shown() {
    let redis = Redis::start(&["--requirepass", "sesame-4711"]);
    let at = |password: &str| {
        Node::start(&format!("redis_url: redis://:{password}@127.0.0.1:{}/2\n", redis.port()))
    };
    let (right, wrong) = (at("sesame%2D4711"), at("guess-0815"));
    linked(&right);
    right.register("a", false);
    wrong.wait_for("refused", |_| wrong.log().contains("Redis is away"));
    assert_eq!(wrong.status()["status"], "degraded");
    for (node, password) in [(&right, "sesame"), (&wrong, "guess")] {
        assert!(!node.log().contains(password) && !node.log().contains("4711"), "{}", node.log());
    }
    let node = Node::start(&format!("redis_url: {}\n", redis.url()));
    node.wait_for("refused", |_| node.log().contains("NOAUTH"));
}

#[test]
#[ignore = "needs redis-server"]
fn what_others_write_into_the_channel_is_taken_where_it_is_a_message() {
    let redis = Redis::start(&[]);
    let node = Node::start(&format!("redis_url: {}\nredis_channel: shared\n", redis.url()));
    linked(&node);
    node.register("a", false);
    let mut page = Page::subscribe(&node, "a", None);
    let long = format!(r#"{{"origin_id":"x","topic":"{}","payload":1}}"#, "y".repeat(10_000));
    for message in [
        "",
        "\r\nERROR FORGED",
        "[]",
        r#"{"origin_id":"x","topic":"a"}"#,
        r#"{"origin_id":"x","topic":"agent.1","payload":1}"#,
        r#"{"origin_id":"x","topic":"a\n","payload":1}"#,
        &long,
        r#"{"origin_id":"x","topic":"a","payload":[ "other" ]}"#,
    ] {
        redis.ask(&["PUBLISH", "shared", message]);
        redis.ask(&["PUBLISH", "shared:nodes", message]);
    }
    let forged =
        r#"{"origin_id":"x","type":"register","topic":"job.1","require_token":false,"ttl_ms":60000}"#;
    redis.ask(&["PUBLISH", "shared:nodes", forged]);
    assert_eq!(page.hear(), push(r#"[ "other" ]"#), "the one that is from another broker");
    node.publish("a", "2");
    assert_eq!(page.hear(), push("2"));
    assert_eq!(node.status()["topic_list"], json!(["a"]));
    assert!(node.log().lines().all(|line| line.starts_with("20") && line.is_ascii()), "{}", node.log());
}

#[test]
#[ignore = "needs redis-server"]
fn a_hub_is_a_node_too_and_its_readiness_says_how_that_is() {
    let mut redis = Redis::start(&[]);
    let hub = Node::hub(&format!("redis_url = \"{}\"\n", redis.url()));
    linked(&hub);
    let by_itself = node(&redis);
    let mut page = opened(&hub, std::iter::once(&by_itself), "a").remove(0);
    hub.publish("a", "1");
    assert_eq!(page.hear(), push("1"));
    let ready = |address: &str| {
        let answer = super::node::send(address, "GET", "/readyz", "", b"");
        (answer.status, serde_json::from_str::<serde_json::Value>(&answer.body).unwrap()["live"].clone())
    };
    assert_eq!(ready(&hub.api), (200, json!("ok")));
    assert_eq!(ready(&by_itself.internal), (200, json!("ok")));
    redis.kill();
    for (node, address) in [(&hub, &hub.api), (&by_itself, &by_itself.internal)] {
        node.wait_for("degraded", |status| status["status"] == "degraded");
        assert_eq!(ready(address), (200, json!("degraded")), "it serves those who are here");
    }
}
