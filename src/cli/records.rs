//! `records list`: what the hub stored of an agent.
//!
//! Text output is the payloads alone, each with a line end, so that a log that went in through `emit` comes out byte
//! for byte, but for a terminal, which gets no control characters; gaps and losses are told on stderr, records of jobs
//! (`job logs` shows them) are left out. `--json` prints one object a line.

use std::io::{self, BufWriter, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::id::{AgentName, Lane, RecordId};
use crate::limit;

use super::exit::{CliError, Exit};
use super::remote::RemoteArgs;
use super::terminal::Reader;
use super::{Global, terminal};

/// List what the hub stored of an agent
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Whose records
    #[arg(long, value_name = "NAME")]
    pub agent: AgentName,
    /// One lane only: control, events or logs
    #[arg(long)]
    pub lane: Option<Lane>,
    /// Begin at this record (lane/epoch/seq)
    #[arg(long, value_name = "REF")]
    pub from: Option<RecordId>,
    /// At most this many [default: all]
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// Which hub
    #[command(flatten)]
    pub remote: RemoteArgs,
}

/// Prints the records, page by page.
///
/// # Errors
/// Where the hub is away or refuses, or stdout cannot be written.
pub(super) fn run(args: Args, global: &Global) -> Result<(), CliError> {
    let remote = args.remote.connect()?;
    let mut out = BufWriter::new(io::stdout().lock());
    let path = format!("/v1/agents/{}/records", args.agent);
    let how = if global.json { How::Objects } else { How::Payloads(Reader::of_stdout()) };
    let mut left = args.limit.unwrap_or(u64::MAX);
    let mut from = args.from.map(|from| from.to_string());
    while left > 0 {
        let count = left.min(limit::RECORDS_PAGE_MAX.into());
        let mut query = vec![("limit", count.to_string())];
        query.extend(args.lane.map(|lane| ("lane", lane.to_string())));
        query.extend(from.take().map(|from| ("from", from)));
        let page = remote.get(&path, &query)?;
        let records = page.get("records").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for record in records {
            match print(record, how, &mut out) {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                printed => printed.map_err(|error| CliError::new(Exit::Io, format!("stdout: {error}")))?,
            }
        }
        left = left.saturating_sub(records.len() as u64);
        match page.get("next").and_then(Value::as_str) {
            Some(next) => from = Some(next.to_owned()),
            None => break,
        }
    }
    match out.flush() {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(CliError::new(Exit::Io, format!("stdout: {error}")))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// What is printed of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// All that the hub says of it.
    Objects,
    /// What went in.
    Payloads(Reader),
}

fn print(record: &Value, how: How, out: &mut impl Write) -> io::Result<()> {
    let reader = match how {
        How::Objects => return writeln!(out, "{}", terminal::escaped(&record.to_string())),
        How::Payloads(reader) => reader,
    };
    let text = |key: &str| record.get(key).and_then(Value::as_str);
    if text("kind").is_some() && record.get("loss").is_none() {
        // What an agent says of its jobs is no text; `job show` and `job logs` tell it.
        return Ok(());
    }
    if let Some(line) = text("text") {
        out.write_all(&reader.payload(line.as_bytes()))?;
        return out.write_all(b"\n");
    }
    if let Some(bytes) = text("base64").and_then(|text| STANDARD.decode(text).ok()) {
        out.write_all(&reader.payload(&bytes))?;
        return out.write_all(b"\n");
    }
    // Not part of the log: for the person only.
    terminal::note(record);
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn payloads_come_out_byte_for_byte() {
        let mut out = Vec::new();
        let whole = How::Payloads(Reader::Program);
        print(&json!({"seq": 1, "text": " a\tb\r"}), whole, &mut out).unwrap();
        print(&json!({"seq": 2, "base64": STANDARD.encode([0xff, 0xfe])}), whole, &mut out).unwrap();
        print(&json!({"gap": {"from": 3}}), whole, &mut out).unwrap();
        print(&json!({"seq": 4, "kind": "job_output", "base64": "AAAA"}), whole, &mut out).unwrap();
        assert_eq!(out, b" a\tb\r\n\xff\xfe\n");
    }
}
