//! Between generated protobuf types and the domain types of jobs; every bound a peer could break is checked here.

use bytes::Bytes;
use prost::Message as _;

use crate::id::{Epoch, JobId, Lane, RecordId, StreamId};
use crate::limit;
use crate::time::{HubTime, WallTime};
use crate::wire::error::WireError;
use crate::wire::job::{
    Answer, JobAck, JobArtifact, JobOffer, JobOutput, JobProgress, JobRecord, JobResult, JobState,
    JobStatusChange, LogSummary, OutputLine, OutputStream, Refusal, ResultPayload,
};
use crate::wire::message::RecordKind;
use crate::wire::operator::OperatorSignature;
use crate::wire::{proto, walk};

use super::field::{bounded, cut_text, invalid, operator_signature};

impl JobRecord {
    /// The kind of the record that carries it.
    pub const fn kind(&self) -> RecordKind {
        match self {
            Self::Ack(_) => RecordKind::JobAck,
            Self::Status(_) => RecordKind::JobStatus,
            Self::Result(_) => RecordKind::JobResult,
            Self::Progress(_) => RecordKind::JobProgress,
            Self::Output(_) => RecordKind::JobOutput,
            Self::Artifact(_) => RecordKind::JobArtifact,
        }
    }

    /// The record's payload.
    pub fn encode(self) -> Bytes {
        match self {
            Self::Ack(ack) => ack_to_proto(ack).encode_to_vec().into(),
            Self::Status(change) => status_to_proto(&change).encode_to_vec().into(),
            Self::Result(result) => result_to_proto(*result).encode_to_vec().into(),
            Self::Progress(progress) => progress_to_proto(progress).encode_to_vec().into(),
            Self::Output(output) => output_to_proto(output).encode_to_vec().into(),
            Self::Artifact(artifact) => artifact_to_proto(artifact).encode_to_vec().into(),
        }
    }

    /// The job record in a payload of this kind; `None` where the kind does not speak of jobs or has no form of its own.
    ///
    /// # Errors
    /// `invalid` where it does not decode or a field is outside its bounds.
    pub fn decode(kind: RecordKind, payload: &Bytes) -> Result<Option<Self>, WireError> {
        Ok(Some(match kind {
            RecordKind::JobAck => Self::Ack(ack_from_proto(parse(payload)?)?),
            RecordKind::JobStatus => Self::Status(status_from_proto(&parse(payload)?)?),
            RecordKind::JobResult => Self::Result(Box::new(result_from_proto(parse(payload)?)?)),
            RecordKind::JobProgress => Self::Progress(progress_from_proto(parse(payload)?)?),
            RecordKind::JobOutput => Self::Output(output_from_proto(parse(payload)?)?),
            RecordKind::JobArtifact => Self::Artifact(artifact_from_proto(parse(payload)?)?),
            RecordKind::Opaque | RecordKind::LossReport | RecordKind::JobPayload | RecordKind::Unknown(_) => {
                return Ok(None);
            }
        }))
    }

    /// What the first part of a long record says: an artifact's job, run and name, and as much of its content as is
    /// there. `None` where the kind is another or the part does not begin as an artifact does.
    pub fn decode_first_part(kind: RecordKind, payload: &Bytes) -> Option<JobArtifact> {
        if kind != RecordKind::JobArtifact {
            return None;
        }
        let mut head = proto::JobArtifact::default();
        let mut rest: &[u8] = payload;
        loop {
            let (field, _, _, after) = walk::next_field(rest)?;
            let encoded = rest.get(..rest.len() - after.len())?;
            head.merge(encoded).ok()?;
            rest = after;
            // The name is the last field before the content, which the part cuts.
            if field == 3 {
                return artifact_from_proto(head).ok();
            }
        }
    }
}

/// Bytes a line takes in an encoded [`JobOutput`] at most, besides its text.
pub const OUTPUT_LINE_OVERHEAD: usize = (1 + 3) + 2 + (1 + 10) + (1 + 3) + 2;
/// Bytes of an encoded [`JobOutput`] without lines at most.
pub const OUTPUT_OVERHEAD: usize = (2 + 16) + (1 + 5) + (1 + 10);

