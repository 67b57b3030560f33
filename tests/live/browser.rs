//! The page of examples/live.html in a real browser. Ignored where there may be none; scripts/test runs these where there is.

use outpost::obs::clock::wall_now;

use super::chromium::Chromium;
use super::node::Node;
use super::tokens::token;

const PAGE: &str = "examples/live.html";

/// What the page's address says behind its `#`.
fn wanted(node: &Node, topic: &str, token: &str) -> String {
    format!("url=ws://{}&topic={topic}&token={token}", node.ws)
}

fn token_for(topic: &str) -> String {
    let later = wall_now().0 / 1000 + 3600;
    token(&format!(r#"{{"user_id":7,"expires":{later},"topic":"{topic}"}}"#))
}

#[test]
#[ignore = "needs chromium"]
fn a_page_subscribes_and_comes_back_after_its_broker_was_killed() {
    let mut node = Node::start("");
    node.register("app.1", true);
    let mut page = Chromium::open(PAGE, &wanted(&node, "app.1", &token_for("app.1")));
    page.wait_for("connected", |state, _| state == "connected");
    node.publish("app.1", r#"{"n": 1, "text": "größe"}"#);
    node.publish("app.1", "2");
    let mut expected = vec![r#"{"n":1,"text":"größe"}"#.to_owned(), "2".to_owned()];
    assert_eq!(page.wait_for("pushed", |_, messages| messages.len() == 2), expected);
    for round in 3..6 {
        node.kill_and_restart();
        page.wait_for("away", |state, _| state == "closed 1006");
        // The broker knows the topic no more; until somebody registers it, the page is told so and asks again.
        node.register("app.1", true);
        page.wait_for("connected again", |state, _| state == "connected");
        node.publish("app.1", &round.to_string());
        expected.push(round.to_string());
        assert_eq!(page.wait_for("pushed", |_, messages| messages.len() >= expected.len()), expected);
    }
}

#[test]
#[ignore = "needs chromium"]
fn a_page_says_why_it_may_not_read() {
    let node = Node::start("");
    node.register("app.1", true);
    for (token, said) in [(token_for("app.2"), "unauthorized"), (String::new(), "auth_required")] {
        let mut page = Chromium::open(PAGE, &wanted(&node, "app.1", &token));
        let messages = page.wait_for(said, |state, _| state == said);
        assert!(messages.is_empty(), "{messages:?}");
    }
    // Its address is a file's: where origins are told, it is from none of them.
    let node = Node::start("origins: https://app.example\n");
    node.register("app.1", false);
    let mut page = Chromium::open(PAGE, &wanted(&node, "app.1", ""));
    page.wait_for("refused", |state, _| state == "closed 1006");
}
