use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

use serde_json::json;

use super::*;
use crate::net::dial::{DialError, Route, Security};
use crate::wire::error::ErrorCode;

const TIMEOUT: Duration = Duration::from_secs(10);

fn target(address: SocketAddr) -> Target {
    let route = Route { host: address.ip().to_string(), port: address.port(), security: Security::Plain };
    Target::new(route, &format!("http://{address}/prefix/"))
}

/// A server that answers one request with this end, and what it was asked.
fn served<T>(
    end: &'static [u8],
    answer: impl FnOnce(&mut TcpStream) + Send + 'static,
    ask: impl FnOnce(Target) -> T,
) -> (T, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = target(listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = Vec::new();
        while !asked.ends_with(end) {
            let mut byte = [0];
            if stream.read(&mut byte).unwrap() == 0 {
                // It hung up.
                return String::from_utf8(asked).unwrap();
            }
            asked.extend(byte);
        }
        answer(&mut stream);
        String::from_utf8(asked).unwrap()
    });
    (ask(target), server.join().unwrap())
}

fn posted(target: &Target) -> Result<Value, HttpError> {
    let bearer = Secret::new("opa1.secret".to_owned());
    let body = json!({"a": 1});
    let dialer = Dialer::default();
    let asked = post(&dialer, target, "/v1/agents/token", Some(&bearer), &body, TIMEOUT);
    wait_for(asked).unwrap().map(|reply| reply.json)
}

fn answered(answer: &'static str) -> (Result<Value, HttpError>, String) {
    served(b"{\"a\":1}", |stream| stream.write_all(answer.as_bytes()).unwrap(), |target| posted(&target))
}

#[test]
fn a_request_carries_its_bearer_and_gets_its_json() {
    let (answer, asked) = answered("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"b\":2}");
    assert_eq!(answer.unwrap(), json!({"b": 2}));
    assert!(asked.starts_with("POST /prefix/v1/agents/token HTTP/1.1\r\n"), "{asked}");
    let asked = asked.to_lowercase();
    assert!(asked.contains("authorization: bearer opa1.secret"), "{asked}");
    assert!(
        asked.contains("host: 127.0.0.1:") && asked.contains("content-type: application/json"),
        "{asked}"
    );
}

#[test]
fn a_refusal_is_read_as_at_an_upgrade() {
    let (answer, _) = answered(
        "HTTP/1.1 403 Forbidden\r\nX-Outpost-Error: revoked\r\nContent-Length: 15\r\n\r\n{\"message\":\"x\"}",
    );
    let error = answer.unwrap_err();
    let HttpError::Refused { refusal, message } = &error else { panic!("{error}") };
    assert_eq!((refusal.status, refusal.code, message.as_str()), (403, Some(ErrorCode::Revoked), "x"));
    assert!(!error.to_string().contains("opa1"), "{error}");
}

#[test]
fn a_redirect_is_not_followed() {
    // The address would refuse a connection: following it would be another error.
    let (answer, _) = answered(
        "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
    );
    let error = answer.unwrap_err();
    assert!(matches!(&error, HttpError::Away { .. }) && error.to_string().contains("HTTP 307"), "{error}");
}

#[test]
fn a_network_that_wants_a_login_is_named() {
    for (answer, status) in [
        ("HTTP/1.1 200 OK\r\nContent-Type: Text/HTML; charset=utf-8\r\nContent-Length: 5\r\n\r\nlogin", 200),
        ("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n\n <html>", 200),
        ("HTTP/1.1 302 Found\r\nLocation: http://login.example/\r\nContent-Length: 0\r\n\r\n", 302),
        ("HTTP/1.1 511 Network Authentication Required\r\nContent-Length: 0\r\n\r\n", 511),
    ] {
        let error = answered(answer).0.unwrap_err();
        let HttpError::Away { reason: ExchangeError::Dial(DialError::Portal { status: found, .. }), .. } =
            &error
        else {
            panic!("{error}")
        };
        assert_eq!(*found, status);
        assert!(error.to_string().contains("captive portal"), "{error}");
    }
}

#[test]
fn a_hub_behind_tls_that_is_asked_without_is_told_by_its_word() {
    let (answer, _) =
        answered("HTTP/1.1 400 Bad Request\r\nX-Outpost-Error: tls\r\nContent-Length: 5\r\n\r\nThis\n");
    let error = answer.unwrap_err();
    let said = error.to_string();
    assert!(said.contains("is a TLS port; begin the hub's URL with https://"), "{said}");
    // A refusal that names a row of its own is one of a hub, whatever its status.
    let (answer, _) =
        answered("HTTP/1.1 400 Bad Request\r\nX-Outpost-Error: clock\r\nContent-Length: 0\r\n\r\n");
    assert!(matches!(answer, Err(HttpError::Refused { .. })), "{answer:?}");
}

