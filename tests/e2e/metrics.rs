//! What hub and agent say of themselves to Prometheus, figure by figure.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use outpost::agent::config::Config;
use outpost::agent::state::LinkState;
use outpost::agent::{Agent, identity};
use outpost::id::Lane;
use outpost::outbox::NewRecord;
use outpost::time::WallTime;
use outpost::wire::message::RecordKind;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::agent_link::status;
use crate::front::Front;
use crate::raw_agent::{World, within};

/// One GET on a connection of its own: status and body.
async fn ask(address: SocketAddr, path: &str) -> (u16, String) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n");
    let mut answer = Vec::new();
    within(async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.read_to_end(&mut answer).await.unwrap();
    })
    .await;
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_owned())
}

/// The samples of a page, by name and labels as they stand there.
struct Samples(BTreeMap<String, f64>);

impl Samples {
    async fn of(address: SocketAddr) -> Self {
        let (status, page) = ask(address, "/metrics").await;
        assert_eq!(status, 200, "{page}");
        let samples = page.lines().filter(|line| !line.starts_with('#')).map(|line| {
            let (name, figure) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), figure.parse().unwrap())
        });
        Self(samples.collect())
    }

    fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    /// Every sample whose name begins so is one of these.
    fn expect(&self, name: &str, expected: &[(&str, f64)]) {
        let same = |found: &str| found == name || found.starts_with(&format!("{name}{{"));
        let found: Vec<_> = self.0.iter().filter(|(found, _)| same(found)).collect();
        let expected: BTreeMap<_, _> =
            expected.iter().map(|(labels, figure)| (format!("{name}{labels}"), *figure)).collect();
        assert!(found.into_iter().eq(&expected), "{name}: {expected:?}, and found {:?}", self.0);
    }

    fn all(&self, expected: &[(&str, &[(&str, f64)])]) {
        expected.iter().for_each(|(name, samples)| self.expect(name, samples));
    }
}

/// A hub and an agent with a listener for metrics each, and something between them.
struct Site {
    world: World,
    front: Front,
    folder: TempDir,
}

impl Site {
    async fn new() -> Self {
        let world = World::with(|config| config.metrics_listen = Some(([127, 0, 0, 1], 0).into())).await;
        let front = Front::new().await;
        front.lead_to(world.hub.agent_addr());
        Self { world, front, folder: tempfile::tempdir().unwrap() }
    }

    fn config(&self) -> Config {
        self.config_for(&self.front.url)
    }

    fn config_for(&self, url: &str) -> Config {
        let mut config = Config::new(self.folder.path()).with_hub(url, None).unwrap();
        identity::put(&config.key_file, &self.world.key).unwrap();
        config.metrics_listen = Some(([127, 0, 0, 1], 0).into());
        for delay in [&mut config.reconnect.min, &mut config.reconnect.fast, &mut config.reconnect.max] {
            *delay = Duration::from_millis(20);
        }
        config
    }

    fn hub_metrics(&self) -> SocketAddr {
        self.world.hub.metrics_addr().unwrap()
    }

    async fn end(self, agent: Agent) {
        agent.shutdown().await.unwrap();
        self.world.hub.shutdown().await;
    }
}

async fn registered(agent: &Agent, times: u64) {
    let wish = |status: &outpost::agent::state::Status| {
        status.state == LinkState::Connected && status.counters.registrations == times
    };
    status(agent, "registered", wish).await;
}

async fn emit(agent: &Agent, lane: Lane, count: u8) {
    let record = |number: u8| NewRecord {
        recorded_at: WallTime(5),
        source: "test".to_owned(),
        kind: RecordKind::Opaque,
        payload: Bytes::from(vec![number]),
    };
    agent.outbox().append(lane, (0..count).map(record).collect()).await.unwrap();
}

async fn drained(agent: &Agent) {
    status(agent, "drained", |status| status.outbox.lanes.values().all(|lane| lane.records == 0)).await;
}

/// Submits `true` and waits until it is over.
async fn run_a_job(world: &World) {
    let spec = r#"{"kind": "exec", "payload": {"command": ["true"]}}"#;
    let (submitted, job) = world.call("POST", "/v1/jobs?agent=edge-1", spec).await;
    assert_eq!(submitted, 202, "{job}");
    let path = format!("/v1/jobs/{}?wait=8", job["job_id"].as_str().unwrap());
    let (_, job) = world.get(&path).await;
    assert_eq!(job["status"], "succeeded", "{job}");
}

