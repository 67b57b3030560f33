//! `job logs`: a job's output, each line once.
//!
//! Text output joins lines that came in pieces and drops what a terminal would act on; `--json` prints what there is,
//! piece by piece. Lines that were lost are told on stderr.

use std::io::{self, BufWriter, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::id::JobId;
use crate::plain;

use super::exit::{CliError, Exit};
use super::job::Patience;
use super::job_follow::{self, Part};
use super::remote::RemoteArgs;
use super::{Global, terminal};

/// Pieces of one line that are held back until it ends.
const LINE_BYTES_MAX: usize = 1024 * 1024;

/// Print a job's output; waits for all of it
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The job
    #[arg(value_name = "ID")]
    pub job: JobId,
    /// Begin at this line (N, or RUN:N where the job ran several times)
    #[arg(long, value_name = "N")]
    pub from: Option<String>,
    /// Only what was written there: stdout or stderr
    #[arg(long, value_parser = ["stdout", "stderr"])]
    pub stream: Option<String>,
    /// Print what is there and do not wait for more
    #[arg(long)]
    pub no_wait: bool,
    /// Print each line as it comes
    #[arg(long, conflicts_with = "no_wait")]
    pub follow: bool,
    /// Which hub
    #[command(flatten)]
    pub remote: RemoteArgs,
}

/// Prints the output, page by page, until it is complete.
///
/// # Errors
/// Where the hub is away or has no such job, or stdout cannot be written.
pub(super) fn run(args: Args, global: &Global) -> Result<(), CliError> {
    let remote = args.remote.connect()?;
    let path = format!("/v1/jobs/{}/logs", args.job);
    let mut patience = Patience::default();
    let mut printer = Printer::new(BufWriter::new(io::stdout().lock()), global.json);
    if args.follow {
        let part = Part { from: args.from, stream: args.stream };
        job_follow::follow(&remote, args.job, &part, &mut printer, patience)?;
        return printer.end().map_err(|error| CliError::new(Exit::Io, format!("stdout: {error}")));
    }
    let mut from = args.from;
    loop {
        let mut query = Vec::new();
        query.extend(args.stream.clone().map(|stream| ("stream", stream)));
        query.extend(from.clone().map(|from| ("from", from)));
        let page = if args.no_wait {
            Some(remote.get(&path, &query)?)
        } else {
            patience.get(&remote, &path, &query)?
        };
        let Some(page) = page else { continue };
        let written = printer.page(&page).and_then(|()| printer.out.flush());
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written.map_err(|error| CliError::new(Exit::Io, format!("stdout: {error}")))?,
        }
        let next = page.get("next").and_then(Value::as_str).map(str::to_owned);
        let ended = match (page.get("complete").and_then(Value::as_bool), args.no_wait) {
            (Some(true), _) => true,
            (_, true) => next == from || next.is_none(),
            (_, false) => false,
        };
        if ended {
            return printer.end().map_err(|error| CliError::new(Exit::Io, format!("stdout: {error}")));
        }
        from = next;
    }
}

pub(super) struct Printer<W> {
    out: W,
    json: bool,
    /// The pieces so far of a line of each stream.
    open: [Vec<u8>; 2],
}

impl<W: Write> Printer<W> {
    pub(super) fn new(out: W, json: bool) -> Self {
        Self { out, json, open: [Vec::new(), Vec::new()] }
    }

    fn page(&mut self, page: &Value) -> io::Result<()> {
        let list = |key: &str| page.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        list("lines").iter().try_for_each(|line| self.line(line))?;
        list("missing").iter().for_each(missing);
        Ok(())
    }

    /// One event of a log that is followed, on its way at once.
    pub(super) fn event(&mut self, name: &str, data: &str) -> io::Result<()> {
        match name {
            "line" => self.line(&job_follow::object(data)?)?,
            "missing" => missing(&job_follow::object(data)?),
            _ => {}
        }
        self.out.flush()
    }

    fn line(&mut self, line: &Value) -> io::Result<()> {
        if self.json {
            return writeln!(self.out, "{}", terminal::escaped(&line.to_string()));
        }
        let Self { out, open: [stdout, stderr], .. } = self;
        let open = if line["stream"] == "stderr" { stderr } else { stdout };
        match (line["text"].as_str(), line["base64"].as_str()) {
            (Some(text), _) => open.extend_from_slice(text.as_bytes()),
            (None, Some(text)) => open.extend(STANDARD.decode(text).unwrap_or_default()),
            (None, None) => {}
        }
        if line["continues"] == true && open.len() < LINE_BYTES_MAX {
            return Ok(());
        }
        out.write_all(&plain::strip(open))?;
        open.clear();
        out.write_all(b"\n")
    }

    /// A line whose end never came is printed as far as it goes.
    pub(super) fn end(mut self) -> io::Result<()> {
        for open in &mut self.open {
            if !open.is_empty() {
                self.out.write_all(&plain::strip(open))?;
                self.out.write_all(b"\n")?;
            }
        }
        self.out.flush()
    }
}

fn missing(hole: &Value) {
    let (run, from, to) = (&hole["run"], &hole["from"], &hole["to"]);
    terminal::note(format_args!("lines {from} to {to} of run {run} are not there"));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pieces_are_joined_within_their_stream_and_escapes_dropped() {
        let mut out = Vec::new();
        let mut printer = Printer::new(&mut out, false);
        let line = |stream: &str, text: &str, continues: bool| json!({"stream": stream, "text": text, "continues": continues});
        let lines = [
            line("stdout", "one \u{1b}[3", true),
            line("stderr", "other", false),
            line("stdout", "1mline\u{0}", false),
            json!({"stream": "stdout", "base64": STANDARD.encode([0xff]), "continues": false}),
            line("stdout", "never ends", true),
        ];
        printer.page(&json!({"lines": lines})).unwrap();
        printer.end().unwrap();
        assert_eq!(out, b"other\none line\n\xff\nnever ends\n");
    }
}
