//! One hub and one agent with a line between them.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use outpost::time::WallTime;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::link::{Link, Shape};
use crate::namespace::Namespace;
use crate::tun;

pub(crate) const HUB: &str = "10.77.0.1";
const AGENT: &str = "10.77.0.2";
const AGENT_MOVED: &str = "10.77.0.3";
/// The agent's first address, as it stands in a packet.
const AGENT_BYTES: [u8; 4] = [10, 77, 0, 2];
/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// Whether hub and agent speak TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Security {
    Plain,
    Tls,
}

/// A process that ends with the test.
pub(crate) struct Process(Child);

impl Process {
    fn terminate(&mut self) {
        let pid = Pid::from_raw(self.0.id().try_into().unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) struct Site {
    folder: TempDir,
    hub_side: Namespace,
    agent_side: Namespace,
    pub(crate) link: Link,
    /// More of what the hub is told.
    pub(crate) hub_flags: String,
    security: Security,
    hub: Option<SocketAddr>,
    hub_process: Option<Process>,
    agent_process: Option<Process>,
    key: Key,
    seed: u64,
}

/// Where the agent's key comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    /// A file that the hub wrote.
    File,
    /// Its own folder: it enrolled, and so has an identity.
    Folder,
}

impl Site {
    /// The line's shape up and down, and the seed of what it loses.
    pub(crate) fn new(shapes: [Shape; 2], security: Security) -> Self {
        let seed = crate::seed::seed();
        let (hub_side, agent_side) = (Namespace::new(), Namespace::new());
        let link = Link::new(&agent_side, &hub_side, shapes, seed);
        let folder = tempfile::Builder::new().prefix("outpost-net-").tempdir().unwrap();
        let site = Self {
            folder,
            hub_side,
            agent_side,
            link,
            hub_flags: String::new(),
            security,
            hub: None,
            hub_process: None,
            agent_process: None,
            key: Key::File,
            seed,
        };
        site.hub_side.shell(&address(HUB));
        site.agent_side.shell(&address(AGENT));
        site
    }