/// Of the scripted run.
async fn hub_counted_what_was_done(site: &Site) {
    let (_, listed) = site.world.get("/v1/agents/edge-1/records").await;
    let stored = listed["records"].as_array().unwrap().len() as f64;
    assert!(stored > 10.0, "the job told of itself: {listed}");
    let hub = Samples::of(site.hub_metrics()).await;
    hub.all(&[
        ("outpost_hub_ready", &[("", 1.0)]),
        ("outpost_hub_sessions", &[("", 1.0)]),
        ("outpost_hub_agents", &[("{state=\"active\"}", 1.0), ("{state=\"revoked\"}", 0.0)]),
        ("outpost_hub_upgrades_total", &[("", 3.0)]),
        ("outpost_hub_requests_refused_total", &[("{reason=\"unauthorized\"}", 1.0)]),
        ("outpost_hub_registrations_total", &[("", 3.0)]),
        ("outpost_hub_auth_failed_total", &[("{reason=\"unauthorized\"}", 1.0)]),
        ("outpost_hub_credentials_total", &[("{kind=\"bearer\"}", 3.0)]),
        ("outpost_hub_sessions_ended_total", &[("{reason=\"closed\"}", 1.0), ("{reason=\"replaced\"}", 1.0)]),
        ("outpost_hub_records_received_total", &[("", stored)]),
        ("outpost_hub_unknown_messages_total", &[("", 0.0)]),
        ("outpost_hub_handshakes", &[("", 0.0)]),
        ("outpost_hub_job_orphans", &[("", 0.0)]),
        ("outpost_hub_records_lost_total", &[]),
    ]);
    assert_eq!(hub.get("outpost_hub_jobs{status=\"succeeded\"}"), Some(1.0));
    assert_eq!(hub.get("outpost_hub_jobs{status=\"running\"}"), Some(0.0));
    let (_, shown) = site.world.get("/v1/agents/edge-1").await;
    hub.expect("outpost_hub_stored_bytes", &[("", shown["stored_bytes"].as_f64().unwrap())]);
}

/// Of the scripted run.
fn agent_counted_what_was_done(own: &Samples) {
    own.all(&[
        ("outpost_agent_ready", &[("", 1.0)]),
        ("outpost_agent_dials_total", &[("", 3.0)]),
        ("outpost_agent_upgrades_total", &[("", 3.0)]),
        ("outpost_agent_upgrades_failed_total", &[]),
        ("outpost_agent_registrations_total", &[("", 3.0)]),
        ("outpost_agent_registrations_failed_total", &[]),
        ("outpost_agent_reconnects_total", &[("", 2.0)]),
        ("outpost_agent_sessions_ended_total", &[("{reason=\"idle\"}", 1.0), ("{reason=\"link\"}", 1.0)]),
        ("outpost_agent_jobs", &[("{state=\"accepted\"}", 0.0), ("{state=\"running\"}", 0.0)]),
        ("outpost_agent_jobs_finished_total", &[("{status=\"succeeded\"}", 1.0)]),
        ("outpost_agent_records_lost_total", &[]),
        ("outpost_agent_outbox_degraded", &[("", 0.0)]),
        ("outpost_agent_outbox_gaps", &[("", 0.0)]),
    ]);
    for (state, figure) in [
        ("connected", 1.0),
        ("reconnecting", 0.0),
        ("disconnected", 0.0),
        ("no_identity", 0.0),
        ("revoked", 0.0),
    ] {
        assert_eq!(own.get(&format!("outpost_agent_link{{state=\"{state}\"}}")), Some(figure), "{state}");
    }
    for lane in Lane::ALL.map(Lane::name) {
        assert_eq!(own.get(&format!("outpost_agent_outbox_records{{lane=\"{lane}\"}}")), Some(0.0));
    }
    assert!(own.get("outpost_agent_acks_total").unwrap() >= 3.0, "each lane's, at least once");
}

