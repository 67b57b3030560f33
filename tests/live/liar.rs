//! A Redis that lies: it breaks its protocol, answers with the wrong things, halves of them, or nothing. The broker goes on
//! by itself, and nothing the liar said is in the log as it said it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use serde_json::Value;

use super::node::{Node, send};
use super::page::{Page, push};

/// What the liar does instead of an answer.
enum Lie {
    Say(Vec<u8>),
    /// Without end.
    Repeat(Vec<u8>),
    Silence,
    HangUp,
}

fn say(text: &str) -> Lie {
    Lie::Say(text.as_bytes().to_vec())
}

/// As a Redis answers that has nothing and is told everything.
fn honest(words: &[String]) -> Lie {
    match words[0].as_str() {
        "SUBSCRIBE" => Lie::Say(
            words[1..]
                .iter()
                .map(|channel| format!("*3\r\n$9\r\nsubscribe\r\n${}\r\n{channel}\r\n:1\r\n", channel.len()))
                .collect::<String>()
                .into_bytes(),
        ),
        "PING" => say("*2\r\n$4\r\npong\r\n$0\r\n\r\n"),
        "SET" => say("+OK\r\n"),
        "GET" => say("$-1\r\n"),
        "PTTL" => say(":-2\r\n"),
        _ => say(":1\r\n"),
    }
}

/// Answers each request as `lie` has it, and each connection in a thread of its own, until the test's process ends. Its port.
fn liar(lie: impl Fn(&[String]) -> Lie + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let lie = Arc::new(lie);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (Ok(stream), lie) = (stream, Arc::clone(&lie)) else { return };
            std::thread::spawn(move || {
                // Whoever it lies to may hang up.
                let _gone = answer(&stream, &*lie);
            });
        }
    });
    port
}

fn answer(mut stream: &TcpStream, lie: &dyn Fn(&[String]) -> Lie) -> std::io::Result<()> {
    let mut requests = BufReader::new(stream);
    while let Some(words) = request(&mut requests)? {
        match lie(&words) {
            Lie::Say(text) => stream.write_all(&text)?,
            Lie::Repeat(text) => loop {
                stream.write_all(&text)?;
            },
            Lie::Silence => {}
            Lie::HangUp => break,
        }
    }
    Ok(())
}

/// The words of the next request; `None` at the end.
fn request(stream: &mut BufReader<&TcpStream>) -> std::io::Result<Option<Vec<String>>> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let count: usize = line.trim_end().trim_start_matches('*').parse().unwrap();
    let mut words = Vec::new();
    for _ in 0..count {
        line.clear();
        stream.read_line(&mut line)?;
        let length: usize = line.trim_end().trim_start_matches('$').parse().unwrap();
        let mut word = vec![0; length + 2];
        stream.read_exact(&mut word)?;
        word.truncate(length);
        words.push(String::from_utf8(word).unwrap());
    }
    Ok(Some(words))
}

fn node(port: u16) -> Node {
    Node::start(&format!("redis_url: redis://127.0.0.1:{port}\n"))
}

