//! A broker at its bounds, over real sockets: here there is room for few.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::secret::Secret;

use super::*;

const SECRET: &str = "a worker secret of 32 characters";
/// Whatever takes longer is broken.
const DEADLINE: Duration = Duration::from_secs(60);

struct Scene {
    live: Live,
    stop: CancellationToken,
}

impl Scene {
    async fn new() -> Self {
        let mut config = LiveConfig::new(Secret::new(SECRET.to_owned()));
        config.public.set_port(0);
        config.internal.set_port(0);
        let stop = CancellationToken::new();
        let live = Live::start(&config, None, &stop, &TaskTracker::new()).await.unwrap();
        Self { live, stop }
    }

    /// What a worker is answered, head and all.
    async fn ask(&self, path: &str, topic: &str) -> String {
        let mut socket = self.worker().await;
        asked(&mut socket, path, topic, "Connection: close\r\n").await;
        rest(&mut socket).await
    }

    async fn register(&self, topic: &str) -> String {
        self.ask("register", topic).await
    }

    async fn worker(&self) -> TcpStream {
        TcpStream::connect(self.live.internal_addr()).await.unwrap()
    }

    /// Upgraded, and no more; else status and text of the refusal.
    async fn page(&self, topic: &str) -> Result<Page, (u16, String)> {
        let address = self.live.public_addr();
        let socket = TcpStream::connect(address).await.unwrap();
        match tokio_tungstenite::client_async(format!("ws://{address}/ws?topic={topic}"), socket).await {
            Ok((socket, _)) => Ok(Page(socket)),
            Err(Error::Http(refused)) => {
                let text = refused.body().as_deref().unwrap_or_default();
                Err((refused.status().as_u16(), String::from_utf8_lossy(text).into_owned()))
            }
            Err(error) => panic!("{topic}: {error}"),
        }
    }

    async fn subscriber(&self, topic: &str) -> Page {
        let mut page = self.page(topic).await.unwrap();
        page.show_nothing().await;
        assert_eq!(page.hear().await, Heard::Text(first_frame::AUTH_OK.to_owned()));
        page
    }

