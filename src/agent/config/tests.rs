use super::*;
use crate::exec::EnvAllow;
use crate::id::Lane;
use crate::outbox::{Durability, LanePolicy, OnFull, Options};

/// The public half of the seed 07 07 ... 07.
const OPERATOR: &str = "opp1.6kpsY-KcUgq-9VB7Ey7F-ZVHdq6-vnuSQh7qaRRG0iw";

fn none(_name: &str) -> Option<String> {
    None
}

fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.toml");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

fn error(text: &str) -> String {
    let (_folder, path) = file(text);
    let error = Config::check_file(&path).unwrap_err().to_string();
    assert!(error.contains("agent.toml"), "names the file: {error}");
    error
}

#[test]
fn every_key_of_this_part_is_taken() {
    let (_folder, path) = file(
        r#"
        data = "/srv/outpost"
        socket = "/run/outpost.sock"
        link = "on"
        [hub]
        urls = ["http://127.0.0.1:8440"]
        key_file = "/etc/outpost/key"
        identity_file = "/etc/outpost/identity"
        allow_insecure = true
        [reconnect]
        min = "2s"
        max = "40s"
        fast = "100ms"
        fast_for = "90s"
        stable = "45s"
        no_ack = "2m"
        [session]
        ping = "10s"
        idle = "40s"
        write = "5s"
        window = "512KiB"
        [outbox.control]
        max_bytes = 33554432
        [outbox.events]
        max_bytes = "128MiB"
        [outbox.logs]
        max_bytes = "2GiB"
        [outbox]
        key_file = "/etc/outpost/outbox.key"
        [heartbeat]
        interval = "15s"
        [log]
        level = "debug"
        format = "json"
        "#,
    );
    let config = Config::load(Some(&path), none, &Flags::default()).unwrap();
    assert_eq!(config.data, PathBuf::from("/srv/outpost"));
    assert_eq!(config.socket, PathBuf::from("/run/outpost.sock"));
    assert_eq!(config.reconnect.fast, Duration::from_millis(100));
    assert_eq!(config.no_ack, Duration::from_secs(120));
    assert_eq!(config.session.window_bytes, 524_288);
    let quotas = Lane::ALL.map(|lane| config.outbox.lanes.of(lane).max_bytes);
    assert_eq!(quotas, [33_554_432, 134_217_728, 2_147_483_648]);
    assert_eq!(config.outbox.key_file, Some(PathBuf::from("/etc/outpost/outbox.key")));
    assert_eq!(config.heartbeat, Some(Duration::from_secs(15)));
    assert_eq!(config.log_format, Format::Json);
    assert_eq!(config.log_level, Some(tracing::level_filters::LevelFilter::DEBUG));
}

#[test]
fn tokens_are_presented_where_that_is_wanted() {
    for (text, expected) in [("", JwtMode::Off), ("[hub]\njwt = \"on\"", JwtMode::On)] {
        let (_folder, path) = file(text);
        assert_eq!(Config::check_file(&path).unwrap().jwt, expected, "{text}");
    }
    let environment = |name: &str| (name == "OUTPOST_HUB_JWT").then(|| "on".to_owned());
    let flags = Flags { no_link: true, ..Flags::default() };
    assert_eq!(Config::load(None, environment, &flags).unwrap().jwt, JwtMode::On);
    assert!(error("[hub]\njwt = \"yes\"").contains("hub.jwt: `yes` is not `on` or `off`"));
}

#[test]
fn metrics_are_answered_where_it_is_said_and_nowhere_else() {
    let (_folder, path) = file("[metrics]\nlisten = \"[::1]:0\"\n");
    assert_eq!(Config::check_file(&path).unwrap().metrics_listen, Some("[::1]:0".parse().unwrap()));
    let flags = Flags { no_link: true, ..Flags::default() };
    assert_eq!(Config::load(None, none, &flags).unwrap().metrics_listen, None);
    let environment = |name: &str| (name == "OUTPOST_METRICS_LISTEN").then(|| "127.0.0.1:9440".to_owned());
    let config = Config::load(Some(&path), environment, &flags).unwrap();
    assert_eq!(config.metrics_listen, Some("127.0.0.1:9440".parse().unwrap()));
}

#[test]
fn the_defaults_need_only_an_address() {
    let flags = Flags { hubs: vec!["http://127.0.0.1:8440".to_owned()], ..Flags::default() };
    let config = Config::load(None, none, &flags).unwrap();
    assert_eq!(config.data, PathBuf::from(DATA_DEFAULT));
    assert_eq!(config.socket, PathBuf::from("./outpost-agent/agent.sock"));
    assert_eq!(config.key_file, PathBuf::from("./outpost-agent/agent.key"));
    assert_eq!(config.session, SessionSettings::default());
    let missing = Config::load(None, none, &Flags::default()).unwrap_err().to_string();
    assert!(missing.contains("--hub URL") && missing.contains("--no-link"), "{missing}");
    assert!(Config::load(None, none, &Flags { no_link: true, ..Flags::default() }).is_ok());
}

