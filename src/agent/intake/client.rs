//! The other end of the local socket, for the command line: blocking, one request a connection.

use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use bytes::BytesMut;

use crate::id::{AppName, Lane};
use crate::limit;

use super::frame::{self, FrameError, Kind};
use super::lines::{Lines, LinesError};
pub use super::session::{Accepted, Failure, Request, emit_app};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error(
        "no agent answers on {path}: {source}; start it with `outpost agent run`, or name its socket with --socket P"
    )]
    NoAgent {
        /// The socket.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The agent refused.
    #[error("{}", .0.message)]
    Refused(Failure),
    /// The connection broke; what is durable is known only as far as the agent said so.
    #[error("the agent went away after it had confirmed {confirmed} records: {source}")]
    Broken {
        /// Records that are durable for certain.
        confirmed: u64,
        /// Why.
        source: FrameError,
    },
    /// The input is wrong; everything before it was taken.
    #[error("{source}; the {} records before it are durable", accepted.accepted)]
    Input {
        /// What is wrong.
        source: LinesError,
        /// What is durable.
        accepted: Accepted,
    },
    /// The agent is there and does not answer.
    #[error(
        "the agent does not answer within {} s: it hangs, or {} other programs are connected to it; try later, or restart it",
        limit::INTAKE_ANSWER_TIMEOUT.as_secs(), limit::INTAKE_CONNECTIONS_MAX
    )]
    Silent,
    /// What came could not be kept.
    #[error("what the agent sends cannot be written: {0}")]
    Output(io::Error),
    /// The agent's answer is not understood.
    #[error("the agent's answer is not understood ({0}); do agent and command have the same version?")]
    Answer(String),
}

/// Connects.
///
/// # Errors
/// [`ClientError::NoAgent`], also for a path that is too long.
pub fn connect(path: &Path) -> Result<UnixStream, ClientError> {
    let no_agent = |source| ClientError::NoAgent { path: path.display().to_string(), source };
    super::check_path(path).map_err(|error| no_agent(io::Error::other(error.to_string())))?;
    UnixStream::connect(path).map_err(no_agent)
}

/// Asks one question; rows go to `row` as they come.
///
/// # Errors
/// See [`ClientError`].
pub fn ask(stream: UnixStream, request: &Request, row: impl FnMut(&[u8])) -> Result<Vec<u8>, ClientError> {
    ask_within(limit::INTAKE_ANSWER_TIMEOUT, stream, request, row)
}

fn ask_within(
    timeout: Duration,
    stream: UnixStream,
    request: &Request,
    mut row: impl FnMut(&[u8]),
) -> Result<Vec<u8>, ClientError> {
    let broken = |error| ClientError::Broken { confirmed: 0, source: FrameError::Io(error) };
    stream.set_read_timeout(Some(timeout)).map_err(broken)?;
    send_request(&mut &stream, request).map_err(broken)?;
    let mut reader = BufReader::new(&stream);
    receive(&mut reader, |kind, body| {
        if kind == Kind::Row {
            row(body);
        }
        Ok(())
    })
}

fn send_request(stream: &mut impl Write, request: &Request) -> io::Result<()> {
    let body = serde_json::to_vec(request).map_err(io::Error::other)?;
    stream.write_all(&frame::encode(Kind::Request, &body))
}

/// Reads to the last frame.
fn receive(
    reader: &mut impl BufRead,
    mut each: impl FnMut(Kind, &[u8]) -> io::Result<()>,
) -> Result<Vec<u8>, ClientError> {
    let mut confirmed = 0;
    loop {
        let frame = match frame::read_blocking(reader) {
            Ok(Some(frame)) => frame,
            Ok(None) => return Err(ClientError::Broken { confirmed, source: FrameError::Cut }),
            Err(FrameError::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(ClientError::Silent);
            }
            Err(source) => return Err(ClientError::Broken { confirmed, source }),
        };
        match frame.kind {
            Kind::Done => return Ok(frame.body.to_vec()),
            Kind::Error => {
                let failure = serde_json::from_slice(&frame.body)
                    .map_err(|error| ClientError::Answer(error.to_string()))?;
                return Err(ClientError::Refused(failure));
            }
            Kind::Durable => {
                confirmed = frame.body.first_chunk().map_or(confirmed, |count| u64::from_be_bytes(*count));
            }
            Kind::Row | Kind::Data => each(frame.kind, &frame.body).map_err(ClientError::Output)?,
            Kind::Request | Kind::Records | Kind::End => {
                return Err(ClientError::Answer(format!("a {:?} frame", frame.kind)));
            }
        }
    }
}

