//! A hub that has the agent's keys or not, and lies, until it tells the truth.
//!
//! Its first connection is only there for its Challenge, which is recorded; each later one gets the same lie.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt as _, StreamExt as _};
use outpost::id::{AgentId, HubId, JobId, MessageId, SessionId};
use outpost::limit;
use outpost::obs::{clock, random};
use outpost::time::HubTime;
use outpost::wire::envelope::{self, Header};
use outpost::wire::job::JobOffer;
use outpost::wire::key::{AgentKey, Direction, KeyFile, MacRoot, SessionContext};
use outpost::wire::mac::MacKey;
use outpost::wire::message::{
    Challenge, ChannelBinding, Limits, Listing, Message, RegisterAck, SignatureMode, StreamMark, StreamState,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Frame;

use crate::accept::accept;

/// What the hub does once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lie {
    /// A Challenge that was made for another connection of this agent, by who has its keys.
    RecordedChallenge,
    /// A Challenge of a hub that does not have the agent's keys.
    AnotherKey,
    /// A Challenge made for another agent of this hub.
    AnotherAgent,
    /// The right keys, and another hub's name in the Challenge.
    AnotherHub,
    /// No message of the protocol first, but signed with the challenge key.
    OfferFirst,
    /// Signs with the session key what the challenge key has to sign.
    SessionKeyFirst,
    /// A Challenge that says another time than it was signed at.
    StaleChallenge,
    /// A text instead of the RegisterAck.
    Text,
    /// The agent's own Register instead of the RegisterAck.
    Reflected,
    /// A RegisterAck of another session with this agent.
    AnotherSession,
    /// A RegisterAck under the key of the other direction.
    AnotherDirection,
    /// A RegisterAck with the number after the next.
    Skipped,
    /// A RegisterAck signed ten minutes ago.
    Stale,
    /// A second Challenge instead of the RegisterAck.
    ChallengedTwice,
    /// A job instead of the RegisterAck.
    OfferEarly,
    /// An ack instead of the RegisterAck.
    AckEarly,
}

impl Lie {
    pub(crate) const ALL: [Self; 16] = [
        Self::RecordedChallenge,
        Self::AnotherKey,
        Self::AnotherAgent,
        Self::AnotherHub,
        Self::OfferFirst,
        Self::SessionKeyFirst,
        Self::StaleChallenge,
        Self::Text,
        Self::Reflected,
        Self::AnotherSession,
        Self::AnotherDirection,
        Self::Skipped,
        Self::Stale,
        Self::ChallengedTwice,
        Self::OfferEarly,
        Self::AckEarly,
    ];
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    /// The agent's close code.
    pub(crate) code: u16,
    /// Frames of the agent that came on it.
    pub(crate) frames: usize,
}

pub(crate) struct LyingHub {
    pub(crate) url: String,
    pub(crate) key: KeyFile,
    /// Told to each connection; `None`: the truth.
    pub(crate) lie: watch::Sender<Option<Lie>>,
    pub(crate) ended: watch::Receiver<Vec<Ended>>,
    /// Records that came once the hub told the truth.
    pub(crate) records: watch::Receiver<u32>,
}

struct Serve {
    key: KeyFile,
    lie: watch::Receiver<Option<Lie>>,
    /// The Challenge of the first connection, which nobody answered.
    recorded: Option<Bytes>,
    ended: watch::Sender<Vec<Ended>>,
    records: watch::Sender<u32>,
}

/// What both ends know once the Challenge was told.
struct Keys {
    root: MacRoot,
    context: SessionContext,
    challenge: MacKey,
    up: MacKey,
    down: MacKey,
}

impl LyingHub {
    pub(crate) async fn start(lie: Lie) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let key = KeyFile {
            hub_id: HubId::from_bytes(random::bytes()),
            agent_id: AgentId::from_bytes(random::bytes()),
            key_id: "k1".parse().unwrap(),
            key: AgentKey::new(random::bytes()),
        };
        let (lie, lie_too) = watch::channel(Some(lie));
        let (ended, ended_too) = watch::channel(Vec::new());
        let (records, records_too) = watch::channel(0);
        let mut serve = Serve { key: key.clone(), lie: lie_too, recorded: None, ended, records };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                serve.one(stream).await;
            }
        });
        Self { url, key, lie, ended: ended_too, records: records_too }
    }
}

