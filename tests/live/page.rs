//! A subscriber, as a page in a browser is one.

use std::io::ErrorKind;
use std::net::TcpStream;

use outpost::obs::clock::boot_now;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::HandshakeError;
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket, client};

use super::node::{DEADLINE, Node};

pub(crate) struct Page(WebSocket<TcpStream>);

/// What a subscriber hears at last.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// The code of the error before it.
    pub(crate) error: Option<String>,
    pub(crate) close: u16,
}

impl Page {
    /// Upgraded, and no more.
    pub(crate) fn open(node: &Node, topic: &str) -> Self {
        Self::try_open(node, topic).unwrap_or_else(|status| panic!("{topic}: {status}"))
    }

    /// The same, else the status of the refusal.
    pub(crate) fn try_open(node: &Node, topic: &str) -> Result<Self, u16> {
        let request = format!("ws://{}/ws?topic={topic}", node.ws).into_client_request().unwrap();
        let socket = TcpStream::connect(&node.ws).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        match client::client(request, socket) {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(HandshakeError::Failure(Error::Http(refused))) => Err(refused.status().as_u16()),
            Err(error) => panic!("{topic}: {error}"),
        }
    }

    /// A subscriber.
    pub(crate) fn subscribe(node: &Node, topic: &str, token: Option<&str>) -> Self {
        Self::open(node, topic).let_in(token)
    }

    /// Shows this token, which has to be good.
    pub(crate) fn let_in(mut self, token: Option<&str>) -> Self {
        self.say(&json!({"type": "auth", "token": token}).to_string());
        assert_eq!(self.hear(), r#"{"type":"auth_ok"}"#);
        self
    }

    pub(crate) fn say(&mut self, text: &str) {
        self.0.send(Message::text(text)).unwrap();
    }

    pub(crate) fn send(&mut self, message: Message) {
        self.0.send(message).unwrap();
    }

    /// The next text.
    pub(crate) fn hear(&mut self) -> String {
        match self.message().unwrap() {
            Message::Text(text) => text.to_string(),
            other => panic!("{other:?}"),
        }
    }

    /// The next message that is none of the protocol's own. Pings that come on do not make it wait for ever.
    fn message(&mut self) -> Result<Message, Error> {
        let began = boot_now();
        loop {
            match self.0.read()? {
                Message::Ping(_) | Message::Pong(_) => {
                    assert!(boot_now().since(began) < DEADLINE * 2, "nothing comes but pings");
                }
                other => return Ok(other),
            }
        }
    }

    /// The next text, where there is one in the socket's time.
    pub(crate) fn try_hear(&mut self) -> Option<String> {
        match self.0.read() {
            Ok(Message::Text(text)) => Some(text.to_string()),
            Ok(_) => None,
            Err(Error::Io(error)) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Everything up to the end must be an error and a close frame, or the latter alone.
    pub(crate) fn end(&mut self) -> End {
        let mut error = None;
        loop {
            match self.message() {
                Ok(Message::Text(text)) => {
                    let frame: Value = serde_json::from_str(&text).unwrap();
                    assert_eq!((&frame["type"], error), (&json!("error"), None), "{text}");
                    assert!(frame["message"].as_str().is_some_and(|message| !message.is_empty()), "{text}");
                    error = Some(frame["code"].as_str().unwrap().to_owned());
                }
                Ok(Message::Close(frame)) => return End { error, close: frame.unwrap().code.into() },
                Ok(other) => panic!("{other:?}"),
                Err(failed @ Error::Io(_)) => panic!("no close frame: {failed}"),
                Err(failed) => panic!("{failed}"),
            }
        }
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        self.0.get_ref()
    }
}

/// What a page sees of a payload.
pub(crate) fn push(payload: &str) -> String {
    format!(r#"{{"type":"push","payload":{payload}}}"#)
}
