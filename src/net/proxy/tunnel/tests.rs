use tokio::io::{AsyncReadExt, DuplexStream};

use super::*;
use crate::limit;
use crate::net::dial::Security;

const HUB: &str = "hub.example";

fn route() -> Route {
    Route { host: HUB.to_owned(), port: 443, security: Security::Tls }
}

async fn asked(stream: &mut DuplexStream) -> String {
    let mut asked = Vec::new();
    while !asked.ends_with(b"\r\n\r\n") {
        asked.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(asked).unwrap()
}

/// What becomes of a proxy's answer, in pieces of this size; and what it was asked.
async fn answered(url: &str, answer: &[u8], piece: usize) -> (Result<(), ProxyError>, String) {
    let proxy = Proxy::parse(url).unwrap();
    let (mut near, mut far) = tokio::io::duplex(1024 * 1024);
    let server = async {
        let asked = asked(&mut far).await;
        for part in answer.chunks(piece) {
            // Who has heard enough hangs up.
            if far.write_all(part).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(far);
        asked
    };
    let client = async {
        let result = open(&mut near, &proxy, &route()).await;
        drop(near);
        result
    };
    tokio::join!(client, server)
}

async fn refusal(url: &str, answer: &[u8]) -> ProxyError {
    let (whole, _) = answered(url, answer, answer.len().max(1)).await;
    let (pieces, _) = answered(url, answer, 1).await;
    let (whole, pieces) = (whole.unwrap_err(), pieces.unwrap_err());
    if !matches!(whole, ProxyError::Extra { .. }) {
        assert_eq!(whole.to_string(), pieces.to_string(), "however it is cut");
    }
    whole
}

#[tokio::test]
async fn a_tunnel_is_asked_for_by_name_and_with_the_password_only_where_there_is_one() {
    let yes = b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n";
    let (result, asked) = answered("http://proxy:3128", yes, yes.len()).await;
    result.unwrap();
    assert!(asked.starts_with("CONNECT hub.example:443 HTTP/1.1\r\nHost: hub.example:443\r\n"), "{asked}");
    assert!(!asked.contains("Authorization"), "{asked}");
    let (result, asked) = answered("http://user:p%40ss@proxy:3128", yes, 1).await;
    result.unwrap();
    assert!(asked.contains("\r\nProxy-Authorization: Basic dXNlcjpwQHNz\r\n"), "{asked}");
    let route = Route { host: "fd00::1".to_owned(), ..route() };
    assert_eq!(route.to_string(), "[fd00::1]:443");
}

#[tokio::test]
async fn a_407_says_what_is_missing_and_shows_no_password() {
    let wants = b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 5\r\n\r\nhello";
    let error = refusal("http://proxy:3128", wants).await;
    assert!(matches!(error, ProxyError::Login { offer: Offer::Basic, .. }), "{error:?}");
    assert!(error.to_string().contains("proxy:3128 answered 407: it wants a user and a password"), "{error}");
    let error = refusal("http://agent:hunter2@proxy:3128", wants).await;
    assert!(matches!(error, ProxyError::Login { offer: Offer::AnotherBasic, .. }), "{error:?}");
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("hunter2") && !shown.contains("YWdlbnQ6aHVudGVyMg"), "{shown}");
    let tinyproxy = b"HTTP/1.0 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\n\r\n";
    let error = refusal("http://agent:hunter2@proxy:3128", tinyproxy).await.to_string();
    assert!(error.contains("answered 401: it refused the user and password"), "{error}");
    let ntlm = b"HTTP/1.1 407 X\r\nProxy-Authenticate: NTLM\r\n\r\n";
    let error = refusal("http://proxy:3128", ntlm).await;
    assert!(matches!(error, ProxyError::Login { offer: Offer::Other, .. }), "{error:?}");
}

#[tokio::test]
async fn refusals_and_failures_of_a_proxy_are_told_apart() {
    for (answer, says) in [
        (
            &b"HTTP/1.1 403 Forbidden\r\n\r\n"[..],
            "does not let connections to hub.example:443 through (HTTP 403)",
        ),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "could not reach hub.example:443 (HTTP 502)"),
        (b"HTTP/1.1 500 Oh\r\n\r\n", "answered HTTP 500 to CONNECT hub.example:443"),
        (b"HTTP/1.0 302 Found\r\nLocation: http://login/\r\n\r\n", "a captive portal"),
        (b"HTTP/1.1 511 Network Authentication Required\r\n\r\n", "a captive portal"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>", "answered with a web page (HTTP 200)"),
        (b"HTTP/1.1 200 OK\r\ncontent-type:TEXT/HTML; charset=x\r\n\r\n", "a captive portal"),
        (b"220 mail.example ESMTP\r\n\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 banana\r\n\r\n", "does not speak HTTP"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "does not speak HTTP"),
        (b"", "closed the connection 0 bytes into its answer"),
        (b"HTTP/1.1 200 OK\r\nVia: x\r\n", "closed the connection 25 bytes into its answer"),
    ] {
        let error = refusal("http://agent:hunter2@proxy:3128", answer).await.to_string();
        assert!(error.contains(says), "{}: {error}", String::from_utf8_lossy(answer));
        assert!(error.contains("proxy:3128") && !error.contains("hunter2"), "{error}");
    }
}

#[tokio::test]
async fn bytes_behind_the_head_are_no_tunnel() {
    let error = refusal("http://proxy:3128", b"HTTP/1.1 200 OK\r\n\r\ngarbage").await;
    assert!(matches!(error, ProxyError::Extra { bytes: 7, .. }), "{error}");
}

#[tokio::test]
async fn a_head_without_end_is_read_to_its_bound_and_no_further() {
    let mut answer = b"HTTP/1.1 200 OK\r\n".to_vec();
    answer.extend(std::iter::repeat_n(b"X-Filler: 0123456789\r\n", 50_000).flatten());
    let error = refusal("http://proxy:3128", &answer).await;
    assert!(matches!(error, ProxyError::Long { .. }), "{error}");
    let mut fits = b"HTTP/1.1 200 OK\r\nX: ".to_vec();
    fits.resize(limit::ANSWER_HEAD_BYTES_MAX - 4, b'x');
    fits.extend_from_slice(b"\r\n\r\n");
    answered("http://proxy:3128", &fits, 1000).await.0.unwrap();
}

#[tokio::test]
async fn a_proxy_that_reflects_what_it_was_asked_makes_no_error_show_it() {
    let reflected = "HTTP/1.1 407 Basic YWdlbnQ6aHVudGVyMg==\r\nProxy-Authenticate: YWdlbnQ6aHVudGVyMg==\r\nLocation: http://agent:hunter2@x/\r\n\r\n";
    for status in ["407", "200", "302", "403", "502", "418"] {
        let answer = reflected.replacen("407", status, 1) + "Proxy-Authorization: Basic YWdlbnQ6aHVudGVyMg==";
        let error = refusal("http://agent:hunter2@proxy:3128", answer.as_bytes()).await;
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("YWdlbnQ6"), "{shown}");
    }
}
