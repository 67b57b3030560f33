use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use crate::net::dial::{Connected, Dialer};
use crate::time::HubTime;
use crate::wire::error::{ErrorCode, Retry};

use super::*;
use crate::net::ws::{Incoming, Turn, Want};

async fn greet(endpoint: &Endpoint) -> Result<Link<Stream>, DialError> {
    let authorization = &Secret::new("opa1.who".to_owned());
    let Connected { stream, trial, .. } = Dialer::default().connect(&endpoint.route).await?;
    upgrade(stream, trial.way(), endpoint, Greeting { authorization, nonce: &[7; 32], signed: None }).await
}

/// A server that answers one request with `answer` and hands back what it was asked.
async fn answer_once(answer: &'static [u8]) -> (DialError, String) {
    let (result, asked) = answer_with(|_asked| answer.to_vec()).await;
    (result.unwrap_err(), asked)
}

/// The same with an answer to what was asked.
async fn answer_with(answer: impl Fn(&str) -> Vec<u8>) -> (Result<Link<Stream>, DialError>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let endpoint = Endpoint {
        route: Route { host: "127.0.0.1".to_owned(), port, security: Security::Plain },
        connect_url: format!("ws://127.0.0.1:{port}/base/v1/agents/connect"),
    };
    let server = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte).await.unwrap();
            asked.extend(byte);
        }
        let asked = String::from_utf8(asked).unwrap();
        socket.write_all(&answer(&asked)).await.unwrap();
        asked
    };
    tokio::join!(greet(&endpoint), server)
}

#[tokio::test]
async fn a_refusal_names_its_row_of_the_table_and_when_to_come_back() {
    let (error, asked) = answer_once(
        b"HTTP/1.1 503 Service Unavailable\r\nX-Outpost-Error: busy\r\nRetry-After: 7\r\nX-Outpost-Time: 1800000000000\r\nContent-Length: 0\r\n\r\n",
    )
    .await;
    let DialError::Refused(refusal) = error else { panic!("{error}") };
    let expected = Refusal {
        by: refusal.by.clone(),
        status: 503,
        code: Some(ErrorCode::Busy),
        retry_after: Some(Duration::from_secs(7)),
        hub_time: Some(HubTime(1_800_000_000_000)),
    };
    assert_eq!(refusal, expected);
    assert!(asked.starts_with("GET /base/v1/agents/connect HTTP/1.1\r\n"), "{asked}");
    let lower = asked.to_lowercase();
    assert!(lower.contains("authorization: bearer opa1.who"), "{asked}");
    assert!(lower.contains("x-outpost-nonce: bwchbwchbwch"), "{asked}");
    assert!(lower.contains("sec-websocket-protocol: outpost.v1"), "{asked}");
}

#[tokio::test]
async fn an_unknown_or_missing_row_is_no_reason_to_fail() {
    let (error, _) = answer_once(
        b"HTTP/1.1 403 Forbidden\r\nX-Outpost-Error: moon_phase\r\nRetry-After: soon\r\nX-Outpost-Time: noon\r\nContent-Length: 0\r\n\r\n",
    )
    .await;
    let DialError::Refused(refusal) = error else { panic!("{error}") };
    let by = refusal.by.clone();
    assert_eq!(refusal, Refusal { by, status: 403, code: None, retry_after: None, hub_time: None });
}

#[tokio::test]
async fn something_that_is_no_hub_is_told_apart() {
    let (error, _) = answer_once(b"220 mail.example ESMTP\r\n\r\n").await;
    assert!(matches!(error, DialError::NotHttp { .. }), "{error}");
}

#[tokio::test]
async fn a_tls_port_that_is_dialled_without_tls_is_told_apart() {
    // The alert of a TLS server that reads `GET`: unexpected message.
    let (error, _) = answer_once(&[0x15, 3, 3, 0, 2, 2, 10]).await;
    assert!(matches!(error, DialError::NotHttp { .. }), "{error}");
    assert!(error.to_string().contains("https://"), "{error}");
}

#[tokio::test]
async fn a_hub_behind_tls_that_is_asked_without_is_told_by_its_word() {
    let (error, _) =
        answer_once(b"HTTP/1.1 400 Bad Request\r\nX-Outpost-Error: tls\r\nContent-Length: 5\r\n\r\nThis\n")
            .await;
    assert!(matches!(error, DialError::TlsPort { .. }), "{error}");
    assert_eq!(error.name(), "tls");
    assert!(error.to_string().contains("is a TLS port; begin the hub's URL with https://"), "{error}");
}

