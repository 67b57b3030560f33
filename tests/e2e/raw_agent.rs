//! A hub in a folder of its own, and an agent that can say anything, well-formed or not.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt as _, StreamExt as _};
use outpost::hub::Hub;
use outpost::hub::config::Config;
use outpost::id::{Epoch, InstanceId, Lane, MessageId, StreamId};
use outpost::obs::{clock, random};
use outpost::time::{HubTime, WallTime};
use outpost::wire::batch;
use outpost::wire::envelope::{self, Header};
use outpost::wire::key::{Direction, KeyFile, SessionContext, encode32};
use outpost::wire::mac::MacKey;
use outpost::wire::message::{
    Listing, Message, Record, RecordKind, Records, Register, StreamMark, StreamState,
};
use tempfile::TempDir;
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Request, Response};
use tokio_tungstenite::tungstenite::{Error, Message as Frame};

/// Nothing here takes longer unless it is broken.
const DEADLINE: Duration = Duration::from_secs(10);

pub(crate) const LOGS: StreamId = StreamId { lane: Lane::Logs, epoch: Epoch::from_u64(1 << 32 | 7) };

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("within the deadline")
}

pub(crate) struct World {
    pub(crate) hub: Hub,
    pub(crate) key: KeyFile,
    pub(crate) folder: TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(&folder);
        change(&mut config);
        let hub = Hub::start(config).await.unwrap();
        let issued = hub.store().add_agent(&"edge-1".parse().unwrap(), None).await.unwrap();
        Self { hub, key: issued.key_file, folder }
    }

    /// The hub goes and comes back on the same folder.
    pub(crate) async fn restart(self) -> Self {
        self.restart_with(|_config| {}).await
    }

    /// The same with settings of its own.
    pub(crate) async fn restart_with(self, change: impl FnOnce(&mut Config)) -> Self {
        let Self { hub, key, folder } = self;
        hub.shutdown().await;
        let mut config = config(&folder);
        change(&mut config);
        let hub = Hub::start(config).await.unwrap();
        Self { hub, key, folder }
    }

    pub(crate) fn request(&self, nonce: &[u8; 32]) -> Request<()> {
        let url = format!("ws://{}/some/prefix/v1/agents/connect", self.hub.agent_addr());
        let mut request = url.into_client_request().unwrap();
        let headers = request.headers_mut();
        headers.insert("sec-websocket-protocol", HeaderValue::from_static("outpost.v1"));
        headers.insert("x-outpost-nonce", encode32(nonce).parse().unwrap());
        let bearer = format!("Bearer {}", self.key.bearer().to_text().expose());
        headers.insert("authorization", bearer.parse().unwrap());
        request
    }

    /// The status and error name a request is refused with.
    pub(crate) async fn refusal(&self, request: Request<()>) -> (u16, String) {
        let stream = TcpStream::connect(self.hub.agent_addr()).await.unwrap();
        match within(tokio_tungstenite::client_async(request, stream)).await {
            Err(Error::Http(response)) => (response.status().as_u16(), error_name(&response)),
            other => panic!("not refused: {:?}", other.map(|_| ())),
        }
    }

    /// The same hub with another agent's key.
    pub(crate) async fn another(self, name: &str) -> Self {
        let Self { hub, folder, .. } = self;
        let key = hub.store().add_agent(&name.parse().unwrap(), None).await.unwrap().key_file;
        Self { hub, key, folder }
    }

    /// Up to and including the Challenge.
    pub(crate) async fn connect(&self) -> RawAgent {
        self.connect_on(TcpSocket::new_v4().unwrap()).await
    }

    pub(crate) async fn connect_on(&self, socket: TcpSocket) -> RawAgent {
        self.connect_with(random::bytes(), socket).await
    }

    /// The same upgrade request each time, where the nonce is the same.
    pub(crate) async fn connect_with(&self, nonce: [u8; 32], socket: TcpSocket) -> RawAgent {
        self.connect_asking(self.request(&nonce), nonce, socket).await
    }

    /// With a request of one's own that carries this nonce.
    pub(crate) async fn connect_asking(
        &self,
        request: Request<()>,
        nonce: [u8; 32],
        socket: TcpSocket,
    ) -> RawAgent {
        let stream = socket.connect(self.hub.agent_addr()).await.unwrap();
        let (ws, _) = within(tokio_tungstenite::client_async(request, stream)).await.unwrap();
        RawAgent::challenged(ws, &self.key, nonce).await
    }

    /// A counter of the hub's status, by its names.
    pub(crate) async fn counter(&self, group: &str, name: &str) -> u64 {
        self.get("/v1/status").await.1["counters"][group][name].as_u64().unwrap_or_default()
    }

    /// Up to and including the RegisterAck.
    pub(crate) async fn register(&self) -> (RawAgent, Vec<StreamMark>) {
        let mut agent = self.connect().await;
        let marks = agent.register().await;
        (agent, marks)
    }

    /// GET from the API: status and body.
    pub(crate) async fn get(&self, path: &str) -> (u16, serde_json::Value) {
        let token = std::fs::read_to_string(self.folder.path().join("admin.token")).unwrap();
        self.get_with(path, token.trim()).await
    }

    pub(crate) async fn get_with(&self, path: &str, token: &str) -> (u16, serde_json::Value) {
        let url = format!("http://{}{path}", self.hub.local_addr());
        let bearer = format!("Bearer {token}");
        let call = move || {
            let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
            let mut answer = agent.get(&url).header("Authorization", &bearer).call().unwrap();
            (answer.status().as_u16(), answer.body_mut().read_json().unwrap())
        };
        within(tokio::task::spawn_blocking(call)).await.unwrap()
    }

    /// Any request to the API, with the token: status and body.
    pub(crate) async fn call(&self, method: &str, path: &str, body: &str) -> (u16, serde_json::Value) {
        let token = std::fs::read_to_string(self.folder.path().join("admin.token")).unwrap();
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.hub.local_addr()))
            .header("Authorization", format!("Bearer {}", token.trim()))
            .body(body.to_owned())
            .unwrap();
        let call = move || {
            let config = ureq::Agent::config_builder().http_status_as_error(false);
            let agent: ureq::Agent = config.allow_non_standard_methods(true).build().into();
            let mut answer = agent.run(request).unwrap();
            (answer.status().as_u16(), answer.body_mut().read_json().unwrap())
        };
        within(tokio::task::spawn_blocking(call)).await.unwrap()
    }

    pub(crate) async fn texts(&self) -> Vec<String> {
        let (status, page) = self.get("/v1/agents/edge-1/records").await;
        assert_eq!(status, 200, "{page}");
        let records = page["records"].as_array().unwrap();
        records.iter().map(|record| record["text"].as_str().unwrap_or("gap").to_owned()).collect()
    }
}

