//! A hub and agents as child processes, in folders of their own and on ports the system chose.

use std::io::{BufRead as _, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// Long enough for a slow machine; a test that needs it fails.
const DEADLINE: Duration = Duration::from_secs(120);

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// Waits until `condition` gives something.
#[expect(clippy::disallowed_methods, reason = "a test's deadline is in real time")]
pub(crate) fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < end, "waited {DEADLINE:?} for {what}");
        std::thread::park_timeout(LOOK);
    }
}

/// A backlog that does not move for so long will not: the agent dialled three times at least.
const STALLED: Duration = Duration::from_secs(3 * outpost::limit::RECONNECT_MAX.as_secs());

/// A process that is killed with the test.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Asks the process to stop; its exit code.
    pub(crate) fn terminate(&mut self) -> Option<i32> {
        self.stop(Signal::TERM)
    }

    /// As Ctrl-C does.
    pub(crate) fn interrupt(&mut self) -> Option<i32> {
        self.stop(Signal::INT)
    }

    fn stop(&mut self, signal: Signal) -> Option<i32> {
        let pid = Pid::from_raw(self.0.id().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
        wait_for("the process to end", || self.0.try_wait().unwrap()).code()
    }

    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have been killed by the test.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A program with a hub inside, that takes orders line by line.
pub(crate) struct EmbeddedHub {
    pub(crate) process: Process,
    stdin: std::process::ChildStdin,
    stdout: BufReader<std::process::ChildStdout>,
}

impl EmbeddedHub {
    /// What it says to an order.
    pub(crate) fn order(&mut self, order: &str) -> String {
        writeln!(self.stdin, "{order}").unwrap();
        self.line()
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Its input ends; its exit code.
    pub(crate) fn end(self) -> Option<i32> {
        let Self { mut process, stdin, .. } = self;
        drop(stdin);
        wait_for("the process to end", || process.0.try_wait().unwrap()).code()
    }
}

/// One installation.
pub(crate) struct World {
    folder: TempDir,
    hub_address: Option<SocketAddr>,
}

impl World {
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("outpost-").tempdir().unwrap();
        Self { folder, hub_address: None }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command of the binary under test, with nothing of our environment.
    pub(crate) fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_outpost"));
        command
            .args(words.split_whitespace())
            .env_clear()
            .stdin(Stdio::null())
            .current_dir(self.folder.path());
        command
    }

    /// Runs a command that must succeed; its standard output.
    pub(crate) fn run(&self, words: &str) -> Vec<u8> {
        let output = self.command(words).output().unwrap();
        assert!(
            output.status.success(),
            "`outpost {words}` ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    }

    /// Runs a command that must fail; its exit code and what it said.
    pub(crate) fn fail(&self, words: &str) -> (i32, String) {
        let output = self.command(words).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }

    /// Starts the hub; at its first address again where it ran before.
    pub(crate) fn start_hub(&mut self) -> Process {
        self.start_hub_with("")
    }

    /// With more flags.
    pub(crate) fn start_hub_with(&mut self, flags: &str) -> Process {
        let listen = self.hub_address.map_or("127.0.0.1:0".to_owned(), |address| address.to_string());
        let ready = self.path("hub.ready");
        let _ = std::fs::remove_file(&ready);
        let command = format!("hub run --json --data hub --listen {listen} --ready-file hub.ready {flags}");
        let process = self.spawn(self.command(&command), "hub.log");
        self.hub_is_ready();
        process
    }

    /// Starts the hub with its data on a disk of this size, which only it sees: a tmpfs in a mount namespace that
    /// `unshare` makes.
    pub(crate) fn start_hub_on_disk(&mut self, unshare: &[&str], size: &str) -> Process {
        std::fs::create_dir(self.path("disk")).unwrap();
        let mount = format!("mount -t tmpfs -o size={size} outpost disk && exec \"$@\"");
        let hub = "hub run --json --data disk/hub --listen 127.0.0.1:0 --ready-file hub.ready";
        let mut command = Command::new("unshare");
        command
            .args(unshare)
            .args(["sh", "-c", &mount, "sh", env!("CARGO_BIN_EXE_outpost")])
            .args(hub.split_whitespace())
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .current_dir(self.folder.path());
        let process = self.spawn(command, "hub.log");
        self.hub_is_ready();
        process
    }

    /// Waits for a hub that writes `hub.ready`.
    pub(crate) fn hub_is_ready(&mut self) {
        let ready = self.path("hub.ready");
        let ready = wait_for("the hub to be ready", || ready_event(&ready));
        self.hub_address = Some(ready["listen"].as_str().unwrap().parse().unwrap());
    }

    /// What `/readyz` says: status and text.
    pub(crate) fn ready(&self) -> (u16, String) {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let url = format!("http://{}/readyz", self.hub_address.unwrap());
        let mut answer = agent.get(&url).call().unwrap();
        (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
    }

    /// What the hub says of itself to its operator.
    pub(crate) fn hub_status(&self) -> Value {
        let token = std::fs::read_to_string(self.path("hub/admin.token")).unwrap();
        let mut answer = ureq::get(format!("{}/v1/status", self.hub_url()))
            .header("Authorization", format!("Bearer {}", token.trim()))
            .call()
            .unwrap();
        answer.body_mut().read_json().unwrap()
    }

    /// Issues a key for an agent; the hub need not run.
    pub(crate) fn add_agent(&self, name: &str) {
        self.run(&format!("hub agent add {name} --data hub --key-out {name}.key"));
    }

    /// Starts an agent on the folder `data` with the key of `name`.
    pub(crate) fn start_agent_on(&self, name: &str, data: &str) -> Process {
        self.start_agent_with(name, data, "")
    }

    /// With more flags.
    pub(crate) fn start_agent_with(&self, name: &str, data: &str, flags: &str) -> Process {
        self.run_agent(data, &format!("--key-file {name}.key {flags}"))
    }

    /// Starts an agent that has its key in its own folder.
    pub(crate) fn run_agent(&self, data: &str, flags: &str) -> Process {
        let hub =
            self.hub_address.map_or("http://127.0.0.1:9".to_owned(), |address| format!("http://{address}"));
        self.run_agent_at(&hub, data, flags)
    }

    /// The same towards another URL.
    pub(crate) fn run_agent_at(&self, hub: &str, data: &str, flags: &str) -> Process {
        let ready = self.path(&format!("{data}.ready"));
        let _ = std::fs::remove_file(&ready);
        let command = format!(
            "agent run --hub {hub} --data {data} --socket {data}.sock --ready-file {data}.ready {flags}"
        );
        let process = self.spawn(self.command(&command), &format!("{data}.log"));
        wait_for("the agent to be ready", || ready.exists().then_some(()));
        process
    }

    /// Where a running agent answers for metrics, if it does.
    pub(crate) fn metrics_address(&self, data: &str) -> Option<String> {
        let ready = ready_event(&self.path(&format!("{data}.ready")))?;
        Some(ready["metrics"].as_str()?.to_owned())
    }

    pub(crate) fn start_agent(&self, name: &str) -> Process {
        self.start_agent_on(name, name)
    }

    /// Starts one of the programs in `examples/` as the agent `name`, with its data in the folder of that name.
    pub(crate) fn start_example(&self, example: &str, name: &str) -> Process {
        let mut command = self.example(example);
        command.arg(format!("http://{}", self.hub_address.unwrap())).arg(format!("{name}.key")).arg(name);
        self.spawn(command, &format!("{name}.log"))
    }

    fn example(&self, example: &str) -> Command {
        let test = std::env::current_exe().unwrap();
        let program = test.ancestors().nth(2).unwrap().join("examples").join(example);
        assert!(program.exists(), "{} is missing: run `cargo build --examples`", program.display());
        let mut command = Command::new(program);
        command.env_clear().current_dir(self.folder.path());
        command
    }

    /// Starts the hub inside `examples/embedded_hub.rs`, at its first address again where it ran before.
    pub(crate) fn start_embedded_hub(&mut self) -> EmbeddedHub {
        let listen = self.hub_address.map_or("127.0.0.1:0".to_owned(), |address| address.to_string());
        let mut command = self.example("embedded_hub");
        command.args([&listen, "hub"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut hub = EmbeddedHub { process: Process(child), stdin, stdout };
        let listening = hub.line();
        let address = listening.strip_prefix("listening on ").unwrap_or_else(|| panic!("{listening}"));
        self.hub_address = Some(address.parse().unwrap());
        hub
    }

    pub(crate) fn spawn(&self, mut command: Command, log: &str) -> Process {
        let log = std::fs::File::options().create(true).append(true).open(self.path(log)).unwrap();
        Process(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }

    /// Emits `input` into a running agent; the receipt once it is durable.
    pub(crate) fn emit(&self, data: &str, lane: &str, input: &[u8]) -> Value {
        let mut child = self
            .command(&format!("emit --json --lane {lane} --socket {data}.sock"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let feeder = std::thread::spawn(move || stdin.write_all(&input));
        let output = child.wait_with_output().unwrap();
        feeder.join().unwrap().unwrap();
        assert!(output.status.success(), "emit: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// How a running agent is, if it answers.
    pub(crate) fn status(&self, data: &str) -> Option<Value> {
        let output = self.command(&format!("agent status --json --socket {data}.sock")).output().unwrap();
        serde_json::from_slice(&output.stdout).ok()
    }

    /// Records of all lanes that wait in a running agent.
    pub(crate) fn waiting(&self, data: &str) -> Option<u64> {
        self.status(data)?["outbox"]["lanes"].as_object()?.values().map(|lane| lane["records"].as_u64()).sum()
    }

    pub(crate) fn wait_drained(&self, data: &str) {
        self.wait_below(data, 1);
    }

    /// Waits until fewer records wait in a running agent than `left`, for as long as their number moves.
    #[expect(clippy::disallowed_methods, reason = "a test's deadline is in real time")]
    pub(crate) fn wait_below(&self, data: &str, left: u64) {
        let mut seen = None;
        let mut since = Instant::now();
        loop {
            let waiting = self.waiting(data);
            if waiting.is_some_and(|waiting| waiting < left) {
                return;
            }
            if waiting != seen {
                (seen, since) = (waiting, Instant::now());
            }
            assert!(
                since.elapsed() < STALLED,
                "for {STALLED:?} {data} has had {seen:?} records waiting, not fewer than {left}; {}{}",
                self.status(data).unwrap_or_default(),
                self.log_ends(data)
            );
            std::thread::park_timeout(LOOK);
        }
    }

    /// What hub and agent said last.
    fn log_ends(&self, data: &str) -> String {
        let end = |name: &str| {
            let text = std::fs::read_to_string(self.path(name)).unwrap_or_default();
            let lines: Vec<_> = text.lines().collect();
            format!("\n{name}: ...\n{}", lines[lines.len().saturating_sub(6)..].join("\n"))
        };
        end("hub.log") + &end(&format!("{data}.log"))
    }

    /// What the hub shows of an agent, as text lines.
    pub(crate) fn listed(&self, name: &str, lane: &str) -> Vec<u8> {
        self.run(&format!("records list --agent {name} --lane {lane} {}", self.remote()))
    }

    /// What the hub shows of an agent, as objects.
    pub(crate) fn listed_objects(&self, name: &str) -> Vec<Value> {
        let output = self.run(&format!("records list --json --agent {name} {}", self.remote()));
        String::from_utf8(output).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub(crate) fn show_agent(&self, name: &str) -> Value {
        let output = self.run(&format!("hub agent show {name} --json {}", self.remote()));
        serde_json::from_slice(&output).unwrap()
    }

    /// Submits a command as a job; its id.
    pub(crate) fn submit(&self, name: &str, flags: &str, script: &str) -> String {
        let job: Value = serde_json::from_slice(&self.submit_output(name, flags, script).stdout).unwrap();
        job["job_id"].as_str().unwrap_or_else(|| panic!("{job}")).to_owned()
    }

    /// Submits a shell script as a job with `--json`; what the command said.
    pub(crate) fn submit_output(&self, name: &str, flags: &str, script: &str) -> std::process::Output {
        let words = format!("job submit --json --agent {name} {} {flags}", self.remote());
        self.command(&words).args(["--", "/bin/sh", "-c", script]).output().unwrap()
    }

    /// The job as the hub shows it.
    pub(crate) fn job(&self, id: &str) -> Value {
        serde_json::from_slice(&self.run(&format!("job show --json {id} {}", self.remote()))).unwrap()
    }

    /// Waits until the job is over and its log is there; the job as the hub shows it.
    pub(crate) fn wait_job(&self, id: &str) -> Value {
        wait_for("the job to be over", || {
            let job = self.job(id);
            (job["logs_complete"] == true).then_some(job)
        })
    }

    /// The job's lines; waits until they are all there.
    pub(crate) fn job_lines(&self, id: &str) -> Vec<String> {
        let output = self.run(&format!("job logs {id} {}", self.remote()));
        String::from_utf8(output).unwrap().lines().map(str::to_owned).collect()
    }

    pub(crate) fn hub_address(&self) -> SocketAddr {
        self.hub_address.unwrap()
    }

    pub(crate) fn hub_url(&self) -> String {
        format!("http://{}", self.hub_address.unwrap())
    }

    pub(crate) fn remote(&self) -> String {
        let address = self.hub_address.unwrap();
        let far = if address.ip().is_loopback() { "" } else { " --allow-insecure" };
        format!("--hub http://{address} --token-file hub/admin.token{far}")
    }
}

fn ready_event(path: &Path) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// `count` lines that say their number.
pub(crate) fn numbered_lines(count: usize) -> Vec<u8> {
    (1..=count).flat_map(|number| format!("line {number}\n").into_bytes()).collect()
}

/// Asserts that two long texts are the same without printing them.
pub(crate) fn assert_same(found: &[u8], expected: &[u8]) {
    let lines = |text: &[u8]| text.iter().filter(|byte| **byte == b'\n').count();
    let first = found.iter().zip(expected).position(|(left, right)| left != right);
    assert!(
        found == expected,
        "{} lines instead of {}, first difference at byte {first:?}",
        lines(found),
        lines(expected)
    );
}
