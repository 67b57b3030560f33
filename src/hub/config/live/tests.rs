use super::super::tests::load;
use super::*;

const SECRET: &str = "a worker secret of 32 characters";

fn secret_in(folder: &tempfile::TempDir, text: &str) -> String {
    let path = folder.path().join("secret");
    secret_file::write(&path, text.as_bytes()).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_broker_is_off_without_a_secret_and_has_defaults_with_one() {
    assert_eq!(load("[live]\nws_port = 1\n", &[]).unwrap().live, None);
    let folder = tempfile::tempdir().unwrap();
    let file = secret_in(&folder, &format!("{SECRET}\r\n"));
    let live = load(&format!("[live]\nsecret_file = \"{file}\"\n"), &[]).unwrap().live.unwrap();
    assert_eq!(live, LiveConfig::new(Secret::new(SECRET.to_owned())));
    assert_eq!(
        (live.public.to_string(), live.internal.to_string()),
        ("127.0.0.1:9000".into(), "127.0.0.1:9001".into())
    );
    let variables = [
        ("OUTPOST_LIVE_SECRET_FILE", file.as_str()),
        ("OUTPOST_LIVE_WS_BIND", "::"),
        ("OUTPOST_LIVE_WS_PORT", "0"),
        ("OUTPOST_LIVE_ORIGINS", "https://a.example, https://b.example"),
        ("OUTPOST_LIVE_TOPIC_TTL", "90m"),
    ];
    let live = load("[live]\nws_port = 5\ntopic_ttl = \"1h\"\n", &variables).unwrap().live.unwrap();
    assert_eq!((live.public.to_string(), live.origins.len()), ("[::]:0".to_owned(), 2));
    assert_eq!(live.topic_ttl.as_secs(), 5400);
}

#[test]
fn a_secret_that_is_too_short_or_fits_into_no_header_is_refused_and_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let (blank, lines, tab) = (format!(" {SECRET}"), format!("{SECRET}\n{SECRET}"), format!("{SECRET}\tx"));
    for secret in ["", "short-secret", &SECRET[1..], &"ä".repeat(31), &blank, &lines, &tab] {
        let file = secret_in(&folder, secret);
        let error = load("", &[("OUTPOST_LIVE_SECRET_FILE", &file)]).unwrap_err().to_string();
        assert!(error.contains("at least 32 characters"), "{error}");
        assert!(secret.is_empty() || !error.contains(secret), "{error}");
    }
    let error = load("[live]\nsecret_file = \"/nowhere/secret\"\n", &[]).unwrap_err().to_string();
    assert!(error.contains("/nowhere/secret"), "{error}");
}

#[test]
fn values_that_cannot_be_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = secret_in(&folder, SECRET);
    for (line, key) in [
        ("ws_bind = \"here\"", "live.ws_bind"),
        ("internal_bind = \"127.0.0.1:9001\"", "live.internal_bind"),
        ("ws_port = 65536", "live.ws_port"),
        ("internal_port = \"many\"", "live.internal_port"),
        ("topic_ttl = \"0s\"", "live.topic_ttl"),
        ("topic_ttl = \"400d\"", "live.topic_ttl"),
        ("worker_secret = \"x\"", "worker_secret"),
    ] {
        let error =
            load(&format!("[live]\nsecret_file = \"{file}\"\n{line}\n"), &[]).unwrap_err().to_string();
        assert!(error.contains(key), "{line}: {error}");
    }
}

#[test]
fn a_file_of_its_own_is_yaml_by_its_name_and_else_a_hubs() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let none = |_: &str| None;
    let yaml = format!("worker_secret: {SECRET}\nws_port: 7\n");
    for name in ["live.yaml", "live.YML"] {
        let (live, rest) = LiveConfig::load(&write(name, &yaml), none).unwrap();
        assert_eq!((live.public.port(), rest), (7, None), "{name}");
    }
    let port = |name: &str| (name == "OUTPOST_LIVE_WS_PORT").then(|| "8".to_owned());
    assert_eq!(LiveConfig::load(&folder.path().join("live.yaml"), port).unwrap().0.public.port(), 8);
    let file = secret_in(&folder, SECRET);
    let toml = format!("[live]\nsecret_file = \"{file}\"\nws_port = 9\n[log]\nlevel = \"debug\"\n");
    let (live, rest) = LiveConfig::load(&write("hub.toml", &toml), none).unwrap();
    assert_eq!((live.public.port(), rest.unwrap().log.level.as_deref()), (9, Some("debug")));
    for (name, text) in [("a.yaml", "ws_port: 1\n"), ("a.toml", "[live]\nws_port = 1\n")] {
        let error = LiveConfig::load(&write(name, text), none).unwrap_err().to_string();
        assert!(error.contains("secret") && error.contains("at least 32"), "{error}");
    }
    let error = LiveConfig::load(&write("b.yaml", "ws_prot: 1\n"), none).unwrap_err().to_string();
    assert!(error.contains("b.yaml") && error.contains("ws_prot"), "{error}");
}
