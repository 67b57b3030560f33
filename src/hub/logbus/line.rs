//! One line of an app: out of a record, made fit to be shown.
//!
//! Counted where a record comes in, made where it is read back, and both times by the same rule: a record that a program handed
//! over is one line, one of a job's output has as many as it says, any other has none.

use std::sync::Arc;

use crate::id::{AppName, JobId, Lane};
use crate::limit;
use crate::plain;
use crate::time::{ClockOffset, HubTime, WallTime};
use crate::wire::job::{JobOutput, JobRecord, OutputStream};
use crate::wire::message::{Record, RecordKind};

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its number, over all apps in the order in which they were stored.
    pub seq: i64,
    /// Whose it is.
    pub app: AppName,
    /// The agent it came from; `None` where that was removed.
    pub agent: Option<Arc<str>>,
    /// The job that wrote it.
    pub job: Option<JobLine>,
    /// When it was written: corrected to hub time where the offset is known.
    pub at: HubTime,
    /// When it came, milliseconds of hub time.
    pub received_at: i64,
    /// It, without escape sequences and control characters, in at most `limit::APP_LINE_BYTES_MAX` bytes.
    pub text: String,
    /// Whether it was longer. Of a job's output the next piece is the next line of its stream.
    pub cut: bool,
}

/// Where in a job's output a line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobLine {
    /// Which job.
    pub job: JobId,
    /// Which run.
    pub run: u32,
    /// Its number there.
    pub number: u64,
    /// Where it was written.
    pub stream: OutputStream,
}

impl Line {
    /// What it takes in memory, about.
    pub(super) fn weight(&self) -> usize {
        size_of::<Self>().saturating_add(self.app.as_str().len()).saturating_add(self.text.len())
    }
}

/// What is the same for all lines of one batch.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    pub(super) agent: Option<Arc<str>>,
    pub(super) offset: Option<ClockOffset>,
    pub(super) received_at: i64,
}

/// How many lines of apps are among these records.
pub(in crate::hub) fn count<'a>(lane: Lane, records: impl Iterator<Item = &'a Record>) -> u32 {
    if lane != Lane::Logs {
        return 0;
    }
    let lines = |record: &Record| match content(record) {
        Content::None => 0,
        Content::Whole => 1,
        Content::Output(output) => output.lines.len(),
    };
    let counted = records.map(lines).fold(0usize, usize::saturating_add);
    u32::try_from(counted).unwrap_or(u32::MAX)
}

/// The lines of one record of the logs lane, numbered from `first` on.
pub(super) fn lines(record: Record, origin: &Origin, first: i64) -> Vec<Line> {
    let content = content(&record);
    let Record { app: Some(app), recorded_at, payload, part, .. } = record else { return Vec::new() };
    let line = |seq, job, at: WallTime, (text, cut): (String, bool)| Line {
        seq,
        app: app.clone(),
        agent: origin.agent.clone(),
        job,
        at: origin.offset.map_or(HubTime(at.0), |offset| offset.correct(at)),
        received_at: origin.received_at,
        text,
        cut,
    };
    match content {
        Content::None => Vec::new(),
        Content::Whole => {
            let (text, cut) = text(&payload);
            vec![line(first, None, recorded_at, (text, cut || part.is_some()))]
        }
        Content::Output(JobOutput { job, run, first_line, lines }) => (first..)
            .zip(first_line..)
            .zip(lines)
            .map(|((seq, number), said)| {
                let place = JobLine { job, run, number, stream: said.stream };
                let (text, cut) = text(&said.text);
                line(seq, Some(place), said.at, (text, cut || said.continues))
            })
            .collect(),
    }
}

enum Content {
    /// No line of any app.
    None,
    /// The whole payload is one.
    Whole,
    Output(JobOutput),
}

fn content(record: &Record) -> Content {
    match (&record.app, record.kind) {
        // What does not fit into a part is longer than a line may be.
        (Some(_), RecordKind::Opaque) if record.part.is_none_or(|part| part.index == 1) => Content::Whole,
        (Some(_), RecordKind::JobOutput) if record.part.is_none() => {
            match JobRecord::decode(record.kind, &record.payload) {
                Ok(Some(JobRecord::Output(output))) => Content::Output(output),
                // Kept as a record, and told of where it came in.
                Ok(_) | Err(_) => Content::None,
            }
        }
        _ => Content::None,
    }
}

