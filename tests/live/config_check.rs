//! `outpost config check` of a broker's file says what a start would, and starts nothing.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};

use super::node::{Node, SECRET, outpost};

/// Exit code, stdout and stderr.
type Said = (Option<i32>, String, String);

fn run(arguments: &[&str], file: &Path, variables: &[(&str, &str)]) -> Said {
    let mut command = outpost();
    command.args(arguments).arg(file).envs(variables.iter().copied());
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn write(&self, name: &str, text: &str, mode: u32) -> std::path::PathBuf {
        let file = self.0.path().join(name);
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        file
    }
}

fn warnings(said: &Said) -> Vec<String> {
    assert_eq!(said.0, Some(0), "{said:?}");
    let line: Value = serde_json::from_str(&said.1).unwrap();
    assert_eq!((&line["side"], &line["valid"]), (&json!("live"), &json!(true)), "{line}");
    line["warnings"].as_array().unwrap().iter().map(|warning| warning.as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_is_right_is_said_to_be_with_all_that_a_start_would_warn_of() {
    let folder = Folder(tempfile::tempdir().unwrap());
    // Where somebody listens already.
    let node = Node::start("");
    let port = |address: &str| address.rsplit_once(':').unwrap().1.to_owned();
    let right = format!(
        "worker_secret: {SECRET}\nws_port: {}\ninternal_port: {}\nws_bind: 127.0.0.1\ninternal_bind: ::1\n\
         redis_url: redis://:sesame-4711@127.0.0.1:1/2\nredis_channel: a\ntopic_ttl: 1h30m\norigins: https://app.example\n",
        port(&node.ws),
        port(&node.internal)
    );
    let file = folder.write("live.yaml", &right, 0o600);
    let (code, stdout, stderr) = run(&["config", "check"], &file, &[]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
    assert_eq!(stdout, format!("{}: a valid live config\n", file.display()));
    // The environment belongs to a run.
    let variables = [
        ("OUTPOST_LIVE_WS_PORT", "many"),
        ("OUTPOST_LIVE_SECRET_FILE", "/nowhere"),
        ("OUTPOST_LIVE_TOPIC_TTL", "0s"),
    ];
    assert_eq!(warnings(&run(&["--json", "config", "check"], &file, &variables)), [""; 0]);
    // Each for its own reason.
    let bare = format!("worker_secret: {SECRET}\nredis_url: redis://:sesame-4711@192.0.2.1\n");
    let file = folder.write("bare.YML", &bare, 0o644);
    let said = run(&["--json", "config", "check"], &file, &[]);
    let warned = warnings(&said);
    for reason in ["ws_bind is empty", "internal_bind is empty", "192.0.2.1:6379 is not encrypted", "others"]
    {
        let found = warned.iter().filter(|warning| warning.contains(reason)).count();
        assert_eq!(found, 1, "{reason}: {warned:?}");
    }
    assert_eq!(warned.len(), 4, "{warned:?}");
    let (code, stdout, stderr) = run(&["config", "check"], &file, &[]);
    assert_eq!(code, Some(0));
    assert!(warned.iter().all(|warning| stderr.contains(warning)), "{stderr}");
    for text in [&said.1, &stdout, &stderr] {
        assert!(!text.contains("4711") && !text.contains(SECRET), "{text}");
    }
}

#[test]
fn what_a_start_refuses_is_refused_with_the_same_words() {
    let folder = Folder(tempfile::tempdir().unwrap());
    let secret = format!("worker_secret: {SECRET}\n");
    for (text, said) in [
        (format!("worker_secret: {}\n", &SECRET[1..]), "at least 32 characters"),
        ("ws_port: 0\n".to_owned(), "worker_secret"),
        (String::new(), "worker_secret"),
        (format!("{secret}ws_prot: 1\n"), "ws_prot"),
        (format!("{secret}ws_port: 1\nws_port: 2\n"), "set twice"),
        (format!("{secret}ws_port: 65536\n"), "ws_port"),
        (format!("{secret}internal_port: many\n"), "internal_port"),
        (format!("{secret}ws_bind: nowhere\n"), "ws_bind"),
        (format!("{secret}internal_bind: 127.0.0.1:9001\n"), "internal_bind"),
        (format!("{secret}topic_ttl: 0s\n"), "topic_ttl"),
        (format!("{secret}topic_ttl: 400d\n"), "topic_ttl"),
        (format!("{secret}redis_url: http://:sesame-4711@h\n"), "redis_url"),
        (format!("{secret}redis_url: redis://h\nredis_channel: a b\n"), "redis_channel"),
        (format!("{secret}origins: [{}]\n", "https://a.example, ".repeat(257)), "256 origins"),
        (format!("{secret}---\nws_port: 1\n"), "line"),
        (format!("{secret}ws_port: [1]\n"), "line"),
        (format!("\"{secret}"), "line"),
        ("x".repeat(70_000), "bytes"),
    ] {
        let file = folder.write("live.yaml", &text, 0o600);
        let checked = run(&["config", "check"], &file, &[]);
        assert_eq!((checked.0, checked.1.as_str()), (Some(78), ""), "{text:.100}: {checked:?}");
        assert!(checked.2.contains(said) && checked.2.contains("live.yaml"), "{text:.100}: {checked:?}");
        assert!(!checked.2.contains("4711") && !checked.2.contains(&SECRET[1..]), "{checked:?}");
        let started = run(&["live", "run", "--config"], &file, &[]);
        assert_eq!((started.0, &started.2), (Some(78), &checked.2), "{text:.100}");
    }
    let missing = run(&["config", "check"], &folder.0.path().join("nowhere.yaml"), &[]);
    assert_eq!(missing.0, Some(78), "{missing:?}");
}
