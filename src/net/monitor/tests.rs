//! Over real sockets; what waits does so in virtual time.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinHandle;

use super::*;

/// Says how often it was asked, and is ready until it was asked for figures.
#[derive(Default)]
struct Asked(AtomicUsize);

impl Watched for Arc<Asked> {
    async fn page(&self) -> Page {
        let mut page = Page::default();
        page.counter("asked_total", "How often.").is(self.0.fetch_add(1, Ordering::Relaxed) + 1);
        page
    }

    async fn readiness(&self) -> Readiness {
        match self.0.load(Ordering::Relaxed) {
            0 => Readiness::Ready(json!({"ready": true})),
            _ => Readiness::NotReady(json!({"ready": false})),
        }
    }
}

struct Served {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

async fn served() -> Served {
    let monitor = Monitor::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let (address, stop) = (monitor.address(), CancellationToken::new());
    let task = tokio::spawn(monitor.serve(Arc::new(Asked::default()), stop.clone()));
    Served { address, stop, task }
}

impl Served {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// The whole answer to one request.
    async fn asked(&self, request: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        read_to_end(stream).await
    }

    async fn get(&self, path: &str) -> String {
        self.asked(&format!("GET {path} HTTP/1.1\r\nHost: here\r\n\r\n")).await
    }
}

async fn read_to_end(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn what_is_asked_is_answered_and_nothing_else() {
    let served = served().await;
    assert!(served.get("/healthz").await.ends_with("\r\n\r\nok\n"));
    let ready = served.get("/readyz").await;
    assert!(ready.starts_with("HTTP/1.1 200 ") && ready.ends_with("{\"ready\":true}"), "{ready}");
    let page = served.get("/metrics").await;
    assert!(page.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{page}");
    assert!(page.contains("connection: close\r\n") && page.ends_with("asked_total 1\n"), "{page}");
    assert!(served.get("/readyz").await.starts_with("HTTP/1.1 503 "));
    assert!(served.get("/").await.starts_with("HTTP/1.1 404 "));
    let posted = served.asked("POST /metrics HTTP/1.1\r\nHost: here\r\nContent-Length: 0\r\n\r\n").await;
    assert!(posted.starts_with("HTTP/1.1 405 ") && posted.contains("allow: GET, HEAD\r\n"), "{posted}");
    let head = served.asked("HEAD /metrics HTTP/1.1\r\nHost: here\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head}");
}

#[tokio::test]
async fn no_number_of_silent_connections_keeps_anybody_out() {
    let served = served().await;
    let mut silent = Vec::new();
    for _ in 0..limit::METRICS_CONNECTIONS_MAX {
        silent.push(served.connect().await);
    }
    assert!(served.get("/metrics").await.ends_with("asked_total 1\n"), "the oldest had to go for it");
    let mut rest = silent.split_off(1);
    assert_eq!(read_to_end(silent.remove(0)).await, "");
    let last = rest.last_mut().unwrap();
    last.write_all(b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n").await.unwrap();
    assert!(read_to_end(rest.pop().unwrap()).await.ends_with("ok\n"), "the newest stayed");
}

#[tokio::test(start_paused = true)]
async fn who_sends_slowly_is_dropped_in_time() {
    let served = served().await;
    let begun = tokio::time::Instant::now();
    let mut slow = served.connect().await;
    for each in "GET /metrics HTTP".bytes() {
        slow.write_all(&[each]).await.unwrap();
        tokio::time::sleep(limit::METRICS_TIMEOUT / 64).await;
    }
    assert_eq!(read_to_end(slow).await, "");
    let took = begun.elapsed();
    assert!((limit::METRICS_TIMEOUT..limit::METRICS_TIMEOUT * 2).contains(&took), "{took:?}");
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    let served = served().await;
    let mut stream = served.connect().await;
    let line = format!("X-Long: {}\r\n", "x".repeat(1000));
    let head = format!("GET /metrics HTTP/1.1\r\nHost: here\r\n{}", line.repeat(16));
    // It may be refused before all of it is sent.
    let _sent = stream.write_all(head.as_bytes()).await;
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 431");
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_with_what_to_do() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = taken.local_addr().unwrap();
    let text = Monitor::bind(address).await.unwrap_err().to_string();
    assert!(text.contains(&address.to_string()) && text.contains("OUTPOST_METRICS_LISTEN"), "{text}");
}

#[tokio::test]
async fn a_stop_ends_everything_at_once() {
    let served = served().await;
    let silent = served.connect().await;
    // It was accepted before this one.
    served.get("/healthz").await;
    served.stop.cancel();
    served.task.await.unwrap();
    assert_eq!(read_to_end(silent).await, "");
    TcpStream::connect(served.address).await.unwrap_err();
}