/// What a broker does whatever its Redis says.
fn goes_on(node: &Node, what: &str) {
    node.register("a", false);
    let mut page = Page::subscribe(node, "a", None);
    node.publish("a", "1");
    assert_eq!(page.hear(), push("1"), "{what}");
    let unknown = node.ask("POST", "/internal/publish", r#"{"topic":"b","payload":1}"#);
    assert_eq!((unknown.status, unknown.body.as_str()), (404, "topic not registered"), "{what}");
}

/// Nothing in it is anybody else's.
fn log_is_clean(node: &Node, what: &str) {
    let log = node.log();
    assert!(!log.contains("panicked"), "{what}: {log}");
    for line in log.lines() {
        let printable = line.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        assert!(line.starts_with("20") && printable && line.len() < 1000, "{what}: {line:?}");
    }
}

#[test]
fn a_redis_that_breaks_its_protocol_is_left_and_the_broker_goes_on() {
    for (what, lie) in [
        ("errors with the text of an attacker", "-ERR \u{1b}[2J\nERROR FORGED \u{202e}\u{7}\r\n".to_owned()),
        ("an error without end", format!("-{}", "x".repeat(10_000))),
        ("a bulk of a terabyte", "$1099511627776\r\n".to_owned()),
        ("a bulk of less than nothing", "$-7\r\n".to_owned()),
        ("a list of a billion", "*1000000000\r\n".to_owned()),
        ("lists in lists in lists", "*1\r\n".repeat(1000)),
        ("a bulk without its end", "$1\r\nxxxx".to_owned()),
        ("no Redis at all", "HTTP/1.1 400 Bad Request\r\n\r\n".to_owned()),
        ("no text", "\u{0}\u{1}\u{2}\r\n".to_owned()),
    ] {
        let node = node(liar(move |_| say(&lie)));
        node.wait_for(what, |_| node.log().contains("Redis is away"));
        assert_eq!(node.status()["status"], "degraded", "{what}");
        goes_on(&node, what);
        log_is_clean(&node, what);
    }
    let node = node(liar(|_| Lie::HangUp));
    node.wait_for("hung up on", |_| node.log().contains("the connection was closed"));
    goes_on(&node, "hung up on");
}

#[test]
fn a_redis_that_talks_without_end_takes_no_memory() {
    for text in ["$1000000\r\n", "x", "*1024\r\n", ":1"] {
        let node = node(liar(move |_| Lie::Repeat(text.repeat(1000).into_bytes())));
        node.wait_for(text, |_| node.log().contains("Redis is away"));
        goes_on(&node, text);
        log_is_clean(&node, text);
        let memory = node.resident_kib();
        assert!(memory < 100 * 1024, "{text}: {memory} KiB");
    }
}

#[test]
fn a_redis_that_answers_with_the_wrong_things_is_believed_in_nothing() {
    for text in [":1\r\n", "+OK\r\n", "$-1\r\n", "*0\r\n", "$5\r\ntoken\r\n", ":-9223372036854775808\r\n"] {
        let node = node(liar(move |words| {
            // One answer for each channel, and one for everything else.
            if words[0] == "SUBSCRIBE" { say(&text.repeat(words.len() - 1)) } else { say(text) }
        }));
        node.wait_for(text, |status| status["status"] == "ok");
        goes_on(&node, text);
        log_is_clean(&node, text);
    }
}

#[test]
fn messages_of_no_shape_are_left_alone_and_the_next_one_arrives() {
    let lies = [
        "*3\r\n$7\r\nmessage\r\n:1\r\n$1\r\nx\r\n",
        "*3\r\n$7\r\nmessage\r\n$12\r\noutpost.live\r\n*1\r\n$1\r\nx\r\n",
        "*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$12\r\noutpost.live\r\n$2\r\n{}\r\n",
        "*3\r\n$7\r\nmessage\r\n$18\r\noutpost.live:nodes\r\n$9\r\n\u{1b}[2J\nFORG\r\n",
        "*-1\r\n+message\r\n:7\r\n*0\r\n",
    ];
    let right = r#"{"origin_id":"x","topic":"a","payload":"through"}"#;
    let last = format!("*3\r\n$7\r\nmessage\r\n$12\r\noutpost.live\r\n${}\r\n{right}\r\n", right.len());
    let node = node(liar(move |words| match honest(words) {
        // With the answer to each look whether it is there.
        Lie::Say(mut text) if words[0] == "PING" => {
            text.extend(lies.concat().bytes().chain(last.bytes()));
            Lie::Say(text)
        }
        other => other,
    }));
    node.wait_for("linked", |status| status["status"] == "ok");
    node.register("a", false);
    let mut page = Page::subscribe(&node, "a", None);
    assert_eq!(page.hear(), push("\"through\""));
    log_is_clean(&node, "messages of no shape");
    assert_eq!(node.status()["status"], "ok");
}

#[test]
fn a_redis_that_falls_silent_or_answers_by_half_is_given_up_and_what_it_did_not_take_is_counted() {
    for half in ["", "$10\r\nhalf"] {
        let port =
            liar(move |words| match words {
                [publish, channel, _] if publish == "PUBLISH" && channel == "outpost.live" => {
                    if half.is_empty() { Lie::Silence } else { say(half) }
                }
                _ => honest(words),
            });
        let hub = Node::hub(&format!("redis_url = \"redis://127.0.0.1:{port}\"\n"));
        hub.wait_for("linked", |status| status["status"] == "ok");
        hub.register("a", false);
        let mut page = Page::subscribe(&hub, "a", None);
        for number in 0..5 {
            hub.publish("a", &number.to_string());
            assert_eq!(page.hear(), push(&number.to_string()), "{half:?}");
        }
        hub.wait_for("given up", |_| missed(&hub) == 5);
        log_is_clean(&hub, "silence");
    }
}

/// As the hub's metrics have it.
fn missed(hub: &Node) -> u64 {
    let token = std::fs::read_to_string(hub.folder.path().join("data/admin.token")).unwrap();
    let header = format!("Authorization: Bearer {}\r\n", token.trim());
    let page = send(&hub.api, "GET", "/metrics", &header, b"").body;
    let line = page.lines().find_map(|line| line.strip_prefix("outpost_hub_live_missed_total "));
    line.unwrap_or_else(|| panic!("{page}")).parse().unwrap()
}

#[test]
fn a_redis_that_never_answers_leaves_the_broker_alone() {
    let node = node(liar(|_| Lie::Silence));
    goes_on(&node, "never an answer");
    let status: Value = node.wait_for("told of", |_| node.log().contains("no answer for 5 s"));
    assert_eq!((&status["status"], &status["cluster_nodes"]), (&"degraded".into(), &1.into()));
    log_is_clean(&node, "never an answer");
}
