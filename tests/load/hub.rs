//! The hub under load: the program itself, in a folder of its own.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ed25519_dalek::VerifyingKey;
use outpost::hub::store::{Creation, Store};
use outpost::obs::clock::boot_now;
use outpost::wire::key::KeyFile;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::agent::Line;
use crate::authority::Authority;
use crate::peer::Peer;

/// Nothing here takes longer unless it is broken.
const DEADLINE: Duration = Duration::from_secs(90);

/// Waits until `condition` gives something.
pub(crate) fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let end = boot_now().after(DEADLINE);
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(boot_now() < end, "waited {DEADLINE:?} for {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// The folder of a hub that may run.
pub(crate) struct Site {
    folder: TempDir,
    address: Option<SocketAddr>,
    /// Where the hub has TLS.
    authority: Option<Authority>,
}

impl Site {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), address: None, authority: None }
    }

    /// Whose hub has TLS.
    pub(crate) fn secured() -> Self {
        let authority = Authority::new("the load's authority");
        let site = Self { authority: Some(authority), ..Self::new() };
        site.authority.iter().for_each(|authority| authority.server(1).write(&site.path(""), "tls"));
        site
    }

    /// How its hub is reached.
    pub(crate) fn line(&self) -> Line {
        self.authority
            .as_ref()
            .map_or(Line::Plain, |authority| Line::Tls(Peer::believing(authority).connector()))
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Adds so many agents, while no hub runs; their keys.
    pub(crate) fn add_agents(&self, count: usize) -> Vec<KeyFile> {
        self.add_signing_agents(count, None)
    }

    /// Who all sign with this key.
    pub(crate) fn add_signing_agents(&self, count: usize, public: Option<VerifyingKey>) -> Vec<KeyFile> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (store, writer) = Store::open(&self.path("hub"), Creation::Allowed).await.unwrap();
            let mut keys = Vec::with_capacity(count);
            for number in 0..count {
                let name = format!("edge-{number}").parse().unwrap();
                keys.push(store.add_agent(&name, public).await.unwrap().key_file);
            }
            store.close().await;
            writer.await.unwrap();
            store.close_pool().await;
            keys
        })
    }

    /// Starts the hub; at its first address again where it ran before.
    pub(crate) fn start(&mut self) -> Hub {
        let listen = self.address.map_or("127.0.0.1:0".to_owned(), |address| address.to_string());
        let ready = self.path("ready");
        let _ = std::fs::remove_file(&ready);
        let log = std::fs::File::options().create(true).append(true).open(self.path("log")).unwrap();
        let tls: &[&str] = match self.authority {
            Some(_) => &["--tls-cert", "tls.pem", "--tls-key", "tls.key"],
            None => &[],
        };
        let process = Command::new(env!("CARGO_BIN_EXE_outpost"))
            .args(["hub", "run", "--json", "--data", "hub", "--listen", &listen, "--ready-file", "ready"])
            .args(tls)
            .env_clear()
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let line = wait_for("the hub to be ready", || std::fs::read(&ready).ok());
        let line: Value = serde_json::from_slice(&line).unwrap();
        let address = line["listen"].as_str().unwrap().parse().unwrap();
        self.address = Some(address);
        let token = std::fs::read_to_string(self.path("hub/admin.token")).unwrap().trim().to_owned();
        Hub { process, address, token }
    }

    /// What the hub announced when it went.
    pub(crate) fn announced(&self) -> Duration {
        let log = std::fs::read_to_string(self.path("log")).unwrap();
        let (_, after) = log.rsplit_once("spread_ms=").expect("an announcement in the hub's log");
        let digits = after.split(|letter: char| !letter.is_ascii_digit()).next().unwrap();
        Duration::from_millis(digits.parse().unwrap())
    }
}

/// A running hub; killed when dropped.
pub(crate) struct Hub {
    process: Child,
    pub(crate) address: SocketAddr,
    token: String,
}

impl Hub {
    pub(crate) fn status(&self) -> Value {
        let url = format!("http://{}/v1/status", self.address);
        let agent: ureq::Agent =
            ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(30))).build().into();
        let bearer = format!("Bearer {}", self.token);
        agent.get(&url).header("Authorization", &bearer).call().unwrap().body_mut().read_json().unwrap()
    }

    /// The most memory it had, in KiB.
    pub(crate) fn memory_most_kib(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// The memory it has, in KiB.
    pub(crate) fn memory_kib(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// Processor time it used, all threads together.
    pub(crate) fn processor(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        let ticks: u64 = fields[11..13].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum();
        // The kernel counts in hundredths of a second there.
        Duration::from_millis(ticks * 10)
    }

    fn memory(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    pub(crate) fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.process.id())).unwrap().count()
    }

    /// As an init system does; returns once it is gone.
    pub(crate) fn terminate(mut self) {
        kill_process(Pid::from_child(&self.process), Signal::TERM).unwrap();
        let status = wait_for("the hub to end", || self.process.try_wait().unwrap());
        assert!(status.success(), "the hub ended with {status}");
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