fn config(folder: &TempDir) -> Config {
    Config { data: folder.path().to_owned(), listen: "127.0.0.1:0".parse().unwrap(), ..Config::default() }
}

fn error_name(response: &Response<Option<Vec<u8>>>) -> String {
    response.headers().get("x-outpost-error").map_or("", |name| name.to_str().unwrap()).to_owned()
}

pub(crate) struct RawAgent {
    pub(crate) ws: WebSocketStream<TcpStream>,
    /// The Challenge as it came, and what it says.
    pub(crate) challenge: Bytes,
    pub(crate) context: SessionContext,
    pub(crate) hub_time: HubTime,
    pub(crate) up: MacKey,
    pub(crate) down: MacKey,
    pub(crate) seq: u64,
}

impl RawAgent {
    async fn challenged(mut ws: WebSocketStream<TcpStream>, key: &KeyFile, agent_nonce: [u8; 32]) -> Self {
        let root = key.key.mac_root();
        let challenge_key = root.challenge_key(&agent_nonce, key.hub_id, key.agent_id);
        let frame = next_frame(&mut ws).await;
        let Message::Challenge(challenge) = opened(&frame, &challenge_key) else {
            panic!("the first message is not a Challenge")
        };
        let context = SessionContext {
            hub_id: key.hub_id,
            agent_id: key.agent_id,
            session_id: challenge.session_id,
            agent_nonce,
            hub_nonce: challenge.hub_nonce,
            channel_binding: [0; 32],
        };
        let up = root.session_key(Direction::AgentToHub, &context);
        let down = root.session_key(Direction::HubToAgent, &context);
        Self { ws, challenge: frame, context, hub_time: challenge.hub_time, up, down, seq: 0 }
    }

    pub(crate) fn header(&mut self) -> Header {
        self.seq += 1;
        let id = MessageId { hi: 1, lo: self.seq };
        let sent_at = HubTime(clock::wall_now().0);
        Header { seq: self.seq, sent_at, id, correlation: MessageId::NONE }
    }