    pub(crate) const fn seed(&self) -> u64 {
        self.seed
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, side: &Namespace, words: &str) -> Command {
        let mut command = side.command(env!("CARGO_BIN_EXE_outpost"));
        command.args(words.split_whitespace()).current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    fn run(&self, side: &Namespace, words: &str) -> Vec<u8> {
        let output = self.command(side, words).output().unwrap();
        assert!(output.status.success(), "`outpost {words}`: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    fn spawn(&self, side: &Namespace, words: &str, log: &str) -> Process {
        let log = std::fs::File::options().create(true).append(true).open(self.path(log)).unwrap();
        let mut command = self.command(side, words);
        Process(command.stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }

    /// Starts the hub, and gives the agent its key.
    pub(crate) fn start_hub(&mut self) {
        self.start_empty_hub();
        self.add_agent("edge");
    }

    /// Gives an agent its key.
    pub(crate) fn add_agent(&self, name: &str) {
        self.run(&self.hub_side, &format!("hub agent add {name} --data hub --key-out {name}.key"));
    }

    /// Has the agent run a command.
    pub(crate) fn submit(&self, command: &str) -> String {
        let words = format!("job submit --json --agent edge {} -- {command}", self.operator_words());
        let job: Value = serde_json::from_slice(&self.run(&self.hub_side, &words)).unwrap();
        job["job_id"].as_str().unwrap().to_owned()
    }

    pub(crate) fn job(&self, id: &str) -> Value {
        let words = format!("job show --json {id} {}", self.operator_words());
        serde_json::from_slice(&self.run(&self.hub_side, &words)).unwrap()
    }

    /// Where the hub is, as an operator's commands beside it are told.
    fn operator_words(&self) -> String {
        let port = self.hub_port();
        let hub = match self.security {
            Security::Plain => format!("--hub http://127.0.0.1:{port}"),
            Security::Tls => format!("--hub https://127.0.0.1:{port} --ca ca.pem"),
        };
        format!("{hub} --token-file hub/admin.token")
    }

    pub(crate) fn hub_port(&self) -> u16 {
        self.hub.unwrap().port()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) const fn hub_side(&self) -> &Namespace {
        &self.hub_side
    }

    pub(crate) const fn agent_side(&self) -> &Namespace {
        &self.agent_side
    }

    /// Starts the hub; the agent is to enrol.
    pub(crate) fn start_empty_hub(&mut self) {
        let tls = match self.security {
            Security::Plain => "",
            Security::Tls => {
                self.make_certificates();
                "--tls-cert hub.pem --tls-key hub.key"
            }
        };
        self.run_hub(tls);
    }

    /// The agent's machine enrols, over the line.
    pub(crate) fn enroll(&mut self) {
        let token = self.run(&self.hub_side, "hub agent invite edge --data hub");
        std::fs::write(self.path("edge.token"), token).unwrap();
        let words = format!("agent enroll {} --token-file edge.token --data edge", self.hub_words());
        self.run(&self.agent_side, &words);
        self.key = Key::Folder;
    }

    /// Where the hub is, as the agent's commands are told.
    fn hub_words(&self) -> String {
        let port = self.hub.unwrap().port();
        match self.security {
            Security::Plain => format!("--hub http://{HUB}:{port} --allow-insecure"),
            Security::Tls => format!("--hub https://{HUB}:{port} --ca ca.pem"),
        }
    }

    fn run_hub(&mut self, flags: &str) {
        let ready = self.path("hub.ready");
        let _ = std::fs::remove_file(&ready);
        let words = format!(
            "hub run --json --data hub --listen 0.0.0.0:0 --ready-file hub.ready {flags} {}",
            self.hub_flags
        );
        self.hub_process = Some(self.spawn(&self.hub_side, &words, "hub.log"));
        let ready: Value = self.wait("the hub", Duration::from_secs(60), || {
            serde_json::from_slice(&std::fs::read(&ready).ok()?).ok()
        });
        self.hub = Some(ready["listen"].as_str().unwrap().parse().unwrap());
    }

    /// Starts the agent without a link, writes `text` to its logs, and stops it: a backlog.
    pub(crate) fn fill(&mut self, text: &[u8]) {
        self.start_agent("--no-link");
        self.emit(text);
        self.agent_process.take().unwrap().terminate();
    }

    pub(crate) fn emit(&self, text: &[u8]) {
        let mut emit = self
            .command(&self.agent_side, "emit --lane logs --socket edge.sock")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        emit.stdin.take().unwrap().write_all(text).unwrap();
        assert!(emit.wait().unwrap().success());
    }

    pub(crate) fn start_agent(&mut self, flags: &str) {
        let ready = self.path("edge.ready");
        let _ = std::fs::remove_file(&ready);
        let key = match self.key {
            Key::File => "--key-file edge.key",
            Key::Folder => "",
        };
        let words = format!(
            "agent run {} --data edge {key} --socket edge.sock --ready-file edge.ready {flags}",
            self.hub_words()
        );
        self.agent_process = Some(self.spawn(&self.agent_side, &words, "edge.log"));
        self.wait("the agent", Duration::from_secs(60), || ready.exists().then_some(()));
    }

    fn make_certificates(&self) {
        use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
        let (ca_key, hub_key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let ca_certificate = ca.self_signed(&ca_key).unwrap();
        let leaf = CertificateParams::new(vec![HUB.to_owned(), "127.0.0.1".to_owned()]).unwrap();
        let leaf = leaf.signed_by(&hub_key, &Issuer::new(ca, ca_key)).unwrap();
        std::fs::write(self.path("ca.pem"), ca_certificate.pem()).unwrap();
        std::fs::write(self.path("hub.pem"), leaf.pem()).unwrap();
        std::fs::write(self.path("hub.key"), hub_key.serialize_pem()).unwrap();
    }

    /// How the agent is, if it answers.
    pub(crate) fn status(&self) -> Option<Value> {
        let output =
            self.command(&self.agent_side, "agent status --json --socket edge.sock").output().ok()?;
        serde_json::from_slice(&output.stdout).ok()
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.status().is_some_and(|status| status["state"] == "connected")
    }

    /// Records that wait in the agent.
    pub(crate) fn waiting(&self) -> Option<u64> {
        self.status()?["outbox"]["lanes"].as_object()?.values().map(|lane| lane["records"].as_u64()).sum()
    }

    pub(crate) fn wait_drained(&self, within: Duration) -> Duration {
        let begin = now();
        self.wait("the backlog to arrive", within, || (self.waiting() == Some(0)).then_some(()));
        begin.elapsed()
    }

    /// Waits for as long as something more of the backlog arrives within `pause`, however long it takes as a whole.
    pub(crate) fn wait_drained_at_any_pace(&self, pause: Duration) -> Duration {
        let begin = now();
        let mut left = self.waiting().unwrap();
        while left > 0 {
            left = self.wait("more of the backlog to arrive", pause, || {
                self.waiting().filter(|waiting| *waiting < left)
            });
        }
        begin.elapsed()
    }

    /// What the hub has of the agent's logs.
    fn arrived(&mut self) -> Vec<u8> {
        if self.security == Security::Tls {
            // The hub's own machine asks without.
            self.hub_process.take().unwrap().terminate();
            self.run_hub("");
        }
        let hub = format!("http://127.0.0.1:{}", self.hub.unwrap().port());
        let words = format!("records list --agent edge --lane logs --hub {hub} --token-file hub/admin.token");
        self.run(&self.hub_side, &words)
    }

    /// Asserts that exactly this arrived, once and in order.
    pub(crate) fn assert_arrived(&mut self, text: &[u8]) {
        let arrived = self.arrived();
        let differs = arrived.iter().zip(text).position(|(left, right)| left != right);
        assert!(
            arrived == text,
            "{} bytes instead of {}, the first that differs is {differs:?}",
            arrived.len(),
            text.len()
        );
    }

    /// Gives the agent another address; the one before gets nothing through any more.
    pub(crate) fn move_agent(&self) {
        self.agent_side.shell(&format!("ip addr flush dev {}; {}", tun::NAME, address(AGENT_MOVED)));
        self.link.forget(AGENT_BYTES);
    }

    /// Lines of a log that hold `text`.
    pub(crate) fn said(&self, log: &str, text: &str) -> usize {
        let log = std::fs::read_to_string(self.path(log)).unwrap_or_default();
        log.lines().filter(|line| line.contains(text)).count()
    }

    /// When a log first said `text` after `since`, as its lines begin: the later of two such times is the greater text.
    pub(crate) fn said_at(&self, log: &str, text: &str, since: WallTime) -> Option<String> {
        let (log, since) = (std::fs::read_to_string(self.path(log)).ok()?, since.to_string());
        let mut times =
            log.lines().filter(|line| line.contains(text)).filter_map(|line| line.split(' ').next());
        times.find(|at| *at > since.as_str()).map(str::to_owned)
    }

    /// Waits until `condition` gives something; what hub and agent said last, where it does not.
    pub(crate) fn wait<T>(
        &self,
        what: &str,
        within: Duration,
        mut condition: impl FnMut() -> Option<T>,
    ) -> T {
        let begin = now();
        loop {
            if let Some(found) = condition() {
                return found;
            }
            assert!(begin.elapsed() < within, "waited {within:?} for {what}{}", self.log_ends());
            std::thread::park_timeout(LOOK);
        }
    }

    pub(crate) fn log_ends(&self) -> String {
        let end = |name: &str| {
            let text = std::fs::read_to_string(self.path(name)).unwrap_or_default();
            let lines: Vec<_> = text.lines().collect();
            format!("\n{name}: ...\n{}", lines[lines.len().saturating_sub(12)..].join("\n"))
        };
        let status = self.status().unwrap_or_default();
        format!(
            "; seed {}, {} bytes went up, {status}{}{}",
            self.seed,
            self.link.carried_up(),
            end("hub.log"),
            end("edge.log")
        )
    }
}

/// Sets an interface up with this address, in the network that both ends are in.
fn address(address: &str) -> String {
    let name = tun::NAME;
    format!("ip addr add {address}/24 dev {name}; ip link set {name} up")
}

#[expect(clippy::disallowed_methods, reason = "a test's deadline is in real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
