//! One connection to Redis. Whoever uses it bounds how long that takes.

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::hub::live::label::Label;
use crate::limit;
use crate::net::dial::{DialError, Dialer, Security};
use crate::net::meter::Meter;
use crate::net::patience::{Late, Patience};
use crate::net::stream::Stream;
use crate::net::tls::client::{ClientTls, Settings, SettingsError};

use super::resp::{self, Reply, RespError};
use super::url::RedisUrl;

/// Read at once.
const READ_BYTES: usize = 16 * 1024;
/// A buffer that was larger for once is given back.
const OUT_BYTES_KEPT: usize = 64 * 1024;
/// As long as bytes move, and not for ever.
const PATIENCE: Patience =
    Patience { silence: limit::LIVE_REDIS_TIMEOUT, whole: limit::LIVE_REDIS_BATCH_TIMEOUT };

/// Why Redis is not to be had. No password is in it.
#[derive(Debug, thiserror::Error)]
pub(super) enum RedisError {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error(transparent)]
    Tls(#[from] SettingsError),
    #[error("the connection broke: {0}")]
    Broken(#[from] std::io::Error),
    #[error("the connection was closed")]
    Closed,
    #[error(transparent)]
    Resp(#[from] RespError),
    #[error("it refuses: {0}")]
    Refused(String),
    #[error("no answer for {} s", limit::LIVE_REDIS_TIMEOUT.as_secs())]
    Silent,
    #[error(transparent)]
    Late(#[from] Late),
}

/// See the module.
pub(super) struct Connection {
    stream: Stream,
    received: BytesMut,
    out: BytesMut,
}

impl Connection {
    /// Dials, and logs in.
    pub(super) async fn open(url: &RedisUrl) -> Result<Self, RedisError> {
        let route = url.route();
        let tls = match route.security {
            Security::Tls => Some(ClientTls::new(&Settings::default())?),
            Security::Plain => None,
        };
        let dialer = Dialer { tls, ..Dialer::default() };
        let stream = dialer.connect(&route).await?.settled(&route.host)?.stream;
        let mut connection = Self { stream, received: BytesMut::new(), out: BytesMut::new() };
        if let Some(password) = url.password() {
            let password = password.expose().as_bytes();
            match url.user() {
                Some(user) => connection.ask(&[b"AUTH", user.expose().as_bytes(), password]).await?,
                None => connection.ask(&[b"AUTH", password]).await?,
            };
        }
        if url.database() != 0 {
            connection.ask(&[b"SELECT", url.database().to_string().as_bytes()]).await?;
        }
        Ok(connection)
    }

    /// A request that goes out with the next [`Self::flush`].
    pub(super) fn feed(&mut self, arguments: &[&[u8]]) {
        resp::request(arguments, &mut self.out);
    }

    /// Sends what was fed.
    pub(super) async fn flush(&mut self) -> Result<(), RedisError> {
        self.stream.write_all(&self.out).await?;
        self.out.clear();
        if self.out.capacity() > OUT_BYTES_KEPT {
            self.out = BytesMut::new();
        }
        Ok(self.stream.flush().await?)
    }

    /// What passes over the line.
    pub(super) fn meter(&self) -> Meter {
        self.stream.meter()
    }

    /// The next reply; a refusal is an error. Cancel safe.
    pub(super) async fn reply(&mut self) -> Result<Reply, RedisError> {
        loop {
            match resp::take(&mut self.received)? {
                Some(Reply::Error(text)) => return Err(RedisError::Refused(Label(&text).to_string())),
                Some(reply) => return Ok(reply),
                None => {}
            }
            self.received.reserve(READ_BYTES);
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return Err(RedisError::Closed);
            }
        }
    }

    /// One request and its reply.
    pub(super) async fn ask(&mut self, arguments: &[&[u8]]) -> Result<Reply, RedisError> {
        self.feed(arguments);
        self.stream.write_all(&self.out).await?;
        self.stream.flush().await?;
        let reply = self.reply().await;
        // It may have been a password.
        self.out.fill(0);
        self.out.clear();
        reply
    }
}

/// A connection that is made within the time that Redis has for an answer.
pub(super) async fn made<T>(making: impl Future<Output = Result<T, RedisError>>) -> Result<T, RedisError> {
    tokio::time::timeout(limit::LIVE_REDIS_TIMEOUT, making).await.unwrap_or(Err(RedisError::Silent))
}

/// What is done over a connection that has this meter, as long as bytes move there.
pub(super) async fn in_time<T>(
    meter: &Meter,
    work: impl Future<Output = Result<T, RedisError>>,
) -> Result<T, RedisError> {
    match PATIENCE.wait(meter, work).await {
        Ok(done) => done,
        Err(Late::Silence(_)) => Err(RedisError::Silent),
        Err(late @ Late::Whole(_)) => Err(late.into()),
    }
}
