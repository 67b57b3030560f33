//! A whole session at trace level, and afterwards no secret of it anywhere but where it belongs: not in logs, panics, what
//! commands and the API show, command lines, environments, the hub's database, the outbox or temporary files.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use outpost::wire::key::KeyFile;
use serde_json::Value;

use crate::eavesdropper::Eavesdropper;
use crate::forms::Hidden;
use crate::world::{Process, World, wait_for};

const TOKEN: &str = "hunter2-tr0ub4dor&3";
const CERTIFICATE: &str = "-----BEGIN-----\nbGVhaw-of-line-one\nbGVhaw-of-line-two\n-----END-----";
/// Says its secrets in every way a process has, waits (not for a test that is gone), and fails.
const SCRIPT: &str = r#"
    test -n "$TOKEN" && test -n "$CERTIFICATE" || exit 9
    echo "out $TOKEN"; echo "err $TOKEN" >&2; printf '%s' "$TOKEN"; echo; echo "$CERTIFICATE"
    : > began; while [ ! -e go ] && [ -d "$PWD" ]; do sleep 0.05; done
    echo "again $TOKEN"; exit 3
"#;

struct Session {
    world: World,
    hub: Process,
    agent: Process,
    wire: Eavesdropper,
    /// At least so many were begun.
    sessions: usize,
}

/// A command whose process shows all it can: the lowest log level, backtraces, and temporary files in a folder of ours.
fn talkative(world: &World, words: &str) -> Command {
    let mut command = world.command(words);
    command.envs([("RUST_BACKTRACE", "full"), ("RUST_LOG", "trace")]).env("TMPDIR", world.path("tmp"));
    command
}

impl Session {
    fn start() -> Self {
        let mut world = World::new();
        std::fs::create_dir(world.path("tmp")).unwrap();
        let hub =
            talkative(&world, "hub run -vv --json --data hub --listen 127.0.0.1:0 --ready-file hub.ready");
        let hub = world.spawn(hub, "hub.log");
        world.hub_is_ready();
        world.invite("edge-1", "");
        let wire = Eavesdropper::start(world.hub_address());
        let words = format!(
            "-vv agent enroll --hub http://{} --token-file edge-1.token --data edge-1",
            wire.address()
        );
        let enrolled = talkative(&world, &words).output().unwrap();
        assert!(enrolled.status.success(), "{}", String::from_utf8_lossy(&enrolled.stderr));
        std::fs::write(world.path("enroll.log"), [enrolled.stdout, enrolled.stderr].concat()).unwrap();
        let agent = start_agent(&world, &wire);
        Self { world, hub, agent, wire, sessions: 1 }
    }

    fn restart_agent(&mut self) {
        self.agent.kill();
        self.agent = start_agent(&self.world, &self.wire);
        self.sessions += 1;
    }

    /// A new key in the middle of the job, whose spec is sealed anew for it.
    fn rotate(&mut self) {
        self.world.run(&format!("hub agent rotate edge-1 {}", self.world.remote()));
        wait_for("the new key", || self.world.path("edge-1/agent.key.previous").exists().then_some(()));
        wait_for("the old key to go", || {
            let shown = self.world.show_agent("edge-1");
            let only = shown["keys"].as_array().is_some_and(|keys| keys.len() == 1);
            (only && shown["rotation_asked_at_ms"].is_null()).then_some(())
        });
        self.sessions += 1;
    }

    /// The key files of the agent by their names: the present one, and the one before where there is one.
    fn keys(&self) -> Vec<(&'static str, KeyFile)> {
        let files =
            [("the agent key", "edge-1/agent.key"), ("the previous key", "edge-1/agent.key.previous")];
        let read = |name: &str| std::fs::read_to_string(self.world.path(name)).ok();
        files.iter().filter_map(|(what, name)| Some((*what, read(name)?.parse().unwrap()))).collect()
    }

    /// What may not be seen, by what it is.
    fn secrets(&self) -> Vec<Hidden> {
        let read = |name: &str| std::fs::read_to_string(self.world.path(name)).unwrap().trim().to_owned();
        let last = |line: &str| line.rsplit('.').next().unwrap().to_owned();
        let mut hidden = vec![
            Hidden::text("the token of the job", TOKEN),
            Hidden::text("a line of the job's certificate", "bGVhaw-of-line-one"),
            Hidden::text("the admin token", &read("hub/admin.token")),
            Hidden::key("the identity", &last(&read("edge-1/agent.identity"))),
            Hidden::key("the invite", read("edge-1.token").split('.').nth(2).unwrap()),
            Hidden::key("the outbox's key", &last(&read("outbox.key"))),
            Hidden::bytes("the hub's key", &std::fs::read(self.world.path("hub/hub.key")).unwrap()),
        ];
        let mut heard = 0;
        for (what, key) in self.keys() {
            let (bearer, root) = (key.bearer().to_text(), key.key.mac_root());
            hidden.extend([
                Hidden::key(what, &last(key.to_line().expose())),
                Hidden::text("a bearer", bearer.expose()),
                Hidden::key("a bearer's secret", &last(bearer.expose())),
                Hidden::bytes("a MAC root", root.expose()),
                Hidden::bytes("a key that seals specs", root.job_secret_key().expose()),
            ]);
            let keys = self.wire.session_keys(&key);
            heard += keys.len();
            hidden.extend(keys.iter().map(|key| Hidden::bytes("a session key", key)));
        }
        assert!(heard >= 2 * self.sessions, "{heard} keys of {} sessions were heard", self.sessions);
        let tokens = self.wire.tokens();
        assert!(!tokens.is_empty(), "no token was heard");
        hidden.extend(tokens.iter().map(|token| Hidden::text("a token", token)));
        hidden
    }

