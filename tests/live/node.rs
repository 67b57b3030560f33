//! A broker as a process of its own, and requests to it as bytes.

use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use outpost::obs::clock::boot_now;
use serde_json::{Value, json};

pub(crate) const SECRET: &str = "a worker secret of 32 characters";
/// Whatever takes longer is broken.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);
/// How often a condition is looked at: each look takes time from what it waits for.
pub(crate) const LOOK: Duration = Duration::from_millis(5);

pub(crate) struct Node {
    child: Child,
    pub(crate) ws: String,
    pub(crate) internal: String,
    /// A hub's API; empty where there is none.
    pub(crate) api: String,
    pub(crate) folder: tempfile::TempDir,
    kind: Kind,
    /// A file of certificates, in place of the system's.
    authorities: Option<PathBuf>,
    /// The rest of what it prints on stdout; kept open, so that it can.
    _stdout: BufReader<std::process::ChildStdout>,
}

/// What runs.
#[derive(Clone, Copy)]
enum Kind {
    Broker,
    Hub,
}

/// What was answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) head: String,
}

/// `outpost` without the environment's own settings.
pub(crate) fn outpost() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_outpost"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("OUTPOST_")) {
        command.env_remove(name);
    }
    command
}

impl Node {
    /// A broker by itself, with these lines in its YAML file, too.
    pub(crate) fn start(lines: &str) -> Self {
        Self::run(Kind::Broker, broker_folder(lines), None)
    }

    /// The same, with the authorities of this file in place of the system's.
    pub(crate) fn start_trusting(lines: &str, authorities: &Path) -> Self {
        Self::run(Kind::Broker, broker_folder(lines), Some(authorities.to_owned()))
    }

    /// A hub with a broker, with these lines in its config, too.
    pub(crate) fn hub(lines: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("secret");
        std::fs::write(&secret, format!("{SECRET}\n")).unwrap();
        let text = format!(
            "listen = \"127.0.0.1:0\"\n[limits]\napi = 0\n[live]\nws_port = 0\ninternal_port = 0\nsecret_file = {secret:?}\n{lines}"
        );
        std::fs::write(folder.path().join("hub.toml"), text).unwrap();
        Self::run(Kind::Hub, folder, None)
    }

    fn run(kind: Kind, folder: tempfile::TempDir, authorities: Option<PathBuf>) -> Self {
        let mut command = outpost();
        if let Some(authorities) = &authorities {
            command.env("SSL_CERT_FILE", authorities);
        }
        let [ws, internal] = match kind {
            Kind::Broker => {
                command.args(["live", "run", "--json", "-v", "-config"]).arg(folder.path().join("live.yaml"));
                ["ws", "internal"]
            }
            Kind::Hub => {
                command.args(["hub", "run", "--json", "-v", "--data"]).arg(folder.path().join("data"));
                command.arg("--config").arg(folder.path().join("hub.toml"));
                ["live_ws", "live_internal"]
            }
        };
        let log = OpenOptions::new().create(true).append(true).open(folder.path().join("log")).unwrap();
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let log = || std::fs::read_to_string(folder.path().join("log")).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line:?}\n{}", log()));
        let text = |key: &str| ready[key].as_str().unwrap().to_owned();
        let (ws, internal) = (text(ws), text(internal));
        let api = ready["listen"].as_str().unwrap_or_default().to_owned();
        Self { child, ws, internal, api, folder, kind, authorities, _stdout: stdout }
    }

    /// SIGKILL, and the same again on the same ports.
    pub(crate) fn kill_and_restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let port = |address: &str| address.rsplit_once(':').unwrap().1.to_owned();
        let (file, replaced) = match self.kind {
            Kind::Broker => ("live.yaml", [("ws_port: 0", &self.ws), ("internal_port: 0", &self.internal)]),
            Kind::Hub => ("hub.toml", [("ws_port = 0", &self.ws), ("internal_port = 0", &self.internal)]),
        };
        let file = self.folder.path().join(file);
        let mut text = std::fs::read_to_string(&file).unwrap();
        for (free, taken) in replaced {
            text = text.replace(free, &format!("{}{}", free.trim_end_matches('0'), port(taken)));
        }
        text = text.replace("127.0.0.1:0", &self.api);
        std::fs::write(&file, text).unwrap();
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        *self = Self::run(self.kind, folder, self.authorities.take());
    }

    /// Asks the internal listener with the secret.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        let secret = format!("X-Worker-Secret: {SECRET}\r\n");
        send(&self.internal, method, path, &secret, body.as_bytes())
    }

    pub(crate) fn register(&self, topic: &str, require_token: bool) {
        let body = json!({"topic": topic, "meta": {"require_token": require_token}});
        let answer = self.ask("POST", "/internal/register", &body.to_string());
        assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    }

    pub(crate) fn publish(&self, topic: &str, payload: &str) {
        let body = format!(r#"{{"topic":{},"payload":{payload}}}"#, json!(topic));
        let answer = self.ask("POST", "/internal/publish", &body);
        assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    }

    pub(crate) fn status(&self) -> Value {
        let answer = self.ask("GET", "/internal/status?topics=1", "");
        assert_eq!(answer.status, 200);
        serde_json::from_str(&answer.body).unwrap()
    }

    /// Asks for the status until it is as wished.
    pub(crate) fn wait_for(&self, what: &str, wished: impl Fn(&Value) -> bool) -> Value {
        let began = boot_now();
        loop {
            let status = self.status();
            if wished(&status) {
                return status;
            }
            assert!(boot_now().since(began) < DEADLINE, "never {what}: {status}\n{}", self.log());
            std::thread::park_timeout(LOOK);
        }
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Memory it takes.
    pub(crate) fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// SIGTERM; whether it ended as wished.
    pub(crate) fn stop(&mut self) -> bool {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().success()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

/// With a broker's config.
fn broker_folder(lines: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("ws_port: 0\ninternal_port: 0\nworker_secret: {SECRET}\n{lines}");
    std::fs::write(folder.path().join("live.yaml"), text).unwrap();
    folder
}

/// One request with these header lines, and its answer.
pub(crate) fn send(address: &str, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    );
    exchange(address, &[head.as_bytes(), body])
}

/// These bytes, and what is answered.
pub(crate) fn exchange(address: &str, pieces: &[&[u8]]) -> Answer {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket.set_write_timeout(Some(DEADLINE)).unwrap();
    for piece in pieces {
        socket.write_all(piece).unwrap();
    }
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, body: body.to_owned(), head: head.to_ascii_lowercase() }
}