/// Bytes as a line of text, and whether they were longer than it may be. A line feed in a line would forge another one where it
/// is printed.
fn text(bytes: &[u8]) -> (String, bool) {
    let spaced: Vec<u8> = bytes.iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte }).collect();
    let mut text = String::from_utf8_lossy(&plain::strip(&spaced)).into_owned();
    let whole = text.len();
    text.truncate(text.floor_char_boundary(limit::APP_LINE_BYTES_MAX));
    text.shrink_to_fit();
    let cut = text.len() < whole;
    (text, cut)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::wire::job::OutputLine;
    use crate::wire::message::Part;

    fn record(app: Option<&str>, kind: RecordKind, payload: Bytes) -> Record {
        let app = app.map(|app| app.parse().unwrap());
        Record { recorded_at: WallTime(1000), source: "test".to_owned(), kind, payload, part: None, app }
    }

    fn opaque(payload: &[u8]) -> Record {
        record(Some("web"), RecordKind::Opaque, Bytes::copy_from_slice(payload))
    }

    fn origin() -> Origin {
        Origin { agent: Some("edge-1".into()), offset: Some(ClockOffset(500)), received_at: 2000 }
    }

    fn output(lines: &[(&str, bool)]) -> Record {
        let line = |(text, continues): &(&str, bool)| OutputLine {
            stream: OutputStream::Stderr,
            at: WallTime(70),
            text: Bytes::copy_from_slice(text.as_bytes()),
            continues: *continues,
        };
        let lines = lines.iter().map(line).collect();
        let content =
            JobRecord::Output(JobOutput { job: JobId::from_bytes([7; 16]), run: 2, first_line: 40, lines });
        record(Some("web"), content.kind(), content.encode())
    }

    #[test]
    fn a_programs_record_is_one_line_and_a_jobs_output_as_many_as_it_says() {
        let made = lines(opaque(b"\x1b[31mred\x1b[0m \0up"), &origin(), 9);
        assert_eq!((made[0].seq, made[0].text.as_str(), made[0].cut), (9, "red up", false));
        assert_eq!((made[0].at, made[0].received_at), (HubTime(1500), 2000), "corrected to hub time");
        let made = lines(output(&[("a", false), ("b", true), ("c", false)]), &origin(), 9);
        let place = |line: &Line| (line.seq, line.job.unwrap().number, line.text.clone(), line.cut);
        let expected = [(9, 40, "a", false), (10, 41, "b", true), (11, 42, "c", false)];
        let expected = expected.map(|(seq, number, text, cut)| (seq, number, text.to_owned(), cut));
        assert_eq!(made.iter().map(place).collect::<Vec<_>>(), expected);
        assert_eq!(made[0].job.unwrap().stream, OutputStream::Stderr);
    }

    #[test]
    fn what_is_no_line_of_an_app_is_none() {
        let nobodys = record(None, RecordKind::Opaque, Bytes::from_static(b"x"));
        let other = record(Some("web"), RecordKind::JobPayload, Bytes::from_static(b"x"));
        let damaged = record(Some("web"), RecordKind::JobOutput, Bytes::from_static(b"\xff\xff"));
        for none in [nobodys, other, damaged] {
            assert_eq!(count(Lane::Logs, std::iter::once(&none)), 0, "{none:?}");
            assert_eq!(lines(none, &origin(), 1), []);
        }
        assert_eq!(count(Lane::Events, std::iter::once(&opaque(b"x"))), 0, "logs alone are lines");
    }

    #[test]
    fn a_long_line_is_cut_at_a_letter_and_says_so() {
        let max = limit::APP_LINE_BYTES_MAX;
        for (text, length, was_cut) in [
            ("x".repeat(max), max, false),
            ("x".repeat(max + 1), max, true),
            (format!("{}\u{fc}", "x".repeat(max - 1)), max - 1, true),
            (format!("{}\u{1b}[m", "x".repeat(max)), max, false),
        ] {
            let made = lines(opaque(text.as_bytes()), &origin(), 1);
            assert_eq!((made[0].text.len(), made[0].cut), (length, was_cut));
        }
        let first = Record { part: Some(Part { index: 1, of: 2 }), ..opaque(b"begin") };
        assert!(lines(first.clone(), &origin(), 1)[0].cut, "the rest is in another part");
        let second = Record { part: Some(Part { index: 2, of: 2 }), ..first };
        assert_eq!(lines(second, &origin(), 1), [], "no line of its own");
    }

    proptest! {
        #[test]
        fn whatever_is_said_is_one_printable_line_and_counted_as_it_is_made(
            payload in prop::collection::vec(any::<u8>(), 0..20_000),
            kind in prop::sample::select(vec![RecordKind::Opaque, RecordKind::JobOutput, RecordKind::LossReport]),
            part in prop::option::of(1u32..4),
        ) {
            let part = part.map(|index| Part { index, of: 3 });
            let record = Record { part, ..record(Some("web"), kind, payload.into()) };
            let counted = count(Lane::Logs, std::iter::once(&record));
            let made = lines(record, &origin(), 1);
            prop_assert_eq!(counted as usize, made.len());
            for line in made {
                prop_assert!(line.text.len() <= limit::APP_LINE_BYTES_MAX);
                prop_assert!(line.text.chars().all(|each| each == '\t' || !each.is_control()), "{:?}", line.text);
            }
        }
    }
}