    /// What the two processes were started with, and what they have in their environment.
    fn processes(&self) -> Vec<(String, Vec<u8>)> {
        let own = [&self.hub, &self.agent].into_iter().flat_map(|process| {
            let folder = PathBuf::from(format!("/proc/{}", process.id()));
            [folder.join("cmdline"), folder.join("environ")]
        });
        let own = own.map(|path| (path.display().to_string(), std::fs::read(path).unwrap()));
        // Those of jobs and commands as well: others see the command line of every process.
        let all = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path().join("cmdline"));
        let all = all.filter_map(|path| Some((path.display().to_string(), std::fs::read(path).ok()?)));
        own.chain(all).collect()
    }

    /// What commands and the API show.
    fn shown(&self, job: &str) -> Vec<(String, Vec<u8>)> {
        let remote = self.world.remote();
        let mut shown: Vec<_> = [
            format!("job show --json {job} {remote}"),
            format!("job show {job} {remote}"),
            format!("job list --json {remote}"),
            format!("job logs --no-wait {job} {remote}"),
            format!("job logs --no-wait --json {job} {remote}"),
            format!("hub agent show edge-1 --json {remote}"),
            format!("hub agent list --json {remote}"),
            format!("hub agent audit --json {remote}"),
            format!("records list --json --agent edge-1 {remote}"),
            "agent status --json --socket edge-1.sock".to_owned(),
            "outbox ls --json --socket edge-1.sock".to_owned(),
            "outbox stat --json --socket edge-1.sock".to_owned(),
        ]
        .into_iter()
        .map(|words| {
            let output = talkative(&self.world, &format!("-vv {words}")).output().unwrap();
            assert!(output.status.success(), "`{words}`: {}", String::from_utf8_lossy(&output.stderr));
            (words, [output.stdout, output.stderr].concat())
        })
        .collect();
        shown.push(("/readyz".to_owned(), self.world.ready().1.into_bytes()));
        shown.push(("/v1/status".to_owned(), self.world.hub_status().to_string().into_bytes()));
        shown
    }

    /// Looks everywhere. `at` says when.
    fn assert_hidden(&self, at: &str, job: &str) {
        let (hidden, world) = (self.secrets(), &self.world);
        let mut places = self.processes();
        places.extend(self.shown(job));
        files(world.path("").as_path(), &mut places);
        assert!(places.len() > 30, "only {} places were looked at", places.len());
        let own =
            |place: &str, what: &Hidden| match Path::new(place).file_name().and_then(|name| name.to_str()) {
                Some("agent.key") => what.name() == "the agent key",
                Some("agent.key.previous") => what.name() == "the previous key",
                Some("edge-1.token") => what.name() == "the invite",
                Some("agent.identity") => what.name() == "the identity",
                Some("outbox.key") => what.name() == "the outbox's key",
                Some("hub.key") => what.name() == "the hub's key",
                Some("admin.token") => what.name() == "the admin token",
                Some("certificate.txt") => what.name() == "a line of the job's certificate",
                _ => false,
            };
        let mut at_home = 0;
        for (place, content) in &places {
            for what in &hidden {
                match (what.found_in(content), own(place, what)) {
                    (Some(_), true) => at_home += 1,
                    (Some(form), false) => panic!("{at}: {} is in {place}, {form}", what.name()),
                    (None, _) => {}
                }
            }
        }
        assert_eq!(at_home, 6 + self.keys().len(), "{at}: each file with a secret was looked into");
    }
}

fn start_agent(world: &World, wire: &Eavesdropper) -> Process {
    let _gone = std::fs::remove_file(world.path("edge-1.ready"));
    let config = "[hub]\njwt = \"on\"\n[outbox]\nkey_file = \"outbox.key\"\n";
    std::fs::write(world.path("agent.toml"), config).unwrap();
    let words = format!(
        "agent run -vv --config agent.toml --hub http://{} --data edge-1 --socket edge-1.sock --ready-file edge-1.ready",
        wire.address()
    );
    let agent = world.spawn(talkative(world, &words), "edge-1.log");
    wait_for("the agent to be ready", || world.path("edge-1.ready").exists().then_some(()));
    agent
}

