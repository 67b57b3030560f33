//! What hub and agent say of themselves to Prometheus, figure by figure.

mod counted;
mod pages;
mod samples;
mod tap;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use outpost::agent::Agent;
use outpost::agent::config::Config;
use outpost::agent::state::LinkState;
use outpost::id::Lane;
use outpost::outbox::NewRecord;
use outpost::time::WallTime;
use outpost::wire::message::RecordKind;

use crate::agent_link::status;
use crate::raw_agent::{World, within};
use crate::site::Site;
use samples::{Samples, ask};

/// A listener for metrics on a port that is free.
fn somewhere() -> Option<SocketAddr> {
    Some(([127, 0, 0, 1], 0).into())
}

/// Hub and agent answer for themselves.
async fn site() -> Site {
    Site::with(|config, _url| config.metrics_listen = somewhere()).await
}

/// Of an agent of this site.
fn metered(site: &Site) -> Config {
    Config { metrics_listen: somewhere(), ..site.config() }
}

fn hub_metrics(site: &Site) -> SocketAddr {
    site.world.hub.metrics_addr().unwrap()
}

async fn registered(agent: &Agent, times: u64) {
    let wish = |status: &outpost::agent::state::Status| {
        status.state == LinkState::Connected && status.counters.registrations == times
    };
    status(agent, "registered", wish).await;
}

/// Some day of 2026, by a clock that was set.
const RECORDED: WallTime = WallTime(1_790_000_000_000);

async fn emit(agent: &Agent, lane: Lane, count: u8) {
    let record = |number: u8| NewRecord {
        recorded_at: RECORDED,
        source: "test".to_owned(),
        kind: RecordKind::Opaque,
        payload: Bytes::from(vec![number]),
        app: None,
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
    let hub = Samples::of(hub_metrics(site)).await;
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
    let site = site().await;
    let mut config = metered(&site);
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
    let hub = Samples::of(hub_metrics(&site)).await;
    assert!(own.get(sent).unwrap() > 1000.0 && own.get(sent) < hub.get(received), "{own:?}");
    site.end(agent).await;
}

#[tokio::test]
async fn what_waits_what_was_lost_and_a_hub_that_is_away_are_seen() {
    let site = site().await;
    // Nobody listens there, nor can, and it is asked once.
    let away = tokio::net::TcpSocket::new_v4().unwrap();
    away.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}", away.local_addr().unwrap());
    let mut config = Config { metrics_listen: somewhere(), ..site.config_for(&url) };
    for delay in [&mut config.reconnect.min, &mut config.reconnect.fast, &mut config.reconnect.max] {
        *delay = Duration::from_secs(600);
    }
    config.wall_clock = || WallTime(RECORDED.0 + 65_000);
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
    let site = site().await;
    let (api, metrics) = (site.world.hub.local_addr(), hub_metrics(&site));
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
async fn nothing_listens_for_metrics_by_default() {
    let world = World::new().await;
    assert_eq!(world.hub.metrics_addr(), None);
    let folder = tempfile::tempdir().unwrap();
    let agent = Agent::start(Config::new(folder.path())).await.unwrap();
    assert_eq!(agent.metrics_addr(), None);
    agent.shutdown().await.unwrap();
    world.hub.shutdown().await;
}
