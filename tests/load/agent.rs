//! An agent without an outbox: the library's session on a bare WebSocket.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use ed25519_dalek::SigningKey;
use futures_util::{SinkExt as _, StreamExt as _};
use outpost::agent::pace::Advice;
use outpost::id::{Epoch, InstanceId, Lane, StreamId};
use outpost::limit;
use outpost::net::meter::Metered;
use outpost::net::stream::Stream;
use outpost::obs::clock::{boot_now, wall_now};
use outpost::obs::random;
use outpost::session::{AgentConfig, AgentEvent, AgentSession, RegisterInfo, Transmit};
use outpost::time::BootTime;
use outpost::wire::error::Retry;
use outpost::wire::key::{KeyFile, encode32};
use outpost::wire::message::{Heartbeat, Limits, StreamState};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::Request;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// How a hub is reached.
#[derive(Clone)]
pub(crate) enum Line {
    Plain,
    Tls(TlsConnector),
}

impl Line {
    async fn dial(&self, hub: SocketAddr) -> std::io::Result<Stream> {
        let stream = Metered::new(TcpStream::connect(hub).await?);
        match self {
            Self::Plain => Ok(Stream::Plain(stream)),
            Self::Tls(connector) => {
                let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
                Ok(Stream::Tls(Box::new(connector.connect(name, stream).await?.into())))
            }
        }
    }
}

/// One agent and its hub.
pub(crate) struct Agent {
    pub(crate) key: KeyFile,
    /// Signs the Challenge where it is there.
    pub(crate) identity: Option<SigningKey>,
    pub(crate) hub: SocketAddr,
    pub(crate) line: Line,
}

/// What an attempt came to.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    pub(crate) registered_at: Option<BootTime>,
    pub(crate) advice: Advice,
}

impl Ended {
    fn come_back_after(&mut self, wait: Duration) {
        self.advice = Advice { retry: Retry::Soon, retry_after: Some(wait) };
    }
}

/// What a session tells while it lasts.
pub(crate) enum News {
    Registered,
    GoAway(Duration),
}

/// Dials once and stays until the session ends; `until` ends it politely.
pub(crate) async fn attempt(
    agent: &Agent,
    until: impl Future<Output = ()>,
    mut tell: impl FnMut(News),
) -> Ended {
    let mut ended = Ended::default();
    let nonce = random::bytes();
    let dial = async {
        let stream = agent.line.dial(agent.hub).await?;
        let binding = stream.binding();
        let config = WebSocketConfig::default().read_buffer_size(limit::SOCKET_READ_BUFFER_IDLE);
        let (ws, _) =
            client_async_with_config(request(&agent.key, agent.hub, &nonce), stream, Some(config)).await?;
        Ok((ws, binding))
    };
    match tokio::time::timeout(limit::HANDSHAKE_TIMEOUT, dial).await {
        Ok(Ok((ws, binding))) => {
            let session = AgentSession::new(config(agent, nonce, binding), streams(), boot_now());
            tokio::pin!(until);
            run(ws, session, until, &mut ended, &mut tell).await;
        }
        Ok(Err(Error::Http(answer))) => {
            let wait = answer.headers().get("retry-after").and_then(|value| value.to_str().ok());
            if let Some(seconds) = wait.and_then(|value| value.parse().ok()) {
                ended.come_back_after(Duration::from_secs(seconds));
            }
        }
        Ok(Err(_)) | Err(_) => {}
    }
    ended
}

async fn run(
    mut ws: WebSocketStream<Stream>,
    mut session: AgentSession,
    mut until: impl Future<Output = ()> + Unpin,
    ended: &mut Ended,
    tell: &mut impl FnMut(News),
) {
    let mut out = BytesMut::new();
    loop {
        let now = boot_now();
        while let Some(event) = session.poll_event() {
            match event {
                AgentEvent::Marks(_) => session.resolve_marks(now, Vec::new()),
                AgentEvent::Registered { .. } => {
                    ended.registered_at = Some(now);
                    tell(News::Registered);
                }
                AgentEvent::GoAway(go_away) => {
                    ended.come_back_after(go_away.retry_after);
                    tell(News::GoAway(go_away.retry_after));
                    session.close(now);
                }
                AgentEvent::HeartbeatDue => session.send_heartbeat(Heartbeat::default()),
                AgentEvent::Closed(_) => return drop(ws.close(None).await),
                _ => {}
            }
        }
        while let Some(transmit) = session.poll_transmit(now, &mut out) {
            let message = match transmit {
                Transmit::Frame => Message::Binary(out.split().freeze()),
                Transmit::Ping => Message::Ping(bytes::Bytes::new()),
            };
            if ws.feed(message).await.is_err() {
                return;
            }
        }
        if ws.flush().await.is_err() {
            return;
        }
        let deadline = session.poll_timeout().map_or(limit::IDLE_TIMEOUT, |at| at.since(boot_now()));
        tokio::select! {
            biased;
            () = &mut until => session.close(boot_now()),
            message = ws.next() => match message {
                Some(Ok(Message::Binary(frame))) => session.handle_frame(boot_now(), wall_now(), frame),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => session.handle_activity(boot_now()),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            },
            () = tokio::time::sleep(deadline) => session.handle_timeout(boot_now()),
        }
    }
}

fn request(key: &KeyFile, hub: SocketAddr, nonce: &[u8; 32]) -> Request<()> {
    let mut request = format!("ws://{hub}/v1/agents/connect").into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert("sec-websocket-protocol", "outpost.v1".parse().unwrap());
    headers.insert("x-outpost-nonce", encode32(nonce).parse().unwrap());
    headers.insert("authorization", format!("Bearer {}", key.bearer().to_text().expose()).parse().unwrap());
    request
}

/// An outbox in which nothing waits.
fn streams() -> Vec<StreamState> {
    let stream = StreamId { lane: Lane::Logs, epoch: Epoch::from_u64(1 << 32 | 1) };
    vec![StreamState { stream, first_unacked: 1, next: 1 }]
}

fn config(agent: &Agent, agent_nonce: [u8; 32], binding: Option<[u8; 32]>) -> AgentConfig {
    let key = &agent.key;
    AgentConfig {
        hub_id: key.hub_id,
        agent_id: key.agent_id,
        mac_root: key.key.mac_root(),
        identity: agent.identity.clone(),
        agent_nonce,
        exporter: binding,
        condition: None,
        register: RegisterInfo::of(InstanceId::from_bytes(random::bytes()), "load", "here"),
        limits: Limits { zstd: false, ..Limits::default() },
        no_ack: limit::NO_ACK_TIMEOUT,
        message_id_seed: random::bytes(),
    }
}
