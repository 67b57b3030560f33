//! A broker, or a redis-server, and sockets to it: no more of each protocol than a message needs.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::node::{Node, SECRET};
use crate::redis::Redis;

const TOPIC: &str = "bench";
/// Bytes of a payload, quotes included.
const PAYLOAD_BYTES: usize = 256;
/// Digits that begin it.
const DIGITS: usize = 10;
/// How a push begins.
const PUSH: &str = r#"{"type":"push","payload":""#;

pub(crate) enum Peer {
    Outpost(Node),
    Redis(Redis),
}

impl Peer {
    pub(crate) fn outpost() -> Self {
        let node = Node::start("");
        node.register(TOPIC, false);
        Self::Outpost(node)
    }

    pub(crate) fn redis() -> Self {
        Self::Redis(Redis::start(&[]))
    }

    async fn connect(&self, internal: bool) -> BufReader<TcpStream> {
        let address = match self {
            Self::Outpost(node) if internal => node.internal.clone(),
            Self::Outpost(node) => node.ws.clone(),
            Self::Redis(redis) => format!("127.0.0.1:{}", redis.port()),
        };
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        BufReader::with_capacity(2048, stream)
    }

    pub(crate) async fn publisher(&self) -> Publisher {
        let protocol = match self {
            Self::Outpost(_) => Protocol::Outpost,
            Self::Redis(_) => Protocol::Redis,
        };
        Publisher { stream: self.connect(true).await, protocol }
    }

    pub(crate) async fn subscriber(&self) -> Subscriber {
        let mut stream = self.connect(false).await;
        match self {
            Self::Outpost(_) => {
                let request = format!(
                    "GET /ws?topic={TOPIC} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
                );
                stream.write_all(request.as_bytes()).await.unwrap();
                let head = until(&mut stream, b"\r\n\r\n").await;
                assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
                // A text of 15 bytes, masked with nothing.
                stream.write_all(b"\x81\x8f\0\0\0\0{\"type\":\"auth\"}").await.unwrap();
                let mut subscriber = Subscriber { stream, protocol: Protocol::Outpost };
                assert_eq!(subscriber.frame().await, br#"{"type":"auth_ok"}"#);
                subscriber
            }
            Self::Redis(_) => {
                stream.write_all(&resp(&[b"SUBSCRIBE", TOPIC.as_bytes()])).await.unwrap();
                until(&mut stream, b":1\r\n").await;
                Subscriber { stream, protocol: Protocol::Redis }
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Protocol {
    Outpost,
    Redis,
}

pub(crate) struct Publisher {
    stream: BufReader<TcpStream>,
    protocol: Protocol,
}

impl Publisher {
    /// Until it is answered.
    pub(crate) async fn publish(&mut self, number: u64) {
        let payload = format!("\"{number:0DIGITS$}{}\"", "x".repeat(PAYLOAD_BYTES - DIGITS - 2));
        match self.protocol {
            Protocol::Outpost => {
                let body = format!(r#"{{"topic":"{TOPIC}","payload":{payload}}}"#);
                let request = format!(
                    "POST /internal/publish HTTP/1.1\r\nHost: x\r\nX-Worker-Secret: {SECRET}\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                self.stream.write_all(request.as_bytes()).await.unwrap();
                let head = until(&mut self.stream, b"\r\n\r\n").await;
                assert!(head.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&head));
            }
            Protocol::Redis => {
                let request = resp(&[b"PUBLISH", TOPIC.as_bytes(), payload.as_bytes()]);
                self.stream.write_all(&request).await.unwrap();
                assert!(until(&mut self.stream, b"\r\n").await.starts_with(b":"));
            }
        }
    }
}

pub(crate) struct Subscriber {
    stream: BufReader<TcpStream>,
    protocol: Protocol,
}

impl Subscriber {
    /// The number of the next message.
    pub(crate) async fn next(&mut self) -> u64 {
        let message = match self.protocol {
            Protocol::Outpost => self.frame().await.split_off(PUSH.len() - 1),
            Protocol::Redis => {
                let head =
                    format!("*3\r\n$7\r\nmessage\r\n${}\r\n{TOPIC}\r\n${PAYLOAD_BYTES}\r\n", TOPIC.len());
                let mut message = vec![0; head.len() + PAYLOAD_BYTES + 2];
                self.stream.read_exact(&mut message).await.unwrap();
                message.split_off(head.len())
            }
        };
        let digits = str::from_utf8(&message[1..=DIGITS]).unwrap();
        digits.parse().unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&message)))
    }

    /// The next frame that is a text.
    async fn frame(&mut self) -> Vec<u8> {
        loop {
            let mut head = [0; 2];
            self.stream.read_exact(&mut head).await.unwrap();
            let length = match head[1] {
                126 => usize::from(self.stream.read_u16().await.unwrap()),
                short => usize::from(short),
            };
            let mut text = vec![0; length];
            self.stream.read_exact(&mut text).await.unwrap();
            // The others are pings.
            if head[0] == 0x81 {
                return text;
            }
        }
    }
}

/// As Redis takes a command.
fn resp(arguments: &[&[u8]]) -> Vec<u8> {
    let mut request = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        request.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        request.extend_from_slice(argument);
        request.extend_from_slice(b"\r\n");
    }
    request
}

async fn until(stream: &mut BufReader<TcpStream>, end: &[u8]) -> Vec<u8> {
    let mut read = Vec::new();
    while !read.ends_with(end) {
        read.push(stream.read_u8().await.unwrap());
    }
    read
}
