//! The local socket: programs, proper and otherwise.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use outpost::agent::Agent;
use outpost::agent::StartError;
use outpost::agent::config::Config;
use outpost::agent::intake::SocketError;
use outpost::agent::intake::client::{self, ClientError, Request};
use outpost::agent::intake::frame::{self, Kind};
use outpost::agent::state::Status;
use outpost::id::Lane;

async fn agent(folder: &tempfile::TempDir) -> Agent {
    Agent::start(Config::new(folder.path())).await.unwrap()
}

/// Blocking work beside the agent.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_lines_are_durable_when_emit_returns() {
    let folder = tempfile::tempdir().unwrap();
    let agent = agent(&folder).await;
    let socket = agent.socket().to_owned();
    let mut input = Vec::new();
    for number in 0..100_000 {
        writeln!(input, "line {number} \u{e9}").unwrap();
    }
    input.extend(b"\xff\xfe without a newline");
    let accepted = blocking(move || {
        client::emit(&client::connect(&socket).unwrap(), Lane::Events, None, input.as_slice()).unwrap()
    })
    .await;
    assert_eq!(accepted.accepted, 100_001);
    assert!(accepted.first.unwrap().starts_with("events/"));
    assert!(accepted.last.unwrap().ends_with("/100001"));
    let status = agent.status().await.unwrap();
    assert_eq!(status.outbox.lane(Lane::Events).records, 100_001);
    assert_eq!(status.counters.records_taken, 100_001);
    agent.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_too_long_is_named_and_what_came_before_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let agent = agent(&folder).await;
    let socket = agent.socket().to_owned();
    let mut input = b"one\ntwo\n".to_vec();
    input.extend(vec![b'x'; 1024 * 1024 + 1]);
    let error = blocking(move || {
        client::emit(&client::connect(&socket).unwrap(), Lane::Logs, None, input.as_slice()).unwrap_err()
    })
    .await;
    assert!(matches!(&error, ClientError::Input { accepted, .. } if accepted.accepted == 2), "{error}");
    assert!(error.to_string().contains("line 3"), "{error}");
    agent.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_gets_an_error_and_harms_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let agent = agent(&folder).await;
    let request = |text: &str| frame::encode(Kind::Request, text.as_bytes()).to_vec();
    let emit = request(r#"{"op":"emit","lane":"logs"}"#);
    let with = |more: &[u8]| [emit.as_slice(), more].concat();
    let cases = [
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "frame of"),
        (vec![0, 0, 0, 0], "frame of 0 bytes"),
        (frame::encode(Kind::End, b"").to_vec(), "first frame"),
        (request("{"), "EOF"),
        (request(r#"{"op":"dance"}"#), "dance"),
        (request(r#"{"op":"emit","lane":"control"}"#), "control lane"),
        (request(r#"{"op":"emit","lane":"events","app":"web"}"#), "go to the logs lane"),
        (request(r#"{"op":"emit","lane":"logs","app":"We b"}"#), "is not an app's name"),
        (request(r#"{"op":"emit","lane":"moon"}"#), "moon"),
        (with(&[0, 0, 0, 9, 2]), "middle of a frame"),
        (emit.clone(), "middle of a frame"),
        (with(&frame::encode(Kind::Records, &[0, 0, 0, 9, 1])), "do not add up"),
        (with(&frame::encode(Kind::Request, b"{}")), "among the records"),
        (with(&0xffff_ffff_u32.to_be_bytes()), "frame of 4294967295 bytes"),
    ];
    for (bytes, expected) in cases {
        let socket = agent.socket().to_owned();
        let answer = blocking(move || {
            let mut stream = UnixStream::connect(socket).unwrap();
            stream.write_all(&bytes).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            let mut answer = Vec::new();
            // A peer that closes with our bytes unread resets the connection; the answer came before.
            let _reset = stream.read_to_end(&mut answer);
            String::from_utf8_lossy(&answer).into_owned()
        })
        .await;
        assert!(answer.contains("bad_request") && answer.contains(expected), "{expected}: {answer}");
    }
    let socket = agent.socket().to_owned();
    let body = blocking(move || {
        client::ask(client::connect(&socket).unwrap(), &Request::Status {}, |_| {}).unwrap()
    })
    .await;
    let status: Status = serde_json::from_slice(&body).unwrap();
    assert_eq!(status.outbox.lane(Lane::Logs).records, 0);
    agent.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_path_too_long_names_the_flag_and_a_stale_socket_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::new(folder.path());
    config.socket = folder.path().join("x".repeat(108));
    let error = Agent::start(config.clone()).await.unwrap_err();
    assert!(matches!(error, StartError::Socket(SocketError::TooLong { .. })), "{error}");
    assert!(error.to_string().contains("--socket"), "{error}");
    config.socket = folder.path().join("agent.sock");
    std::fs::write(&config.socket, "").unwrap();
    let error = Agent::start(config.clone()).await.unwrap_err();
    assert!(matches!(error, StartError::Socket(SocketError::Occupied { .. })), "{error}");
    std::fs::remove_file(&config.socket).unwrap();
    drop(std::os::unix::net::UnixListener::bind(&config.socket).unwrap());
    assert!(config.socket.exists(), "the socket of a killed agent");
    Agent::start(config).await.unwrap().shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_during_an_emit_says_what_is_durable() {
    let folder = tempfile::tempdir().unwrap();
    let agent = agent(&folder).await;
    let mut stream = UnixStream::connect(agent.socket()).unwrap();
    stream.write_all(&frame::encode(Kind::Request, br#"{"op":"emit","lane":"logs"}"#)).unwrap();
    stream.write_all(&frame::encode(Kind::Records, &[0, 0, 0, 1, b'a'])).unwrap();
    let mut stream = blocking(move || {
        let durable = frame::read_blocking(&mut stream).unwrap().unwrap();
        assert_eq!((durable.kind, durable.body.as_ref()), (Kind::Durable, 1_u64.to_be_bytes().as_slice()));
        stream
    })
    .await;
    agent.shutdown().await.unwrap();
    let last = blocking(move || frame::read_blocking(&mut stream).unwrap().unwrap()).await;
    let text = String::from_utf8(last.body.to_vec()).unwrap();
    assert_eq!(last.kind, Kind::Error);
    assert!(text.contains("stopping") && text.contains("\"accepted\":1"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_full_of_tiny_records_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let agent = agent(&folder).await;
    let count = 400_000;
    let frame = frame::encode(Kind::Records, &[0, 0, 0, 1, b'x'].repeat(count));
    let socket = agent.socket().to_owned();
    let done = blocking(move || {
        let mut stream = UnixStream::connect(socket).unwrap();
        stream.write_all(&frame::encode(Kind::Request, br#"{"op":"emit","lane":"logs"}"#)).unwrap();
        stream.write_all(&frame).unwrap();
        stream.write_all(&frame::encode(Kind::End, b"")).unwrap();
        loop {
            let answer = frame::read_blocking(&mut stream).unwrap().unwrap();
            if answer.kind != Kind::Durable {
                break String::from_utf8(answer.body.to_vec()).unwrap();
            }
        }
    })
    .await;
    assert!(done.starts_with(&format!("{{\"accepted\":{count},")), "{done}");
    let status = agent.status().await.unwrap();
    assert_eq!(status.outbox.lane(Lane::Logs).records, u64::try_from(count).unwrap());
    agent.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_program_that_asks_nothing_loses_its_place() {
    use tokio::io::AsyncReadExt as _;
    let folder = tempfile::tempdir().unwrap();
    let agent = agent(&folder).await;
    let mut silent = tokio::net::UnixStream::connect(agent.socket()).await.unwrap();
    let mut answer = Vec::new();
    silent.read_to_end(&mut answer).await.unwrap();
    let text = String::from_utf8_lossy(&answer);
    assert!(text.contains("bad_request") && text.contains("no request"), "{text}");
    tokio::time::resume();
    agent.shutdown().await.unwrap();
}
