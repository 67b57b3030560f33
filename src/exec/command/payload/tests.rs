//! Payloads that cannot be run, each with the field and the reason.

use serde_json::{Value, json};

use super::super::super::environment::EnvAllow;
use super::*;

fn refusal(payload: &Value, settings: &ExecSettings) -> String {
    Payload::parse(payload).and_then(|payload| payload.check(settings)).unwrap_err().to_string()
}

#[test]
fn what_cannot_be_run_names_the_field_and_the_reason() {
    let any = ExecSettings::default();
    let cases = [
        (json!(null), "payload: invalid type: null"),
        (json!({}), "payload.command: is missing"),
        (json!({"comand": ["ls"]}), "payload: unknown field `comand`"),
        (json!({"command": "ls"}), "payload: invalid type: string"),
        (json!({"command": []}), "payload.command: names no program"),
        (json!({"command": [""]}), "payload.command: names no program"),
        (json!({"command": ["a\0b"]}), "payload.command: holds a NUL"),
        (json!({"command": ["ls", "x".repeat(131_072)]}), "payload.command: has 131072 bytes"),
        (json!({"command": ["ls"], "script": "ls"}), "payload.script: there is a command already"),
        (json!({"command": ["ls"], "interpreter": ["sh"]}), "payload.interpreter: is for a script"),
        (json!({"script": "ls", "interpreter": []}), "payload.interpreter: names no program"),
        (json!({"command": ["ls"], "cwd": "tmp"}), "payload.cwd: `tmp` is not an absolute path"),
        (json!({"command": ["ls"], "cwd": "/t\0mp"}), "payload.cwd: holds a NUL"),
        (json!({"command": ["ls"], "user": "no-such-user"}), "payload.user: no user `no-such-user`"),
        (
            json!({"command": ["ls"], "env": {"LD_PRELOAD": "x"}}),
            "payload.env.LD_PRELOAD: the agent's env_allow",
        ),
        (json!({"command": ["ls"], "env": {"": "x"}}), "payload.env.: a variable's name"),
        (json!({"command": ["ls"], "env": {"A=B": "x"}}), "payload.env.A=B: a variable's name"),
        (json!({"command": ["ls"], "env": {"OUTPOST_X": "x"}}), "payload.env.OUTPOST_X: names that begin"),
        (json!({"command": ["ls"], "env": {"A": "\0"}}), "payload.env.A: holds a NUL"),
        (json!({"command": ["ls"], "nice": 20}), "payload.nice: 20 is not"),
        (json!({"command": ["ls"], "nice": -1}), "payload: invalid value"),
        (json!({"command": ["ls"], "output_max": 0}), "payload.output_max: is zero"),
        (json!({"command": ["ls"], "output_max": "5GiB"}), "payload.output_max: 5368709120 is above"),
        (json!({"command": ["ls"], "output_max": "much"}), "output_max: `much` is not a size"),
        (json!({"command": ["ls"], "output_max": []}), "output_max is a number of bytes or a text"),
    ];
    for (payload, expected) in cases {
        let error = refusal(&payload, &any);
        assert!(error.contains(expected), "{error}, not {expected}");
    }
}

#[test]
fn a_folder_outside_the_roots_is_refused_by_its_name() {
    let settings = ExecSettings { roots: vec!["/srv/jobs".into(), "/tmp".into()], ..ExecSettings::default() };
    for cwd in ["/", "/srv", "/srv/jobs-not", "/srv/jobs/../../etc", "/tmp/.."] {
        let error = refusal(&json!({"command": ["ls"], "cwd": cwd}), &settings);
        assert!(
            error.contains(&format!("payload.cwd: {cwd} is not inside the agent's roots: /srv/jobs, /tmp")),
            "{error}"
        );
    }
    for cwd in ["/tmp", "/srv/jobs/a/b"] {
        Payload::parse(&json!({"command": ["ls"], "cwd": cwd})).unwrap().check(&settings).unwrap();
    }
}

#[test]
fn a_link_does_not_lead_out_of_the_roots() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    std::fs::create_dir(&root).unwrap();
    std::os::unix::fs::symlink("/", root.join("out")).unwrap();
    let at = |cwd: &Path| Payload::parse(&json!({"command": ["ls"], "cwd": cwd})).unwrap();
    let roots = [root.clone()];
    assert_eq!(at(&root).folder(&roots).unwrap(), root);
    // What was judged is what is entered: the link may lead elsewhere a moment later.
    std::fs::create_dir(root.join("inner")).unwrap();
    std::os::unix::fs::symlink(root.join("inner"), root.join("link")).unwrap();
    assert_eq!(at(&root.join("link")).folder(&roots).unwrap(), root.join("inner").canonicalize().unwrap());
    let error = at(&root.join("out/etc")).folder(&roots).unwrap_err().to_string();
    assert!(error.contains("is not inside the agent's roots"), "{error}");
    let error = at(&root.join("none")).folder(&roots).unwrap_err().to_string();
    assert!(error.contains("payload.cwd") && error.contains("does not exist"), "{error}");
    let least = Payload::parse(&json!({"command": ["ls"]})).unwrap();
    assert_eq!(least.folder(&roots).unwrap(), root);
    assert_eq!(least.folder(&[]).unwrap(), Path::new("/"));
}

#[test]
fn a_script_is_its_interpreters_last_argument() {
    let argv = |payload: Value| {
        let (command, arguments) = Payload::parse(&payload).unwrap().argv().unwrap();
        [vec![command], arguments].concat()
    };
    assert_eq!(argv(json!({"script": "ls"})), ["/bin/sh", "-c", "ls"]);
    assert_eq!(argv(json!({"script": "ls", "interpreter": ["bash"]})), ["bash", "-c", "ls"]);
    assert_eq!(argv(json!({"script": "1", "interpreter": ["perl", "-e"]})), ["perl", "-e", "1"]);
    assert_eq!(argv(json!({"command": ["ls", "-l"]})), ["ls", "-l"]);
}

#[test]
fn sizes_may_be_texts() {
    let size =
        |value: Value| Payload::parse(&json!({"command": ["ls"], "output_max": value})).unwrap().output_max;
    assert_eq!((size(json!(7)), size(json!("10MiB")), size(json!(null))), (Some(7), Some(10 << 20), None));
    let allow = EnvAllow::new(vec!["A".to_owned()]);
    let settings = ExecSettings { env_allow: allow, ..ExecSettings::default() };
    let error = refusal(&json!({"command": ["ls"], "env": {"B": ""}}), &settings);
    assert!(error.contains("payload.env.B: the agent's env_allow does not list it: A"), "{error}");
}
