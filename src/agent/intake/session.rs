//! One program on the local socket: one request, one answer.

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::id::{AppName, Lane, ParseIdError, RecordId};
use crate::limit;
use crate::outbox::AppendError;

use super::Intake;
use super::bundle;
use super::emit::{Common, emit};
use super::frame::{self, FrameError, Kind};

/// The first frame.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Records follow.
    Emit {
        /// `events` or `logs`.
        lane: String,
        /// The app that these are log lines of; `logs` only.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        app: Option<String>,
    },
    /// The agent's status.
    Status {},
    /// Figures of the outbox.
    OutboxStat {},
    /// Ranges of the outbox.
    OutboxLs {
        /// Only this lane.
        #[serde(default)]
        lane: Option<String>,
    },
    /// One record of the outbox.
    OutboxShow {
        /// `lane/epoch/seq`.
        record: String,
    },
    /// Every block read again.
    OutboxVerify {},
    /// A bundle of everything that waits.
    OutboxExport {},
    /// Acks for an exported bundle.
    OutboxAck {
        /// The ack file, base64.
        acks: String,
    },
}

/// The answer to an emit, and how far one came that failed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// Records that are durable.
    pub accepted: u64,
    /// The first; nothing where none is.
    pub first: Option<String>,
    /// The last.
    pub last: Option<String>,
}

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// See docs/socket.md.
    pub code: String,
    /// What happened and what to do.
    pub message: String,
    /// What is durable of an emit.
    #[serde(default)]
    pub accepted: Accepted,
}

impl Failure {
    pub(super) fn new(code: &str, message: impl ToString) -> Self {
        Self { code: code.to_owned(), message: message.to_string(), accepted: Accepted::default() }
    }
}

impl Accepted {
    /// Counts one append.
    pub fn add(&mut self, count: u64, first: RecordId, last: RecordId) {
        self.accepted = self.accepted.saturating_add(count);
        self.first.get_or_insert_with(|| first.to_string());
        self.last = Some(last.to_string());
    }
}

/// The name an append error has on the socket.
pub(super) fn append_code(error: &AppendError) -> &'static str {
    match error {
        AppendError::LaneFull { .. } | AppendError::OutboxFull { .. } => "lane_full",
        AppendError::DiskFull { .. } => "disk_full",
        AppendError::Degraded { .. } => "degraded",
        AppendError::Closed => "stopping",
        AppendError::Empty
        | AppendError::RecordTooLarge { .. }
        | AppendError::SourceTooLong { .. }
        | AppendError::CallTooLarge { .. } => "bad_request",
    }
}

/// The lane a program may emit to.
///
/// # Errors
/// One line for the program's user.
pub(super) fn emit_lane(name: &str) -> Result<Lane, String> {
    match name.parse() {
        Ok(lane @ (Lane::Events | Lane::Logs)) => Ok(lane),
        Ok(Lane::Control) => {
            Err("the control lane belongs to the agent itself; emit to events or logs".to_owned())
        }
        Err(error) => Err(error.to_string()),
    }
}

/// The app whose log lines a program emits.
///
/// # Errors
/// One line for the program's user.
pub fn emit_app(lane: Lane, app: Option<&str>) -> Result<Option<AppName>, String> {
    match (lane, app) {
        (_, None) => Ok(None),
        (Lane::Logs, Some(app)) => app.parse().map(Some).map_err(|error: ParseIdError| error.to_string()),
        (Lane::Control | Lane::Events, Some(_)) => {
            Err("an app's lines go to the logs lane; leave the app out, or emit to logs".to_owned())
        }
    }
}

