//! Tokens as other programs mint them.

use outpost::obs::clock::wall_now;
use outpost::wire::mac::MacKey;

use super::node::{Node, SECRET};
use super::page::{End, Page, push};

/// `hex(json).hex(hmac-sha256(secret text, hex text))`.
pub(crate) fn token(json: &str) -> String {
    let text = hex::encode(json);
    format!("{text}.{}", hex::encode(MacKey::from_bytes(SECRET.as_bytes()).sign(text.as_bytes())))
}

fn now_s() -> u64 {
    wall_now().0 / 1000
}

/// Does this with an end that comes soon, in seconds, and anew where the machine was so slow that it had come before.
fn before_the_end<T>(mut work: impl FnMut(u64) -> Option<T>) -> T {
    for _ in 0..3 {
        let end = now_s() + 5;
        if let Some(done) = work(end) {
            return done;
        }
        assert!(now_s() >= end, "it came early");
    }
    panic!("never done within 4 s");
}

#[test]
fn a_token_opens_its_topic_alone_until_its_time_is_over() {
    let node = Node::start("");
    node.register("app.1", true);
    node.register("session.s1", true);
    let later = now_s() + 3600;
    let good = token(&format!(r#"{{"user_id":7,"expires":{later},"topic":"app.1"}}"#));
    let session = token(&format!(r#"{{"user_id":7,"expires":{later},"session_id":"s1"}}"#));
    let mut page = Page::subscribe(&node, "app.1", Some(&good));
    let _session = Page::subscribe(&node, "session.s1", Some(&session));
    node.publish("app.1", "1");
    assert_eq!(page.hear(), push("1"));
    let old = token(&format!(r#"{{"user_id":7,"expires":{},"topic":"app.1"}}"#, now_s() - 1));
    for (topic, token) in
        [("app.1", &session), ("session.s1", &good), ("app.1", &old), ("app.1", &good.to_uppercase())]
    {
        let mut page = Page::open(&node, topic);
        page.say(&format!(r#"{{"type":"auth","token":"{token}"}}"#));
        assert_eq!(page.end(), End { error: Some("unauthorized".to_owned()), close: 1008 }, "{topic}");
    }
    let mut page = before_the_end(|end| {
        let soon = token(&format!(r#"{{"user_id":7,"expires":{end},"topic":"app.1"}}"#));
        let mut page = Page::open(&node, "app.1");
        page.say(&format!(r#"{{"type":"auth","token":"{soon}"}}"#));
        (page.hear() == r#"{"type":"auth_ok"}"#).then_some(page)
    });
    assert_eq!(page.end(), End { error: Some("auth_expired".to_owned()), close: 1008 });
    assert!(!node.log().contains(&good[..40]), "tokens are not logged");
}

#[test]
fn a_topic_that_wants_no_token_takes_any_and_users_count_once() {
    let node = Node::start("");
    node.register("open", false);
    let later = now_s() + 3600;
    let of = |user: &str| token(&format!(r#"{{"user_id":{user},"expires":{later},"topic":"open"}}"#));
    let old = token(r#"{"user_id":9,"expires":5,"topic":"open"}"#);
    let pages: Vec<_> =
        [Some(of("7")), Some(of("\"7\"")), Some(of("8")), Some(of("0")), Some(old), Some("x".into()), None]
            .into_iter()
            .map(|token| Page::subscribe(&node, "open", token.as_deref()))
            .collect();
    let status = node.status();
    assert_eq!((&status["connected_sockets"], &status["connected_clients"]), (&7.into(), &6.into()));
    drop(pages);
    node.wait_for("left", |status| status["connected_sockets"] == 0);
}

#[test]
fn who_showed_a_good_token_stays_when_its_topic_begins_to_want_one_and_until_it_ends() {
    let node = Node::start("");
    let of =
        |expires: u64| token(&format!(r#"{{"user_id":7,"expires":{expires},"topic":"a","session_id":""}}"#));
    let mut soon = before_the_end(|end| {
        node.register("a", false);
        let mut guest = Page::subscribe(&node, "a", None);
        let mut page = Page::subscribe(&node, "a", Some(&of(now_s() + 3600)));
        let mut soon = Page::subscribe(&node, "a", Some(&of(end)));
        node.register("a", true);
        assert_eq!(guest.end(), End { error: Some("unauthorized".to_owned()), close: 1008 });
        node.publish("a", "1");
        assert_eq!(page.hear(), push("1"));
        (soon.hear() == push("1")).then_some(soon)
    });
    assert_eq!(soon.end(), End { error: Some("auth_expired".to_owned()), close: 1008 });
}

/// What says nothing clear, or something else, of the topic beside it.
const WRONG_CLAIMS: [(&str, &str); 23] = [
    ("app.1", r#""user_id":7,"expires":18446744073709551616,"topic":"app.1""#),
    ("app.1", r#""user_id":7,"expires":1e30,"topic":"app.1""#),
    ("app.1", r#""user_id":7,"expires":-1,"topic":"app.1""#),
    ("app.1", r#""user_id":7,"expires":"LATER","topic":"app.1""#),
    ("app.1", r#""user_id":7,"expires":LATER.0,"topic":"app.1""#),
    ("app.1", r#""user_id":7,"expires":null,"topic":"app.1""#),
    ("app.1", r#""user_id":7,"topic":"app.1""#),
    ("app.1", r#""user_id":[7],"expires":LATER,"topic":"app.1""#),
    ("app.1", r#""user_id":true,"expires":LATER,"topic":"app.1""#),
    ("app.1", r#""expires":LATER,"topic":"app.1""#),
    ("app.1", r#""user_id":7,"expires":LATER,"topic":["app.1"]"#),
    ("app.1", r#""user_id":7,"expires":LATER,"topic":"app.1","topic":"app.1""#),
    ("app.1", r#""user_id":7,"expires":LATER,"topic":"app.1","session_id":"s1""#),
    ("session.s1", r#""user_id":7,"expires":LATER,"topic":"app.1","session_id":"s1""#),
    ("app.1", r#""user_id":7,"expires":LATER,"topic":"","session_id":"""#),
    ("app.1", r#""user_id":7,"expires":LATER"#),
    ("app", r#""user_id":7,"expires":LATER,"topic":"app.1""#),
    ("app.1", r#""user_id":7,"expires":LATER,"topic":"app""#),
    ("session.s1", r#""user_id":7,"expires":LATER,"topic":"s1""#),
    ("session.s1", r#""user_id":7,"expires":LATER,"session_id":"session.s1""#),
    ("session.s1", r#""user_id":7,"expires":LATER,"session_id":"S1""#),
    ("session.session.s1", r#""user_id":7,"expires":LATER,"session_id":"s1""#),
    ("app.1", r#""user_id":7,"expires":LATER,"session_id":"app.1""#),
];

#[test]
fn claims_of_every_form_open_what_they_say_or_nothing() {
    let node = Node::start("");
    for topic in ["app.1", "session.s1", "session.session.s1", "app"] {
        node.register(topic, true);
    }
    let later = now_s() + 3600;
    // As long as there is to live, and a number of milliseconds.
    for expires in [u64::MAX, u64::MAX / 1000, u64::MAX / 1000 + 1, i64::MAX as u64, later * 1000] {
        let good = token(&format!(r#"{{"user_id":7,"expires":{expires},"topic":"app.1"}}"#));
        let mut page = Page::subscribe(&node, "app.1", Some(&good));
        node.publish("app.1", "1");
        assert_eq!(page.hear(), push("1"), "{expires}");
        node.publish("app.1", "2");
        assert_eq!(page.hear(), push("2"), "{expires}");
    }
    for (topic, claims) in [
        ("app.1", r#""user_id":"ann","expires":LATER,"topic":"app.1","session_id":"","iat":[]"#),
        ("session.s1", r#""user_id":"7","expires":LATER,"topic":"","session_id":"s1""#),
        ("session.s1", r#""user_id":-1,"expires":LATER,"topic":"session.s1""#),
        ("session.session.s1", r#""user_id":7,"expires":LATER,"session_id":"session.s1""#),
    ] {
        let good = token(&format!("{{{}}}", claims.replace("LATER", &later.to_string())));
        drop(Page::subscribe(&node, topic, Some(&good)));
    }
    for (topic, claims) in WRONG_CLAIMS {
        let shown = token(&format!("{{{}}}", claims.replace("LATER", &later.to_string())));
        let mut page = Page::open(&node, topic);
        page.say(&format!(r#"{{"type":"auth","token":"{shown}"}}"#));
        assert_eq!(
            page.end(),
            End { error: Some("unauthorized".to_owned()), close: 1008 },
            "{topic} {claims}"
        );
    }
    assert!(!node.log().contains("panicked"), "{}", node.log());
}

#[test]
fn a_token_has_one_spelling() {
    let node = Node::start("");
    node.register("app.1", true);
    let later = now_s() + 3600;
    let sign = |text: &str| hex::encode(MacKey::from_bytes(SECRET.as_bytes()).sign(text.as_bytes()));
    let good = token(&format!(r#"{{"user_id":7,"expires":{later},"topic":"app.1"}}"#));
    let (text, mac) = good.split_once('.').unwrap();
    let upper = text.to_uppercase();
    for bent in [
        // Vouched for, in another spelling.
        format!("{upper}.{}", sign(&upper)),
        format!("{text}.{}", mac.to_uppercase()),
        format!("{text}.{mac} "),
        format!("{text}.{mac}.{mac}"),
        format!("{text}.{}", &mac[1..]),
        format!("{text}{mac}"),
        format!(".{}", sign("")),
        format!("{}.{}", &text[1..], sign(&text[1..])),
        format!("zz.{}", sign("zz")),
        token(&format!(r#"["7",{later},"app.1"]"#)),
        token("null"),
    ] {
        let mut page = Page::open(&node, "app.1");
        page.say(&format!(r#"{{"type":"auth","token":"{bent}"}}"#));
        assert_eq!(page.end(), End { error: Some("unauthorized".to_owned()), close: 1008 }, "{bent}");
    }
    drop(Page::subscribe(&node, "app.1", Some(&good)));
}
