//! A real hub, and a real agent that has its way there to find.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::Value;

use crate::world::{Process, World, assert_same, numbered_lines, wait_for};

/// The agent of every test.
const NAME: &str = "edge-1";
/// Short delays, and every word that is ever logged.
const CONFIG: &str =
    "[reconnect]\nmin = \"20ms\"\nmax = \"100ms\"\nfast = \"20ms\"\n[log]\nlevel = \"trace\"\n[hub]\n";

/// What nobody may ever see: the password of a proxy, and how it travels.
pub(crate) const PASSWORD: &str = "hunter2";
pub(crate) const USER: &str = "agent";
const TRAVELLING: &str = "YWdlbnQ6aHVudGVyMg";

pub(crate) struct Site {
    pub(crate) world: World,
    lines: usize,
    _hub: Process,
}

impl Site {
    pub(crate) fn new() -> Self {
        let mut world = World::new();
        let hub = world.start_hub();
        world.add_agent(NAME);
        Self { world, lines: 0, _hub: hub }
    }

    /// The hub listens elsewhere.
    pub(crate) fn listening(at: &str) -> Self {
        let mut world = World::new();
        let command = format!("hub run --json --data hub --listen {at}:0 --ready-file hub.ready");
        let hub = world.spawn(world.command(&command), "hub.log");
        world.hub_is_ready();
        world.add_agent(NAME);
        Self { world, lines: 0, _hub: hub }
    }

    /// The hub speaks TLS, under an authority in `ca.pem`.
    pub(crate) fn behind_tls() -> Self {
        let mut world = World::new();
        make_certificates(&world);
        let command = "hub run --json --data hub --listen 127.0.0.1:0 --ready-file hub.ready --tls-cert hub.pem --tls-key hub.key";
        let hub = world.spawn(world.command(command), "hub.log");
        world.hub_is_ready();
        world.add_agent(NAME);
        Self { world, lines: 0, _hub: hub }
    }

    /// Starts the agent with these lines in the `[hub]` section, these flags and these variables.
    pub(crate) fn agent(&self, section: &str, flags: &str, environment: &[(&str, &str)]) -> Process {
        std::fs::write(self.world.path("agent.toml"), format!("{CONFIG}{section}\n")).unwrap();
        let ready = self.world.path("agent.ready");
        let _ = std::fs::remove_file(&ready);
        let mut command = self.world.command(&format!(
            "agent run --config agent.toml --data {NAME} --key-file {NAME}.key --socket {NAME}.sock --ready-file agent.ready {flags}"
        ));
        command.envs(environment.iter().copied());
        let process = self.world.spawn(command, "agent.log");
        wait_for("the agent to be ready", || ready.exists().then_some(()));
        process
    }

    /// The setting that names one hub.
    pub(crate) fn urls(urls: &[&str]) -> String {
        format!("urls = {urls:?}")
    }

    pub(crate) fn status(&self) -> Value {
        wait_for("the agent to answer", || self.world.status(NAME))
    }

    /// Waits until the agent's last error says this; the error.
    pub(crate) fn wait_error(&self, code: &str, says: &str) -> Value {
        let mut last = Value::Null;
        let found = wait_until(|| {
            last = self.status()["last_error"].clone();
            let text = last["text"].as_str().unwrap_or_default();
            last["code"] == code && text.contains(says)
        });
        assert!(found, "waited for `{code}: ... {says}`, the last was {last}");
        last
    }

    /// Emits while there may be no way, for later.
    pub(crate) fn emit(&mut self, lines: usize) {
        let all = numbered_lines(self.lines + lines);
        let before = numbered_lines(self.lines).len();
        self.world.emit(NAME, "logs", &all[before..]);
        self.lines += lines;
    }

    /// Emits more, and waits until everything that ever was arrived once and in order.
    pub(crate) fn delivers(&mut self) {
        self.emit(50);
        self.world.wait_drained(NAME);
        assert_same(&self.world.listed(NAME, "logs"), &numbered_lines(self.lines));
    }

    /// The same as far as the agent knows: the hub acknowledged all of it.
    pub(crate) fn drains(&mut self) {
        self.emit(50);
        self.world.wait_drained(NAME);
    }

    /// Searches all that was written, but for the files that have to have it.
    pub(crate) fn assert_no_password(&self) {
        let text = self.world.run(&format!("agent status --socket {NAME}.sock"));
        assert_none(&text, Path::new("agent status"));
        let mut folders = vec![self.world.path(".")];
        let mut searched = 0;
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
                let path = entry.path();
                let kind = entry.file_type().unwrap();
                if kind.is_dir() {
                    folders.push(path);
                } else if kind.is_file() && !path.ends_with("agent.toml") && !path.ends_with("proxy/conf") {
                    assert_none(&std::fs::read(&path).unwrap_or_default(), &path);
                    searched += 1;
                }
            }
        }
        assert!(searched > 5, "the log and the data folders were there");
    }
}

fn make_certificates(world: &World) {
    let (authority_key, hub_key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let certificate = authority.self_signed(&authority_key).unwrap();
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&hub_key, &Issuer::new(authority, authority_key)).unwrap();
    std::fs::write(world.path("ca.pem"), certificate.pem()).unwrap();
    std::fs::write(world.path("hub.pem"), leaf.pem()).unwrap();
    std::fs::write(world.path("hub.key"), hub_key.serialize_pem()).unwrap();
}

pub(crate) fn assert_none(bytes: &[u8], path: &Path) {
    for secret in [PASSWORD, TRAVELLING] {
        let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "{secret} is in {}", path.display());
    }
}

/// As `wait_for`, for a condition whose failure is to be told in other words. 40 s.
#[expect(clippy::disallowed_methods, reason = "a test's deadline is in real time")]
pub(crate) fn wait_until(mut condition: impl FnMut() -> bool) -> bool {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(40);
    while std::time::Instant::now() < end {
        if condition() {
            return true;
        }
        std::thread::park_timeout(std::time::Duration::from_millis(10));
    }
    false
}