pub(super) async fn serve(mut stream: UnixStream, intake: Intake) {
    let peer = stream.peer_cred().ok();
    let uid = peer.map_or_else(|| "unknown".to_owned(), |peer| peer.uid().to_string());
    let pid = peer.and_then(|peer| peer.pid());
    tracing::debug!(uid, pid, "a local program connected");
    let (mut reader, mut writer) = stream.split();
    let source = format!("emit:{uid}");
    let result = tokio::select! {
        biased;
        result = answer(&mut reader, &mut writer, &intake, &source) => result,
        // Only a program that has not asked yet is cut off here: an emit listens for the stop itself.
        () = never_asked(&intake) => return,
    };
    let last = match result {
        Ok(Some(done)) => frame::encode(Kind::Done, &done),
        Ok(None) => return,
        Err(failure) => {
            tracing::info!(
                uid,
                pid,
                code = failure.code,
                reason = failure.message,
                "a local program was refused"
            );
            frame::encode(Kind::Error, &json(&failure))
        }
    };
    if write(&mut writer, &last).await.is_ok() {
        // The program may be gone already: its answer is not ours to worry about.
        let _gone = writer.shutdown().await;
    }
}

/// A stop, and the time in which an emit ends by itself.
async fn never_asked(intake: &Intake) {
    intake.stop.cancelled().await;
    tokio::time::sleep(limit::SHUTDOWN_STEP_TIMEOUT / 2).await;
}

pub(super) fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

pub(super) async fn write(writer: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> Result<(), Failure> {
    match tokio::time::timeout(limit::INTAKE_WRITE_TIMEOUT, writer.write_all(bytes)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Failure::new("bad_request", format!("the program is gone: {error}"))),
        Err(_late) => Err(Failure::new("bad_request", "the program does not read its answers")),
    }
}

async fn answer(
    reader: &mut (impl AsyncRead + Unpin),
    writer: &mut (impl AsyncWrite + Unpin),
    intake: &Intake,
    source: &str,
) -> Result<Option<Vec<u8>>, Failure> {
    let bad = |error: FrameError| Failure::new("bad_request", error);
    let store = |error| Failure::new("store", error);
    let Ok(first) = tokio::time::timeout(limit::INTAKE_REQUEST_TIMEOUT, frame::read(reader)).await else {
        return Err(Failure::new("bad_request", "no request came in time; see docs/socket.md"));
    };
    let Some(first) = first.map_err(bad)? else { return Ok(None) };
    if first.kind != Kind::Request {
        return Err(Failure::new("bad_request", "the first frame must be a request; see docs/socket.md"));
    }
    let request: Request =
        serde_json::from_slice(&first.body).map_err(|error| Failure::new("bad_request", error))?;
    match request {
        Request::Emit { lane, app } => {
            let wrong = |error| Failure::new("bad_request", error);
            let lane = emit_lane(&lane).map_err(wrong)?;
            let app = emit_app(lane, app.as_deref()).map_err(wrong)?;
            let common = Common { lane, source: source.to_owned(), app };
            emit(reader, writer, intake, &common).await.map(|accepted| Some(json(&accepted)))
        }
        Request::Status {} => {
            let stat = intake.outbox.stat().await.map_err(store)?;
            Ok(Some(json(&intake.state.status(stat))))
        }
        Request::OutboxStat {} => Ok(Some(json(&intake.outbox.stat().await.map_err(store)?))),
        Request::OutboxLs { lane } => {
            for range in intake.outbox.ranges().await.map_err(store)? {
                if lane.as_ref().is_none_or(|lane| *lane == range.lane) {
                    write(writer, &frame::encode(Kind::Row, &json(&range))).await?;
                }
            }
            Ok(Some(b"{}".to_vec()))
        }
        Request::OutboxShow { record } => bundle::show(intake, &record).await.map(|shown| Some(json(&shown))),
        Request::OutboxVerify {} => bundle::verify(writer, intake).await.map(|()| Some(b"{}".to_vec())),
        Request::OutboxExport {} => {
            bundle::export(writer, intake).await.map(|exported| Some(json(&exported)))
        }
        Request::OutboxAck { acks } => bundle::ack(intake, &acks).await.map(|acked| Some(json(&acked))),
    }
}
