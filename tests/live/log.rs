//! What strangers can write into the log: nothing.

use super::node::{Answer, Node, SECRET, exchange, send};

fn short(answer: &Answer) -> (u16, &str) {
    (answer.status, &answer.body)
}

#[test]
fn nothing_in_the_log_is_a_strangers() {
    let node = Node::start("");
    node.register("a", false);
    let forged = "X-Real-IP: 1.2.3.4\u{202e} FORGED\r\n";
    send(&node.internal, "POST", "/internal/publish", forged, b"{}");
    send(&node.ws, "GET", "/ws?topic=x%0d%0aERROR+FORGED", forged, b"");
    for topic in
        [r"x\r\nERROR FORGED", r"agent.\u001b[2KFORGED", &format!("agent.{}", "y".repeat(400)), "agent.é"]
    {
        node.ask("POST", "/internal/register", &format!(r#"{{"topic":"{topic}"}}"#));
    }
    let long = "x".repeat(10_000);
    let answer = node.ask("POST", "/internal/register", &format!(r#"{{"topic":"{long}"}}"#));
    assert_eq!(short(&answer), (400, "bad request"));
    let answer = node.ask("POST", "/internal/publish", &format!(r#"{{"topic":"{long}","payload":1}}"#));
    assert_eq!(short(&answer), (404, "topic not registered"));
    // A header with a line feed of its own is no header any more.
    let split =
        b"GET /internal/status HTTP/1.1\r\nHost: x\r\nX-Real-IP: 1\n2: FORGED\r\nConnection: close\r\n\r\n";
    assert!(matches!(exchange(&node.internal, &[split]).status, 400 | 403));
    let log = node.log();
    assert!(log.contains("forbidden") && log.contains(r#"client="1.2.3.4\u{202e} FORGED""#), "{log}");
    assert!(
        !log.contains('\u{1b}') && !log.contains(&"y".repeat(100)) && !log.contains(&long[..100]),
        "{log}"
    );
    assert!(!log.contains(SECRET), "{log}");
    for line in log.lines() {
        assert!(line.starts_with("20") && line.is_ascii(), "a line of somebody else: {line}");
        assert!(!line.starts_with("ERROR FORGED"), "{line}");
    }
}

#[test]
fn a_line_of_the_log_has_no_field_of_a_strangers() {
    let node = Node::start("");
    node.register("a", false);
    let forged = "X-Real-IP: 9.9.9.9 refusal=none admin=true \" address=1.1.1.1 x=\"\r\n";
    send(&node.internal, "POST", "/internal/publish", forged, b"{}");
    send(&node.ws, "GET", "/ws?topic=b", forged, b"");
    let topic = r#"{"topic":"agent.1 error=none \" address=1.1.1.1"}"#;
    node.ask("POST", "/internal/register", topic);
    let log = node.log();
    let refused: Vec<_> =
        log.lines().filter(|line| line.contains("refus") || line.contains("agent.1")).collect();
    assert!(refused.len() >= 3, "{log}");
    for line in refused {
        let fields = outside_of_quotes(line);
        for key in ["refusal=", "address=", "client=", "error=", "topic="] {
            assert!(fields.matches(key).count() <= 1, "{line}");
        }
        assert!(!fields.contains("admin=") && !fields.contains(" x="), "{line}");
        assert!(
            !line.contains("client=") || fields.contains("address=127.0.0.1:"),
            "the peer's own, too: {line}"
        );
    }
}

/// What no quotation marks are around, where `\` and `"` inside of them are escaped.
fn outside_of_quotes(line: &str) -> String {
    let (mut kept, mut inside, mut letters) = (String::new(), false, line.chars());
    while let Some(letter) = letters.next() {
        match letter {
            '"' => inside = !inside,
            '\\' if inside => drop(letters.next()),
            _ if inside => {}
            _ => kept.push(letter),
        }
    }
    kept
}
