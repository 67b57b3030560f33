//! `outpost topic ...` against a broker.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::{Output, Stdio};

use socket2::{Domain, Socket, Type};

use super::node::{Node, SECRET, outpost};
use super::page::{End, Page, push};

/// `outpost topic ARGS` with the broker's address and secret.
fn topic(node: &Node, arguments: &[&str], stdin: &str) -> (Option<i32>, String, String) {
    let secret = node.folder.path().join("worker.secret");
    std::fs::write(&secret, format!("{SECRET}\n")).unwrap();
    let mut command = outpost();
    command.arg("topic").args(arguments).args([
        "--url",
        &format!("http://{}", node.internal),
        "--secret-file",
    ]);
    let mut child = command
        .arg(secret)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // One that does not read it may be gone by now.
    let _gone = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn topics_are_registered_published_to_and_read_with_a_token() {
    let node = Node::start("");
    assert_eq!(topic(&node, &["register", "app.1"], "").0, Some(0));
    assert_eq!(topic(&node, &["register", "news", "--public"], "").0, Some(0));
    let (code, token, _) = topic(&node, &["token", "app.1", "--user", "7", "--ttl", "1h"], "");
    assert_eq!(code, Some(0));
    let mut page = Page::subscribe(&node, "app.1", Some(token.trim()));
    let mut guest = Page::open(&node, "app.1");
    guest.say(r#"{"type":"auth"}"#);
    assert_eq!(guest.end(), End { error: Some("auth_required".to_owned()), close: 1008 });
    let mut reader = Page::subscribe(&node, "news", None);
    assert_eq!(topic(&node, &["publish", "app.1", r#"{"n": 1.0}"#], "").0, Some(0));
    assert_eq!(page.hear(), push(r#"{"n": 1.0}"#));
    let (code, published, _) = topic(&node, &["--json", "publish", "news", "-"], " [1,\n 2]\n");
    assert_eq!((code, published.trim()), (Some(0), r#"{"published":"news"}"#));
    assert_eq!(reader.hear(), push("[1,\n 2]"));
    assert_eq!(topic(&node, &["publish", "news", "-1"], "").0, Some(0));
    assert_eq!(reader.hear(), push("-1"));
    let (_, status, _) = topic(&node, &["status"], "");
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!((&status["registered_topics"], &status["connected_clients"]), (&2.into(), &2.into()));
    assert_eq!(topic(&node, &["unregister", "news"], "").0, Some(0));
    let (code, _, stderr) = topic(&node, &["publish", "news", "1"], "");
    assert_eq!(code, Some(1));
    assert!(stderr.contains("topic not registered"), "{stderr}");
}

#[test]
fn what_cannot_be_done_has_its_exit_code() {
    let node = Node::start("");
    for (arguments, code, said) in [
        (&["register", ""][..], 64, "needs a name"),
        (&["register", &"x".repeat(600)], 64, "600 bytes"),
        (&["publish", "a", "{"], 64, "no JSON"),
        (&["token", "a", "--ttl", "soon"], 64, "duration"),
        (&["token", "a", "--ttl", "0s"], 64, "1s at least"),
        (&["token", "a", "--ttl", "500ms"], 64, "1s at least"),
        (&["token", "a", "--user", "-1"], 64, "--user"),
        (&["register", "job.1"], 77, "bad request"),
        (&["publish", "a", "1"], 1, "topic not registered"),
    ] {
        let (found, _, stderr) = topic(&node, arguments, "");
        assert_eq!(found, Some(code), "{arguments:?}: {stderr}");
        assert!(stderr.contains(said), "{arguments:?}: {stderr}");
    }
    let run = |arguments: &[&str]| {
        let output = outpost().arg("topic").args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let wrong = node.folder.path().join("wrong");
    std::fs::write(&wrong, format!("{SECRET}x")).unwrap();
    let (wrong, url) = (wrong.to_str().unwrap(), format!("http://{}", node.internal));
    assert_eq!(run(&["status", "--secret-file", wrong, "--url", &url]).0, Some(77));
    assert_eq!(run(&["status"]).0, Some(78), "without a secret");
    let (code, stderr) = run(&["status", "--secret-file", wrong, "--url", "http://192.0.2.1:9001"]);
    assert_eq!(code, Some(78), "plain text beyond this machine: {stderr}");
    // Nobody listens there, and nobody else can.
    let closed = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    closed.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let closed_url = format!("http://{}", closed.local_addr().unwrap().as_socket().unwrap());
    assert_eq!(run(&["status", "--secret-file", wrong, "--url", &closed_url]).0, Some(69));
    let config = node.folder.path().join("live.yaml");
    let (code, stderr) = run(&["status", "--url", &url, "--config", config.to_str().unwrap()]);
    assert_eq!(code, Some(0), "the broker's own file has the secret: {stderr}");
}
