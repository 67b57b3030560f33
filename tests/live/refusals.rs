//! Every answer that is no success, in the order of the checks.

use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use super::node::{Answer, Node, SECRET, send};
use super::page::{End, Page};

fn short(answer: &Answer) -> (u16, &str) {
    (answer.status, &answer.body)
}

#[test]
fn a_wrong_method_comes_before_a_wrong_secret_and_that_before_a_wrong_request() {
    let node = Node::start("");
    for (path, wrong, right) in [
        ("/internal/register", "GET", "POST"),
        ("/internal/unregister", "DELETE", "POST"),
        ("/internal/publish", "PUT", "POST"),
        ("/internal/push", "HEAD", "POST"),
        ("/internal/status", "POST", "GET"),
    ] {
        let refused = send(&node.internal, wrong, path, "", b"{");
        assert_eq!(refused.status, 405, "{path}");
        assert!(wrong == "HEAD" || refused.body == "method not allowed", "{refused:?}");
        assert!(refused.head.contains(&format!("allow: {}", right.to_lowercase())), "{}", refused.head);
        for secret in ["", "X-Worker-Secret: \r\n", &format!("X-Worker-Secret: {}x\r\n", &SECRET[1..])] {
            let refused = send(&node.internal, right, path, secret, b"{");
            assert_eq!(short(&refused), (403, "forbidden"), "{path} {secret:?}");
        }
        if right == "POST" {
            assert_eq!(short(&node.ask(right, path, "{")), (400, "bad request"), "{path}");
        }
    }
    for path in ["/", "/internal", "/internal/status/", "/internal/Publish", "/ws?topic=a"] {
        assert_eq!(short(&node.ask("GET", path, "")), (404, "not found"), "{path}");
    }
}