#[tokio::test]
async fn after_a_scripted_run_every_figure_is_what_was_done() {
    let site = Site::new().await;
    let mut config = site.config();
    config.session.ping = Duration::from_millis(500);
    config.session.idle = Duration::from_secs(5);
    let agent = Agent::start(config).await.unwrap();
    registered(&agent, 1).await;

    emit(&agent, Lane::Events, 7).await;
    emit(&agent, Lane::Logs, 3).await;
    drained(&agent).await;
    let mut stranger = site.world.request(&[1; 32]);
    stranger.headers_mut().insert("authorization", "Bearer opa1.nobody".parse().unwrap());
    assert_eq!(site.world.refusal(stranger).await.0, 401);
    site.front.cut();
    registered(&agent, 2).await;
    run_a_job(&site.world).await;
    drained(&agent).await;
    site.front.freeze();
    registered(&agent, 3).await;
    drained(&agent).await;
    // The one that was frozen ends when the hub hears of the newer one.
    let replaced = async {
        while site.world.counter("sessions_ended", "replaced").await == 0 {
            tokio::task::yield_now().await;
        }
    };
    within(replaced).await;

    hub_counted_what_was_done(&site).await;
    let own = Samples::of(agent.metrics_addr().unwrap()).await;
    agent_counted_what_was_done(&own);
    // What the front passed on: the hub's API had connections of its own.
    let (sent, received) = ("outpost_agent_sent_bytes_total", "outpost_hub_received_bytes_total");
    let hub = Samples::of(site.hub_metrics()).await;
    assert!(own.get(sent).unwrap() > 1000.0 && own.get(sent) < hub.get(received), "{:?}", own.0);
    site.end(agent).await;
}

