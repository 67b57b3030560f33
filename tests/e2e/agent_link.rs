//! The agent against hubs, proper and otherwise.

use std::time::Duration;

use bytes::Bytes;
use outpost::agent::Agent;
use outpost::agent::config::{Config, LinkMode};
use outpost::agent::state::{LinkState, Status};
use outpost::id::Lane;
use outpost::limit;
use outpost::obs::clock::boot_now;
use outpost::outbox::{AppendError, NewRecord};
use outpost::time::WallTime;
use outpost::wire::error::ErrorCode;
use outpost::wire::message::{GapReason, RecordKind};

use crate::hand_hub::{AWAY, DEADLINE, HandHub, Lies, Manner, PING_EACH, WIDE, config_snapshot};

fn config(folder: &tempfile::TempDir, hub: &HandHub) -> Config {
    let mut config = Config::new(folder.path()).with_hub(&hub.url, None).unwrap();
    std::fs::write(&config.key_file, hub.key.to_line().expose()).unwrap();
    config.reconnect.min = Duration::from_millis(20);
    config.reconnect.fast = Duration::from_millis(20);
    config.reconnect.max = Duration::from_millis(50);
    config
}

fn records(range: std::ops::Range<u32>) -> Vec<NewRecord> {
    range
        .map(|number| NewRecord {
            recorded_at: WallTime(5),
            source: "test".to_owned(),
            kind: RecordKind::Opaque,
            payload: Bytes::from(number.to_string()),
            app: None,
        })
        .collect()
}