#[tokio::test]
async fn a_captive_portal_is_named_whichever_http_it_speaks() {
    for (answer, status) in [
        (&b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<html></html>"[..], 200),
        (b"HTTP/1.1 302 Found\r\nLocation: http://login.example/\r\nContent-Length: 0\r\n\r\n", 302),
        (b"HTTP/1.1 511 Network Authentication Required\r\nContent-Length: 0\r\n\r\n", 511),
        (b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<html></html>", 200),
        (b"HTTP/1.0 302 Found\nLocation: http://login.example/\n\n", 302),
    ] {
        let (error, _) = answer_once(answer).await;
        assert!(matches!(error, DialError::Portal { status: found, .. } if found == status), "{error}");
        assert_eq!((error.name(), error.retry()), ("captive_portal", Retry::Capped));
        assert!(error.to_string().contains("captive portal"), "{error}");
    }
}

#[tokio::test]
async fn who_refuses_in_a_hub_s_place_is_named_with_what_to_do() {
    for (answer, says, retry) in [
        (&b"HTTP/1.1 502 Bad Gateway\r\n\r\n"[..], "HTTP 502; what stands before the hub", Retry::Soon),
        (b"HTTP/1.0 503 Service Unavailable\r\n\r\n", "HTTP 503; what stands before the hub", Retry::Soon),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "HTTP 404; check the path in the hub's URL", Retry::Capped),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "HTTP 403; a proxy, gateway or portal", Retry::Capped),
        (b"HTTP/1.1 429 Too Many\r\n\r\n", "HTTP 429; it wants to be asked less often", Retry::Soon),
        (b"HTTP/1.1 418 Teapot\r\n\r\n", "HTTP 418; does the URL lead to an Outpost hub?", Retry::Capped),
    ] {
        let (error, asked) = answer_once(answer).await;
        let host = asked.lines().find_map(|line| line.strip_prefix("Host: ")).unwrap();
        let text = error.to_string();
        assert!(text.starts_with(&format!("whoever answers at {host} refused with {says}")), "{text}");
        assert_eq!((error.name(), error.retry()), ("link", retry), "{text}");
    }
    let (error, _) = answer_once(b"HTTP/1.1 403 No\r\nX-Outpost-Error: revoked\r\n\r\n").await;
    assert!(error.to_string().starts_with("the hub refused with HTTP 403, revoked"), "{error}");
}

/// A 101 to what was asked, with these lines.
fn switched(asked: &str, upgrade: &str, protocol: &str) -> Vec<u8> {
    let key = asked.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
    let accept = derive_accept_key(key.as_bytes());
    format!(
        "HTTP/1.1 101 X\r\nUpgrade: {upgrade}\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: {protocol}\r\n\r\n"
    )
    .into_bytes()
}

#[tokio::test]
async fn an_upgrade_to_something_else_is_none() {
    let (result, _) = answer_with(|asked| switched(asked, "WebSocket", SUBPROTOCOL)).await;
    result.unwrap();
    let another_key = |asked: &str| {
        switched(&asked.replace("Sec-WebSocket-Key: ", "Sec-WebSocket-Key: x"), "websocket", SUBPROTOCOL)
    };
    for (answer, says) in [
        (
            &(|asked: &str| switched(asked, "h2c", SUBPROTOCOL)) as &dyn Fn(&str) -> Vec<u8>,
            "upgrades to something",
        ),
        (&|asked| switched(asked, "websocket", "chat"), "another subprotocol"),
        (&another_key, "its key does not fit"),
    ] {
        let (result, _) = answer_with(answer).await;
        let error = result.unwrap_err();
        assert!(matches!(&error, DialError::NotAHub(detail) if detail.contains(says)), "{error}");
    }
}

#[tokio::test]
async fn frames_that_come_with_the_answer_are_not_lost() {
    let (result, _) = answer_with(|asked| {
        let mut answer = switched(asked, "websocket", SUBPROTOCOL);
        // A binary message of two bytes.
        answer.extend([0x82, 2, 7, 8]);
        answer
    })
    .await;
    let Turn::Incoming(Incoming::Frame(frame)) = result.unwrap().turn(Want::Rest).await else { panic!() };
    assert_eq!(frame.as_ref(), [7, 8]);
}

#[tokio::test]
async fn an_answer_that_ends_early_or_never_is_told_apart() {
    let (error, _) = answer_once(b"HTTP/1.1 101 Swi").await;
    assert!(
        error.to_string().ends_with("ended during the upgrade: closed 16 bytes into the answer"),
        "{error}"
    );
    let long = format!("HTTP/1.1 101 X\r\nX: {}", "x".repeat(limit::ANSWER_HEAD_BYTES_MAX));
    let (result, _) = answer_with(|_asked| long.clone().into_bytes()).await;
    let error = result.unwrap_err();
    assert!(
        matches!(&error, DialError::NotAHub(detail) if detail.contains("more than 16384 bytes")),
        "{error}"
    );
}

#[tokio::test]
async fn a_closed_port_names_host_and_port() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let endpoint = Endpoint {
        route: Route { host: "127.0.0.1".to_owned(), port, security: Security::Plain },
        connect_url: format!("ws://127.0.0.1:{port}/v1/agents/connect"),
    };
    let error = greet(&endpoint).await.unwrap_err();
    assert!(matches!(error, DialError::Connect { .. }) && error.to_string().contains(&port.to_string()));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_is_given_up_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let endpoint = Endpoint {
        route: Route { host: "127.0.0.1".to_owned(), port, security: Security::Plain },
        connect_url: format!("ws://127.0.0.1:{port}/v1/agents/connect"),
    };
    let error = greet(&endpoint).await.unwrap_err();
    assert!(matches!(error, DialError::Timeout { .. }), "{error}");
}