#[tokio::test]
async fn what_waits_what_was_lost_and_a_hub_that_is_away_are_seen() {
    let site = Site::new().await;
    // Nobody is there, and it is asked once.
    let away = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut config = site.config_for(&format!("http://{away}"));
    for delay in [&mut config.reconnect.min, &mut config.reconnect.fast, &mut config.reconnect.max] {
        *delay = Duration::from_secs(600);
    }
    config.wall_clock = || WallTime(65_005);
    let agent = Agent::start(config).await.unwrap();
    status(&agent, "an attempt", |status| status.last_error.is_some()).await;
    emit(&agent, Lane::Logs, 9).await;
    let before = Samples::of(agent.metrics_addr().unwrap()).await;
    let lane = |name: &str, lane: &str| format!("outpost_agent_outbox_{name}{{lane=\"{lane}\"}}");
    assert_eq!(before.get(&lane("records", "logs")), Some(9.0));
    assert!(before.get(&lane("bytes", "logs")).unwrap() > 9.0);
    assert_eq!(before.get(&lane("oldest_age_seconds", "logs")), Some(65.0));
    assert_eq!(before.get(&lane("oldest_age_seconds", "events")), Some(0.0));
    before.all(&[
        ("outpost_agent_upgrades_total", &[("", 0.0)]),
        ("outpost_agent_upgrades_failed_total", &[("{reason=\"link\"}", 1.0)]),
        ("outpost_agent_clock_offset_seconds", &[]),
        ("outpost_agent_ready", &[("", 1.0)]),
    ]);
    assert_eq!(before.get("outpost_agent_link{state=\"reconnecting\"}"), Some(1.0));
    let stream = agent.outbox().streams().await.unwrap().into_iter().find(|s| s.stream.lane == Lane::Logs);
    let gap = outpost::wire::message::Gap {
        stream: stream.unwrap().stream,
        from: 1,
        to: 4,
        reason: outpost::wire::message::GapReason::HubLost,
        records: 4,
        bytes: 0,
    };
    agent.outbox().add_gap(gap).await.unwrap();
    let after = Samples::of(agent.metrics_addr().unwrap()).await;
    after.all(&[
        ("outpost_agent_records_lost_total", &[("{lane=\"logs\",reason=\"hub_lost\"}", 4.0)]),
        ("outpost_agent_outbox_gaps", &[("", 1.0)]),
    ]);
    let (ready, body) = ask(agent.metrics_addr().unwrap(), "/readyz").await;
    assert_eq!(
        (ready, body.as_str()),
        (200, r#"{"link":"reconnecting","ready":true}"#),
        "no link is no fault"
    );
    assert_eq!(ask(agent.metrics_addr().unwrap(), "/healthz").await, (200, "ok\n".to_owned()));
    site.end(agent).await;
}

#[tokio::test]
async fn a_page_is_whole_however_busy_the_hub_is() {
    let site = Site::new().await;
    let (api, metrics) = (site.world.hub.local_addr(), site.hub_metrics());
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..20 {
        clients.spawn(async move {
            for _ in 0..50 {
                assert_eq!(ask(api, "/healthz").await.0, 200);
            }
        });
    }
    let (mut last, mut scrapes) = (0.0, 0);
    while !clients.is_empty() {
        let received = Samples::of(metrics).await.get("outpost_hub_received_bytes_total").unwrap();
        assert!(received >= last, "{received} after {last}");
        (last, scrapes) = (received, scrapes + 1);
        while let Some(done) = clients.try_join_next() {
            done.unwrap();
        }
    }
    assert!(scrapes > 1, "{scrapes} scrapes while 1,000 requests were answered");
    assert!(last > 0.0 || Samples::of(metrics).await.get("outpost_hub_received_bytes_total").unwrap() > 0.0);
    site.world.hub.shutdown().await;
}

#[tokio::test]
async fn the_api_has_the_same_page_for_operators_only() {
    let site = Site::new().await;
    assert_eq!(ask(site.world.hub.local_addr(), "/metrics").await.0, 401);
    let token = std::fs::read_to_string(site.world.folder.path().join("admin.token")).unwrap();
    let url = format!("http://{}/metrics", site.world.hub.local_addr());
    let call = move || {
        let bearer = format!("Bearer {}", token.trim());
        let mut answer = ureq::get(url).header("Authorization", bearer).call().unwrap();
        let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
        (kind, answer.body_mut().read_to_string().unwrap())
    };
    let (kind, page) = within(tokio::task::spawn_blocking(call)).await.unwrap();
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    assert!(page.contains("\noutpost_hub_sessions 0\n"), "{page}");
    site.world.hub.shutdown().await;
}

#[tokio::test]
async fn nothing_listens_for_metrics_by_default() {
    let world = World::new().await;
    assert_eq!(world.hub.metrics_addr(), None);
    let folder = tempfile::tempdir().unwrap();
    let agent = Agent::start(Config::new(folder.path())).await.unwrap();
    assert_eq!(agent.metrics_addr(), None);
    agent.shutdown().await.unwrap();
    world.hub.shutdown().await;
}

/// A page with as many samples as an agent and a hub have, and both pages.
async fn pages() -> [String; 2] {
    let site = Site::new().await;
    let agent = Agent::start(site.config()).await.unwrap();
    registered(&agent, 1).await;
    let agent_page = ask(agent.metrics_addr().unwrap(), "/metrics").await.1;
    let hub_page = ask(site.hub_metrics(), "/metrics").await.1;
    site.end(agent).await;
    [agent_page, hub_page]
}

/// The table of docs/metrics.md that a page's help and types are.
fn table(page: &str) -> String {
    let mut table = "| name | type | meaning |\n|---|---|---|\n".to_owned();
    let mut help = "";
    for line in page.lines() {
        if let Some(text) = line.strip_prefix("# HELP ") {
            help = text;
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|text| text.split_once(' '))
        {
            let (helped, text) = help.split_once(' ').unwrap();
            assert_eq!(helped, name);
            writeln!(table, "| `{name}` | {kind} | {text} |").unwrap();
        }
    }
    table
}

#[tokio::test]
async fn the_tables_of_the_docs_have_every_name_that_is_served_and_no_other() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    let docs = std::fs::read_to_string(path).unwrap();
    for page in pages().await {
        let expected = table(&page);
        assert!(
            docs.contains(&format!("\n\n{expected}\n")),
            "docs/metrics.md should have this table:\n\n{expected}"
        );
    }
}

#[tokio::test]
#[ignore = "needs promtool; scripts/test runs it"]
async fn promtool_finds_nothing_to_say_about_either_page() {
    for page in pages().await {
        let mut child = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = [output.stdout, output.stderr].map(|said| String::from_utf8(said).unwrap());
        assert!(output.status.success() && said == ["", ""], "{said:?}\n{page}");
    }
}
