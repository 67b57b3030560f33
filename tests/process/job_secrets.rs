//! Secrets of jobs from the command line to the job, and what becomes of them when a key is not where it was.

use std::os::unix::fs::PermissionsExt as _;

use crate::world::{World, wait_for};

#[test]
fn a_secret_is_taken_from_a_file_without_its_line_end() {
    let mut world = World::new();
    let _hub = world.start_hub();
    world.add_agent("edge-1");
    let _agent = world.start_agent("edge-1");
    for (content, expected) in
        [("hunter2", "7"), ("hunter2\n", "7"), ("hunter2\r\n", "7"), ("hunter2\n\n", "8")]
    {
        std::fs::write(world.path("secret"), content).unwrap();
        let job = world.submit("edge-1", "--secret TOKEN=secret", "printf %s \"$TOKEN\" | wc -c");
        assert_eq!(world.wait_job(&job)["status"], "succeeded");
        assert_eq!(world.job_lines(&job), [expected], "{content:?}");
    }
}

#[test]
fn what_is_no_secret_is_refused_before_anything_is_sent() {
    let world = World::new();
    for (name, content) in [
        ("secret", b"hunter2".to_vec()),
        ("empty", b"\n".to_vec()),
        ("binary", vec![0xff; 9]),
        ("long", vec![b'x'; 32 * 1024 + 1]),
        ("spec.json", br#"{"kind": "exec"}"#.to_vec()),
    ] {
        std::fs::write(world.path(name), content).unwrap();
    }
    for (flags, exit, says) in [
        ("--secret TOKEN -- true", 64, "NAME=FILE"),
        ("--secret TOKEN= -- true", 64, "NAME=FILE"),
        ("--secret TOKEN=none -- true", 74, "--secret TOKEN=none: "),
        ("--secret A=- --secret B=- -- true", 64, "stdin is read for another secret"),
        ("--secret A=secret --secret A=secret -- true", 64, "twice"),
        ("--secret A=secret --spec spec.json", 64, "--spec"),
        ("--secret TOKEN=binary -- true", 1, "is not a text"),
        ("--secret TOKEN=empty -- true", 1, "`TOKEN` is empty"),
        ("--secret TOKEN=long -- true", 1, "32769 bytes, the limit is 32768"),
        ("--secret TOKEN-1=secret -- true", 1, "`TOKEN-1` is no name"),
    ] {
        let (found, said) = world.fail(&format!("job submit --agent edge-1 {flags}"));
        assert_eq!(found, exit, "`{flags}`: {said}");
        assert!(said.contains(says) && !said.contains("hunter2"), "`{flags}`: {said}");
    }
}

#[test]
fn a_job_whose_key_was_taken_away_waits_and_is_run_when_it_is_back() {
    let mut world = World::new();
    let _hub = world.start_hub();
    world.add_agent("edge-1");
    let mut agent = world.start_agent("edge-1");
    std::fs::write(world.path("secret"), "hunter2").unwrap();
    let ran = world.path("ran");
    let script = format!(
        "test \"$TOKEN\" = hunter2 && echo run >> {}; test $(wc -l < {}) -ge 2 || sleep 1000",
        ran.display(),
        ran.display()
    );
    let job = world.submit("edge-1", "--on-crash rerun --secret TOKEN=secret", &script);
    wait_for("the job to begin", || ran.exists().then_some(()));
    wait_for("the journal to know", || (world.job(&job)["status"] == "running").then_some(()));
    agent.kill();
    let (key, away) = (world.path("edge-1.key"), world.path("edge-1.key.away"));
    std::fs::rename(&key, &away).unwrap();

    let mut agent = world.start_agent("edge-1");
    let log = || std::fs::read_to_string(world.path("edge-1.log")).unwrap();
    wait_for("the agent to say what it waits for", || log().contains("put that key back").then_some(()));
    assert!(log().contains("its secrets are sealed with key `k1`"), "{}", log());
    world.wait_state("edge-1", "no_identity");
    assert_eq!(agent.terminate(), Some(0));
    assert_eq!(std::fs::read_to_string(&ran).unwrap(), "run\n", "it was not run without its secret");

    std::fs::rename(&away, &key).unwrap();
    let _agent = world.start_agent("edge-1");
    let ended = world.wait_job(&job);
    assert_eq!((&ended["status"], &ended["run"]), (&"succeeded".into(), &2.into()), "{ended}");
    assert_eq!(std::fs::read_to_string(&ran).unwrap(), "run\nrun\n");
}

#[test]
fn files_that_others_can_read_are_told_at_each_start() {
    let mut world = World::new();
    let mut hub = world.start_hub();
    world.add_agent("edge-1");
    world.start_agent("edge-1").terminate();
    assert_eq!(hub.terminate(), Some(0));
    let log = |name: &str| std::fs::read_to_string(world.path(name)).unwrap();
    assert!(!log("hub.log").contains("chmod") && !log("edge-1.log").contains("chmod"));
    for (name, mode) in [("edge-1.key", 0o644), ("edge-1", 0o755), ("hub/admin.token", 0o640), ("hub", 0o750)]
    {
        std::fs::set_permissions(world.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let _hub = world.start_hub();
    world.start_agent("edge-1").terminate();
    let (agent, hub) = (
        std::fs::read_to_string(world.path("edge-1.log")).unwrap(),
        std::fs::read_to_string(world.path("hub.log")).unwrap(),
    );
    for (log, says) in [
        (&agent, "edge-1.key (its mode is 644): run `chmod 600"),
        (&agent, "edge-1 (its mode is 755): run `chmod 700"),
        (&hub, "admin.token (its mode is 640): run `chmod 600"),
        (&hub, "hub (its mode is 750): run `chmod 700"),
    ] {
        assert!(log.contains(says), "{says}: {log}");
    }
}