#[test]
fn something_that_is_no_hub_is_told_apart() {
    let (answer, _) = answered("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    assert!(matches!(answer, Err(HttpError::NotAHub { status: 200, .. })));
    let (answer, _) = answered("220 mail.example ESMTP\r\n\r\n");
    let error = answer.unwrap_err();
    let dial = |error: &HttpError| matches!(error, HttpError::Away { reason: ExchangeError::Dial(_), .. });
    assert!(dial(&error) && error.to_string().contains("https://"), "{error}");
    let broken =
        |error: &HttpError| matches!(error, HttpError::Away { reason: ExchangeError::Broken(_), .. });
    let (answer, _) = answered("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"b\"");
    assert!(answer.as_ref().is_err_and(broken), "{answer:?}");
    let away = posted(&target("127.0.0.1:1".parse().unwrap())).unwrap_err();
    assert!(dial(&away), "{away}");
}

#[test]
fn no_answer_is_longer_than_what_is_read_or_slower_than_what_is_waited_for() {
    let long = |stream: &mut TcpStream| {
        let begin = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", limit::HUB_ANSWER_BYTES_MAX + 1);
        stream.write_all(begin.as_bytes()).unwrap();
        // The other end may hang up before it is all written.
        let _ = stream.write_all(&vec![b' '; limit::HUB_ANSWER_BYTES_MAX + 1]);
    };
    let (answer, _) = served(b"{\"a\":1}", long, |target| posted(&target));
    assert!(answer.unwrap_err().to_string().contains("longer than"));
    let head = |stream: &mut TcpStream| {
        // It ends once the other end hangs up.
        while stream.write_all(b"HTTP/1.1 200 OK\r\nX: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy").is_ok() {}
    };
    let (answer, _) = served(b"{\"a\":1}", head, |target| posted(&target));
    assert!(matches!(answer, Err(HttpError::Away { .. })), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_is_given_up_once_nothing_moves() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = target(listener.local_addr().unwrap());
    let error = post(&Dialer::default(), &target, "/", None, &json!({}), TIMEOUT).await.unwrap_err();
    assert!(matches!(&error, HttpError::Away { reason: ExchangeError::Late(_), .. }), "{error}");
    assert!(error.to_string().contains("10 s"), "{error}");
}

/// As many bytes as asked for, then an end or an error.
struct Source(usize, Option<io::ErrorKind>);

impl io::Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.min(buffer.len());
        buffer[..count].fill(b'x');
        self.0 -= count;
        match (count, self.1) {
            (0, Some(kind)) => Err(io::Error::new(kind, "the disk is gone")),
            _ => Ok(count),
        }
    }
}

fn uploaded(source: Source, target: &Target) -> Result<Answer, ExchangeError> {
    let ask = Ask {
        method: Method::POST,
        path: "/v1/bundles",
        bearer: None,
        headers: &[("X-Name", "value")],
        body: (Outgoing::Reader(Box::new(source)), None),
        answer_bytes_max: 100,
        patience: Patience { silence: TIMEOUT, whole: TIMEOUT },
    };
    wait_for(exchange(&Dialer::default(), target, ask)).unwrap()
}

#[test]
fn a_reader_is_sent_to_its_end_in_chunks() {
    let yes = |stream: &mut TcpStream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
    };
    let (answer, asked) = served(b"\r\n0\r\n\r\n", yes, |target| uploaded(Source(200_000, None), &target));
    assert_eq!(answer.unwrap().body, "ok");
    let (head, body) = asked.split_once("\r\n\r\n").unwrap();
    let head = head.to_lowercase();
    assert!(head.contains("transfer-encoding: chunked") && head.contains("x-name: value"), "{head}");
    assert_eq!(body.matches('x').count(), 200_000);
}

#[test]
fn what_cannot_be_read_is_told_apart_from_a_hub_that_is_away() {
    let nothing = |_: &mut TcpStream| {};
    let source = Source(100, Some(io::ErrorKind::InvalidData));
    let (answer, _) = served(b"never", nothing, |target| uploaded(source, &target));
    let error = answer.unwrap_err();
    let ExchangeError::Source(error) = &error else { panic!("{error}") };
    assert_eq!((error.kind(), error.to_string().as_str()), (io::ErrorKind::InvalidData, "the disk is gone"));
}

#[test]
fn no_secret_is_in_what_is_printed_of_a_request() {
    assert_eq!(format!("{:?}", Outgoing::json(&json!({"token": "opt1.secret"}))), "Whole(23 bytes)");
}