#[test]
fn flags_win_over_environment_over_file() {
    let (_folder, path) = file("data = \"/file\"\nsocket = \"/file.sock\"\n[reconnect]\nmin = \"3s\"\n");
    let environment = |name: &str| match name {
        "OUTPOST_DATA" => Some("/environment".to_owned()),
        "OUTPOST_SOCKET" => Some("/environment.sock".to_owned()),
        "OUTPOST_HUB_URLS" => Some("http://localhost:1".to_owned()),
        "OUTPOST_OUTBOX_LOGS_MAX_BYTES" => Some("3MiB".to_owned()),
        _ => None,
    };
    let flags = Flags { data: Some(PathBuf::from("/flag")), ..Flags::default() };
    let config = Config::load(Some(&path), environment, &flags).unwrap();
    assert_eq!(config.data, PathBuf::from("/flag"));
    assert_eq!(config.socket, PathBuf::from("/environment.sock"));
    assert_eq!(config.reconnect.min, Duration::from_secs(3));
    assert_eq!(config.hubs[0].url, "http://localhost:1");
    assert_eq!(config.outbox.lanes.of(Lane::Logs).max_bytes, 3 * 1024 * 1024);
}

#[test]
fn keys_that_nobody_knows_are_refused_by_name() {
    for (text, key) in [
        ("[jobs]\noperator_key = \"x\"\n", "operator_key"),
        ("[hub]\nca = \"x\"\n", "ca"),
        ("[metric]\nlisten = \"x\"\n", "metric"),
        ("[outbox.logs]\ntime_to_live = \"1d\"\n", "time_to_live"),
        ("[reconnect]\nminimum = \"1s\"\n", "minimum"),
    ] {
        let error = error(text);
        assert!(error.contains(&format!("`{key}`")), "{key}: {error}");
        assert!(error.contains(" line "), "{error}");
    }
}

#[test]
fn the_files_of_tls_come_from_file_environment_and_flags_and_a_certificate_needs_its_key() {
    let (_folder, path) =
        file("data = \"/srv/o\"\n[hub]\nca_file = \"/a\"\nclient_cert = \"/c\"\nclient_key = \"/k\"\n");
    let tls = Config::check_file(&path).unwrap().tls;
    assert_eq!(tls.ca_file, Some(PathBuf::from("/a")));
    assert_eq!(tls.ca_default, Some(PathBuf::from("/srv/o/hub-ca.pem")));
    let client = tls.client.unwrap();
    assert_eq!((client.cert, client.key), (PathBuf::from("/c"), PathBuf::from("/k")));
    let environment = |name: &str| (name == "OUTPOST_HUB_CLIENT_KEY").then(|| "/other".to_owned());
    let flags = Flags { ca: Some(PathBuf::from("/flag")), no_link: true, ..Flags::default() };
    let tls = Config::load(Some(&path), environment, &flags).unwrap().tls;
    assert_eq!(
        (tls.ca_file, tls.client.unwrap().key),
        (Some(PathBuf::from("/flag")), PathBuf::from("/other"))
    );
    assert!(error("[hub]\nclient_cert = \"/c\"\n").contains("hub.client_key: is missing"));
    assert!(error("[hub]\nclient_key = \"/k\"\n").contains("hub.client_cert: is missing"));
}

#[test]
fn limits_that_a_hub_keeps_lower_are_warned_of() {
    let warnings = |text: &str| {
        let (_folder, path) = file(text);
        Config::check_file(&path).unwrap().warnings
    };
    let above = warnings("[session]\nping = \"31s\"\nidle = \"91s\"\nwindow = \"1GiB\"\n");
    assert_eq!(above.len(), 3, "{above:?}");
    for (warning, key, most) in [
        (&above[0], "session.ping", "30 s"),
        (&above[1], "session.idle", "90 s"),
        (&above[2], "session.window", "bytes"),
    ] {
        assert!(
            warning.starts_with(key) && warning.contains(most) && warning.contains("lower it"),
            "{warning}"
        );
    }
    assert_eq!(warnings("[session]\nping = \"30s\"\nidle = \"90s\"\n"), Vec::<String>::new());
}

