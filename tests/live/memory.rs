//! What Redis and the nodes know of topics in the end: where Redis went back to what it was before, or was emptied, where nodes
//! said different things beside each other, and where one could not say something in time. Ignored where there may be no Redis.

use outpost::limit;
use outpost::obs::clock::boot_now;
use serde_json::json;

use super::node::Node;
use super::page::Page;
use super::proxy::{Proxy, Start};
use super::redis::Redis;

const LEDGER: &str = "outpost.live:ledger";

fn node(url: &str) -> Node {
    let node = Node::start(&format!("redis_url: {url}\n"));
    linked(&node);
    node
}

fn linked(node: &Node) {
    node.wait_for("linked", |status| status["status"] == "ok");
}

fn away(node: &Node) {
    node.wait_for("away", |status| status["status"] == "degraded");
}

/// The number that was given last.
fn number(redis: &Redis) -> u64 {
    let answer = redis.ask(&["HGET", LEDGER, "generation"]);
    answer.lines().nth(1).unwrap().parse().unwrap()
}

fn has(redis: &Redis, topic: &str) -> String {
    let answer = redis.ask(&["GET", &format!("outpost.live:topic:{topic}")]);
    answer.lines().nth(1).and_then(|value| value.split(' ').next()).unwrap_or_default().to_owned()
}

