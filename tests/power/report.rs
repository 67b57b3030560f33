//! What the workload tells the test, one line each, in one write: appended and refused after the call returned, acking
//! before it is made.

use std::fmt;
use std::io::Write;
use std::str::FromStr;
use std::time::Duration;

use outpost::id::{RecordId, StreamId};
use outpost::obs::clock::boot_now;
use outpost::time::BootTime;

/// One line and when it was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) at: BootTime,
    pub(crate) event: Event,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// The outbox is open; nothing was done yet.
    Opened,
    /// The payloads of these numbers are durable, from this record on.
    Appended { first: RecordId, numbers: std::ops::Range<u64> },
    /// They were not taken.
    Refused { numbers: std::ops::Range<u64>, error: String },
    /// An ack up to this record is about to be made.
    Acking { upto: RecordId },
    /// A step of the workload is over.
    Step { name: String },
    /// Something else failed.
    Failed { error: String },
}

/// Says one thing, now.
pub(crate) fn say(event: Event) {
    let line = format!("{}\n", Report { at: boot_now(), event });
    // One write: a line is never torn, and is out before what follows it.
    let mut output = std::io::stdout().lock();
    let written = output.write_all(line.as_bytes()).and_then(|()| output.flush());
    drop(output);
    if written.is_err() {
        // Nobody listens any more.
        std::process::exit(1);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "power {} ", self.at.0.as_nanos())?;
        match &self.event {
            Event::Opened => write!(f, "opened"),
            Event::Appended { first, numbers } => {
                write!(f, "appended {first} {} {}", numbers.start, numbers.end)
            }
            Event::Refused { numbers, error } => {
                write!(f, "refused {} {} {}", numbers.start, numbers.end, one_line(error))
            }
            Event::Acking { upto } => write!(f, "acking {upto}"),
            Event::Step { name } => write!(f, "step {name}"),
            Event::Failed { error } => write!(f, "failed {}", one_line(error)),
        }
    }
}

fn one_line(text: &str) -> String {
    text.replace('\n', " ")
}

impl FromStr for Report {
    type Err = ();

    fn from_str(line: &str) -> Result<Self, ()> {
        let mut words = line.strip_prefix("power ").ok_or(())?.splitn(3, ' ');
        let at = words.next().and_then(|nanos| nanos.parse().ok()).map(Duration::from_nanos).ok_or(())?;
        let kind = words.next().ok_or(())?;
        let rest = words.next().unwrap_or_default();
        let event = event(kind, rest).ok_or(())?;
        Ok(Self { at: BootTime(at), event })
    }
}

fn event(kind: &str, rest: &str) -> Option<Event> {
    let mut words = rest.splitn(3, ' ');
    Some(match kind {
        "opened" => Event::Opened,
        "appended" => {
            let first = words.next()?.parse().ok()?;
            Event::Appended { first, numbers: numbers(words.next()?, words.next()?)? }
        }
        "refused" => {
            let numbers = numbers(words.next()?, words.next()?)?;
            Event::Refused { numbers, error: words.next().unwrap_or_default().to_owned() }
        }
        "acking" => Event::Acking { upto: rest.parse().ok()? },
        "step" => Event::Step { name: rest.to_owned() },
        "failed" => Event::Failed { error: rest.to_owned() },
        _ => return None,
    })
}

fn numbers(start: &str, end: &str) -> Option<std::ops::Range<u64>> {
    Some(start.parse().ok()?..end.parse().ok()?)
}

/// A record's place by stream and number.
pub(crate) const fn place(stream: StreamId, seq: u64) -> RecordId {
    RecordId { stream, seq }
}
