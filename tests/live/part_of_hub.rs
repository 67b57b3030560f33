//! The broker inside `hub run`.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use super::node::{Node, send};
use super::page::{End, Page, push};

#[test]
fn a_hub_with_a_secret_has_a_broker() {
    let mut hub = Node::hub("");
    hub.register("a", false);
    let mut page = Page::subscribe(&hub, "a", None);
    hub.publish("a", "[1]");
    assert_eq!(page.hear(), push("[1]"));
    assert_eq!(hub.status()["registered_topics"], 1);
    let waiting = std::thread::spawn(move || page.end());
    assert!(hub.stop());
    assert_eq!(waiting.join().unwrap(), End { error: None, close: 1001 });
}

#[test]
fn a_hub_without_a_secret_has_none() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hub.toml");
    std::fs::write(&file, "listen = \"127.0.0.1:0\"\n[live]\nws_port = 0\ninternal_port = 0\n").unwrap();
    let mut command = super::node::outpost();
    command.args(["hub", "run", "--json", "--data"]).arg(folder.path().join("data"));
    let mut child = command.arg("--config").arg(file).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert!(
        ready["listen"].is_string() && ready["live_ws"].is_null() && ready["live_internal"].is_null(),
        "{line}"
    );
}

#[test]
fn its_listeners_know_nothing_of_the_api() {
    let hub = Node::hub("");
    for address in [&hub.ws, &hub.internal] {
        assert_eq!(send(address, "GET", "/v1/status", "", b"").status, 404);
    }
}