#[test]
#[ignore = "needs redis-server"]
fn what_a_redis_that_went_back_does_not_know_any_more_it_is_told_again() {
    let redis = Redis::start(&[]);
    let proxy = Proxy::before(redis.port(), Start::Open);
    let cut = node(&proxy.url());
    for topic in ["old", "opened", "closed", "gone"] {
        cut.register(topic, topic == "opened");
    }
    let before = number(&redis);
    assert_eq!(before, 4, "one for each");
    for topic in ["opened", "closed", "new"] {
        cut.register(topic, topic == "closed");
    }
    let unregistered = cut.ask("POST", "/internal/unregister", r#"{"topic":"gone"}"#);
    assert_eq!((unregistered.status, number(&redis)), (200, before + 4));
    proxy.cut();
    away(&cut);
    // As in the copy, whose id is the same.
    redis.ask(&["HSET", LEDGER, "generation", &before.to_string()]);
    redis.ask(&["DEL", "outpost.live:topic:new"]);
    for (number, (topic, word)) in
        [("old", "open"), ("opened", "token"), ("closed", "open"), ("gone", "open")].iter().enumerate()
    {
        let key = format!("outpost.live:topic:{topic}");
        redis.ask(&["SET", &key, &format!("{word} {}.0", number + 1), "PX", "86400000"]);
    }
    proxy.heal();
    linked(&cut);
    for (topic, word) in
        [("old", "open"), ("opened", "open"), ("closed", "token"), ("new", "open"), ("gone", "none")]
    {
        assert_eq!(has(&redis, topic), word, "{topic}");
    }
    assert_eq!(cut.status()["topic_list"], json!(["closed", "new", "old", "opened"]));
    // What is said from now on is later than all of that.
    assert!(number(&redis) >= before + 4);
    let other = node(&redis.url());
    cut.register("closed", false);
    assert_eq!(has(&redis, "closed"), "open");
    other.wait_for("known", |_| {
        let published = other.ask("POST", "/internal/publish", r#"{"topic":"closed","payload":1}"#);
        published.status == 200
    });
    // A memory that is whole is believed: what another node unregistered, and was forgotten since, does not come back.
    proxy.cut();
    away(&cut);
    redis.ask(&["DEL", "outpost.live:topic:old"]);
    proxy.heal();
    linked(&cut);
    assert_eq!((has(&redis, "old").as_str(), has(&redis, "new").as_str()), ("", "open"));
    assert_eq!(cut.status()["topic_list"], json!(["closed", "new", "opened"]));
}

/// What a guest is told; `none` where the topic is not registered.
fn opens(node: &Node, topic: &str) -> &'static str {
    let Ok(mut page) = Page::try_open(node, topic) else { return "none" };
    page.say(r#"{"type":"auth"}"#);
    if page.hear().contains("auth_ok") { "open" } else { "token" }
}

fn knows(node: &Node, topic: &str, word: &str) {
    node.wait_for(&format!("told of {topic}"), |_| opens(node, topic) == word);
}

fn say(node: &Node, topic: &str, word: &str) {
    if word == "none" {
        let answer = node.ask("POST", "/internal/unregister", &json!({"topic": topic}).to_string());
        assert_eq!(answer.status, 200);
    } else {
        node.register(topic, word == "token");
    }
}

#[test]
#[ignore = "needs redis-server"]
fn what_is_said_after_redis_was_emptied_under_its_nodes_is_later_than_what_was_said_before() {
    let redis = Redis::start(&[]);
    let (one, other) = (node(&redis.url()), node(&redis.url()));
    for _ in 0..3 {
        one.register("a", false);
    }
    one.register("b", true);
    for (topic, word) in [("a", "open"), ("b", "token")] {
        knows(&other, topic, word);
    }
    redis.ask(&["FLUSHALL"]);
    for (topic, word) in [("a", "token"), ("b", "none")] {
        say(&one, topic, word);
        assert_eq!(has(&redis, topic), word);
        assert_eq!(opens(&one, topic), word);
        knows(&other, topic, word);
    }
    assert!(number(&redis) > 5);
}

#[test]
#[ignore = "needs redis-server"]
fn of_what_two_nodes_say_while_both_are_away_the_stricter_word_holds_whoever_comes_first() {
    let redis = Redis::start(&[]);
    let proxies = [(); 2].map(|()| Proxy::before(redis.port(), Start::Open));
    let nodes = [node(&proxies[0].url()), node(&proxies[1].url())];
    let cases = [
        ("t1", "open", "token", "token"),
        ("t2", "token", "open", "token"),
        ("t3", "none", "token", "token"),
        ("t4", "token", "none", "token"),
        ("t5", "none", "open", "none"),
        ("t6", "open", "none", "none"),
        ("t7", "open", "open", "open"),
    ];
    for round in [[0, 1], [1, 0]] {
        for (topic, ..) in cases {
            nodes[0].register(topic, false);
            knows(&nodes[1], topic, "open");
        }
        proxies.iter().for_each(Proxy::cut);
        nodes.iter().for_each(away);
        for (topic, one, two, _) in cases {
            say(&nodes[0], topic, one);
            say(&nodes[1], topic, two);
            assert_eq!((opens(&nodes[0], topic), opens(&nodes[1], topic)), (one, two), "{topic}");
        }
        for place in round {
            proxies[place].heal();
            linked(&nodes[place]);
        }
        for (topic, .., word) in cases {
            nodes.iter().for_each(|node| knows(node, topic, word));
            assert_eq!(has(&redis, topic), word, "{topic}, {round:?}");
        }
    }
}

/// Publishes until no more may wait for Redis; several at once, so that it is done long before the link is given up.
fn fill(node: &Node, topic: &str) {
    let publish = || {
        let began = boot_now();
        node.publish(topic, "1");
        boot_now().since(began)
    };
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| while publish() < limit::LIVE_REDIS_WAIT {});
        }
    });
}

#[test]
#[ignore = "needs redis-server"]
fn what_could_not_be_said_in_time_is_said_later_over_the_same_link() {
    let redis = Redis::start(&[]);
    let proxy = Proxy::before(redis.port(), Start::Open);
    let (slow, other) = (node(&proxy.url()), node(&redis.url()));
    let mut tries = 0;
    loop {
        slow.register("a", false);
        say(&slow, "b", "none");
        knows(&other, "a", "open");
        knows(&other, "b", "none");
        proxy.hold();
        fill(&slow, "a");
        // Nobody even asks Redis for these.
        say(&slow, "a", "none");
        say(&slow, "b", "token");
        let linked_all_the_while = slow.status()["status"] == "ok";
        assert_eq!((opens(&slow, "a"), opens(&slow, "b")), ("none", "token"), "here it holds");
        proxy.heal();
        knows(&other, "b", "token");
        knows(&other, "a", "none");
        assert_eq!((has(&redis, "a").as_str(), has(&redis, "b").as_str()), ("none", "token"));
        // A worker waits for a second. Where it took long enough for the link to be given up, the machine was slow.
        if linked_all_the_while {
            return;
        }
        tries += 1;
        assert!(tries < 4, "workers wait until the link is given up: {}", slow.log());
        linked(&slow);
    }
}