pub(crate) async fn status(agent: &Agent, what: &str, wish: impl Fn(&Status) -> bool) -> Status {
    let wait = async {
        loop {
            let status = agent.status().await.unwrap();
            if wish(&status) {
                return status;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.unwrap_or_else(|_| panic!("not in time: {what}"))
}

#[tokio::test]
async fn a_backlog_and_live_records_arrive_once_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let hub = HandHub::start(Manner::ClosesAtOnce).await;
    let agent = Agent::start(config(&folder, &hub)).await.unwrap();
    for chunk in 0..10 {
        agent.outbox().append(Lane::Logs, records(chunk * 500..(chunk + 1) * 500)).await.unwrap();
    }
    hub.until("attempts while the backlog grows", |seen| seen.sessions >= 2).await;
    hub.manner.send_replace(Manner::Proper);
    for chunk in 10..20 {
        agent.outbox().append(Lane::Logs, records(chunk * 500..(chunk + 1) * 500)).await.unwrap();
    }
    agent.outbox().append(Lane::Events, records(0..10)).await.unwrap();
    hub.until("all records", |seen| seen.records() == 10_010).await;
    hub.look(|seen| {
        let logs = seen.payloads.iter().find(|(stream, _)| stream.lane == Lane::Logs).unwrap().1;
        let expected: Vec<_> = (0..10_000).map(|number: u32| number.to_string().into_bytes()).collect();
        assert!(*logs == expected, "in order and once");
        assert!(seen.heartbeats >= 1, "one heartbeat comes at once");
    });
    let after = status(&agent, "acked", |status| status.outbox.lane(Lane::Logs).records == 0).await;
    assert_eq!(after.state, LinkState::Connected);
    assert_eq!(after.hub_id, Some(hub.key.hub_id.to_string()));
    assert!(after.session_id.is_some() && after.connected_since_ms.is_some());
    agent.shutdown().await.unwrap();
    hub.until("a polite close", |seen| seen.close_codes == [1000]).await;
}

#[tokio::test]
async fn an_agent_whose_clock_says_1970_delivers() {
    let folder = tempfile::tempdir().unwrap();
    let hub = HandHub::start(Manner::Proper).await;
    let config = Config { wall_clock: || WallTime(60_000), ..config(&folder, &hub) };
    let agent = Agent::start(config).await.unwrap();
    agent.outbox().append(Lane::Events, records(0..3)).await.unwrap();
    hub.until("all records", |seen| seen.records() == 3).await;
    let status = status(&agent, "registered", |status| status.state == LinkState::Connected).await;
    assert!(status.clock_offset_ms.unwrap() > 1_000_000_000_000, "{:?}", status.clock_offset_ms);
    agent.shutdown().await.unwrap();
}

#[tokio::test]
async fn wrong_hubs_are_named_and_outlived() {
    let wrong = [
        (Manner::ClosesAtOnce, "link", "ended during the upgrade"),
        (Manner::Nonsense, "bad_trailer", "check that the URL is a hub's"),
        (Manner::AnotherHub, "bad_mac", "check the key file and the hub's URL"),
    ];
    for (manner, code, says) in wrong {
        let folder = tempfile::tempdir().unwrap();
        let hub = HandHub::start(manner).await;
        let agent = Agent::start(config(&folder, &hub)).await.unwrap();
        agent.outbox().append(Lane::Events, records(0..3)).await.unwrap();
        let bad = status(&agent, "an error is shown", |status| status.last_error.is_some()).await;
        let error = bad.last_error.unwrap();
        assert_eq!(error.code, code, "{manner:?}: {}", error.text);
        assert!(error.text.contains(says), "{manner:?}: {}", error.text);
        assert!(!error.verified, "no MAC vouched for it");
        assert_eq!(bad.state, LinkState::Reconnecting);
        assert_eq!(bad.session_id, None, "nothing is kept before a verified RegisterAck");
        hub.manner.send_replace(Manner::Proper);
        hub.until("it delivers once the hub is right", |seen| seen.records() == 3).await;
        agent.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn a_silent_hub_does_not_hold_up_local_work_nor_the_stop() {
    let folder = tempfile::tempdir().unwrap();
    let hub = HandHub::start(Manner::Silent).await;
    let agent = Agent::start(config(&folder, &hub)).await.unwrap();
    hub.until("a connection", |seen| seen.sessions == 1).await;
    agent.outbox().append(Lane::Events, records(0..3)).await.unwrap();
    tokio::time::timeout(DEADLINE, agent.shutdown()).await.unwrap().unwrap();
}

#[tokio::test]
async fn without_a_key_it_takes_records_and_says_so_until_there_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let hub = HandHub::start(Manner::Proper).await;
    let config = config(&folder, &hub);
    let key_file = config.key_file.clone();
    std::fs::remove_file(&key_file).unwrap();
    let agent = Agent::start(config).await.unwrap();
    agent.outbox().append(Lane::Events, records(0..3)).await.unwrap();
    let status = status(&agent, "no identity", |status| status.state == LinkState::NoIdentity).await;
    assert!(status.last_error.unwrap().text.contains("agent.key"));
    assert_eq!(hub.look(|seen| seen.sessions), 0);
    // It looks again every 30 s; only the timers' clock goes forward.
    std::fs::write(key_file, hub.key.to_line().expose()).unwrap();
    tokio::time::pause();
    tokio::time::advance(limit::KEY_RETRY).await;
    tokio::time::resume();
    hub.until("the records come with the key", |seen| seen.records() == 3).await;
    agent.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_agent_told_that_the_hub_goes_stays_away_as_long_and_then_delivers() {
    let folder = tempfile::tempdir().unwrap();
    let hub = HandHub::start(Manner::GoesAway).await;
    let agent = Agent::start(config(&folder, &hub)).await.unwrap();
    agent.outbox().append(Lane::Events, records(0..3)).await.unwrap();
    let told = status(&agent, "it was told", |status| status.last_error.is_some()).await;
    let error = told.last_error.unwrap();
    assert_eq!((error.code.as_str(), error.verified), ("going_away", true), "{}", error.text);
    assert!(error.text.contains("it moves"), "{}", error.text);
    hub.until("a polite close", |seen| seen.close_codes == [1000]).await;
    hub.manner.send_replace(Manner::Proper);
    hub.until("it came back with all records", |seen| seen.sessions == 2 && seen.records() == 3).await;
    hub.look(|seen| {
        let away = seen.began[1].since(seen.began[0]);
        assert!(away >= AWAY, "it came back after {away:?}");
    });
    agent.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_config_snapshot_is_kept_shown_and_told_at_the_next_registration() {
    let folder = tempfile::tempdir().unwrap();
    let hub = HandHub::start(Manner::Configures).await;
    let agent = Agent::start(config(&folder, &hub)).await.unwrap();
    let shown = status(&agent, "the config is shown", |status| status.config_version != 0).await;
    assert_eq!(shown.config_version, config_snapshot().version);
    let piece = agent.outbox().get("config.0").await.unwrap().unwrap();
    assert_eq!(piece, config_snapshot().document);
    agent.shutdown().await.unwrap();

    // A hub that cannot be reached: what is shown comes from the folder.
    hub.manner.send_replace(Manner::ClosesAtOnce);
    let agent = Agent::start(config(&folder, &hub)).await.unwrap();
    assert_eq!(agent.status().await.unwrap().config_version, 7);
    hub.manner.send_replace(Manner::Proper);
    hub.until("the next registration", |seen| seen.configs_known == [0, 7]).await;
    let after = status(&agent, "registered", |status| status.state == LinkState::Connected).await;
    assert_eq!(after.config_version, 7, "a hub that sends none changes nothing");
    agent.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_hub_that_acks_nothing_is_left_and_what_it_took_is_not_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let hub = HandHub::start(Manner::NeverAcks).await;
    let config = Config { no_ack: Duration::from_millis(300), ..config(&folder, &hub) };
    let agent = Agent::start(config).await.unwrap();
    agent.outbox().append(Lane::Events, records(0..3)).await.unwrap();
    hub.until("the hub took them", |seen| seen.records() == 3).await;
    let left = status(&agent, "it was left", |status| status.last_error.is_some()).await;
    let error = left.last_error.unwrap();
    assert_eq!(error.code, "no_ack", "{}", error.text);
    assert_eq!(left.outbox.lane(Lane::Events).records, 3, "nothing goes without an ack");
    hub.manner.send_replace(Manner::Proper);
    status(&agent, "acked by the marks", |status| status.outbox.lane(Lane::Events).records == 0).await;
    hub.look(|seen| {
        assert_eq!(seen.records(), 3);
        assert_eq!(seen.told, [ErrorCode::NoAck]);
    });
    agent.shutdown().await.unwrap();
}

#[tokio::test]
async fn heartbeats_come_at_the_distance_that_is_set_whatever_the_hub_asks_for() {
    let folder = tempfile::tempdir().unwrap();
    let hub = HandHub::start(Manner::Proper).await;
    hub.lies.send_replace(Lies { heartbeat: Some(Duration::from_secs(1)), ..Lies::default() });
    let rare = Config { heartbeat: Some(Duration::from_secs(3600)), ..config(&folder, &hub) };
    let agent = Agent::start(rare).await.unwrap();
    hub.until("the first heartbeat", |seen| seen.heartbeats == 1).await;
    let began = boot_now();
    let mut delivered = 0;
    while boot_now() < began.after(Duration::from_millis(2500)) {
        agent.outbox().append(Lane::Events, records(delivered..delivered + 1)).await.unwrap();
        delivered += 1;
        hub.until("the record", |seen| seen.records() == delivered as usize).await;
    }
    assert_eq!(hub.look(|seen| seen.heartbeats), 1, "the hub asked for one each second");
    agent.shutdown().await.unwrap();
    // Without a setting it is the hub's.
    let agent = Agent::start(config(&folder, &hub)).await.unwrap();
    hub.until("the hub's distance", |seen| seen.heartbeats >= 4).await;
    agent.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_hub_that_never_reads_is_left_within_the_write_time_out() {
    let folder = tempfile::tempdir().unwrap();
    let hub = HandHub::start(Manner::NeverReads).await;
    let mut config = config(&folder, &hub);
    config.session.write = Duration::from_millis(500);
    config.session.window_bytes = WIDE;
    let agent = Agent::start(config).await.unwrap();
    let long = |number: u32| NewRecord {
        payload: vec![number.to_le_bytes()[0]; 12_000].into(),
        ..records(0..1).remove(0)
    };
    for _ in 0..20 {
        agent.outbox().append(Lane::Logs, (0..100).map(long).collect()).await.unwrap();
    }
    status(&agent, "a session", |status| status.counters.frames_out > 0).await;
    let began = boot_now();
    let left = status(&agent, "it was left", |status| status.last_error.is_some()).await;
    let took = boot_now().since(began);
    let error = left.last_error.unwrap();
    assert_eq!(error.code, "write_timeout", "{}", error.text);
    // The socket's buffers are filled first, and the machine may be busy.
    assert!(took < Duration::from_millis(500) * 20, "{took:?}");
    hub.manner.send_replace(Manner::Proper);
    hub.until("all records", |seen| seen.records() == 2_000).await;
    agent.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_hub_that_only_pings_keeps_the_link_beyond_the_idle_time() {
    let folder = tempfile::tempdir().unwrap();
    let hub = HandHub::start(Manner::OnlyPings).await;
    let mut config = config(&folder, &hub);
    // Both ends are this thread: one that stands still for as long ends the session.
    config.session.idle = Duration::from_secs(3);
    let pings = 2 * config.session.idle.as_millis() / PING_EACH.as_millis();
    let agent = Agent::start(config).await.unwrap();
    hub.until("pings over two idle times", |seen| u128::from(seen.pings) >= pings).await;
    status(&agent, "the link is there", |status| status.state == LinkState::Connected).await;
    hub.look(|seen| assert_eq!(seen.sessions, 1));
    agent.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_grew_too_old_while_the_agent_was_off_is_a_gap_and_is_not_sent() {
    let folder = tempfile::tempdir().unwrap();
    let hub = HandHub::start(Manner::Proper).await;
    let mut config = config(&folder, &hub);
    config.outbox.lanes.of_mut(Lane::Logs).ttl = Some(Duration::from_secs(3600));
    // Recorded in June 2025.
    let dated = |record| NewRecord { recorded_at: WallTime(1_750_000_000_000), ..record };
    let old: Vec<_> = records(0..3).into_iter().map(dated).collect();
    let alone = Agent::start(Config { link: LinkMode::Off, ..config.clone() }).await.unwrap();
    let stream = alone.outbox().append(Lane::Logs, old.clone()).await.unwrap().first.stream;
    alone.outbox().append(Lane::Events, old).await.unwrap();
    alone.shutdown().await.unwrap();

    let agent = Agent::start(config).await.unwrap();
    hub.until("the events and a gap", |seen| seen.records() == 3 && !seen.gaps.is_empty()).await;
    status(&agent, "the gap is acked", |status| status.outbox.gaps == 0).await;
    hub.look(|seen| {
        let [gap] = seen.gaps.as_slice() else { panic!("one gap: {:?}", seen.gaps) };
        assert_eq!((gap.stream, gap.from, gap.to, gap.reason), (stream, 1, 3, GapReason::Expired));
        assert!(seen.payloads.keys().all(|stream| stream.lane == Lane::Events), "events have no TTL");
    });
    agent.shutdown().await.unwrap();
}

/// Its folder is gone under it, so that no new generation can be made.
#[tokio::test]
async fn a_degraded_agent_delivers_what_was_durable_and_takes_nothing_new() {
    let folder = tempfile::tempdir().unwrap();
    let hub = HandHub::start(Manner::ClosesAtOnce).await;
    let agent = Agent::start(Config { heartbeat: Some(Duration::from_millis(20)), ..config(&folder, &hub) });
    let agent = agent.await.unwrap();
    agent.outbox().append(Lane::Events, records(0..2_000)).await.unwrap();
    std::fs::rename(folder.path().join("outbox"), folder.path().join("elsewhere")).unwrap();
    for lane in [Lane::Logs, Lane::Events, Lane::Control] {
        let error = agent.outbox().append(lane, records(0..1)).await.unwrap_err();
        assert!(matches!(error, AppendError::Degraded { .. }), "{lane}: {error}");
    }
    hub.manner.send_replace(Manner::Proper);
    hub.until("all records", |seen| seen.records() == 2_000).await;
    // Acks that cannot be kept do not end the session.
    hub.until("the session goes on", |seen| seen.heartbeats >= 5).await;
    let degraded = agent.status().await.unwrap();
    assert_eq!(degraded.state, LinkState::Degraded);
    assert_eq!(degraded.outbox.lane(Lane::Events).records, 2_000, "no cursor moves");
    hub.look(|seen| {
        assert_eq!(seen.records(), 2_000, "sent once");
        assert_eq!((seen.close_codes.as_slice(), seen.told.as_slice()), ([].as_slice(), [].as_slice()));
    });
    agent.shutdown().await.unwrap_err();
}