#[test]
fn what_is_missing_is_named_and_a_topic_must_be_registered() {
    let node = Node::start("");
    let ask = |path: &str, body: &str| {
        let answer = node.ask("POST", path, body);
        (answer.status, answer.body)
    };
    let said = |status: u16, text: &str| (status, text.to_owned());
    for path in ["/internal/register", "/internal/unregister", "/internal/publish", "/internal/push"] {
        for body in ["{}", r#"{"topic":""}"#, r#"{"topic":null,"payload":1}"#] {
            assert_eq!(ask(path, body), said(400, "missing topic"), "{path} {body}");
        }
        for body in ["", "[]", "topic", r#"{"topic":7}"#, r#"{"topic":"a","payload":{}"#] {
            assert_eq!(ask(path, body), said(400, "bad request"), "{path} {body}");
        }
    }
    for path in ["/internal/publish", "/internal/push"] {
        assert_eq!(ask(path, r#"{"topic":"a"}"#), said(400, "missing payload"));
        assert_eq!(ask(path, r#"{"topic":"a","payload":null}"#), said(404, "topic not registered"));
        node.register("a", false);
        assert_eq!(ask(path, r#"{"topic":"a","payload":null,"more":1}"#), said(200, ""));
        assert_eq!(ask("/internal/unregister", r#"{"topic":"a"}"#), said(200, ""));
        assert_eq!(ask("/internal/unregister", r#"{"topic":"a"}"#), said(200, ""), "it is gone already");
        assert_eq!(ask(path, r#"{"topic":"a","payload":1}"#), said(404, "topic not registered"));
    }
    assert_eq!(ask("/internal/register", r#"{"topic":"a","meta":7}"#), said(400, "bad request"));
}

#[test]
fn a_body_of_one_mib_passes_and_one_byte_more_does_not() {
    let node = Node::start("");
    node.register("a", false);
    let body = |bytes: usize| {
        let frame = r#"{"topic":"a","payload":""}"#;
        format!(r#"{{"topic":"a","payload":"{}"}}"#, "x".repeat(bytes - frame.len()))
    };
    assert_eq!(short(&node.ask("POST", "/internal/publish", &body(1024 * 1024))), (200, ""));
    assert_eq!(short(&node.ask("POST", "/internal/publish", &body(1024 * 1024 + 1))), (400, "bad request"));
    assert_eq!(short(&node.ask("POST", "/internal/publish", &body(20 * 1024 * 1024))), (400, "bad request"));
    assert_eq!(short(&node.ask("POST", "/internal/publish", "\u{0}\u{1}\u{ff}")), (400, "bad request"));
}

#[test]
fn outposts_own_names_are_reserved() {
    let node = Node::start("");
    for topic in ["agent.7", "job.1", "job.1.logs", "fleet", "worker.status"] {
        let body = format!(r#"{{"topic":"{topic}","payload":1}}"#);
        assert_eq!(short(&node.ask("POST", "/internal/register", &body)), (400, "bad request"), "{topic}");
        assert_eq!(short(&node.ask("POST", "/internal/unregister", &body)), (400, "bad request"), "{topic}");
        assert_eq!(
            short(&node.ask("POST", "/internal/publish", &body)),
            (404, "topic not registered"),
            "{topic}"
        );
        if topic != "worker.status" {
            let path = format!("/ws?topic={topic}");
            assert_eq!(
                short(&send(&node.ws, "GET", &path, "", b"")),
                (404, "topic not registered"),
                "{topic}"
            );
        }
    }
}

#[test]
fn what_can_be_refused_before_an_upgrade_is() {
    let node = Node::start("origins: https://app.example\n");
    node.register("a", false);
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
    let long = format!("/ws?topic={}", "x".repeat(10_000));
    for (method, path, headers, expected) in [
        ("GET", "/", "", (404, "not found")),
        ("POST", "/ws", "", (405, "method not allowed")),
        ("GET", "/ws", upgrade, (400, "missing topic")),
        ("GET", "/ws?topic=", upgrade, (400, "missing topic")),
        ("GET", "/ws?topic=b", upgrade, (404, "topic not registered")),
        ("GET", "/ws?topic=b", "", (404, "topic not registered")),
        ("GET", &long, upgrade, (404, "topic not registered")),
        ("GET", "/ws?topic=a%0D%0Aforged", upgrade, (404, "topic not registered")),
        ("GET", "/ws?topic=%ff", upgrade, (404, "topic not registered")),
        ("GET", "/ws?topic=a", "Origin: https://evil.example\r\n", (403, "forbidden")),
        ("GET", "/ws?topic=a", "", (400, "bad request")),
    ] {
        let answer = send(&node.ws, method, path, headers, b"");
        assert_eq!(short(&answer), expected, "{method} {path:.40} {headers}");
    }
    let origin = format!("{upgrade}Origin: https://app.example\r\n");
    let head = format!("GET /ws?topic=a HTTP/1.1\r\nHost: x\r\n{origin}\r\n");
    // The masked close frame with no code ends it.
    let answer = exchange_bytes(&node.ws, &[head.as_bytes(), b"\x88\x80\0\0\0\0"]);
    assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&answer));
    // Where nobody said which, pages from anywhere may.
    let node = Node::start("");
    node.register("a", false);
    let head = head.replace("https://app.example", "https://evil.example");
    let answer = exchange_bytes(&node.ws, &[head.as_bytes(), b"\x88\x80\0\0\0\0"]);
    assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&answer));
}

/// What came back, as it is.
fn exchange_bytes(address: &str, pieces: &[&[u8]]) -> Vec<u8> {
    use std::io::{Read as _, Write as _};
    let mut socket = std::net::TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(super::node::DEADLINE)).unwrap();
    pieces.iter().for_each(|piece| socket.write_all(piece).unwrap());
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    answer
}

#[test]
fn sockets_that_break_the_rules_hear_their_code() {
    let node = Node::start("");
    node.register("open", false);
    node.register("closed", true);
    let refused = |error: &str| End { error: Some(error.to_owned()), close: 1008 };
    for (topic, frame, code) in [
        ("open", "hello", "auth_required"),
        ("open", "{}", "auth_required"),
        ("open", r#"{"type":"status"}"#, "auth_required"),
        ("closed", r#"{"type":"auth"}"#, "auth_required"),
        ("closed", r#"{"type":"auth","token":""}"#, "auth_required"),
        ("closed", r#"{"type":"auth","token":"a.b"}"#, "unauthorized"),
        ("closed", r#"{"type":"auth","token":[]}"#, "unauthorized"),
        ("worker.status", "[]", "auth_required"),
    ] {
        let mut page = Page::open(&node, topic);
        page.say(frame);
        assert_eq!(page.end(), refused(code), "{topic} {frame}");
    }
    let mut page = Page::open(&node, "open");
    page.send(Message::binary(r#"{"type":"auth"}"#));
    assert_eq!(page.end(), refused("auth_required"));
    let mut page = Page::open(&node, "open");
    page.say(&"x".repeat(4097));
    assert_eq!(page.end(), End { error: None, close: 1009 });
    let bad_text = Frame::message(vec![b'"', 0xff, b'"'], OpCode::Data(Data::Text), true);
    for (message, close) in [
        (Message::binary("x"), 1003),
        (Message::text("x".repeat(5000)), 1009),
        (Message::Frame(bad_text), 1007),
    ] {
        let mut page = Page::subscribe(&node, "open", None);
        page.say("what nobody understands is left alone");
        page.send(message);
        assert_eq!(page.end(), End { error: None, close });
    }
    assert_eq!(node.wait_for("left", |status| status["connected_sockets"] == 0)["connected_clients"], 0);
}

#[test]
fn a_broker_that_may_not_start_says_why() {
    let run = |name: &str, text: &str| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        let output = super::node::outpost().args(["live", "run", "--config"]).arg(file).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let short = &SECRET[1..];
    for (name, text, said) in [
        ("a.yaml", format!("worker_secret: {short}\n"), "at least 32 characters"),
        ("b.yml", "ws_port: 0\n".to_owned(), "worker_secret"),
        ("c.yaml", format!("worker_secret: {SECRET}\nws_prot: 1\n"), "ws_prot"),
        ("d.yaml", format!("worker_secret: {SECRET}\nws_bind: nowhere\n"), "ws_bind"),
        ("e.yaml", format!("worker_secret: \"{SECRET}\n"), "line"),
        ("f.toml", "[live]\nws_port = 1\n".to_owned(), "secret_file"),
    ] {
        let (code, stderr) = run(name, &text);
        assert_eq!(code, Some(78), "{name}: {stderr}");
        assert!(stderr.contains(said) && !stderr.contains(short), "{name}: {stderr}");
    }
    let output = super::node::outpost().args(["live", "run"]).output().unwrap();
    assert_eq!(output.status.code(), Some(64));
}

#[test]
fn a_list_is_no_object_and_another_method_is_told_the_right_one() {
    let node = Node::start("");
    for (path, body) in [
        ("/internal/register", r#"["arr",{"require_token":false}]"#),
        ("/internal/register", r#"{"topic":"arr","meta":[false]}"#),
        ("/internal/publish", r#"["arr",null,1]"#),
    ] {
        assert_eq!(short(&node.ask("POST", path, body)), (400, "bad request"), "{body}");
    }
    assert_eq!(node.status()["registered_topics"], 0);
    node.register("a", false);
    let mut page = Page::open(&node, "a");
    page.say(r#"["auth",null]"#);
    assert_eq!(page.end().error.as_deref(), Some("auth_required"));
    let answer = send(&node.ws, "POST", "/ws?topic=a", "", b"");
    assert_eq!(short(&answer), (405, "method not allowed"));
    assert!(answer.head.contains("\r\nallow: get"), "{}", answer.head);
    let status = node.ask("GET", "/internal/status?x=1&topics=%31", "");
    assert!(status.body.contains(r#""topic_list":["a"]"#), "{}", status.body);
}
