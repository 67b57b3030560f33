//! Requests that are wrong, endless or never complete: a clear answer or an end, and nothing for anybody else.

use std::time::Duration;

use outpost::limit;
use outpost::wire::key::encode32;

use crate::raw_agent::World;
use crate::raw_http::RawHttp;

/// The agent of this world gets in, and what it brings is stored.
async fn an_agent_works(world: &World) {
    let (mut agent, marks) = world.register().await;
    let first = marks[0].acked + 1;
    agent.say(crate::raw_agent::records(first, &["after it"])).await;
    assert_eq!(agent.acked().await, first);
}

/// A good upgrade, as lines that can be spoiled.
fn lines(world: &World) -> Vec<(String, String)> {
    [
        ("Host", "hub".to_owned()),
        ("Connection", "Upgrade".to_owned()),
        ("Upgrade", "websocket".to_owned()),
        ("Sec-WebSocket-Version", "13".to_owned()),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==".to_owned()),
        ("Sec-WebSocket-Protocol", "outpost.v1".to_owned()),
        ("X-Outpost-Nonce", encode32(&[7; 32])),
        ("Authorization", format!("Bearer {}", world.key.bearer().to_text().expose())),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .to_vec()
}

fn request(lines: &[(String, String)]) -> Vec<u8> {
    let mut text = b"GET /v1/agents/connect HTTP/1.1\r\n".to_vec();
    for (key, value) in lines {
        text.extend(format!("{key}: {value}\r\n").bytes());
    }
    text.extend(b"\r\n");
    text
}

#[tokio::test]
async fn malformed_upgrade_headers_are_refused_by_name_and_harm_nobody() {
    let world = World::new().await;
    let good = lines(&world);
    let bearer = good[7].1.clone();
    let long = "x".repeat(8000);
    let cut = &bearer[..bearer.len() - 1];
    let longer = format!("{bearer}A");
    let cases: &[(&str, &str, (u16, &str))] = &[
        ("Connection", "close", (400, "bad_request")),
        ("Upgrade", "h2c", (400, "bad_request")),
        ("Sec-WebSocket-Version", "12", (400, "bad_request")),
        ("Sec-WebSocket-Version", "\u{e9}", (400, "bad_request")),
        ("Sec-WebSocket-Key", "", (400, "bad_request")),
        ("Sec-WebSocket-Protocol", "outpost.v9", (426, "unsupported_version")),
        ("X-Outpost-Nonce", "", (400, "bad_request")),
        ("X-Outpost-Nonce", "AAAA", (400, "bad_request")),
        ("X-Outpost-Nonce", &long, (400, "bad_request")),
        ("X-Outpost-Nonce", "\u{fc}\u{fc}", (400, "bad_request")),
        ("Authorization", "Bearer", (401, "unauthorized")),
        ("Authorization", "Basic YTpi", (401, "unauthorized")),
        ("Authorization", "Bearer \u{ff}", (401, "unauthorized")),
        ("Authorization", cut, (401, "unauthorized")),
        ("Authorization", &longer, (401, "unauthorized")),
        ("Authorization", &long, (401, "unauthorized")),
    ];
    for (key, value, expected) in cases {
        let mut spoiled = good.clone();
        spoiled
            .iter_mut()
            .filter(|(known, _)| known == key)
            .for_each(|(_, known)| (*known).clone_from(&(*value).to_owned()));
        let mut peer = RawHttp::connect(world.hub.agent_addr()).await;
        let answer = peer.ask(request(&spoiled)).await;
        assert_eq!(answer.refusal(), *expected, "{key}: {value:.40}");
    }
    let mut missing = good.clone();
    missing.remove(7);
    let mut peer = RawHttp::connect(world.hub.agent_addr()).await;
    assert_eq!(peer.ask(request(&missing)).await.refusal(), (401, "unauthorized"));
    an_agent_works(&world).await;
    world.hub.shutdown().await;
}

#[tokio::test]
async fn what_is_no_http_is_answered_400_and_closed() {
    let world = World::new().await;
    for junk in
        [&b"\x16\x03\x01\x02\x00\x01\x00"[..], b"GET\r\n\r\n", b"\0\0\0\0\r\n\r\n", b"SSH-2.0-x\r\n\r\n"]
    {
        let mut peer = RawHttp::connect(world.hub.agent_addr()).await;
        peer.send(junk).await.unwrap();
        let said = String::from_utf8(peer.ended().await).unwrap();
        assert!(said.starts_with("HTTP/1.1 400") || said.is_empty(), "{junk:?}: {said}");
    }
    an_agent_works(&world).await;
    world.hub.shutdown().await;
}

#[tokio::test]
async fn a_hundred_kilobytes_of_headers_get_431_and_the_end() {
    let world = World::new().await;
    let filler = "x".repeat(1000);
    let in_many: String = (0..100).map(|number| format!("X-Filler-{number}: {filler}\r\n")).collect();
    let in_one = format!("X-Filler: {}\r\n", "x".repeat(100 * 1024));
    let too_many: String = (0..200).map(|number| format!("X-{number}: x\r\n")).collect();
    for headers in [in_many, in_one, too_many] {
        let mut peer = RawHttp::connect(world.hub.agent_addr()).await;
        // The hub may hang up before it has read all of it.
        let _early = peer.send(format!("GET /v1/agents/connect HTTP/1.1\r\n{headers}\r\n")).await;
        let said = String::from_utf8(peer.ended().await).unwrap();
        assert!(said.starts_with("HTTP/1.1 431") || said.is_empty(), "{said}");
    }
    let fits = format!(
        "GET /healthz HTTP/1.1\r\nHost: hub\r\nX-Filler: {}\r\n\r\n",
        "x".repeat(limit::REQUEST_HEAD_BYTES_MAX - 500)
    );
    let mut peer = RawHttp::connect(world.hub.local_addr()).await;
    assert_eq!(peer.ask(&fits).await.status, 200);
    let above = format!(
        "GET /healthz HTTP/1.1\r\nHost: hub\r\nX-Filler: {}\r\n\r\n",
        "x".repeat(limit::REQUEST_HEAD_BYTES_MAX)
    );
    let mut peer = RawHttp::connect(world.hub.local_addr()).await;
    assert_eq!(peer.ask(&above).await.status, 431);
    an_agent_works(&world).await;
    world.hub.shutdown().await;
}

#[tokio::test]
async fn a_body_that_comes_in_pieces_is_waited_for_as_long_as_they_come() {
    let auth = Duration::from_secs(2);
    let world = World::with(|config| config.admission.auth = auth).await;
    let mut peer = RawHttp::connect(world.hub.agent_addr()).await;
    let began = outpost::obs::clock::boot_now();
    peer.send("POST /v1/enroll HTTP/1.1\r\nHost: hub\r\nContent-Length: 11\r\n\r\n").await.unwrap();
    // Far below the silence that ends it, and together beyond that.
    let mut tick = tokio::time::interval(auth / 4);
    for _ in 0..10 {
        tick.tick().await;
        peer.send(" ").await.unwrap();
    }
    let answer = peer.ask("{").await;
    let took = outpost::obs::clock::boot_now().since(began);
    assert!(took > auth * limit::ANSWER_FACTOR, "{took:?}");
    assert_eq!(answer.status, 400, "it came whole, and is no request: {answer:?}");
    world.hub.shutdown().await;
}

#[tokio::test]
async fn a_request_that_never_completes_is_ended_in_time_and_so_is_silence() {
    let auth = Duration::from_secs(3);
    let world = World::with(|config| config.admission.auth = auth).await;
    let mut silent = RawHttp::connect(world.hub.agent_addr()).await;
    let mut slow = RawHttp::connect(world.hub.agent_addr()).await;
    slow.send("GET /v1/agents/connect HTTP/1.1\r\nX-Slow: ").await.unwrap();
    let mut kept = RawHttp::connect(world.hub.local_addr()).await;
    assert_eq!(kept.ask("GET /healthz HTTP/1.1\r\nHost: hub\r\n\r\n").await.status, 200);
    // One byte after the other, for as long as the hub listens.
    let trickle = async {
        let mut each = tokio::time::interval(Duration::from_millis(50));
        while !slow.has_ended() && slow.send("x").await.is_ok() {
            each.tick().await;
        }
    };
    let others = async {
        let mut bodiless = RawHttp::connect(world.hub.agent_addr()).await;
        let request = "POST /v1/enroll HTTP/1.1\r\nHost: hub\r\nContent-Length: 100\r\n\r\n{";
        let answer = bodiless.ask(request).await;
        assert_eq!(answer.status, 408, "{answer:?}");
        an_agent_works(&world).await;
        assert!(silent.ended().await.is_empty());
    };
    let all = async { tokio::join!(trickle, others) };
    let ended = tokio::time::timeout(auth * limit::TRICKLE_FACTOR * 2, all).await;
    assert!(ended.is_ok(), "one that says a byte now and then is not listened to for ever");
    assert!(kept.ended().await.is_empty(), "a connection that asks nothing more is not kept for ever");
    an_agent_works(&world).await;
    world.hub.shutdown().await;
}