#[test]
fn wrong_values_name_their_key_and_what_is_expected() {
    for (text, key, expected) in [
        ("[reconnect]\nmin = \"1\"\n", "reconnect.min", "30s"),
        ("[reconnect]\nmin = \"40s\"\n", "reconnect.min", "reconnect.max"),
        ("[reconnect]\nfast = \"0s\"\n", "reconnect.fast", "zero"),
        ("[session]\nping = \"90s\"\n", "session.ping", "session.idle"),
        ("[session]\nwindow = \"1KiB\"\n", "session.window", "32768"),
        ("[session]\nwindow = \"4GiB\"\n", "session.window", "32768"),
        ("[outbox.logs]\nmax_bytes = \"1MB\"\n", "outbox.logs.max_bytes", "MiB"),
        ("[outbox.logs]\nmax_bytes = 1000\n", "outbox.logs.max_bytes", "at least"),
        ("[heartbeat]\ninterval = \"10ms\"\n", "heartbeat.interval", "1s"),
        ("[log]\nlevel = \"loud\"\n", "log.level", "debug"),
        ("[metrics]\nlisten = \"9440\"\n", "metrics.listen", "127.0.0.1:9440"),
        ("[log]\nformat = \"xml\"\n", "log.format", "json"),
        ("link = \"maybe\"\n", "link", "off"),
        ("[hub]\nurls = [\"http://127.0.0.1:1\", \"ws://127.0.0.1:1/\"]\n", "hub.urls", "twice"),
        ("[hub]\nurls = [\"http://127.0.0.1:1\", \"ftp://h\"]\n", "hub.urls", "`ftp`"),
    ] {
        let error = error(text);
        assert!(error.contains(key) && error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn a_file_that_is_missing_or_no_toml_is_named() {
    let error_text = error("data = \n");
    assert!(error_text.contains("line 1"), "{error_text}");
    let missing = Config::check_file(Path::new("/nonexistent/agent.toml")).unwrap_err().to_string();
    assert!(missing.contains("/nonexistent/agent.toml") && missing.contains("--config"), "{missing}");
}

#[test]
fn the_section_of_jobs_is_taken_from_file_and_environment() {
    let (_folder, path) = file(
        r#"
        [jobs]
        concurrency = 2
        queue = "8"
        env_allow = ["A", "B_*"]
        roots = ["/srv", "/var/tmp"]
        user = "deploy"
        output_max = "1MiB"
        grace = "3s"
        kinds = ["exec", "counted"]
        "#,
    );
    let config = Config::check_file(&path).unwrap();
    assert_eq!(config.kinds, Some(["counted".to_owned(), "exec".to_owned()].into()));
    assert_eq!((config.jobs.concurrency.get(), config.jobs.queue), (2, 8));
    assert_eq!((config.jobs.output_max, config.jobs.grace), (1 << 20, Duration::from_secs(3)));
    assert_eq!(config.exec.env_allow, EnvAllow::new(vec!["A".to_owned(), "B_*".to_owned()]));
    assert_eq!(config.exec.roots, [PathBuf::from("/srv"), PathBuf::from("/var/tmp")]);
    assert_eq!(config.exec.user.as_deref(), Some("deploy"));
    let environment = |name: &str| match name {
        "OUTPOST_JOBS_CONCURRENCY" => Some("3".to_owned()),
        "OUTPOST_JOBS_ROOTS" => Some("/a, /b".to_owned()),
        "OUTPOST_JOBS_USER" => Some("other".to_owned()),
        "OUTPOST_JOBS_KINDS" => Some("exec".to_owned()),
        "OUTPOST_JOBS_OPERATOR_KEYS" => Some(format!("{OPERATOR}, {OPERATOR}")),
        _ => None,
    };
    let flags = Flags { no_link: true, ..Flags::default() };
    let config = Config::load(Some(&path), environment, &flags).unwrap();
    assert_eq!((config.jobs.concurrency.get(), config.jobs.queue), (3, 8));
    assert_eq!(config.exec.roots, [PathBuf::from("/a"), PathBuf::from("/b")]);
    assert_eq!(config.exec.user.as_deref(), Some("other"));
    assert_eq!(config.kinds, Some(["exec".to_owned()].into()));
    assert_eq!(config.operator_keys.unwrap().texts().collect::<Vec<_>>(), [OPERATOR, OPERATOR]);
}

#[test]
fn what_jobs_cannot_have_is_refused_by_name() {
    for (line, says) in [
        ("concurrency = 0", "jobs.concurrency: must be a whole number from 1 to 64"),
        ("concurrency = 65", "jobs.concurrency: must be"),
        ("queue = \"many\"", "jobs.queue: must be"),
        ("grace = 3", "invalid type"),
        ("grace = \"3\"", "jobs.grace"),
        ("output_max = \"1MB\"", "jobs.output_max"),
        ("roots = [\"srv\"]", "jobs.roots: srv is not absolute"),
        ("operator_keys = []", "jobs.operator_keys: names no key"),
        ("operator_keys = [\"opi1.x\"]", "jobs.operator_keys: number 1: not a public key"),
        ("kinds = [\"Exec\"]", "jobs.kinds: `Exec` is not"),
    ] {
        let error = error(&format!("[jobs]\n{line}\n"));
        assert!(error.contains(says), "{line}: {error}");
    }
}

#[test]
fn the_section_of_the_outbox_is_taken_from_file_and_environment() {
    let (_folder, path) = file(
        r#"
        [outbox]
        max_bytes = "600MiB"
        min_free = "10MiB"
        [outbox.control]
        on_full = "block"
        durable = true
        [outbox.events]
        ttl = "90d"
        on_full = "refuse"
        [outbox.logs]
        max_bytes = "500MiB"
        ttl = "7d"
        on_full = "block"
        durable = false
        "#,
    );
    let outbox = Config::check_file(&path).unwrap().outbox;
    assert_eq!((outbox.max_bytes, outbox.min_free), (Some(600 << 20), Some(10 << 20)));
    let day = Duration::from_secs(24 * 3600);
    let control = LanePolicy { on_full: OnFull::Block, ..LanePolicy::of(Lane::Control) };
    assert_eq!(*outbox.lanes.of(Lane::Control), control);
    let events = LanePolicy { ttl: Some(90 * day), on_full: OnFull::Refuse, ..LanePolicy::of(Lane::Events) };
    assert_eq!(*outbox.lanes.of(Lane::Events), events);
    let durability = Durability::Buffered;
    let logs = LanePolicy { max_bytes: 500 << 20, ttl: Some(7 * day), on_full: OnFull::Block, durability };
    assert_eq!(*outbox.lanes.of(Lane::Logs), logs);
    let environment = |name: &str| match name {
        "OUTPOST_OUTBOX_MAX_BYTES" => Some("700MiB".to_owned()),
        "OUTPOST_OUTBOX_MIN_FREE" => Some("0".to_owned()),
        "OUTPOST_OUTBOX_EVENTS_TTL" => Some("1h".to_owned()),
        "OUTPOST_OUTBOX_LOGS_ON_FULL" => Some("evict".to_owned()),
        "OUTPOST_OUTBOX_LOGS_DURABLE" => Some("true".to_owned()),
        _ => None,
    };
    let flags = Flags { no_link: true, ..Flags::default() };
    let outbox = Config::load(Some(&path), environment, &flags).unwrap().outbox;
    assert_eq!((outbox.max_bytes, outbox.min_free), (Some(700 << 20), Some(0)));
    assert_eq!(outbox.lanes.of(Lane::Events).ttl, Some(day / 24));
    let logs = outbox.lanes.of(Lane::Logs);
    assert_eq!((logs.on_full, logs.durability), (OnFull::Evict, Durability::Synced));
    let (_folder, empty) = file("");
    assert_eq!(Config::check_file(&empty).unwrap().outbox, Options::default());
}

#[test]
fn what_the_outbox_cannot_do_is_refused_by_name() {
    for (text, says) in [
        ("[outbox]\nmax_bytes = \"64MiB\"\n", "outbox.max_bytes: must be at least"),
        ("[outbox]\nmin_free = \"some\"\n", "outbox.min_free"),
        ("[outbox.control]\nttl = \"1d\"\n", "outbox.control.ttl: results never expire"),
        ("[outbox.control]\non_full = \"evict\"\n", "outbox.control.on_full: results are never evicted"),
        ("[outbox.control]\ndurable = false\n", "outbox.control.durable: only logs"),
        ("[outbox.events]\ndurable = false\n", "outbox.events.durable: only logs"),
        ("[outbox.logs]\ndurable = \"no\"\n", "outbox.logs.durable: must be"),
        ("[outbox.logs]\non_full = \"drop\"\n", "outbox.logs.on_full: `drop` is not"),
        ("[outbox.logs]\nttl = \"1s\"\n", "outbox.logs.ttl: `1s` is not 1m to 3650d"),
        ("[outbox.logs]\nttl = \"4000d\"\n", "outbox.logs.ttl: `4000d` is not"),
    ] {
        let error = error(text);
        assert!(error.contains(says), "{text}: {error}");
    }
    let small = "[outbox]\nmax_bytes = \"16MiB\"\n[outbox.control]\nmax_bytes = \"4MiB\"\n";
    let (_folder, path) = file(small);
    assert_eq!(Config::check_file(&path).unwrap().outbox.max_bytes, Some(16 << 20));
}
