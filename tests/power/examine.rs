//! A process that opens an outbox, reads it from end to end, appends to each lane and closes it again. A process of its
//! own for each look, so that what damage does to one says nothing about the next.

use std::path::{Path, PathBuf};

use outpost::id::{AgentId, Lane, StreamId};
use outpost::outbox::{Batch, Options, Outbox, Reading};
use outpost::wire::batch;
use serde::{Deserialize, Serialize};

use crate::child;
use crate::findings::{Findings, Held, Loss};
use crate::payload::{Piece, Seen, look, record};
use crate::report::place;

const READ_BYTES: usize = 256 * 1024;
const FOUND: &str = "found ";

/// What is to be examined.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Examination {
    pub(crate) dir: PathBuf,
    /// Whose it is to be, as 16 bytes.
    pub(crate) agent: Option<[u8; 16]>,
    /// Number of the first payload that is appended, one for each lane; none where nothing is.
    pub(crate) appends: Option<u64>,
}

impl Examination {
    pub(crate) fn of(dir: &Path, appends: u64) -> Self {
        Self { dir: dir.to_owned(), agent: None, appends: Some(appends) }
    }

    /// Runs it.
    pub(crate) fn run(&self) -> Findings {
        let output = child::command("examine::examines_an_outbox", self).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        text.lines().find_map(|line| line.strip_prefix(FOUND)).map_or_else(
            || Findings {
                refused: Some(format!(
                    "the process ended: {text}{}",
                    String::from_utf8_lossy(&output.stderr)
                )),
                ..Findings::default()
            },
            |found| serde_json::from_str(found).unwrap(),
        )
    }

    async fn look(&self) -> Findings {
        let options = Options { agent: self.agent.map(AgentId::from_bytes), ..Options::default() };
        let mut findings = Findings::default();
        match Outbox::open(&self.dir, options) {
            Ok(outbox) => {
                findings.jobs = jobs(&outbox).await;
                read_all(&outbox, &mut findings).await;
                self.append(&outbox, &mut findings).await;
                read_all(&outbox, &mut findings).await;
                if let Err(error) = outbox.close().await {
                    findings.faults.push(format!("close: {error}"));
                }
            }
            Err(error) => findings.refused = Some(error.to_string()),
        }
        findings.blobs = blobs(&self.dir).unwrap();
        findings
    }

    async fn append(&self, outbox: &Outbox, findings: &mut Findings) {
        let numbers = self.appends.map_or(0..0, |first| first..u64::MAX);
        for (lane, number) in Lane::ALL.into_iter().zip(numbers) {
            match outbox.append(lane, vec![record(number)]).await {
                Ok(appended) => {
                    read_stream(outbox, appended.first.stream, findings).await;
                    let expected = Seen::Piece(Piece { number, part: 1 });
                    let found = findings.seen().find(|(place, _)| *place == appended.first);
                    if found.is_none_or(|(_, seen)| *seen != expected) {
                        findings
                            .faults
                            .push(format!("{lane}: {} was appended and is not there", appended.first));
                    }
                }
                Err(error) => findings.faults.push(format!("{lane}: {error}")),
            }
        }
    }
}

/// Does nothing where `Examination::run` did not start it.
#[tokio::test]
async fn examines_an_outbox() {
    let Some(examination) = child::order::<Examination>() else { return };
    let findings = examination.look().await;
    println!("\n{FOUND}{}", serde_json::to_string(&findings).unwrap());
}

/// The journal, a line for each job.
async fn jobs(outbox: &Outbox) -> Vec<String> {
    let line = |row: outpost::outbox::job::JobRow| format!("{} {:?} {:?}", row.job, row.row, row.spec);
    outbox
        .jobs()
        .await
        .map_or_else(|error| vec![error.to_string()], |rows| rows.jobs.into_iter().map(line).collect())
}

/// Files that a database keeps beside its log. It never syncs them, so after a cut they are empty, and all that was
/// written after them is lost with them.
pub(crate) fn blobs(dir: &Path) -> std::io::Result<Vec<String>> {
    let mut found = Vec::new();
    for database in std::fs::read_dir(dir)? {
        let blobs = database?.path().join("blobs");
        if blobs.is_dir() {
            for blob in std::fs::read_dir(&blobs)? {
                found.push(blob?.path().strip_prefix(dir).unwrap_or(&blobs).display().to_string());
            }
        }
    }
    Ok(found)
}

/// Control last: reading the others may bring losses to light, which are reported there.
async fn read_all(outbox: &Outbox, findings: &mut Findings) {
    let mut states = outbox.streams().await.unwrap();
    states.sort_by_key(|state| std::cmp::Reverse(state.stream.lane));
    for state in states {
        read_stream(outbox, state.stream, findings).await;
    }
}

/// Goes on where the last reading of this stream ended.
async fn read_stream(outbox: &Outbox, stream: StreamId, findings: &mut Findings) {
    let states = outbox.streams().await.unwrap();
    let Some(state) = states.iter().find(|state| state.stream == stream) else { return };
    let name = stream.to_string();
    let index = findings.streams.iter().position(|held| held.stream == name).unwrap_or_else(|| {
        let (first_unacked, next) = (state.first_unacked, state.next);
        findings.streams.push(Held { stream: name, first_unacked, next, seen: Default::default() });
        findings.streams.len() - 1
    });
    let mut held = findings.streams[index].clone();
    held.next = state.next;
    let mut from = held.seen.last_key_value().map_or(held.first_unacked, |(seq, _)| seq + 1);
    while from < held.next {
        match outbox.read(stream, from, READ_BYTES).await {
            Ok(Some(Reading::Records(batch))) if batch.first == from => {
                take(stream.lane, &mut held, &batch);
                from += u64::from(batch.count);
            }
            Ok(Some(Reading::Gap(gap))) if gap.from <= from && from <= gap.to => from = gap.to + 1,
            Ok(other) => {
                let below = held.next;
                findings.faults.push(format!("at {} below {below}: {}", place(stream, from), named(other)));
                break;
            }
            Err(error) => {
                findings.faults.push(format!("{}: {error}", place(stream, from)));
                break;
            }
        }
    }
    // A look into a generation may have declared what is missing there.
    findings.gaps = outbox.gaps().await.unwrap().into_iter().map(Loss::from).collect();
    findings.streams[index] = held;
}

fn named(reading: Option<Reading>) -> String {
    match reading {
        Some(Reading::Records(batch)) => format!("records from {}", batch.first),
        Some(Reading::Gap(gap)) => format!("{gap:?}"),
        None => "nothing".to_owned(),
    }
}

fn take(lane: Lane, held: &mut Held, batch: &Batch) {
    match batch::decode(&batch.batch, batch.count) {
        Ok(records) => {
            for (record, seq) in records.iter().zip(batch.first..) {
                let before = seq.checked_sub(1).and_then(|before| held.seen.get(&before));
                let seen = look(lane, record, before);
                held.seen.insert(seq, seen);
            }
        }
        Err(error) => {
            let wrong = || Seen::Wrong(error.to_string());
            held.seen.extend((batch.first..).take(batch.count as usize).map(|seq| (seq, wrong())));
        }
    }
}
