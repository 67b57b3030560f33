//! An emit: frames of records into appends, and back what is durable.

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

use crate::id::{AppName, Lane};
use crate::limit;
use crate::outbox::NewRecord;
use crate::wire::batch;
use crate::wire::message::RecordKind;

use super::Intake;
use super::frame::{self, Frame, FrameError, Kind};
use super::session::{Accepted, Failure, append_code, write};

/// Frames on their way from the reader to the appender.
type Received = Result<Frame, FrameError>;

/// What all records of one emit have in common.
pub(super) struct Common {
    pub(super) lane: Lane,
    /// Who makes them.
    pub(super) source: String,
    /// Whose log lines they are.
    pub(super) app: Option<AppName>,
}

impl Common {
    /// What a record takes of an append at most: each of its parts has a head of its own.
    fn encoded_len(&self, payload: &Bytes) -> usize {
        let app = self.app.as_ref().map_or(0, |app| app.as_str().len());
        let parts = payload.len().div_ceil(limit::RECORD_PART_BYTES_MAX).max(1);
        let head = batch::encoded_len_max(0, self.source.len(), app);
        payload.len().saturating_add(parts.saturating_mul(head))
    }
}

/// Takes the records of one program until it says that there are no more.
pub(super) async fn emit(
    reader: &mut (impl AsyncRead + Unpin),
    writer: &mut (impl AsyncWrite + Unpin),
    intake: &Intake,
    common: &Common,
) -> Result<Accepted, Failure> {
    let (sender, receiver) = mpsc::channel(limit::INTAKE_FRAMES_IN_FLIGHT);
    let mut accepted = Accepted::default();
    let result = tokio::select! {
        biased;
        result = append_all(receiver, writer, intake, common, &mut accepted) => result,
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
    common: &Common,
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
        while payloads.iter().map(|payload| common.encoded_len(payload)).sum::<usize>()
            < limit::APPEND_BYTES_MAX / 4
            && matches!(next, Next::More)
            && let Ok(received) = receiver.try_recv()
        {
            next = gather(Some(received), &mut payloads);
        }
        if !payloads.is_empty() {
            append(payloads, intake, common, accepted).await?;
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

/// Appends all of them, in as few pieces as an append's bound allows.
async fn append(
    payloads: Vec<Bytes>,
    intake: &Intake,
    common: &Common,
    accepted: &mut Accepted,
) -> Result<(), Failure> {
    let mut piece = Vec::new();
    let mut bytes = 0_usize;
    for payload in payloads {
        let more = common.encoded_len(&payload);
        if bytes.saturating_add(more) > limit::APPEND_BYTES_MAX {
            append_piece(std::mem::take(&mut piece), intake, common, accepted).await?;
            bytes = 0;
        }
        bytes = bytes.saturating_add(more);
        piece.push(payload);
    }
    append_piece(piece, intake, common, accepted).await
}

async fn append_piece(
    payloads: Vec<Bytes>,
    intake: &Intake,
    common: &Common,
    accepted: &mut Accepted,
) -> Result<(), Failure> {
    let recorded_at = (intake.wall_clock)();
    let records = payloads
        .into_iter()
        .map(|payload| NewRecord {
            recorded_at,
            source: common.source.clone(),
            kind: RecordKind::Opaque,
            payload,
            app: common.app.clone(),
        })
        .collect();
    let appended = intake
        .outbox
        .append(common.lane, records)
        .await
        .map_err(|error| Failure::new(append_code(&error), error.to_string()))?;
    accepted.add(appended.count, appended.first, appended.last);
    Ok(())
}