pub(super) fn offer_to_proto(offer: JobOffer) -> proto::JobOffer {
    proto::JobOffer {
        job_id: id_to_proto(offer.job),
        created_at_ms: offer.created_at.0,
        spec: offer.spec,
        signature: OperatorSignature::to_wire(offer.signature.as_ref()),
    }
}

pub(super) fn offer_from_proto(offer: proto::JobOffer) -> Result<JobOffer, WireError> {
    if offer.spec.len() > limit::JOB_SPEC_BYTES_MAX {
        return Err(too_long("spec", offer.spec.len(), limit::JOB_SPEC_BYTES_MAX));
    }
    let signature = operator_signature(&offer.signature)?;
    Ok(JobOffer {
        job: id_from_proto(&offer.job_id)?,
        created_at: HubTime(offer.created_at_ms),
        spec: offer.spec,
        signature,
    })
}

pub(super) fn cancel_to_proto(job: JobId) -> proto::CancelJob {
    proto::CancelJob { job_id: id_to_proto(job) }
}

pub(super) fn cancel_from_proto(cancel: &proto::CancelJob) -> Result<JobId, WireError> {
    id_from_proto(&cancel.job_id)
}

pub(super) fn ack_to_proto(ack: JobAck) -> proto::JobAck {
    let (refusal, detail, state) = match ack.answer {
        Answer::Accepted(state) => (proto::JobRefusal::Unspecified, String::new(), state_to_proto(state)),
        Answer::Refused { refusal, detail } => {
            let refusal = match refusal {
                Refusal::Busy => proto::JobRefusal::Busy,
                Refusal::Degraded => proto::JobRefusal::Degraded,
                Refusal::Expired => proto::JobRefusal::Expired,
                Refusal::TooOld => proto::JobRefusal::TooOld,
                Refusal::Invalid => proto::JobRefusal::Invalid,
            };
            (refusal, cut(detail), proto::JobState::Unspecified as i32)
        }
    };
    proto::JobAck { job_id: id_to_proto(ack.job), refusal: refusal as i32, detail, state }
}

pub(super) fn ack_from_proto(ack: proto::JobAck) -> Result<JobAck, WireError> {
    let refused = |refusal| -> Result<Answer, WireError> {
        Ok(Answer::Refused { refusal, detail: text(ack.detail.clone(), "detail")? })
    };
    let answer = match proto::JobRefusal::try_from(ack.refusal) {
        Ok(proto::JobRefusal::Unspecified) => Answer::Accepted(state_from_proto(ack.state)?),
        Ok(proto::JobRefusal::Busy) => refused(Refusal::Busy)?,
        Ok(proto::JobRefusal::Degraded) => refused(Refusal::Degraded)?,
        Ok(proto::JobRefusal::Expired) => refused(Refusal::Expired)?,
        Ok(proto::JobRefusal::TooOld) => refused(Refusal::TooOld)?,
        Ok(proto::JobRefusal::Invalid) => refused(Refusal::Invalid)?,
        Err(_) => return Err(invalid(format!("job refusal {}", ack.refusal))),
    };
    Ok(JobAck { job: id_from_proto(&ack.job_id)?, answer })
}

fn status_to_proto(change: &JobStatusChange) -> proto::JobStatusChange {
    proto::JobStatusChange {
        job_id: id_to_proto(change.job),
        run: change.run,
        state: state_to_proto(change.state),
        at_ms: change.at.0,
    }
}

fn status_from_proto(change: &proto::JobStatusChange) -> Result<JobStatusChange, WireError> {
    Ok(JobStatusChange {
        job: id_from_proto(&change.job_id)?,
        run: change.run,
        state: state_from_proto(change.state)?,
        at: WallTime(change.at_ms),
    })
}

fn progress_to_proto(progress: JobProgress) -> proto::JobProgress {
    proto::JobProgress {
        job_id: id_to_proto(progress.job),
        run: progress.run,
        at_ms: progress.at.0,
        permille: progress.permille.map(|permille| permille.min(1000)),
        text: cut(progress.text),
    }
}