    /// Waits until so many subscribers are there.
    async fn sockets(&self, count: usize) {
        let counted = async {
            while self.live.status()["connected_sockets"] != json!(count) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(DEADLINE, counted).await.unwrap();
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Sends a worker's request with these header lines, too.
async fn asked(socket: &mut TcpStream, path: &str, topic: &str, headers: &str) {
    let body = json!({"topic": topic, "payload": 1}).to_string();
    let length = body.len();
    let head = format!(
        "POST /internal/{path} HTTP/1.1\r\nHost: x\r\nX-Worker-Secret: {SECRET}\r\nContent-Length: {length}\r\n{headers}\r\n"
    );
    socket.write_all((head + &body).as_bytes()).await.unwrap();
}

/// Everything up to the end, however that comes.
async fn rest(socket: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(DEADLINE, socket.read_to_end(&mut bytes)).await;
    read.expect("it ends").ok();
    String::from_utf8(bytes).unwrap()
}

struct Page(WebSocketStream<TcpStream>);

#[derive(Debug, PartialEq, Eq)]
enum Heard {
    Text(String),
    Close(u16),
}

impl Page {
    async fn show_nothing(&mut self) {
        self.0.send(Message::text(r#"{"type":"auth"}"#)).await.unwrap();
    }

    async fn hear(&mut self) -> Heard {
        match tokio::time::timeout(DEADLINE, self.0.next()).await.unwrap().unwrap().unwrap() {
            Message::Text(text) => Heard::Text(text.to_string()),
            Message::Close(frame) => Heard::Close(frame.unwrap().code.into()),
            other => panic!("{other:?}"),
        }
    }
}

fn is_full(answer: &str) -> bool {
    answer.starts_with("HTTP/1.1 503 ")
        && answer.contains("\r\nretry-after: 60\r\n")
        && answer.ends_with("\r\n\r\ntoo many topics")
}

fn is_done(answer: &str) -> bool {
    answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\n")
}

#[tokio::test]
async fn one_topic_more_than_there_is_room_for_is_refused_and_those_that_are_there_go_on() {
    let scene = Scene::new().await;
    for number in 0..limit::LIVE_TOPICS_MAX {
        let answer = scene.register(&number.to_string()).await;
        assert!(is_done(&answer), "{number}: {answer}");
    }
    let answer = scene.register("more").await;
    assert!(is_full(&answer), "{answer}");
    for (path, topic) in [("register", "0"), ("publish", "1"), ("unregister", "2"), ("unregister", "none")] {
        let answer = scene.ask(path, topic).await;
        assert!(is_done(&answer), "{path} {topic}: {answer}");
    }
    let answer = scene.register("more").await;
    assert!(is_done(&answer), "there is room again: {answer}");
    let answer = scene.register("2").await;
    assert!(is_full(&answer), "{answer}");
    assert_eq!(scene.live.status()["registered_topics"], json!(limit::LIVE_TOPICS_MAX));
}

#[tokio::test]
async fn one_subscriber_more_than_there_is_room_for_is_refused_before_its_upgrade_or_after_it() {
    let scene = Scene::new().await;
    scene.register("a").await;
    let mut there = Vec::new();
    for _ in 1..limit::LIVE_SUBSCRIBERS_MAX {
        there.push(scene.subscriber("a").await);
    }
    // Two that were upgraded while there was room for one.
    let (mut last, mut late) = (scene.page("a").await.unwrap(), scene.page("a").await.unwrap());
    last.show_nothing().await;
    assert_eq!(last.hear().await, Heard::Text(first_frame::AUTH_OK.to_owned()));
    late.show_nothing().await;
    assert_eq!(late.hear().await, Heard::Close(1013));
    for topic in ["a", "worker.status"] {
        let refused = scene.page(topic).await.err();
        assert_eq!(refused, Some((503, "too many subscribers".to_owned())), "{topic}");
    }
    assert_eq!(scene.page("b").await.err().map(|(status, _)| status), Some(404), "that comes first");
    let answer = scene.ask("publish", "a").await;
    assert!(is_done(&answer), "{answer}");
    for page in there.iter_mut().chain([&mut last]) {
        assert_eq!(page.hear().await, Heard::Text(r#"{"type":"push","payload":1}"#.to_owned()));
    }
    drop(last);
    scene.sockets(limit::LIVE_SUBSCRIBERS_MAX - 1).await;
    let _again = scene.subscriber("a").await;
}

#[tokio::test]
async fn of_pages_that_have_said_nothing_the_oldest_goes_for_one_more() {
    let scene = Scene::new().await;
    scene.register("a").await;
    let mut proven = scene.subscriber("a").await;
    let mut silent = Vec::new();
    for _ in 0..limit::LIVE_UNPROVEN_MAX {
        silent.push(scene.page("a").await.unwrap());
    }
    let _one_more = TcpStream::connect(scene.live.public_addr()).await.unwrap();
    assert_eq!(silent[0].hear().await, Heard::Close(1013));
    for page in &mut silent[1..] {
        page.show_nothing().await;
        assert_eq!(page.hear().await, Heard::Text(first_frame::AUTH_OK.to_owned()));
    }
    scene.ask("publish", "a").await;
    for page in silent[1..].iter_mut().chain([&mut proven]) {
        assert_eq!(page.hear().await, Heard::Text(r#"{"type":"push","payload":1}"#.to_owned()));
    }
}

#[tokio::test]
async fn of_workers_that_have_shown_no_secret_the_oldest_goes_for_one_more() {
    let scene = Scene::new().await;
    let mut proven = scene.worker().await;
    asked(&mut proven, "register", "a", "").await;
    let mut first = [0; 15];
    proven.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200 OK");
    let mut silent = Vec::new();
    for _ in 0..limit::LIVE_UNPROVEN_MAX {
        silent.push(scene.worker().await);
    }
    let _one_more = scene.worker().await;
    assert_eq!(rest(&mut silent[0]).await, "");
    for worker in silent[1..].iter_mut().chain([&mut proven]) {
        asked(worker, "publish", "a", "Connection: close\r\n").await;
        let answer = rest(worker).await;
        assert!(answer.contains("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
}
