use super::*;
use crate::id::{Epoch, Lane, StreamId};
use crate::limit;
use crate::wire::message::RecordKind;

fn job() -> JobId {
    JobId::from_time(1_700_000_000_000, [7; 10])
}

fn log(seq: u64) -> RecordId {
    RecordId { stream: StreamId { lane: Lane::Logs, epoch: Epoch::from_u64(1 << 32 | 9) }, seq }
}

fn output(lines: Vec<OutputLine>) -> JobRecord {
    JobRecord::Output(JobOutput { job: job(), run: 1, first_line: 41, lines })
}

fn line(bytes: usize) -> OutputLine {
    OutputLine {
        stream: OutputStream::Stderr,
        at: WallTime(u64::MAX),
        text: Bytes::from(vec![b'x'; bytes]),
        continues: true,
    }
}

fn result(state: JobState, payload: ResultPayload) -> JobRecord {
    JobRecord::Result(Box::new(JobResult {
        job: job(),
        run: 2,
        state,
        exit_code: Some(-3),
        signal: Some(9),
        reason: "ended by signal 9".to_owned(),
        started_at: Some(WallTime(5)),
        finished_at: WallTime(6),
        log: LogSummary { end: Some(log(7)), lines: Some(0), bytes: 12, cut: true, pipe_held: true },
        payload,
    }))
}

#[test]
fn every_job_record_survives_its_encoding() {
    let ack = |answer| JobRecord::Ack(JobAck { job: job(), answer });
    let refused = |refusal| ack(Answer::Refused { refusal, detail: "payload.cwd: not a folder".to_owned() });
    let mut records = vec![
        output(vec![line(0), line(limit::JOB_LINE_BYTES_MAX)]),
        JobRecord::Status(JobStatusChange { job: job(), run: 1, state: JobState::Running, at: WallTime(1) }),
        JobRecord::Progress(JobProgress {
            job: job(),
            run: 1,
            at: WallTime(2),
            permille: Some(1000),
            text: "half".to_owned(),
        }),
        JobRecord::Artifact(JobArtifact {
            job: job(),
            run: 1,
            name: "core".to_owned(),
            content: Bytes::from_static(b"bytes"),
        }),
        result(JobState::Failed, ResultPayload::At { first: log(1), last: log(4) }),
        result(JobState::Succeeded, ResultPayload::Inline(vec![1; limit::JOB_RESULT_INLINE_BYTES].into())),
    ];
    records.extend(JobState::ALL.map(|state| ack(Answer::Accepted(state))));
    records.extend(
        [Refusal::Busy, Refusal::Degraded, Refusal::Expired, Refusal::TooOld, Refusal::Invalid].map(refused),
    );
    for record in records {
        let decoded = JobRecord::decode(record.kind(), &record.clone().encode()).unwrap();
        assert_eq!(decoded, Some(record));
    }
    assert_eq!(JobRecord::decode(RecordKind::Opaque, &Bytes::new()).unwrap(), None);
}

#[test]
fn what_is_out_of_bounds_is_refused_by_name() {
    let cases = [
        (output(vec![line(limit::JOB_LINE_BYTES_MAX + 1)]), "a line of 8193 bytes"),
        (output(vec![]), "0 lines from 41"),
        (result(JobState::Running, ResultPayload::Inline(Bytes::new())), "a result with the state running"),
        (
            result(
                JobState::Failed,
                ResultPayload::Inline(vec![1; limit::JOB_RESULT_INLINE_BYTES + 1].into()),
            ),
            "a result of 4097 bytes",
        ),
        (result(JobState::Failed, ResultPayload::At { first: log(4), last: log(3) }), "records 4 to 3"),
    ];
    for (record, expected) in cases {
        let error = JobRecord::decode(record.kind(), &record.encode()).unwrap_err();
        assert!(error.detail.contains(expected), "{error}");
    }
    assert!(JobRecord::decode(RecordKind::JobAck, &Bytes::from_static(b"\x0a\x03abc")).is_err());
}

#[test]
fn a_reason_too_long_for_the_wire_is_cut_between_letters() {
    let reason = "ä".repeat(limit::JOB_TEXT_BYTES_MAX);
    let refused = Answer::Refused { refusal: Refusal::Invalid, detail: reason };
    let record = JobRecord::Ack(JobAck { job: job(), answer: refused });
    let Some(JobRecord::Ack(JobAck { answer: Answer::Refused { detail, .. }, .. })) =
        JobRecord::decode(record.kind(), &record.encode()).unwrap()
    else {
        panic!("not a refusal");
    };
    assert_eq!(detail.len(), limit::JOB_TEXT_BYTES_MAX);
}

#[test]
fn the_overheads_hold_for_the_longest_fields() {
    let id = JobId::from_bytes([0xff; 16]);
    let lines = vec![line(limit::JOB_LINE_BYTES_MAX)];
    let bytes =
        JobRecord::Output(JobOutput { job: id, run: u32::MAX, first_line: i64::MAX as u64 - 2, lines });
    let encoded = bytes.encode().len();
    assert!(encoded <= OUTPUT_OVERHEAD + OUTPUT_LINE_OVERHEAD + limit::JOB_LINE_BYTES_MAX, "{encoded}");
}
