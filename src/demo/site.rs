//! One edge worker of the demo: an agent process, its link, and a program that emits records there.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;
use tokio::time::{sleep, timeout};

use crate::id::Lane;

use super::DemoError;
use super::account::{Account, Receipt, Writers};
use super::child::Program;
use super::fault::{Chunk, Fault};
use super::progress::Progress;
use super::proxy::Proxy;

/// An agent that is not ready within this is given up.
const READY_SECONDS_MAX: u64 = 30;
/// A file or state that is waited for is looked at this often.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// An agent that was asked to stop is killed after this.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Where a site keeps its things.
#[derive(Debug, Clone)]
pub(super) struct Places {
    pub(super) data: PathBuf,
    pub(super) key: PathBuf,
    pub(super) socket: PathBuf,
    pub(super) ready: PathBuf,
    pub(super) log: PathBuf,
}

/// A running site.
pub(super) struct Site {
    name: String,
    program: Program,
    places: Places,
    proxy: Proxy,
    agent: Child,
    account: Account,
}

impl Site {
    /// Starts the link and the agent.
    pub(super) async fn start(
        name: String,
        program: Program,
        places: Places,
        hub: SocketAddr,
        writers: Writers,
    ) -> Result<Self, DemoError> {
        let proxy = Proxy::start(hub).await.map_err(DemoError::io("listening for the demo's links"))?;
        let agent = start_agent(&name, &program, &places, proxy.address()).await?;
        Ok(Self { name, program, places, proxy, agent, account: Account::new(writers) })
    }

    /// Emits all chunks, with their faults.
    pub(super) async fn work(&mut self, chunks: Vec<Chunk>, progress: &Progress) -> Result<(), DemoError> {
        for (index, chunk) in chunks.into_iter().enumerate() {
            let lane = if index % 2 == 0 { Lane::Logs } else { Lane::Events };
            self.deliver(index, lane, chunk, progress).await?;
        }
        Ok(())
    }

    /// The site's bookkeeping.
    pub(super) fn account(&self) -> &Account {
        &self.account
    }

    /// The agent's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Records that still wait in the agent's outbox.
    pub(super) async fn waiting(&self) -> Result<u64, DemoError> {
        let arguments = ["agent", "status", "--json", "--socket"].map(OsStr::new);
        let arguments = [arguments.as_slice(), &[self.places.socket.as_os_str()]].concat();
        let line = self.program.output(&arguments, Vec::new()).await?;
        let unexpected = || DemoError::Output { command: "agent status".to_owned(), line: line.clone() };
        let status: serde_json::Value = serde_json::from_str(&line).map_err(|_| unexpected())?;
        let lanes =
            status.pointer("/outbox/lanes").and_then(|lanes| lanes.as_object()).ok_or_else(unexpected)?;
        lanes
            .values()
            .map(|lane| lane.get("records").and_then(serde_json::Value::as_u64).ok_or_else(unexpected))
            .sum()
    }

