//! What cannot be run says why, by its field; what runs, runs with what it was given and nothing else.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use outpost::exec::{Ending, Exec, ExecSettings, Handlers, JobRun, Pool};
use outpost::wire::job::OutputStream::{Stderr, Stdout};
use serde_json::{Value, json};

use crate::world::{exec, job, pool, run, settings};

/// The reason of a job that never had a process.
async fn refusal(pool: &Pool, job: JobRun) -> String {
    let story = run(pool, job).await;
    let outcome = &story.end().outcome;
    assert_eq!((outcome.ending, outcome.exit_code), (Ending::Failed, None), "{story:?}");
    assert!(story.started.is_empty() && story.lines.is_empty(), "{story:?}");
    outcome.reason.clone()
}

#[tokio::test]
async fn what_does_not_start_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str, mode: u32| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    };
    let plain = file("plain", "#!/bin/sh\n", 0o644);
    let orphan = file("orphan", "#!/no/such/interpreter\n", 0o755);
    let missing = folder.path().join("missing");
    let cases: [(Value, &str); 7] = [
        (json!({"command": ["no-such-command"]}), "payload.command: no such command `no-such-command`"),
        (json!({"command": [missing]}), "payload.command: no such command"),
        (json!({"command": [orphan]}), "interpreter that is not there"),
        (json!({"command": [plain]}), "payload.command: no permission to run"),
        (json!({"command": [folder.path()]}), "payload.command: no permission to run"),
        (json!({"command": ["ls"], "cwd": missing}), "missing does not exist"),
        (json!({"command": ["ls"], "cwd": plain}), "plain is not a folder"),
    ];
    let pool = pool();
    for (payload, expected) in cases {
        let error = refusal(&pool, exec(&payload)).await;
        assert!(error.contains(expected), "{payload}: {error}");
    }
}

#[tokio::test]
async fn ten_megabytes_of_arguments_are_too_many() {
    let mut job = exec(&json!({"command": ["true"]}));
    let mut spec = (*job.spec).clone();
    let argument = "x".repeat(100_000);
    let command = [vec!["true".to_owned()], vec![argument; 100]].concat();
    spec.payload = json!({"command": command});
    job.spec = Arc::new(spec);
    let error = refusal(&pool(), job).await;
    assert!(error.contains("payload.command: the arguments and the environment are too long"), "{error}");
}

#[tokio::test]
async fn an_unknown_kind_is_named_with_those_that_are_known() {
    let pool = pool();
    let job = job(&json!({"kind": "deploy"}));
    let error = pool.check(&job.spec).unwrap_err().to_string();
    assert_eq!(error, "kind: `deploy` is not known to this agent, which knows: exec");
    assert_eq!(pool.queue(job).unwrap_err().to_string(), error);
}

#[tokio::test]
async fn a_check_names_the_field_before_the_job_is_accepted() {
    let job = exec(&json!({"command": ["ls"], "env": {"LD_PRELOAD": "x"}}));
    let error = pool().check(&job.spec).unwrap_err();
    assert_eq!(error.field, "payload.env.LD_PRELOAD");
    let job = exec(&json!({"command": ["ls"], "user": "no-such-user"}));
    let error = pool().check(&job.spec).unwrap_err().to_string();
    assert_eq!(error, "payload.user: no user `no-such-user` on this machine");
}

#[tokio::test]
async fn a_process_sees_the_allow_list_and_reads_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    let script = "cat; pwd; env | sed 's/=.*//' | sort >&2; echo \"$A $OUTPOST_JOB_ID\"";
    let job = exec(&json!({"command": ["sh", "-c", script], "cwd": folder, "env": {"A": "b c"}}));
    let id = job.id;
    let story = run(&pool(), job).await;
    assert_eq!(story.texts(Stdout), [folder.display().to_string(), format!("b c {id}")]);
    // Cargo sets many more for this test; the shell adds its own two.
    let allowed = [
        "A",
        "HOME",
        "LANG",
        "LOGNAME",
        "OUTPOST_JOB_ID",
        "PATH",
        "PWD",
        "SHELL",
        "SHLVL",
        "TMPDIR",
        "TZ",
        "USER",
        "_",
    ];
    for name in story.texts(Stderr) {
        assert!(allowed.contains(&name.as_str()) || name.starts_with("LC_"), "{name}");
    }
}