/// What comes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// What it will be, JSON.
    Begun(&'a [u8]),
    /// Its next bytes.
    Data(&'a [u8]),
}

/// Has a file written; its pieces go to `each` as they come.
///
/// # Errors
/// See [`ClientError`].
pub fn fetch(
    stream: UnixStream,
    request: &Request,
    mut each: impl FnMut(Piece<'_>) -> io::Result<()>,
) -> Result<Vec<u8>, ClientError> {
    let broken = |error| ClientError::Broken { confirmed: 0, source: FrameError::Io(error) };
    stream.set_read_timeout(Some(limit::INTAKE_ANSWER_TIMEOUT)).map_err(broken)?;
    send_request(&mut &stream, request).map_err(broken)?;
    receive(&mut BufReader::new(&stream), |kind, body| match kind {
        Kind::Data => each(Piece::Data(body)),
        _ => each(Piece::Begun(body)),
    })
}

/// Sends every line of `input` and waits until all are durable.
///
/// # Errors
/// See [`ClientError`].
pub fn emit(
    stream: &UnixStream,
    lane: Lane,
    app: Option<&AppName>,
    input: impl BufRead,
) -> Result<Accepted, ClientError> {
    let app = app.map(ToString::to_string);
    let request = Request::Emit { lane: lane.name().to_owned(), app };
    std::thread::scope(|scope| {
        // Answers are read beside the sending: an agent that cannot write would stop reading.
        let answers = scope.spawn(|| receive(&mut BufReader::new(stream), |_kind, _body| Ok(())));
        let sent = send_lines(stream, &request, input);
        let answer = answers.join().unwrap_or_else(|_panic| Err(ClientError::Answer("lost".to_owned())));
        let accepted = answer.and_then(|body| {
            serde_json::from_slice(&body).map_err(|error| ClientError::Answer(error.to_string()))
        })?;
        match sent {
            Some(source) => Err(ClientError::Input { source, accepted }),
            None => Ok(accepted),
        }
    })
}

/// Sends until the input ends or is wrong. Where the agent has gone the answers say why.
fn send_lines(stream: &UnixStream, request: &Request, input: impl BufRead) -> Option<LinesError> {
    let mut writer = BufWriter::with_capacity(limit::INTAKE_BATCH_BYTES, stream);
    let mut lines = Lines::new(input);
    let mut wrong = None;
    let mut body = BytesMut::new();
    let sent = (|| -> io::Result<()> {
        send_request(&mut writer, request)?;
        // At once: the input may have nothing to give for long, and the agent waits for a request only so long.
        writer.flush()?;
        loop {
            match lines.next_batch() {
                Ok(Some(batch)) => {
                    body.clear();
                    for line in &batch {
                        frame::push_record(line, &mut body);
                    }
                    writer.write_all(&frame::encode(Kind::Records, &body))?;
                    writer.flush()?;
                }
                Ok(None) => break,
                Err(error) => {
                    wrong = Some(error);
                    break;
                }
            }
        }
        writer.write_all(&frame::encode(Kind::End, b""))?;
        writer.flush()
    })();
    if let Err(error) = sent {
        tracing::debug!(%error, "the agent stopped reading");
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_that_does_not_answer_is_not_waited_for_for_ever() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let asked = ask_within(Duration::from_millis(10), ours, &Request::Status {}, |_| {});
        assert!(matches!(asked, Err(ClientError::Silent)), "{asked:?}");
        drop(theirs);
    }
}
