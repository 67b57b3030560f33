//! A hub with a broker and its agents, each a process, and jobs that say what a test writes.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Stdio};

use outpost::obs::clock::boot_now;
use serde_json::{Value, json};

use crate::node::{Answer, SECRET, outpost, send};

use super::subscriber::Subscriber;

pub(super) struct World {
    pub(super) folder: tempfile::TempDir,
    hub: Option<Child>,
    agents: Vec<Child>,
    /// The hub's own listener: the same after each restart.
    pub(super) api: String,
    /// The broker's public listener, and that of its workers.
    pub(super) live: String,
    pub(super) internal: String,
    pub(super) admin: String,
}

/// A job whose output a test writes.
pub(super) struct Job {
    pub(super) id: String,
    input: Option<File>,
    path: PathBuf,
}

impl World {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let nowhere = String::new;
        let (api, admin) = ("127.0.0.1:0".to_owned(), nowhere());
        let mut world =
            Self { folder, hub: None, agents: Vec::new(), api, live: nowhere(), internal: nowhere(), admin };
        std::fs::write(world.path("secret"), SECRET).unwrap();
        world.start();
        world.admin = std::fs::read_to_string(world.path("data/admin.token")).unwrap().trim().to_owned();
        world
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts the hub where it was before.
    pub(super) fn start(&mut self) {
        let config = format!(
            "listen = \"{}\"\n[live]\nws_port = 0\ninternal_port = 0\nsecret_file = {:?}\n",
            self.api,
            self.path("secret")
        );
        std::fs::write(self.path("hub.toml"), config).unwrap();
        let log = File::options().append(true).create(true).open(self.path("log")).unwrap();
        let mut command = outpost();
        command.args(["hub", "run", "--json", "-v", "--data"]).arg(self.path("data"));
        command.arg("--config").arg(self.path("hub.toml"));
        let mut hub = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(hub.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line:?}\n{}", self.log()));
        let text = |key: &str| ready[key].as_str().unwrap().to_owned();
        (self.api, self.live, self.internal) = (text("listen"), text("live_ws"), text("live_internal"));
        self.hub = Some(hub);
    }

    /// Ends the hub: SIGTERM, or SIGKILL.
    pub(super) fn stop(&mut self, signal: rustix::process::Signal) {
        let mut hub = self.hub.take().unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_child(&hub), signal).unwrap();
        hub.wait().unwrap();
    }

    pub(super) fn restart(&mut self) {
        self.stop(rustix::process::Signal::TERM);
        self.start();
    }

    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap()
    }

    pub(super) fn ask_as(&self, token: &str, method: &str, path: &str, body: &Value) -> Answer {
        let headers = format!("Authorization: Bearer {token}\r\nContent-Type: application/json\r\n");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        send(&self.api, method, path, &headers, body.as_bytes())
    }

    /// Asks the API, which has to say yes.
    pub(super) fn ask(&self, method: &str, path: &str, body: Value) -> Value {
        let answer = self.ask_as(&self.admin, method, path, &body);
        assert!(answer.status < 300, "{method} {path}: {answer:?}");
        serde_json::from_str(&answer.body).unwrap()
    }

    pub(super) fn token(&self, topic: &str) -> String {
        self.token_for(topic, 600)
    }

    pub(super) fn token_for(&self, topic: &str, ttl_s: u64) -> String {
        let made = self.ask("POST", "/v1/streams/token", json!({"topic": topic, "ttl_s": ttl_s}));
        assert_eq!(made["topic"], topic);
        made["token"].as_str().unwrap().to_owned()
    }

    /// Follows a stream at the hub's own listener.
    pub(super) fn follow(&self, topic: &str, after: Option<&str>) -> Subscriber {
        Subscriber::follow(&self.api, topic, &self.token(topic), after)
    }

    /// The same with a token that ends soon, and with another one where the machine was so slow that it had ended before.
    pub(super) fn follow_shortly(&self, topic: &str, after: Option<&str>) -> Subscriber {
        const TTL_S: u64 = 5;
        for _ in 0..3 {
            let began = boot_now();
            let token = self.token_for(topic, TTL_S);
            match Subscriber::try_follow(&self.api, topic, &token, after) {
                Ok(subscriber) => return subscriber,
                // It ends with a second.
                Err(refused) => assert!(boot_now().since(began).as_secs() >= TTL_S - 1, "{refused}"),
            }
        }
        panic!("never let in before {TTL_S} s are over");
    }

    /// Adds an agent that does not run yet; its id.
    pub(super) fn add_agent(&self, name: &str) -> String {
        let added = self.ask("POST", "/v1/agents", json!({"name": name}));
        let key = added["key"].as_str().unwrap();
        std::fs::write(self.path(&format!("{name}.key")), format!("{key}\n")).unwrap();
        std::fs::set_permissions(self.path(&format!("{name}.key")), private()).unwrap();
        added["id"].as_str().unwrap().to_owned()
    }

    /// Runs an agent; its place among those that run.
    pub(super) fn run_agent(&mut self, name: &str) -> usize {
        let mut command = outpost();
        command.args(["agent", "run", "--hub"]).arg(format!("http://{}", self.api));
        command.arg("--data").arg(self.path(name)).arg("--key-file").arg(self.path(&format!("{name}.key")));
        let log = File::create(self.path(&format!("{name}.log"))).unwrap();
        self.agents.push(command.stdout(Stdio::null()).stderr(log).spawn().unwrap());
        self.agents.len() - 1
    }

    pub(super) fn kill_agent(&mut self, place: usize) {
        self.agents[place].kill().unwrap();
        self.agents[place].wait().unwrap();
    }

    /// A job whose output is what the test writes.
    pub(super) fn submit(&self, agent: &str, name: &str) -> Job {
        let path = self.path(name);
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let command = json!(["/bin/cat", path]);
        let spec = json!({"kind": "exec", "payload": {"command": command}});
        let id = self.submit_spec(agent, &spec);
        Job { id, input: None, path }
    }

    pub(super) fn submit_spec(&self, agent: &str, spec: &Value) -> String {
        let job = self.ask("POST", &format!("/v1/jobs?agent={agent}"), spec.clone());
        job["job_id"].as_str().unwrap().to_owned()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for child in self.agents.iter_mut().chain(self.hub.as_mut()) {
            let _gone = child.kill();
            let _gone = child.wait();
        }
    }
}

impl Job {
    /// Writes lines; the job's process has to be there, or on its way.
    pub(super) fn say(&mut self, lines: std::ops::RangeInclusive<u32>) {
        // Opened for both, nobody waits for the other end.
        let path = &self.path;
        let input =
            self.input.get_or_insert_with(|| File::options().read(true).write(true).open(path).unwrap());
        for number in lines {
            writeln!(input, "line {number}").unwrap();
        }
    }

    /// Its output ends.
    pub(super) fn end(&mut self) {
        self.input = None;
    }

    pub(super) fn logs(&self) -> String {
        format!("job.{}.logs", self.id)
    }
}

fn private() -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o600)
}
