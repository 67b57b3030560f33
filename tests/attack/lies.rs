//! The agent against hubs that lie: it ends the connection with the right code, keeps nothing of what it was told, loses
//! nothing, and delivers to the first hub that tells the truth.

use std::time::Duration;

use bytes::Bytes;
use outpost::agent::Agent;
use outpost::agent::config::{Config, LinkMode};
use outpost::agent::state::{LinkState, Status};
use outpost::id::Lane;
use outpost::outbox::NewRecord;
use outpost::time::WallTime;
use outpost::wire::message::RecordKind;
use tempfile::TempDir;

use crate::lying_hub::{Lie, LyingHub};

const DEADLINE: Duration = Duration::from_secs(30);

/// What a lie is to the agent, and the frames it says in answer: none to who did not prove to have its keys.
fn expected(lie: Lie) -> (&'static str, std::ops::RangeInclusive<usize>) {
    match lie {
        Lie::RecordedChallenge | Lie::AnotherKey | Lie::AnotherAgent | Lie::SessionKeyFirst => {
            ("bad_mac", 0..=0)
        }
        Lie::AnotherHub => ("wrong_hub", 0..=0),
        Lie::OfferFirst => ("unexpected", 0..=0),
        Lie::StaleChallenge => ("clock", 0..=0),
        // Its Register, and nothing more to who cannot sign.
        Lie::Text => ("text_frame", 1..=1),
        Lie::Reflected | Lie::AnotherSession | Lie::AnotherDirection => ("bad_mac", 1..=1),
        // And why it goes, to who can.
        Lie::Skipped => ("bad_sequence", 2..=2),
        Lie::Stale => ("clock", 2..=2),
        Lie::ChallengedTwice | Lie::OfferEarly | Lie::AckEarly => ("unexpected", 2..=2),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_lie_of_a_hub_is_kept_and_the_truth_is_taken_afterwards() {
    for lie in Lie::ALL {
        let (code, frames) = expected(lie);
        let folder = tempfile::tempdir().unwrap();
        let hub = LyingHub::start(lie).await;
        let agent = Agent::start(config(&folder, &hub, LinkMode::On)).await.unwrap();
        agent.outbox().append(Lane::Events, records()).await.unwrap();
        let mut ended = hub.ended.clone();
        let ended = async { ended.wait_for(|ended| ended.len() >= 2).await.unwrap().clone() };
        for ended in tokio::time::timeout(DEADLINE, ended).await.unwrap_or_else(|_| panic!("{lie:?}")) {
            assert_eq!(ended.code, 1008, "{lie:?}");
            assert!(frames.contains(&ended.frames), "{lie:?}: {} frames were said", ended.frames);
        }
        let seen =
            status(&agent, lie, |status| status.last_error.as_ref().is_some_and(|error| error.code == code))
                .await;
        assert_eq!(seen.state, LinkState::Reconnecting, "{lie:?}");
        assert!(!seen.last_error.as_ref().unwrap().verified, "{lie:?}: {seen:?}");
        kept_nothing(lie, &seen);
        agent.shutdown().await.unwrap();

        // Neither on disk.
        let agent = Agent::start(config(&folder, &hub, LinkMode::Off)).await.unwrap();
        kept_nothing(lie, &agent.status().await.unwrap());
        agent.shutdown().await.unwrap();

        hub.lie.send_replace(None);
        let agent = Agent::start(config(&folder, &hub, LinkMode::On)).await.unwrap();
        let mut arrived = hub.records.clone();
        let arrived = tokio::time::timeout(DEADLINE, arrived.wait_for(|count| *count == 3)).await;
        assert!(arrived.is_ok(), "{lie:?}: the truth was not taken");
        agent.shutdown().await.unwrap();
    }
}

fn kept_nothing(lie: Lie, status: &Status) {
    assert_eq!((&status.hub_id, &status.session_id), (&None, &None), "{lie:?}");
    assert_eq!((status.clock_offset_ms, status.config_version), (None, 0), "{lie:?}");
    assert!(status.jobs.values().all(|count| *count == 0), "{lie:?}: {:?}", status.jobs);
    assert_eq!(status.outbox.lane(Lane::Events).records, 3, "{lie:?}");
    assert_eq!(status.outbox.lane(Lane::Control).records, 0, "{lie:?}");
}

fn config(folder: &TempDir, hub: &LyingHub, link: LinkMode) -> Config {
    let mut config = Config::new(folder.path()).with_hub(&hub.url, None).unwrap();
    std::fs::write(&config.key_file, hub.key.to_line().expose()).unwrap();
    config.reconnect.min = Duration::from_millis(20);
    config.reconnect.fast = Duration::from_millis(20);
    config.reconnect.max = Duration::from_millis(50);
    config.link = link;
    config
}

fn records() -> Vec<NewRecord> {
    let record = |text: &'static str| NewRecord {
        recorded_at: WallTime(5),
        source: "test".to_owned(),
        kind: RecordKind::Opaque,
        payload: Bytes::from_static(text.as_bytes()),
        app: None,
    };
    ["one", "two", "three"].map(record).into()
}

async fn status(agent: &Agent, lie: Lie, wish: impl Fn(&Status) -> bool) -> Status {
    let wait = async {
        loop {
            let status = agent.status().await.unwrap();
            if wish(&status) {
                return status;
            }
            tokio::task::yield_now().await;
        }
    };
    match tokio::time::timeout(DEADLINE, wait).await {
        Ok(status) => status,
        Err(_) => panic!("{lie:?}: not in time, {:?}", agent.status().await.unwrap().last_error),
    }
}
