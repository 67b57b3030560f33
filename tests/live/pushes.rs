//! What reaches subscribers.

use std::io::Write as _;
use std::net::TcpStream;

use outpost::obs::clock::boot_now;
use outpost::obs::descriptors;
use serde_json::json;

use super::node::{DEADLINE, Node, SECRET};
use super::page::{End, Page, push};

#[test]
fn a_payload_arrives_as_it_was_sent() {
    let node = Node::start("");
    node.register("a", false);
    let (mut one, mut two) = (Page::subscribe(&node, "a", None), Page::subscribe(&node, "a", None));
    node.register("b", false);
    let mut other = Page::subscribe(&node, "b", None);
    for (number, payload) in [
        "{ \"b\" : 1.0,\t\"a\":1e400 , \"b\":[ ] }",
        "null",
        r#""\u0041\ud800ü""#,
        "-0",
        "12345678901234567890123.0",
    ]
    .into_iter()
    .enumerate()
    {
        let path = if number % 2 == 0 { "/internal/publish" } else { "/internal/push" };
        let body = format!("{{\"payload\" : {payload} , \"topic\":\"a\"}}");
        let answer = node.ask("POST", path, &body);
        assert_eq!((answer.status, answer.body.as_str()), (200, ""));
        assert_eq!((one.hear(), two.hear()), (push(payload), push(payload)));
    }
    node.publish("b", "\"end\"");
    assert_eq!(other.hear(), push("\"end\""), "and nothing before it");
}

#[test]
fn the_status_has_what_the_protocol_says() {
    let node = Node::start("topic_ttl: 1h\n");
    node.register("b", false);
    node.register("a", true);
    let _page = Page::subscribe(&node, "b", None);
    let status = node.status();
    let expected = json!({
        "status": "ok", "version": env!("CARGO_PKG_VERSION"), "uptime": status["uptime"], "registered_topics": 2,
        "active_topics": 1, "connected_clients": 1, "connected_sockets": 1, "cluster_nodes": -1,
        "topic_list": ["a", "b"], "active_topic_list": ["b"],
    });
    assert_eq!(status, expected);
    let uptime = status["uptime"].as_str().unwrap();
    assert!(uptime.strip_suffix('s').is_some_and(|number| number.parse::<u64>().is_ok()), "{uptime}");
    for path in ["/internal/status", "/internal/status?topics=0", "/internal/status?topics=10"] {
        let body = node.ask("GET", path, "").body;
        assert!(!body.contains("topic_list"), "{path}: {body}");
    }
}

#[test]
fn pages_ask_for_the_status_every_700_ms_at_most() {
    let node = Node::start("");
    node.register("a", false);
    let mut page = Page::subscribe(&node, "worker.status", None);
    let began = boot_now();
    for _ in 0..20 {
        page.say(r#"{"type":"status"}"#);
    }
    let first = page.hear();
    let status: serde_json::Value = serde_json::from_str(&first).unwrap();
    assert_eq!(status["type"], "status");
    let payload = status["payload"].as_object().unwrap();
    assert_eq!(
        (payload.len(), &payload["registered_topics"], &payload["connected_sockets"]),
        (8, &json!(1), &json!(1))
    );
    // Asked again and again: the next answer comes once the time is over.
    page.socket().set_nonblocking(false).unwrap();
    page.socket().set_read_timeout(Some(std::time::Duration::from_millis(20))).unwrap();
    while page.try_hear().is_none() {
        page.say(r#"{"type":"status"}"#);
    }
    let waited = boot_now().since(began).as_millis();
    assert!((700..10_000).contains(&waited), "{waited} ms");
    // Elsewhere nobody answers.
    let mut other = Page::subscribe(&node, "a", None);
    other.say(r#"{"type":"status"}"#);
    node.publish("a", "1");
    assert_eq!(other.hear(), push("1"));
}

#[test]
fn a_topic_is_forgotten_when_its_time_is_over() {
    let node = Node::start("topic_ttl: 1s\n");
    node.register("a", false);
    node.wait_for("forgotten", |status| status["registered_topics"] == 0);
    let answer = node.ask("POST", "/internal/publish", r#"{"topic":"a","payload":1}"#);
    assert_eq!((answer.status, answer.body.as_str()), (404, "topic not registered"));
}

#[test]
fn a_thousand_subscribers_get_every_message_and_a_slow_one_holds_up_nobody() {
    const MESSAGES: usize = 400;
    descriptors::raise().unwrap();
    let node = Node::start("");
    node.register("a", false);
    let mut slow = Page::subscribe(&node, "a", None);
    let mut pages: Vec<_> = (0..1000).map(|_| Page::subscribe(&node, "a", None)).collect();
    assert_eq!(node.status()["connected_sockets"], 1001);
    let filler = "x".repeat(64 * 1024);
    // In rounds that fit into the queues of those who read.
    for round in 0..MESSAGES / 20 {
        let payloads: Vec<_> = (0..20)
            .map(|number| {
                format!(r#"["{:03}","{}"]"#, round * 20 + number, if round < 2 { "" } else { &filler })
            })
            .collect();
        payloads.iter().for_each(|payload| node.publish("a", payload));
        let readers = if round < 2 { 1000 } else { 20 };
        if round == 2 {
            pages.truncate(readers);
            node.wait_for("left", |status| status["connected_sockets"] == 21);
        }
        for (reader, page) in pages.iter_mut().enumerate() {
            for payload in &payloads {
                assert!(page.hear() == push(payload), "reader {reader}, round {round}");
            }
        }
    }
    // The slow one has the first of what came, and the oldest of what fitted into its queue after that.
    let first: Vec<_> = (0..40).map(|_| slow.hear()).collect();
    assert!(first.iter().enumerate().all(|(number, text)| text.contains(&format!("\"{number:03}\""))));
    drop((slow, pages));
    node.wait_for("left", |status| status["connected_sockets"] == 0);
    let log = node.log();
    let dropped = log.lines().find(|line| line.contains("read too slowly and lost messages"));
    assert!(dropped.is_some(), "24 MB do not fit into sockets that nobody reads");
}

#[test]
fn silent_sockets_and_half_requests_keep_nobody_out() {
    let node = Node::start("");
    node.register("a", false);
    let silent: Vec<_> = (0..200)
        .map(|number| {
            let address = if number % 2 == 0 { &node.ws } else { &node.internal };
            let mut socket = TcpStream::connect(address).unwrap();
            socket.set_write_timeout(Some(DEADLINE)).unwrap();
            let half = format!("POST /internal/publish HTTP/1.1\r\nX-Worker-Secret: {SECRET}\r\nContent-Le");
            socket.write_all(half.as_bytes()).unwrap();
            socket
        })
        .collect();
    let mut page = Page::subscribe(&node, "a", None);
    node.publish("a", "1");
    assert_eq!(page.hear(), push("1"));
    drop(silent);
}

#[test]
fn a_broker_that_is_stopped_says_goodbye() {
    let mut node = Node::start("");
    node.register("a", false);
    let mut pages: Vec<_> = (0..20).map(|_| Page::subscribe(&node, "a", None)).collect();
    let waiting = std::thread::spawn(move || pages.iter_mut().map(Page::end).collect::<Vec<_>>());
    assert!(node.stop());
    let ends = waiting.join().unwrap();
    assert!(ends.iter().all(|end| *end == End { error: None, close: 1001 }), "{ends:?}");
}
