//! `job logs --follow`: a job's output as it comes, each line once, over however many connections that takes.

use std::io::{self, Write};
use std::ops::ControlFlow;

use serde_json::Value;

use crate::id::JobId;

use super::exit::{CliError, Exit};
use super::job::Patience;
use super::job_logs::Printer;
use super::remote::Remote;

/// Which part of the output.
#[derive(Debug, Clone, Default)]
pub(super) struct Part {
    /// From this line on.
    pub(super) from: Option<String>,
    /// Of this stream only.
    pub(super) stream: Option<String>,
}

/// Prints the output until the log is complete. Where the connection breaks it is made anew, behind the last line that was
/// printed.
///
/// # Errors
/// Where the hub is away for too long or refuses, or stdout cannot be written.
pub(super) fn follow<W: Write>(
    remote: &Remote,
    job: JobId,
    part: &Part,
    printer: &mut Printer<W>,
    mut patience: Patience,
) -> Result<(), CliError> {
    let path = format!("/v1/jobs/{job}/logs/follow");
    let mut query = Vec::new();
    query.extend(part.from.clone().map(|from| ("from", from)));
    query.extend(part.stream.clone().map(|stream| ("stream", stream)));
    let mut last: Option<String> = None;
    loop {
        let (mut ended, mut written) = (false, Ok(()));
        let behind = last.clone();
        let heard = remote.events(&path, &query, behind.as_deref(), |event| {
            patience.reached();
            let Some(event) = event else { return ControlFlow::Continue(()) };
            ended = event.name == "end";
            written = printer.event(&event.name, &event.data);
            // Only what was printed is not asked for again.
            if written.is_ok() && event.id.is_some() {
                last = event.id;
            }
            if ended || written.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written.map_err(|error| CliError::new(Exit::Io, format!("stdout: {error}")))?,
        }
        if ended {
            return Ok(());
        }
        let away = || CliError::new(Exit::Unavailable, "the hub ended the connection");
        patience.wait_out(heard.err().unwrap_or_else(away))?;
    }
}

/// The object in an event.
pub(super) fn object(data: &str) -> io::Result<Value> {
    serde_json::from_str(data).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::net::TcpListener;

    use super::*;
    use crate::cli::job::AWAY_TRIES_MAX;
    use crate::cli::remote::RemoteArgs;

    #[test]
    fn a_hub_that_answers_and_has_nothing_to_tell_is_not_given_up_on_however_often_the_connection_ends() {
        let folder = tempfile::tempdir().unwrap();
        let token = folder.path().join("token");
        std::fs::write(&token, "a-token").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let hub = format!("http://{}", listener.local_addr().unwrap());
        let quiet = AWAY_TRIES_MAX * 3;
        let server = std::thread::spawn(move || {
            for connection in 0..=quiet {
                let (mut stream, _) = listener.accept().unwrap();
                let head = BufReader::new(stream.try_clone().unwrap()).lines();
                assert!(head.map(Result::unwrap).take_while(|line| !line.is_empty()).count() > 1);
                let said = if connection < quiet {
                    ": still here\n\n"
                } else {
                    "event: line\nid: 1:1\ndata: {\"stream\": \"stdout\", \"text\": \"hello\"}\n\nevent: end\ndata: {}\n\n"
                };
                let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
                stream.write_all(format!("{head}{said}").as_bytes()).unwrap();
            }
        });
        let args = RemoteArgs { hub: Some(hub), token_file: Some(token), ..RemoteArgs::default() };
        let remote = Remote::new(&args).unwrap();
        let mut printed = Vec::new();
        let mut printer = Printer::new(&mut printed, false);
        let job = JobId::from_bytes([7; 16]);
        follow(&remote, job, &Part::default(), &mut printer, Patience::default()).unwrap();
        server.join().unwrap();
        assert_eq!(printed, b"hello\n");
    }
}
