//! One program on the local socket: one request, one answer.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use crate::id::{Lane, RecordId};
use crate::limit;
use crate::outbox::{AppendError, NewRecord};
use crate::wire::batch;
use crate::wire::message::RecordKind;

use super::Intake;
use super::frame::{self, Frame, FrameError, Kind};

/// The first frame.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Records follow.
    Emit {
        /// `events` or `logs`.
        lane: String,
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
    /// `bad_request`, `lane_full`, `disk_full`, `degraded`, `stopping` or `store`.
    pub code: String,
    /// What happened and what to do.
    pub message: String,
    /// What is durable of an emit.
    #[serde(default)]
    pub accepted: Accepted,
}

impl Failure {
    fn new(code: &str, message: impl ToString) -> Self {
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
        AppendError::LaneFull { .. } => "lane_full",
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

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

async fn write(writer: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> Result<(), Failure> {
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
        Request::Emit { lane } => {
            let lane = emit_lane(&lane).map_err(|error| Failure::new("bad_request", error))?;
            emit(reader, writer, intake, lane, source).await.map(|accepted| Some(json(&accepted)))
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
    }
}

/// Frames on their way from the reader to the appender.
type Received = Result<Frame, FrameError>;

async fn emit(
    reader: &mut (impl AsyncRead + Unpin),
    writer: &mut (impl AsyncWrite + Unpin),
    intake: &Intake,
    lane: Lane,
    source: &str,
) -> Result<Accepted, Failure> {
    let (sender, receiver) = mpsc::channel(limit::INTAKE_FRAMES_IN_FLIGHT);
    let mut accepted = Accepted::default();
    let result = tokio::select! {
        biased;
        result = append_all(receiver, writer, intake, lane, source, &mut accepted) => result,
        // Ends only when the appender has gone.
        () = receive(reader, sender) => Ok(()),
    };
    intake.state.count(|counters| {
        counters.records_taken = counters.records_taken.saturating_add(accepted.accepted);
    });
    match result {
        Ok(()) => Ok(accepted),
        Err(failure) => Err(Failure { accepted, ..failure }),
    }
}

/// Reads ahead until the end or the first error, then waits to be dropped.
async fn receive(reader: &mut (impl AsyncRead + Unpin), sender: mpsc::Sender<Received>) {
    loop {
        let received = match frame::read(reader).await {
            Ok(Some(frame)) => Ok(frame),
            Ok(None) => Err(FrameError::Cut),
            Err(error) => Err(error),
        };
        let last = !matches!(&received, Ok(frame) if frame.kind == Kind::Records);
        if sender.send(received).await.is_err() || last {
            break;
        }
    }
    std::future::pending().await
}

/// What the frames gathered for one append ask for besides their records.
enum Next {
    More,
    End,
    Failed(Failure),
}

async fn append_all(
    mut receiver: mpsc::Receiver<Received>,
    writer: &mut (impl AsyncWrite + Unpin),
    intake: &Intake,
    lane: Lane,
    source: &str,
    accepted: &mut Accepted,
) -> Result<(), Failure> {
    loop {
        let first = tokio::select! {
            biased;
            () = intake.stop.cancelled() => {
                return Err(Failure::new("stopping", "the agent stops; emit the rest again when it runs"));
            }
            first = receiver.recv() => first,
        };
        let mut payloads = Vec::new();
        let mut next = gather(first, &mut payloads);
        // Enough to share a sync; more would only lie in memory.
        while payloads.iter().map(|payload| encoded_len(payload, source)).sum::<usize>()
            < limit::APPEND_BYTES_MAX / 4
            && matches!(next, Next::More)
            && let Ok(received) = receiver.try_recv()
        {
            next = gather(Some(received), &mut payloads);
        }
        if !payloads.is_empty() {
            append(payloads, intake, lane, source, accepted).await?;
            let durable = accepted.accepted.to_be_bytes();
            write(writer, &frame::encode(Kind::Durable, &durable)).await?;
        }
        match next {
            Next::More => {}
            Next::End => return Ok(()),
            Next::Failed(failure) => return Err(failure),
        }
    }
}

fn gather(received: Option<Received>, payloads: &mut Vec<Bytes>) -> Next {
    let bad = |error: FrameError| Next::Failed(Failure::new("bad_request", error));
    match received {
        Some(Ok(Frame { kind: Kind::Records, body })) => match frame::records(body) {
            Ok(records) => {
                payloads.extend(records);
                Next::More
            }
            Err(error) => bad(error),
        },
        Some(Ok(Frame { kind: Kind::End, .. })) => Next::End,
        Some(Ok(Frame { kind, .. })) => {
            Next::Failed(Failure::new("bad_request", format!("a {kind:?} frame among the records")))
        }
        Some(Err(error)) => bad(error),
        None => bad(FrameError::Cut),
    }
}

/// What a record takes of an append at most: each of its parts has a head of its own.
fn encoded_len(payload: &Bytes, source: &str) -> usize {
    let parts = payload.len().div_ceil(limit::RECORD_PART_BYTES_MAX).max(1);
    payload.len().saturating_add(parts.saturating_mul(batch::encoded_len_max(0, source.len())))
}

/// Appends all of them, in as few pieces as an append's bound allows.
async fn append(
    payloads: Vec<Bytes>,
    intake: &Intake,
    lane: Lane,
    source: &str,
    accepted: &mut Accepted,
) -> Result<(), Failure> {
    let mut piece = Vec::new();
    let mut bytes = 0_usize;
    for payload in payloads {
        let more = encoded_len(&payload, source);
        if bytes.saturating_add(more) > limit::APPEND_BYTES_MAX {
            append_piece(std::mem::take(&mut piece), intake, lane, source, accepted).await?;
            bytes = 0;
        }
        bytes = bytes.saturating_add(more);
        piece.push(payload);
    }
    append_piece(piece, intake, lane, source, accepted).await
}

async fn append_piece(
    payloads: Vec<Bytes>,
    intake: &Intake,
    lane: Lane,
    source: &str,
    accepted: &mut Accepted,
) -> Result<(), Failure> {
    let recorded_at = (intake.wall_clock)();
    let records = payloads
        .into_iter()
        .map(|payload| NewRecord {
            recorded_at,
            source: source.to_owned(),
            kind: RecordKind::Opaque,
            payload,
        })
        .collect();
    let appended = intake
        .outbox
        .append(lane, records)
        .await
        .map_err(|error| Failure::new(append_code(&error), error.to_string()))?;
    accepted.add(appended.count, appended.first, appended.last);
    Ok(())
}