    pub(crate) fn sealed(&mut self, message: Message) -> BytesMut {
        let header = self.header();
        let mut out = BytesMut::new();
        envelope::seal(header, message, &self.up, &mut out);
        out
    }

    pub(crate) async fn say(&mut self, message: Message) {
        let frame = self.sealed(message);
        self.send(frame.freeze()).await;
    }

    pub(crate) async fn send(&mut self, frame: Bytes) {
        within(self.ws.send(Frame::Binary(frame))).await.unwrap();
    }

    /// Signs bytes that need not be an envelope.
    pub(crate) fn signed(&self, prefix: &[u8]) -> Bytes {
        let mac = self.up.sign(prefix);
        [prefix, &[0x7A, 0x20], mac.as_slice()].concat().into()
    }

    pub(crate) async fn register(&mut self) -> Vec<StreamMark> {
        self.say(register()).await;
        match self.hear().await {
            Message::RegisterAck(ack) => ack.marks.entries,
            other => panic!("not a RegisterAck: {other:?}"),
        }
    }

    pub(crate) async fn hear(&mut self) -> Message {
        let frame = self.hear_frame().await;
        opened(&frame, &self.down)
    }

    /// Hears whatever comes for so long.
    pub(crate) async fn linger(&mut self, time: Duration) {
        let hear = async {
            loop {
                self.hear().await;
            }
        };
        let never: Result<Infallible, _> = tokio::time::timeout(time, hear).await;
        assert!(never.is_err());
    }

    pub(crate) async fn hear_frame(&mut self) -> Bytes {
        next_frame(&mut self.ws).await
    }

    /// The mark of the next ack.
    pub(crate) async fn acked(&mut self) -> u64 {
        loop {
            if let Message::Ack(mark) = self.hear().await {
                return mark.acked;
            }
        }
    }

    /// The code and reason of the close frame, whatever comes before it.
    pub(crate) async fn closed(&mut self) -> (u16, String) {
        within(async {
            loop {
                match self.ws.next().await {
                    Some(Ok(Frame::Close(Some(frame)))) => {
                        // Reading on sends the answer, which the hub waits for.
                        while let Some(Ok(_)) = self.ws.next().await {}
                        return (frame.code.into(), frame.reason.to_string());
                    }
                    Some(Ok(_)) => {}
                    other => panic!("no close frame: {other:?}"),
                }
            }
        })
        .await
    }
}

fn opened(frame: &Bytes, key: &MacKey) -> Message {
    envelope::open(frame, key, 1 << 21).unwrap().into_message().unwrap()
}

async fn next_frame(ws: &mut WebSocketStream<TcpStream>) -> Bytes {
    within(async {
        loop {
            match ws.next().await {
                Some(Ok(Frame::Binary(frame))) => return frame,
                Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => {}
                other => panic!("no message: {other:?}"),
            }
        }
    })
    .await
}

pub(crate) fn register() -> Message {
    Message::Register(Box::new(Register {
        instance: InstanceId::from_bytes(random::bytes()),
        agent_version: "test".to_owned(),
        hostname: "here".to_owned(),
        os: "linux".to_owned(),
        arch: "any".to_owned(),
        runtimes: BTreeMap::new(),
        capabilities: Vec::new(),
        last_known_config_version: 0,
        streams: Listing {
            entries: vec![StreamState { stream: LOGS, first_unacked: 1, next: 1000 }],
            more: false,
        },
        wall_time: WallTime(clock::wall_now().0),
    }))
}

pub(crate) fn records(first: u64, payloads: &[impl AsRef<[u8]>]) -> Message {
    let records: Vec<_> = payloads.iter().map(|payload| (None, payload.as_ref())).collect();
    records_of(first, &records)
}

/// Each the log line of an app, where it names one.
pub(crate) fn records_of(first: u64, records: &[(Option<&str>, &[u8])]) -> Message {
    let mut batch = BytesMut::new();
    for (app, payload) in records {
        let record = Record {
            recorded_at: WallTime(1),
            source: "test".to_owned(),
            kind: RecordKind::Opaque,
            payload: Bytes::copy_from_slice(payload),
            part: None,
            app: app.map(|app| app.parse().unwrap()),
        };
        batch::push(record, &mut batch);
    }
    Message::Records(Records {
        stream: LOGS,
        first,
        count: u32::try_from(records.len()).unwrap(),
        codec: outpost::wire::message::Codec::None,
        raw_len: u32::try_from(batch.len()).unwrap(),
        batch: batch.freeze(),
        clock_offset: None,
    })
}
