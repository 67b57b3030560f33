//! A hub as a program has it inside.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use outpost::hub::config::{Config, RelayRule};
use outpost::hub::embedded::SendError;
use outpost::hub::{Hub, StartError};
use outpost::limit;
use outpost::wire::relay::Delivery;

use crate::raw_agent::{World, within};

fn config(folder: &tempfile::TempDir) -> Config {
    Config { data: folder.path().to_owned(), listen: "127.0.0.1:0".parse().unwrap(), ..Config::default() }
}

#[tokio::test]
async fn a_program_sees_who_is_connected_and_its_counters() {
    let world = World::new().await;
    let (here, nobody) = ("edge-1".parse().unwrap(), "edge-2".parse().unwrap());
    assert_eq!((world.hub.is_connected(&here).await.unwrap(), world.hub.peer_count()), (false, 0));
    let (agent, _) = world.register().await;
    assert_eq!((world.hub.is_connected(&here).await.unwrap(), world.hub.peer_count()), (true, 1));
    assert!(world.hub.is_connected(&nobody).await.is_err(), "there is no such agent");
    assert_eq!(world.hub.counters()["registrations"], 1);
    drop(agent);
    within(async {
        while world.hub.counters()["sessions_ended"]["closed"] != 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!((world.hub.is_connected(&here).await.unwrap(), world.hub.peer_count()), (false, 0));
}

#[tokio::test]
async fn a_hub_is_closed_once_however_often_and_from_wherever_it_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    // No other test takes a port of this address when it is free again.
    let listen = "127.0.45.1:0".parse().unwrap();
    let hub = Hub::builder(Config { listen, ..config(&folder) }).start().await.unwrap();
    let address = hub.local_addr();
    // One that is given up half-way, two at once, and one more.
    let hasty = tokio::time::timeout(Duration::ZERO, hub.close()).await;
    within(async { tokio::join!(hub.close(), hub.close()) }).await;
    within(hub.close()).await;
    drop(hasty);
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "nobody listens");
    let sent = hub.send(&"edge-1".parse().unwrap(), &"door".parse().unwrap(), "late", Delivery::Queued).await;
    assert_eq!(sent, Err(SendError::Closed));
    // Its folder is free, though the value is still there.
    let again = Hub::builder(config(&folder)).start().await.unwrap();
    within(again.shutdown()).await;
    drop(hub);
}

#[tokio::test]
async fn settings_out_of_their_bounds_and_a_port_that_is_taken_keep_a_hub_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    let rule = RelayRule { from: "*".parse().unwrap(), to: "*".parse().unwrap() };
    type Change<'a> = &'a dyn Fn(&mut Config);
    let out_of_bounds: [(&str, Change<'_>); 13] = [
        ("limits.message", &|config| config.message_bytes = 1),
        ("limits.message", &|config| config.message_bytes = u32::MAX),
        ("auth.jwt_ttl", &|config| config.jwt_ttl = Duration::ZERO),
        ("write_timeout", &|config| config.write_timeout = Duration::ZERO),
        ("write_timeout", &|config| config.write_timeout = Duration::MAX),
        ("limits.auth", &|config| config.admission.auth = Duration::ZERO),
        ("quota.rate", &|config| config.quota.rate = NonZeroU64::new(1)),
        ("quota.bytes", &|config| config.quota.bytes = NonZeroU64::new(u64::MAX)),
        ("log.level", &|config| config.log.level = Some("loud".to_owned())),
        ("public_urls", &|config| config.public_urls = vec!["hub".to_owned()]),
        ("limits.relay", &|config| config.relay.bytes = 1 << 20),
        ("relay.rate", &|config| config.relay.rate = NonZeroU32::MAX),
        ("relay.allow", &|config| config.relay.allow = vec![rule.clone(); limit::RELAY_RULES_MAX + 1]),
    ];
    for (key, change) in out_of_bounds {
        let mut config = config(&folder);
        change(&mut config);
        let Err(StartError::Config(error)) = Hub::builder(config).start().await else {
            panic!("it started with a wrong {key}")
        };
        assert!(error.to_string().contains(&format!("the settings: `{key}` is ")), "{error}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was written");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap();
    let started = Hub::builder(Config { listen, ..config(&folder) }).start().await;
    let Err(error) = started else { panic!("it started") };
    assert!(error.to_string().contains(&listen.to_string()), "{error}");
}

#[tokio::test]
async fn a_hub_that_goes_before_an_agent_is_registered_has_kept_nobody_out() {
    let world = World::new().await;
    let mut unproven = world.connect().await;
    tokio::join!(within(world.hub.close()), unproven.closed());
    let counters = world.hub.counters();
    assert_eq!(counters["sessions_ended"], serde_json::json!({"going_away": 1}), "{counters}");
    assert_eq!(counters["auth_failed"], serde_json::json!({}), "{counters}");
}