/// Every file below a folder.
fn files(folder: &Path, places: &mut Vec<(String, Vec<u8>)>) {
    let listed = match std::fs::read_dir(folder) {
        Ok(listed) => listed,
        // Gone since its name was read, as a file may be: the processes work on.
        Err(error) if error.kind() == ErrorKind::NotFound => return,
        Err(error) => panic!("{}: {error}", folder.display()),
    };
    for entry in listed.flatten() {
        let path = entry.path();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            files(&path, places);
        } else if kind.is_file()
            && let Ok(content) = std::fs::read(&path)
        {
            places.push((path.display().to_string(), content));
        }
    }
}

/// Submits the job with one secret from stdin and one from a file.
fn submit(world: &World) -> String {
    std::fs::write(world.path("certificate.txt"), format!("{CERTIFICATE}\n")).unwrap();
    let words = format!(
        "-vv job submit --json --agent edge-1 --on-crash rerun --cwd {} --secret TOKEN=- --secret CERTIFICATE=certificate.txt {}",
        world.path("").display(),
        world.remote()
    );
    let mut child = talkative(world, &words)
        .args(["--", "/bin/sh", "-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(world.path("submit.log")).unwrap())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), format!("{TOKEN}\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", std::fs::read_to_string(world.path("submit.log")).unwrap());
    let submitted: Value = serde_json::from_slice(&output.stdout).unwrap();
    submitted["job_id"].as_str().unwrap().to_owned()
}

/// At trace level nobody but us logs below info, and we do.
fn assert_only_we_are_talkative(log: &str) {
    let low =
        |line: &&str| line.split_whitespace().nth(1).is_some_and(|level| ["DEBUG", "TRACE"].contains(&level));
    let low: Vec<&str> = log.lines().filter(low).collect();
    assert!(!low.is_empty(), "nothing was logged below info: {log}");
    for line in low {
        // Behind the span of a request, where there is one.
        let target = line.split_whitespace().skip(2).find(|word| !word.starts_with("request{")).unwrap();
        assert!(target.starts_with("outpost::"), "{line}");
    }
}

#[test]
fn no_secret_of_a_session_is_seen_anywhere_but_where_it_belongs() {
    let mut session = Session::start();
    let job = submit(&session.world);
    wait_for("the job to begin", || session.world.path("began").exists().then_some(()));
    let shown = format!("job logs --no-wait {job} {}", session.world.remote());
    let lines = || session.world.run(&shown).iter().filter(|byte| **byte == b'\n').count();
    wait_for("its output", || (lines() == 4).then_some(()));
    wait_for("a token", || (!session.wire.tokens().is_empty()).then_some(()));
    session.assert_hidden("while the job runs", &job);
    session.rotate();
    session.assert_hidden("after a rotation", &job);

    // Killed with the job running: its spec is read from the disk again, secrets included.
    std::fs::remove_file(session.world.path("began")).unwrap();
    session.restart_agent();
    wait_for("the link", || session.world.status("edge-1").filter(|status| status["state"] == "connected"));
    wait_for("the job to begin again", || session.world.path("began").exists().then_some(()));
    session.assert_hidden("after a kill", &job);

    std::fs::write(session.world.path("go"), "").unwrap();
    let ended = session.world.wait_job(&job);
    assert_eq!((&ended["status"], &ended["exit_code"]), (&"failed".into(), &3.into()), "{ended}");
    assert_eq!(ended["spec"]["secrets"], serde_json::json!({"CERTIFICATE": "***", "TOKEN": "***"}));
    let lines = session.world.job_lines(&job);
    // Of both runs; the one that was killed had not come to its last line, and the certificate's lines are one secret.
    assert_eq!(lines.len(), 2 * 4 + 1, "{lines:?}");
    assert!(lines.iter().all(|line| line.contains("***")), "{lines:?}");
    session.assert_hidden("when the job is over", &job);

    assert_eq!((session.agent.terminate(), session.hub.terminate()), (Some(0), Some(0)));
    let logs =
        ["hub.log", "edge-1.log"].map(|name| std::fs::read_to_string(session.world.path(name)).unwrap());
    for log in &logs {
        assert!(!log.contains("panicked"), "{log}");
        assert_only_we_are_talkative(log);
    }
    let mut places = Vec::new();
    files(session.world.path("").as_path(), &mut places);
    let hidden = session.secrets();
    let leaks = |place: &str| {
        ![
            "agent.key",
            "agent.key.previous",
            "agent.identity",
            "edge-1.token",
            "outbox.key",
            "hub.key",
            "admin.token",
            "certificate.txt",
        ]
        .iter()
        .any(|name| place.ends_with(name))
    };
    for (place, content) in places.iter().filter(|(place, _)| leaks(place)) {
        let found = hidden.iter().find(|what| what.found_in(content).is_some());
        assert!(found.is_none(), "after the end: {} is in {place}", found.unwrap().name());
    }
}