impl Serve {
    async fn one(&mut self, stream: TcpStream) {
        let Some((mut socket, nonce)) = accept(stream).await else { return };
        let keys = Keys::new(&self.key, &self.key.key.mac_root(), nonce);
        if self.recorded.is_none() {
            self.recorded = Some(keys.challenge(&keys.challenge));
            return;
        }
        let lie = *self.lie.borrow();
        match lie {
            Some(lie) => {
                let ended = self.lie(&mut socket, &keys, lie).await;
                self.ended.send_modify(|all| all.push(ended));
            }
            None => self.honest(&mut socket, &keys).await,
        }
    }

    async fn lie(&self, socket: &mut WebSocketStream<TcpStream>, keys: &Keys, lie: Lie) -> Ended {
        let mut frames = 0;
        let first = self.first(keys, lie);
        // An agent that is gone by now ends its connection, and no more.
        let _gone = socket.send(Frame::Binary(first)).await;
        while let Some(Ok(message)) = socket.next().await {
            match message {
                Frame::Binary(frame) => {
                    frames += 1;
                    if frames == 1 {
                        let _gone = socket.send(second(keys, lie, frame)).await;
                    }
                }
                Frame::Close(frame) => {
                    return Ended { code: frame.map_or(1005, |frame| frame.code.into()), frames };
                }
                Frame::Text(_) | Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_) => {}
            }
        }
        Ended { code: 1006, frames }
    }

    /// What comes instead of the Challenge, or the Challenge.
    fn first(&self, keys: &Keys, lie: Lie) -> Bytes {
        match lie {
            Lie::RecordedChallenge => self.recorded.clone().unwrap(),
            Lie::AnotherKey => {
                let root = AgentKey::new(random::bytes()).mac_root();
                let other = Keys::new(&self.key, &root, keys.context.agent_nonce);
                other.challenge(&other.challenge)
            }
            Lie::AnotherAgent => {
                let key = KeyFile { agent_id: AgentId::from_bytes([7; 16]), ..self.key.clone() };
                let other = Keys::new(&key, &key.key.mac_root(), keys.context.agent_nonce);
                other.challenge(&other.challenge)
            }
            Lie::AnotherHub => {
                let context = SessionContext { hub_id: HubId::from_bytes([7; 16]), ..keys.context };
                seal(&keys.challenge, 1, now(), challenge(&context, now()))
            }
            Lie::OfferFirst => seal(&keys.challenge, 1, now(), offer()),
            Lie::SessionKeyFirst => keys.challenge(&keys.down),
            Lie::StaleChallenge => {
                seal(&keys.challenge, 1, HubTime(now().0 - 600_000), challenge(&keys.context, now()))
            }
            Lie::Text
            | Lie::Reflected
            | Lie::AnotherSession
            | Lie::AnotherDirection
            | Lie::Skipped
            | Lie::Stale
            | Lie::ChallengedTwice
            | Lie::OfferEarly
            | Lie::AckEarly => keys.challenge(&keys.challenge),
        }
    }

    /// As a hub does, until the agent goes.
    async fn honest(&self, socket: &mut WebSocketStream<TcpStream>, keys: &Keys) {
        let _gone = socket.send(Frame::Binary(keys.challenge(&keys.challenge))).await;
        while let Some(Ok(message)) = socket.next().await {
            let Frame::Binary(frame) = message else { continue };
            let opened = envelope::open(&frame, &keys.up, limit::MESSAGE_BYTES_MAX).unwrap();
            match opened.into_message().unwrap() {
                Message::Register(register) => {
                    let ack = register_ack(&register.streams.entries);
                    let _gone = socket.send(Frame::Binary(seal(&keys.down, 2, now(), ack))).await;
                }
                Message::Records(records) => self.records.send_modify(|sum| *sum += records.count),
                _ => {}
            }
        }
    }
}

