//! Something between an agent and its hub: it has an address before the hub has one, can cut every connection or let it
//! stand still, and can refuse tokens as a hub does that does not know their key.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

pub(crate) struct Front {
    pub(crate) url: String,
    to: Arc<watch::Sender<Option<SocketAddr>>>,
    cuts: Arc<watch::Sender<u64>>,
    freezes: Arc<watch::Sender<u64>>,
    refuses_tokens: Arc<AtomicBool>,
    _tasks: JoinSet<()>,
}

impl Front {
    pub(crate) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (to, cuts) = (Arc::new(watch::Sender::new(None)), Arc::new(watch::Sender::new(0)));
        let freezes = Arc::new(watch::Sender::new(0));
        let refuses_tokens = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        let (target, cut, refuses) = (Arc::clone(&to), Arc::clone(&cuts), Arc::clone(&refuses_tokens));
        let freeze = Arc::clone(&freezes);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                let (mut target, mut cut, mut freeze) =
                    (target.subscribe(), cut.subscribe(), freeze.subscribe());
                let refuses = Arc::clone(&refuses);
                connections.spawn(async move {
                    tokio::select! {
                        _ = cut.changed() => {}
                        () = pass(stream, &mut target, &mut freeze, &refuses) => {}
                    }
                });
            }
        });
        Self { url, to, cuts, freezes, refuses_tokens, _tasks: tasks }
    }

    /// From now on this is behind it.
    pub(crate) fn lead_to(&self, hub: SocketAddr) {
        self.to.send_replace(Some(hub));
    }

    /// Cuts every connection there is.
    pub(crate) fn cut(&self) {
        self.cuts.send_modify(|count| *count += 1);
    }

    /// From now on nothing passes on the connections there are, and neither end is told.
    pub(crate) fn freeze(&self) {
        self.freezes.send_modify(|count| *count += 1);
    }

    /// Answers 401 to whoever presents a token.
    pub(crate) fn refuse_tokens(&self) {
        self.refuses_tokens.store(true, Ordering::Relaxed);
    }
}

async fn pass(
    mut agent: TcpStream,
    target: &mut watch::Receiver<Option<SocketAddr>>,
    freeze: &mut watch::Receiver<u64>,
    refuses: &AtomicBool,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if agent.read_exact(&mut byte).await.is_err() {
            return;
        }
        head.extend(byte);
    }
    let text = String::from_utf8(head.clone()).unwrap().to_lowercase();
    if refuses.load(Ordering::Relaxed) && text.contains("authorization: bearer ey") {
        let answer =
            "HTTP/1.1 401 Unauthorized\r\nX-Outpost-Error: unauthorized\r\nContent-Length: 0\r\n\r\n";
        let _ = agent.write_all(answer.as_bytes()).await;
        return;
    }
    let Ok(to) = target.wait_for(Option::is_some).await.map(|to| *to) else { return };
    let Ok(mut hub) = TcpStream::connect(to.unwrap()).await else { return };
    if hub.write_all(&head).await.is_ok() {
        tokio::select! {
            _ = freeze.changed() => std::future::pending().await,
            _ = copy_bidirectional(&mut agent, &mut hub) => {}
        }
    }
}
