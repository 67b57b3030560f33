//! A log that is followed while the hub goes and comes back: by the command, and by a client that knows nothing of us but SSE.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::world::{World, wait_for};

const RESTARTS: usize = 5;
const COMMANDS: usize = 5;
const READERS: usize = 5;

/// What one follower has printed or read so far.
#[derive(Clone, Default)]
struct Seen {
    lines: Arc<Mutex<Vec<String>>>,
    /// Over so many connections; a command does not say.
    connections: Arc<AtomicUsize>,
}

impl Seen {
    fn push(&self, line: String) {
        self.lines.lock().unwrap().push(line);
    }

    fn len(&self) -> usize {
        self.lines.lock().unwrap().len()
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

/// Reads events until the end of the log, over as many connections as that takes.
fn read(url: &str, token: &str, seen: &Seen) {
    let mut last = String::new();
    loop {
        let request = ureq::get(url).header("Authorization", format!("Bearer {token}"));
        let Ok(answer) = request.header("Last-Event-ID", &last).call() else {
            std::thread::park_timeout(std::time::Duration::from_millis(20));
            continue;
        };
        seen.connections.fetch_add(1, Ordering::Relaxed);
        let (mut id, mut data, mut name) = (String::new(), String::new(), String::new());
        for line in BufReader::new(answer.into_body().into_reader()).lines().map_while(Result::ok) {
            match line.split_once(": ") {
                Some(("id", text)) => text.clone_into(&mut id),
                Some(("event", text)) => text.clone_into(&mut name),
                Some(("data", text)) => text.clone_into(&mut data),
                None if line.is_empty() && name == "end" => return,
                None if line.is_empty() && name == "line" => {
                    let line: Value = serde_json::from_str(&data).unwrap();
                    seen.push(line["text"].as_str().unwrap().to_owned());
                    id.clone_into(&mut last);
                    name.clear();
                }
                _ => {}
            }
        }
    }
}

#[test]
fn ten_followers_see_each_line_once_and_in_order_through_five_restarts_of_the_hub() {
    let mut world = World::new();
    let mut hub = world.start_hub();
    world.add_agent("edge-1");
    let _agent = world.start_agent("edge-1");
    let stop = world.path("stop");
    let script =
        format!("i=0; while [ ! -e {} ]; do i=$((i+1)); echo line $i; sleep 0.01; done", stop.display());
    let job = world.submit("edge-1", "", &script);
    let url = format!("{}/v1/jobs/{job}/logs/follow", world.hub_url());
    let token = std::fs::read_to_string(world.path("hub/admin.token")).unwrap().trim().to_owned();
    let (mut seen, mut threads) = (Vec::new(), Vec::new());
    for _ in 0..COMMANDS {
        let mut command = world.command(&format!("job logs --follow {job} {}", world.remote()));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let own = Seen::default();
        seen.push(own.clone());
        threads.push(std::thread::spawn(move || {
            let lines = BufReader::new(child.stdout.take().unwrap()).lines();
            lines.for_each(|line| own.push(line.unwrap()));
            let mut said = String::new();
            child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            assert!(child.wait().unwrap().success(), "{said}");
        }));
    }
    for _ in 0..READERS {
        let (own, url, token) = (Seen::default(), url.clone(), token.clone());
        seen.push(own.clone());
        threads.push(std::thread::spawn(move || read(&url, &token, &own)));
    }
    for restart in 0..=RESTARTS {
        let before: Vec<_> = seen.iter().map(Seen::len).collect();
        wait_for("every follower to see more", || {
            seen.iter().zip(&before).all(|(seen, before)| seen.len() >= before + 20).then_some(())
        });
        // Not what a connection to the hub before still held.
        wait_for("every reader to come back", || {
            seen[COMMANDS..].iter().all(|reader| reader.connections() > restart).then_some(())
        });
        if restart < RESTARTS {
            // In turn by force and as it should be.
            if restart % 2 == 0 {
                hub.kill();
            } else {
                assert_eq!(hub.terminate(), Some(0));
            }
            hub = world.start_hub();
        }
    }
    std::fs::write(&stop, "").unwrap();
    let lines = world.wait_job(&job)["log_lines"].as_u64().unwrap();
    for thread in threads {
        thread.join().unwrap();
    }
    let expected: Vec<_> = (1..=lines).map(|number| format!("line {number}")).collect();
    for (number, seen) in seen.iter().enumerate() {
        let seen = seen.lines.lock().unwrap();
        let wrong = seen.iter().zip(&expected).find(|(found, expected)| found != expected);
        assert!(*seen == expected, "follower {number}: {} of {lines} lines, {wrong:?}", seen.len());
    }
}

#[test]
fn tokens_labels_and_selections_work_from_the_command_line() {
    let mut world = World::new();
    let _hub = world.start_hub();
    let remote = world.remote();
    for name in ["edge-1", "edge-2"] {
        world.add_agent(name);
    }
    let _agents = [world.start_agent("edge-1"), world.start_agent("edge-2")];
    let object = |output: Vec<u8>| -> Value { serde_json::from_slice(&output).unwrap() };
    let labelled = object(world.run(&format!("hub agent label edge-1 site=eu role=till --json {remote}")));
    assert_eq!(labelled["labels"], serde_json::json!({"site": "eu", "role": "till"}));
    // In the folder, beside the hub.
    world.run("hub agent label edge-2 site=eu role=door --data hub");
    let relabelled = object(world.run("hub agent label edge-2 role- --json --data hub"));
    assert_eq!(relabelled["labels"], serde_json::json!({"site": "eu"}));
    let made = object(
        world.run(&format!("hub token add ci --scope submit --expires 1h --out ci.token --json {remote}")),
    );
    assert_eq!((&made["scope"], &made["token_file"]), (&Value::from("submit"), &Value::from("ci.token")));
    let (exit, said) = world.fail(&format!("hub token add ci2 --scope read --out ci.token {remote}"));
    assert_eq!(exit, 74, "{said}");
    let ci = remote.replace("hub/admin.token", "ci.token");
    let (exit, said) = world.fail(&format!("hub token list --hub {} --token-file ci.token", world.hub_url()));
    assert!(exit == 77 && said.contains("takes admin"), "{exit} {said}");
    let output = world.run(&format!("job submit --follow --select site=eu {ci} -- echo hello"));
    let output = String::from_utf8(output).unwrap();
    assert_eq!(output.lines().filter(|line| *line == "hello").count(), 2, "{output}");
    assert_eq!(output.lines().filter(|line| line.contains("succeeded")).count(), 2, "{output}");
    let (exit, said) = world.fail(&format!("job submit --wait --agent edge-1 --agent edge-2 {ci} -- false"));
    assert_eq!((exit, said.matches("ended as failed").count()), (1, 2), "{said}");
    let (exit, said) = world.fail(&format!("job submit --select site=nowhere {ci} -- true"));
    assert!(exit == 1 && said.contains("means no agent"), "{exit} {said}");
    for words in ["--select a,,b", "--select site=eu --agent edge-1", ""] {
        assert_eq!(world.fail(&format!("job submit {words} {ci} -- true")).0, 64, "{words}");
    }
    let listed = String::from_utf8(world.run(&format!("hub token list {remote}"))).unwrap();
    assert!(listed.starts_with("ci\tsubmit\t") && listed.contains("token:admin.token"), "{listed}");
    world.run("hub token revoke ci --data hub");
    wait_for("the running hub to know", || {
        let output = world.command(&format!("job list {ci}")).output().unwrap();
        (output.status.code() == Some(77)).then_some(())
    });
    let audit = String::from_utf8(world.run(&format!("hub agent audit {remote}"))).unwrap();
    assert!(audit.contains("token_revoked\tci") && audit.contains("\tlocal"), "{audit}");
}