fn progress_from_proto(progress: proto::JobProgress) -> Result<JobProgress, WireError> {
    if progress.permille.is_some_and(|permille| permille > 1000) {
        return Err(invalid(format!("progress of {} permille", progress.permille.unwrap_or_default())));
    }
    Ok(JobProgress {
        job: id_from_proto(&progress.job_id)?,
        run: progress.run,
        at: WallTime(progress.at_ms),
        permille: progress.permille,
        text: text(progress.text, "progress")?,
    })
}

fn output_to_proto(output: JobOutput) -> proto::JobOutput {
    let line = |line: OutputLine| proto::OutputLine {
        stream: match line.stream {
            OutputStream::Stdout => proto::OutputStream::Stdout,
            OutputStream::Stderr => proto::OutputStream::Stderr,
        } as i32,
        at_ms: line.at.0,
        text: line.text,
        continues: line.continues,
    };
    proto::JobOutput {
        job_id: id_to_proto(output.job),
        run: output.run,
        first_line: output.first_line,
        lines: output.lines.into_iter().map(line).collect(),
    }
}

fn output_from_proto(output: proto::JobOutput) -> Result<JobOutput, WireError> {
    let end = output.first_line.checked_add(output.lines.len() as u64);
    // The hub keeps line numbers as signed 64 bits.
    if output.first_line == 0 || output.lines.is_empty() || end.is_none_or(|end| end > i64::MAX as u64) {
        return Err(invalid(format!("{} lines from {}", output.lines.len(), output.first_line)));
    }
    let line = |line: proto::OutputLine| {
        if line.text.len() > limit::JOB_LINE_BYTES_MAX {
            return Err(too_long("a line", line.text.len(), limit::JOB_LINE_BYTES_MAX));
        }
        let stream = match proto::OutputStream::try_from(line.stream) {
            Ok(proto::OutputStream::Stdout) => OutputStream::Stdout,
            Ok(proto::OutputStream::Stderr) => OutputStream::Stderr,
            Ok(proto::OutputStream::Unspecified) | Err(_) => {
                return Err(invalid(format!("output stream {}", line.stream)));
            }
        };
        Ok(OutputLine { stream, at: WallTime(line.at_ms), text: line.text, continues: line.continues })
    };
    Ok(JobOutput {
        job: id_from_proto(&output.job_id)?,
        run: output.run,
        first_line: output.first_line,
        lines: output.lines.into_iter().map(line).collect::<Result<_, _>>()?,
    })
}

fn artifact_to_proto(artifact: JobArtifact) -> proto::JobArtifact {
    proto::JobArtifact {
        job_id: id_to_proto(artifact.job),
        run: artifact.run,
        name: artifact.name,
        content: artifact.content,
    }
}

fn artifact_from_proto(artifact: proto::JobArtifact) -> Result<JobArtifact, WireError> {
    if !(1..=limit::ARTIFACT_NAME_BYTES_MAX).contains(&artifact.name.len()) {
        return Err(too_long("an artifact's name", artifact.name.len(), limit::ARTIFACT_NAME_BYTES_MAX));
    }
    Ok(JobArtifact {
        job: id_from_proto(&artifact.job_id)?,
        run: artifact.run,
        name: artifact.name,
        content: artifact.content,
    })
}

fn result_to_proto(result: JobResult) -> proto::JobResult {
    let (payload, payload_at) = match result.payload {
        ResultPayload::Inline(bytes) => (bytes, None),
        ResultPayload::At { first, last } => {
            let epoch = first.stream.epoch.as_u64();
            (Bytes::new(), Some(proto::LogRange { epoch, first: first.seq, last: last.seq }))
        }
    };
    proto::JobResult {
        job_id: id_to_proto(result.job),
        run: result.run,
        state: state_to_proto(result.state),
        exit_code: result.exit_code,
        signal: result.signal,
        reason: cut(result.reason),
        started_at_ms: result.started_at.map_or(0, |at| at.0),
        finished_at_ms: result.finished_at.0,
        log_epoch: result.log.end.map_or(0, |end| end.stream.epoch.as_u64()),
        log_seq: result.log.end.map_or(0, |end| end.seq),
        log_lines: result.log.lines,
        log_bytes: result.log.bytes,
        output_cut: result.log.cut,
        pipe_held: result.log.pipe_held,
        payload,
        payload_at,
    }
}