/// What comes after the agent's first frame.
fn second(keys: &Keys, lie: Lie, heard: Bytes) -> Frame {
    let ack = || register_ack(&[]);
    let frame = match lie {
        Lie::Text => return Frame::text("registered"),
        Lie::AnotherSession => {
            let context = SessionContext { session_id: SessionId::from_bytes([1; 16]), ..keys.context };
            let other = keys.root.session_key(Direction::HubToAgent, &context);
            seal(&other, 2, now(), ack())
        }
        Lie::AnotherDirection => seal(&keys.up, 2, now(), ack()),
        Lie::Skipped => seal(&keys.down, 3, now(), ack()),
        Lie::Stale => seal(&keys.down, 2, HubTime(now().0 - 600_000), ack()),
        Lie::ChallengedTwice => seal(&keys.down, 2, now(), challenge(&keys.context, now())),
        Lie::OfferEarly => seal(&keys.down, 2, now(), offer()),
        Lie::AckEarly => {
            let stream = crate::raw_agent::LOGS;
            seal(&keys.down, 2, now(), Message::Ack(StreamMark { stream, acked: 1, acked_crc: 0 }))
        }
        Lie::Reflected
        | Lie::RecordedChallenge
        | Lie::AnotherKey
        | Lie::AnotherAgent
        | Lie::AnotherHub
        | Lie::OfferFirst
        | Lie::SessionKeyFirst
        | Lie::StaleChallenge => heard,
    };
    Frame::Binary(frame)
}

impl Keys {
    fn new(key: &KeyFile, root: &MacRoot, agent_nonce: [u8; 32]) -> Self {
        let context = SessionContext {
            hub_id: key.hub_id,
            agent_id: key.agent_id,
            session_id: SessionId::from_bytes(random::bytes()),
            agent_nonce,
            hub_nonce: random::bytes(),
            channel_binding: [0; 32],
        };
        Self {
            challenge: root.challenge_key(&agent_nonce, key.hub_id, key.agent_id),
            up: root.session_key(Direction::AgentToHub, &context),
            down: root.session_key(Direction::HubToAgent, &context),
            root: root.clone(),
            context,
        }
    }

    /// The Challenge, under this key.
    fn challenge(&self, key: &MacKey) -> Bytes {
        seal(key, 1, now(), challenge(&self.context, now()))
    }
}

fn now() -> HubTime {
    HubTime(clock::wall_now().0)
}

fn seal(key: &MacKey, seq: u64, sent_at: HubTime, message: Message) -> Bytes {
    let header = Header { seq, sent_at, id: MessageId { hi: 1, lo: seq }, correlation: MessageId::NONE };
    let mut out = BytesMut::new();
    envelope::seal(header, message, key, &mut out);
    out.freeze()
}

fn challenge(context: &SessionContext, hub_time: HubTime) -> Message {
    Message::Challenge(Challenge {
        hub_id: context.hub_id,
        hub_nonce: context.hub_nonce,
        session_id: context.session_id,
        hub_time,
        signature: SignatureMode::None,
        binding: ChannelBinding::None,
    })
}

/// Nothing is acked of what the agent listed.
fn register_ack(streams: &[StreamState]) -> Message {
    let mark = |state: &StreamState| StreamMark { stream: state.stream, acked: 0, acked_crc: 0 };
    Message::RegisterAck(Box::new(RegisterAck {
        hub_time: now(),
        heartbeat_interval: Duration::from_secs(30),
        limits: Limits {
            message_bytes: 2 << 20,
            window_bytes: 1 << 20,
            control_window_bytes: 64 << 10,
            record_bytes: 1 << 20,
            ping_interval: Duration::from_secs(30),
            idle: Duration::from_secs(90),
            zstd: false,
        },
        marks: Listing { entries: streams.iter().map(mark).collect(), more: false },
        config: None,
        retry: None,
    }))
}

fn offer() -> Message {
    let spec = Bytes::from_static(br#"{"kind": "exec", "command": ["touch", "here"]}"#);
    let job = JobId::from_bytes(random::bytes());
    Message::JobOffer(JobOffer { job, created_at: now(), spec, signature: None })
}