#[tokio::test]
async fn a_process_is_as_nice_as_it_was_told() {
    let script = "while [ \"$(nice)\" -lt 7 ]; do :; done; nice";
    let story = run(&pool(), exec(&json!({"script": script, "nice": 7}))).await;
    assert!(story.texts(Stdout)[0].parse::<i32>().unwrap() >= 7);
}

#[tokio::test]
async fn another_user_is_another_user_or_an_error() {
    let root = rustix::process::geteuid().is_root();
    let settings_of = |user: &str| ExecSettings { user: Some(user.to_owned()), ..ExecSettings::default() };
    let own = Pool::new(Handlers::new().with("exec", Exec::new(settings_of("nobody"))), settings(1));
    let script = "id -u; id -G; echo $USER $LOGNAME; cat /proc/self/environ >&2";
    let job = exec(&json!({"script": script}));
    if !root {
        let error = own.check(&job.spec).unwrap_err().to_string();
        assert!(error.contains("payload.user: the agent runs as uid"), "{error}");
        return;
    }
    let uid = std::process::Command::new("id").args(["-u", "nobody"]).output().unwrap().stdout;
    let gid = std::process::Command::new("id").args(["-g", "nobody"]).output().unwrap().stdout;
    let story = run(&own, job).await;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim().to_owned();
    // No group of root's is left.
    assert_eq!(story.texts(Stdout), [text(uid), text(gid), "nobody nobody".to_owned()]);
    // A folder that nobody may enter.
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let error = refusal(&own, exec(&json!({"command": ["ls"], "cwd": folder.path()}))).await;
    assert!(error.contains("no permission to run `ls` in"), "{error}");
}

#[tokio::test]
async fn a_secret_is_a_variable_of_its_job_alone() {
    let script =
        "test \"$TOKEN\" = hunter2 && echo \"${#TOKEN} bytes: $TOKEN\"; tr '\\0' '\\n' < /proc/$$/cmdline";
    let payload = json!({"command": ["sh", "-c", script, "sh"], "env": {"A": "b"}});
    let story =
        run(&pool(), job(&json!({"kind": "exec", "secrets": {"TOKEN": "hunter2"}, "payload": payload})))
            .await;
    assert_eq!(story.end().outcome.ending, Ending::Succeeded, "{story:?}");
    assert_eq!(story.texts(Stdout)[0], "7 bytes: ***");
    let story = run(&pool(), exec(&json!({"command": ["printenv", "TOKEN"]}))).await;
    assert_eq!(story.end().outcome.exit_code, Some(1), "the next job has it too: {story:?}");
}

#[tokio::test]
async fn a_secret_that_cannot_be_a_variable_is_refused_by_name() {
    let payload = json!({"command": ["true"], "env": {"A": "b"}});
    for (secrets, expected) in [
        (json!({"A": "hunter2"}), "secrets.A: payload.env sets it too"),
        (json!({"LD_PRELOAD": "hunter2"}), "secrets.LD_PRELOAD: the agent's env_allow does not list"),
        (json!({"OUTPOST_JOB_ID": "hunter2"}), "secrets.OUTPOST_JOB_ID: names that begin with OUTPOST_"),
        (json!({"B": "hunt\0er2"}), "secrets.B: holds a NUL"),
    ] {
        let wrong = job(&json!({"kind": "exec", "secrets": secrets, "payload": payload}));
        assert!(pool().check(&wrong.spec).unwrap_err().to_string().starts_with(expected), "{expected}");
        let reason = refusal(&pool(), wrong).await;
        assert!(reason.starts_with(expected), "{reason}");
    }
}