fn result_from_proto(result: proto::JobResult) -> Result<JobResult, WireError> {
    let record =
        |epoch, seq| RecordId { stream: StreamId { lane: Lane::Logs, epoch: Epoch::from_u64(epoch) }, seq };
    let state = state_from_proto(result.state)?;
    if !state.is_final() {
        return Err(invalid(format!("a result with the state {state}")));
    }
    if result.payload.len() > limit::JOB_RESULT_INLINE_BYTES {
        return Err(too_long("a result", result.payload.len(), limit::JOB_RESULT_INLINE_BYTES));
    }
    let payload = match result.payload_at {
        Some(at) if at.first == 0 || at.last < at.first => {
            return Err(invalid(format!("a payload in records {} to {}", at.first, at.last)));
        }
        Some(at) => ResultPayload::At { first: record(at.epoch, at.first), last: record(at.epoch, at.last) },
        None => ResultPayload::Inline(result.payload),
    };
    Ok(JobResult {
        job: id_from_proto(&result.job_id)?,
        run: result.run,
        state,
        exit_code: result.exit_code,
        signal: result.signal,
        reason: text(result.reason, "reason")?,
        started_at: (result.started_at_ms > 0).then_some(WallTime(result.started_at_ms)),
        finished_at: WallTime(result.finished_at_ms),
        log: LogSummary {
            end: (result.log_seq > 0).then(|| record(result.log_epoch, result.log_seq)),
            lines: result.log_lines,
            bytes: result.log_bytes,
            cut: result.output_cut,
            pipe_held: result.pipe_held,
        },
        payload,
    })
}

fn state_to_proto(state: JobState) -> i32 {
    let state = match state {
        JobState::Queued => proto::JobState::Queued,
        JobState::Offered => proto::JobState::Offered,
        JobState::Accepted => proto::JobState::Accepted,
        JobState::Running => proto::JobState::Running,
        JobState::Succeeded => proto::JobState::Succeeded,
        JobState::Failed => proto::JobState::Failed,
        JobState::Cancelled => proto::JobState::Cancelled,
        JobState::TimedOut => proto::JobState::TimedOut,
        JobState::Interrupted => proto::JobState::Interrupted,
        JobState::Expired => proto::JobState::Expired,
        JobState::Rejected => proto::JobState::Rejected,
        JobState::Lost => proto::JobState::Lost,
    };
    state as i32
}

fn state_from_proto(state: i32) -> Result<JobState, WireError> {
    // The numbers stand in the order of JobState::ALL, from 1.
    usize::try_from(state)
        .ok()
        .and_then(|number| number.checked_sub(1))
        .and_then(|index| JobState::ALL.get(index).copied())
        .ok_or_else(|| invalid(format!("job state {state}")))
}

fn id_to_proto(job: JobId) -> Bytes {
    Bytes::copy_from_slice(job.as_bytes())
}

fn id_from_proto(bytes: &[u8]) -> Result<JobId, WireError> {
    JobId::try_from(bytes).map_err(|error| invalid(error.to_string()))
}

fn parse<T: prost::Message + Default>(payload: &Bytes) -> Result<T, WireError> {
    T::decode(payload.clone()).map_err(|error| invalid(format!("job record: {error}")))
}

fn text(text: String, field: &str) -> Result<String, WireError> {
    bounded(text, limit::JOB_TEXT_BYTES_MAX, field)
}

fn cut(text: String) -> String {
    cut_text(text, limit::JOB_TEXT_BYTES_MAX)
}

fn too_long(what: &str, bytes: usize, bytes_max: usize) -> WireError {
    invalid(format!("{what} of {bytes} bytes, the limit is {bytes_max}"))
}