    /// Asks the agent to stop, and ends it where it does not.
    pub(super) async fn stop(mut self) -> Result<(), DemoError> {
        if let Some(pid) = self.agent.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw) {
            // An agent that ended by itself is waited for below.
            let _ = kill_process(pid, Signal::TERM);
        }
        if timeout(STOP_TIMEOUT, self.agent.wait()).await.is_err() {
            tracing::warn!(agent = self.name, "did not stop when asked and is killed");
            self.agent.kill().await.map_err(DemoError::io("killing an agent"))?;
        }
        self.proxy.stop().await;
        Ok(())
    }

    /// Emits one chunk; a chunk that a kill interrupted is emitted again, as new lines.
    async fn deliver(
        &mut self,
        index: usize,
        lane: Lane,
        chunk: Chunk,
        progress: &Progress,
    ) -> Result<(), DemoError> {
        let killed = matches!(chunk.fault, Some(Fault::Kill { .. }));
        let lines = self.lines(index, chunk.records, 1);
        let emitting = emit(self.program.clone(), self.places.socket.clone(), lane, lines.clone());
        let (emitted, struck) = tokio::join!(emitting, self.strike(chunk.fault, progress));
        struck?;
        let (receipt, lines) = match emitted {
            Ok(receipt) => (receipt, lines),
            Err(DemoError::Command { .. }) if killed => {
                let lines = self.lines(index, chunk.records, 2);
                let receipt =
                    emit(self.program.clone(), self.places.socket.clone(), lane, lines.clone()).await?;
                (receipt, lines)
            }
            Err(error) => return Err(error),
        };
        if let Some(receipt) = receipt {
            let accepted = receipt.accepted;
            self.account
                .enter(&receipt, lines)
                .map_err(|line| DemoError::Output { command: "emit".to_owned(), line })?;
            progress.update(|counts| counts.durable += accepted);
        }
        Ok(())
    }

    /// Lets the chunk's fault happen.
    async fn strike(&mut self, fault: Option<Fault>, progress: &Progress) -> Result<(), DemoError> {
        match fault {
            None => {}
            Some(Fault::Cut { after, down }) => {
                sleep(after).await;
                self.proxy.cut();
                progress.update(|counts| counts.cuts += 1);
                sleep(down).await;
                self.proxy.mend();
            }
            Some(Fault::Kill { after }) => {
                sleep(after).await;
                self.agent.kill().await.map_err(DemoError::io("killing an agent"))?;
                progress.update(|counts| counts.kills += 1);
                self.agent =
                    start_agent(&self.name, &self.program, &self.places, self.proxy.address()).await?;
            }
        }
        Ok(())
    }

    fn lines(&self, chunk: usize, records: u64, attempt: u32) -> Vec<String> {
        (1..=records)
            .map(|number| format!("{} chunk {chunk} attempt {attempt} line {number}", self.name))
            .collect()
    }
}

/// Emits lines and returns once they are durable; no receipt where there are no lines.
async fn emit(
    program: Program,
    socket: PathBuf,
    lane: Lane,
    lines: Vec<String>,
) -> Result<Option<Receipt>, DemoError> {
    if lines.is_empty() {
        return Ok(None);
    }
    let mut input = lines.join("\n").into_bytes();
    input.push(b'\n');
    let arguments = ["emit", "--json", "--lane", lane.name(), "--socket"].map(OsStr::new);
    let arguments = [arguments.as_slice(), &[socket.as_os_str()]].concat();
    let line = program.output(&arguments, input).await?;
    serde_json::from_str(&line).map(Some).map_err(|_| DemoError::Output { command: "emit".to_owned(), line })
}

/// Starts an agent and waits until it takes records.
async fn start_agent(
    name: &str,
    program: &Program,
    places: &Places,
    hub: SocketAddr,
) -> Result<Child, DemoError> {
    match std::fs::remove_file(&places.ready) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(DemoError::io(format!("removing {}", places.ready.display()))(error));
        }
        _ => {}
    }
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(&places.log)
        .map_err(DemoError::io(format!("opening {}", places.log.display())))?;
    let hub = format!("http://{hub}");
    let mut command = program.command(["agent", "run", "--hub", hub.as_str()]);
    command.arg("--data").arg(&places.data);
    command.arg("--key-file").arg(&places.key);
    command.arg("--socket").arg(&places.socket);
    command.arg("--ready-file").arg(&places.ready);
    let mut agent =
        command.stdout(Stdio::null()).stderr(log).spawn().map_err(DemoError::io("starting an agent"))?;
    let not_ready =
        || DemoError::NotReady { name: name.to_owned(), seconds: READY_SECONDS_MAX, log: places.log.clone() };
    let ready = async {
        while !places.ready.exists() {
            if !matches!(agent.try_wait(), Ok(None)) {
                return Err(not_ready());
            }
            sleep(LOOK_INTERVAL).await;
        }
        Ok(())
    };
    timeout(Duration::from_secs(READY_SECONDS_MAX), ready).await.map_err(|_| not_ready())??;
    Ok(agent)
}
