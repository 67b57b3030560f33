//! What never comes whole: requests of workers, their heads, and first frames. Each is waited for as long as docs/live.md says,
//! and no longer, however little of it comes meanwhile.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use outpost::limit;
use outpost::obs::clock::boot_now;
use outpost::time::BootTime;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use super::node::{DEADLINE, Node, SECRET};
use super::page::{End, Page, push};

/// How often one that sends little by little does.
const PACE: Duration = Duration::from_millis(200);

/// Says `begun`, then `drip` again and again if there is one, until the other end is done. What that said, and when it was.
fn spoken(address: &str, begun: &str, drip: Option<u8>) -> (String, BootTime) {
    let mut socket = TcpStream::connect(address).unwrap();
    let bound = limit::LIVE_REQUEST_TIMEOUT + DEADLINE;
    socket.set_read_timeout(Some(if drip.is_some() { PACE } else { bound })).unwrap();
    socket.write_all(begun.as_bytes()).unwrap();
    let began = boot_now();
    let (mut said, mut bytes) = (Vec::new(), [0; 1024]);
    loop {
        match socket.read(&mut bytes) {
            Ok(0) => break,
            Ok(count) => said.extend_from_slice(&bytes[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                assert!(boot_now().since(began) < bound, "{begun:?}: no end");
                // Where the other end is done by now, reading says so.
                let _gone = drip.map(|drip| socket.write_all(&[drip]));
            }
            // Something of ours was on its way.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => panic!("{begun:?}: {error}"),
        }
    }
    (String::from_utf8(said).unwrap(), boot_now())
}

/// One that begins to speak: where, with what, and what it goes on with.
type Case<'a> = (&'a str, String, Option<u8>);

/// What many are answered that speak at once, and after how long.
fn all_spoken(cases: &[Case<'_>]) -> Vec<(String, Duration)> {
    let began = boot_now();
    std::thread::scope(|scope| {
        let speak = |(address, begun, drip): &Case<'_>| spoken(address, begun, *drip);
        let speaking: Vec<_> = cases.iter().map(|case| scope.spawn(move || speak(case))).collect();
        let answers = speaking.into_iter().map(|one| one.join().unwrap());
        answers.map(|(said, end)| (said, end.since(began))).collect()
    })
}

#[test]
fn a_body_that_does_not_come_is_waited_for_30_s_and_then_its_worker_is_told() {
    let node = Node::start("");
    node.register("a", false);
    let mut page = Page::subscribe(&node, "a", None);
    page.socket().set_read_timeout(Some(limit::LIVE_REQUEST_TIMEOUT + 2 * DEADLINE)).unwrap();
    // All the while: it answers pings.
    let hearing = std::thread::spawn(move || page.hear());
    let head = format!("POST /internal/publish HTTP/1.1\r\nHost: x\r\nX-Worker-Secret: {SECRET}\r\n");
    let whole = r#"{"topic":"a","payload":"late"}"#;
    let length = format!("{head}Content-Length: {}\r\n\r\n", whole.len());
    let address = node.internal.as_str();
    let cases = [
        (address, length.clone(), None),
        (address, format!("{length}{}", &whole[..whole.len() - 1]), None),
        (address, format!("{head}Transfer-Encoding: chunked\r\n\r\n1e\r\n{whole}\r\n"), None),
        (address, format!("{head}Content-Length: 1000000\r\n\r\n"), Some(b' ')),
    ];
    let bounds = limit::LIVE_REQUEST_TIMEOUT..limit::LIVE_REQUEST_TIMEOUT + DEADLINE;
    for (answer, waited) in all_spoken(&cases) {
        assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\nrequest timeout"), "{answer}");
        assert!(bounds.contains(&waited), "{waited:?}");
    }
    node.publish("a", "\"whole\"");
    assert_eq!(hearing.join().unwrap(), push("\"whole\""), "and nothing of what was not");
    assert_eq!(node.log().matches("refusal=\"request timeout\"").count(), 4, "{}", node.log());
}

#[test]
fn a_head_that_does_not_come_whole_ends_its_connection_without_an_answer() {
    let node = Node::start("");
    let head = format!("POST /internal/publish HTTP/1.1\r\nX-Worker-Secret: {SECRET}\r\nX-More: ");
    let page = "GET /ws?topic=a HTTP/1.1\r\nX-More: ".to_owned();
    let mut cases = Vec::new();
    for (address, begun) in [(&node.ws, page), (&node.internal, head)] {
        let address = address.as_str();
        cases.extend([
            (address, String::new(), None),
            (address, begun.clone(), None),
            (address, begun, Some(b'x')),
        ]);
    }
    for ((address, ..), (answer, waited)) in cases.iter().zip(all_spoken(&cases)) {
        assert_eq!(answer, "");
        let least = if *address == node.ws { limit::HANDSHAKE_TIMEOUT } else { limit::LIVE_REQUEST_TIMEOUT };
        assert!((least..least + DEADLINE).contains(&waited), "{address}: {waited:?}");
    }
    assert!(!node.log().contains("panicked"), "{}", node.log());
}

/// How somebody shows nothing.
#[derive(Debug, Clone, Copy)]
enum Way {
    Silence,
    Pings,
    /// A message that has no end.
    Pieces,
}

/// Up to its end.
fn shows_nothing(page: &mut Page, way: Way) -> End {
    let piece = |text: &'static str, kind| Message::Frame(Frame::message(text, OpCode::Data(kind), false));
    let drip = match way {
        Way::Silence => return page.end(),
        Way::Pings => Message::Ping("x".into()),
        Way::Pieces => {
            page.send(piece(r#"{"type":"auth""#, Data::Text));
            piece(" ", Data::Continue)
        }
    };
    page.socket().set_read_timeout(Some(PACE)).unwrap();
    let began = boot_now();
    let text = loop {
        assert!(boot_now().since(began) < limit::LIVE_AUTH_TIMEOUT + DEADLINE, "it is never sent away");
        match page.try_hear() {
            Some(text) => break text,
            None => page.send(drip.clone()),
        }
    };
    page.socket().set_read_timeout(Some(DEADLINE)).unwrap();
    let error: serde_json::Value = serde_json::from_str(&text).unwrap();
    End { error: error["code"].as_str().map(str::to_owned), ..page.end() }
}

#[test]
fn who_shows_nothing_for_ten_seconds_is_sent_away_from_every_topic() {
    let node = &Node::start("");
    node.register("open", false);
    node.register("closed", true);
    let refused = End { error: Some("auth_required".to_owned()), close: 1008 };
    std::thread::scope(|scope| {
        let all = ["open", "closed", "worker.status"];
        let cases =
            all.into_iter().flat_map(|topic| [Way::Silence, Way::Pings, Way::Pieces].map(|way| (topic, way)));
        let waiting: Vec<_> = cases
            .map(|(topic, way)| {
                let began = boot_now();
                let mut page = Page::open(node, topic);
                let end = move || (shows_nothing(&mut page, way), boot_now().since(began));
                (topic, way, scope.spawn(end))
            })
            .collect();
        for (topic, way, waiting) in waiting {
            let (end, waited) = waiting.join().unwrap();
            assert_eq!(end, refused, "{topic}, {way:?}");
            let bound = limit::LIVE_AUTH_TIMEOUT + DEADLINE;
            assert!((limit::LIVE_AUTH_TIMEOUT..bound).contains(&waited), "{topic}, {way:?}: {waited:?}");
        }
    });
    assert_eq!(node.status()["connected_sockets"], 0);
}
