//! Agents whose clock is far off, in front of a real hub whose certificate holds for a year.

use std::time::Duration;

use bytes::Bytes;
use outpost::agent::Agent;
use outpost::agent::config::Config;
use outpost::id::Lane;
use outpost::obs::clock::wall_now;
use outpost::outbox::NewRecord;
use outpost::time::WallTime;
use outpost::wire::message::RecordKind;
use serde_json::Value;

use crate::peer::{get, within};
use crate::scene::Scene;

const TEN_YEARS_MS: u64 = 3_653 * 86_400_000;

/// What the hub has of the agent, as texts.
async fn stored(scene: &Scene) -> Vec<String> {
    let token = std::fs::read_to_string(scene.folder.path().join("hub/admin.token")).unwrap();
    let mut stream = scene.peer().dial(scene.hub.local_addr()).await.unwrap();
    let answer = get(&mut stream, "/v1/agents/edge-1/records?lane=events", token.trim()).await.unwrap();
    let page: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    page["records"]
        .as_array()
        .unwrap()
        .iter()
        .map(|record| record["text"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn agents_at_1970_and_ten_years_ahead_deliver_to_a_real_hub_whose_authority_they_pin() {
    let clocks: [fn() -> WallTime; 2] = [|| WallTime(60_000), || WallTime(wall_now().0 + TEN_YEARS_MS)];
    for wall_clock in clocks {
        let scene = Scene::new().await;
        let key = scene.hub.store().add_agent(&"edge-1".parse().unwrap(), None).await.unwrap().key_file;
        let data = scene.folder.path().join("edge-1");
        let url = format!("https://{}", scene.hub.local_addr());
        let mut config = Config::new(&data).with_hub(&url, None).unwrap();
        config.wall_clock = wall_clock;
        config.reconnect.min = Duration::from_millis(20);
        config.reconnect.fast = Duration::from_millis(20);
        std::fs::create_dir(&data).unwrap();
        std::fs::write(&config.key_file, key.to_line().expose()).unwrap();
        let ca = scene.folder.path().join("ca.pem");
        std::fs::write(&ca, scene.authority.pem()).unwrap();
        config.tls.ca_file = Some(ca);
        let agent = Agent::start(config).await.unwrap();
        let records = ["1", "2", "3"].map(|text| NewRecord {
            recorded_at: wall_clock(),
            source: "test".to_owned(),
            kind: RecordKind::Opaque,
            payload: Bytes::from_static(text.as_bytes()),
            app: None,
        });
        agent.outbox().append(Lane::Events, records.to_vec()).await.unwrap();
        within(async {
            while agent.status().await.unwrap().outbox.lane(Lane::Events).records > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert_eq!(stored(&scene).await, ["1", "2", "3"]);
        agent.shutdown().await.unwrap();
        scene.hub.shutdown().await;
    }
}
