//! A subscriber of an own stream, as a page is one that notes the offset of the last message it got.

use std::io::ErrorKind;
use std::net::TcpStream;

use outpost::obs::clock::boot_now;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::{self, IntoClientRequest as _};
use tokio_tungstenite::tungstenite::handshake::HandshakeError;
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket};

use crate::node::DEADLINE;

pub(super) struct Subscriber {
    socket: WebSocket<TcpStream>,
    /// Of the last message that came.
    pub(super) offset: Option<String>,
}

/// What a subscriber hears at last.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) code: Option<String>,
    pub(super) close: u16,
}

impl Subscriber {
    /// Upgraded, and no more; else status and text of the refusal.
    pub(super) fn open(address: &str, query: &str) -> Result<Self, (u16, String)> {
        let request = format!("ws://{address}/ws?{query}").into_client_request().unwrap();
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        match client::client(request, socket) {
            Ok((socket, _)) => Ok(Self { socket, offset: None }),
            Err(HandshakeError::Failure(Error::Http(response))) => {
                let body = response.body().as_deref().unwrap_or_default();
                Err((response.status().as_u16(), String::from_utf8_lossy(body).into_owned()))
            }
            Err(error) => panic!("{query}: {error}"),
        }
    }

    /// Lets itself be judged.
    pub(super) fn show(&mut self, token: &Value) {
        self.send(Message::text(json!({"type": "auth", "token": token}).to_string()));
    }

    pub(super) fn send(&mut self, message: Message) {
        self.socket.send(message).unwrap();
    }

    /// Let in, behind `after`.
    pub(super) fn follow(address: &str, topic: &str, token: &str, after: Option<&str>) -> Self {
        Self::try_follow(address, topic, token, after).unwrap_or_else(|refused| panic!("{topic}: {refused}"))
    }

    /// The same, else what is said in place of that.
    pub(super) fn try_follow(
        address: &str,
        topic: &str,
        token: &str,
        after: Option<&str>,
    ) -> Result<Self, Value> {
        let after = after.map(|after| format!("&after={after}")).unwrap_or_default();
        let mut subscriber = Self::open(address, &format!("topic={topic}{after}")).unwrap();
        subscriber.show(&json!(token));
        let first = subscriber.frame();
        if first == json!({"type": "auth_ok"}) { Ok(subscriber) } else { Err(first) }
    }

    /// The next frame.
    pub(super) fn frame(&mut self) -> Value {
        match self.message() {
            Message::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// The next message that is none of the protocol's own. Pings that come on do not make it wait for ever.
    fn message(&mut self) -> Message {
        let began = boot_now();
        loop {
            match self.socket.read().unwrap() {
                Message::Ping(_) | Message::Pong(_) => {
                    assert!(boot_now().since(began) < DEADLINE / 2, "nothing comes but pings");
                }
                other => return other,
            }
        }
    }

    /// Answers the pings that came; nothing else may have.
    pub(super) fn answer_pings(&mut self) {
        self.socket.get_ref().set_nonblocking(true).unwrap();
        loop {
            match self.socket.read() {
                Ok(Message::Ping(_)) => {}
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => break,
                other => panic!("{other:?}"),
            }
        }
        self.socket.get_ref().set_nonblocking(false).unwrap();
    }

    /// The next message, which has to be one.
    pub(super) fn push(&mut self) -> Value {
        let mut frame = self.frame();
        assert_eq!(frame["type"], "push", "{frame}");
        self.offset = Some(frame["offset"].as_str().unwrap().to_owned());
        frame["payload"].take()
    }

    /// The next `count` lines of a log, which have to be lines.
    pub(super) fn lines(&mut self, count: usize) -> Vec<String> {
        (0..count).map(|_| line(&self.push())).collect()
    }

    /// Messages up to the first for which `wished` holds.
    pub(super) fn until(&mut self, wished: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut all = Vec::new();
        loop {
            let payload = self.push();
            let found = wished(&payload);
            all.push(payload);
            if found {
                return all;
            }
        }
    }

    /// Nothing may come any more but an error and a close frame, or the latter alone.
    pub(super) fn end(&mut self) -> End {
        let mut code = None;
        loop {
            match self.message() {
                Message::Text(text) => {
                    let frame: Value = serde_json::from_str(&text).unwrap();
                    assert_eq!((&frame["type"], code), (&json!("error"), None), "{text}");
                    code = Some(frame["code"].as_str().unwrap().to_owned());
                }
                Message::Close(frame) => return End { code, close: frame.unwrap().code.into() },
                other => panic!("{other:?}"),
            }
        }
    }

    /// No more bytes than that wait for it in its own socket from now on.
    pub(super) fn receive_at_most(&self, bytes: usize) {
        rustix::net::sockopt::set_socket_recv_buffer_size(self.socket.get_ref(), bytes).unwrap();
    }

    /// Reads on until the other end is gone.
    pub(super) fn gone(&mut self) {
        while self.socket.read().is_ok() {}
    }
}

/// `RUN:NUMBER TEXT`
pub(super) fn line(payload: &Value) -> String {
    assert_eq!(payload["kind"], "line", "{payload}");
    format!("{}:{} {}", payload["run"], payload["n"], payload["text"].as_str().unwrap())
}
