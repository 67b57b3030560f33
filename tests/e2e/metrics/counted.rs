//! Two agents and their messages, plain and over TLS: every counter of all three pages is what was done, by name.
//!
//! What was done is what the script did, and what passed on the wire, which a tap before each agent counts: bytes below TLS
//! and, where they can be read, frames.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use outpost::agent::intake::client;
use outpost::agent::relay::{RelayError, RelayHandler, RelayMessage, RelayRefusal};
use outpost::agent::{Agent, config, identity};
use outpost::hub::config::RelayRule;
use outpost::id::{AgentName, HandlerName, Lane};
use outpost::net::tls::server::Files;
use outpost::wire::relay::{Delivery, NotDelivered, Receipt};
use tempfile::TempDir;
use tokio::sync::Semaphore;

use super::samples::ask;
use super::tap::{Counts, Tap, To, Wire};
use super::{drained, emit, registered, somewhere};
use crate::authority::Authority;
use crate::raw_agent::{World, within};

/// What these count cannot be told from outside: a batch is as large as what waits when it is cut, and one ack answers as
/// many of them as were committed together.
const NOT_DETERMINED: [&str; 1] = ["outpost_agent_acks_total"];

/// Takes what is not `no`.
struct Door(Arc<Semaphore>);

impl RelayHandler for Door {
    async fn handle(&self, message: RelayMessage) -> Result<(), RelayRefusal> {
        self.0.add_permits(1);
        if &*message.payload == b"no" { Err(RelayRefusal::new("it said no")) } else { Ok(()) }
    }
}

/// A hub whose agents' listener nobody uses but two agents, each behind its tap.
struct Scene {
    wire: Wire,
    world: World,
    taps: [Tap; 2],
    configs: [config::Config; 2],
    _folder: TempDir,
}

impl Scene {
    async fn new(wire: Wire) -> Self {
        let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("a test's authority"));
        let at = |name: &str| folder.path().join(name);
        authority.server(1).write(folder.path(), "hub");
        std::fs::write(at("ca.pem"), authority.pem()).unwrap();
        let world = World::with(|config| {
            config.agent_listen = somewhere();
            config.metrics_listen = somewhere();
            let rule = RelayRule { from: "edge-*".parse().unwrap(), to: "ctl-*".parse().unwrap() };
            config.relay.allow = vec![rule];
            if wire == Wire::Tls {
                config.tls = Some(Files { cert: at("hub.pem"), key: at("hub.key"), client_ca: None });
            }
        })
        .await;
        let other = world.hub.store().add_agent(&"ctl-1".parse().unwrap(), None).await.unwrap().key_file;
        let hub = world.hub.agent_addr();
        let taps = [Tap::before(hub, wire).await, Tap::before(hub, wire).await];
        let scheme = if wire == Wire::Tls { "https" } else { "http" };
        let config = |name: &str, tap: &Tap, key| {
            std::fs::create_dir(at(name)).unwrap();
            let url = format!("{scheme}://{}", tap.address);
            let mut config = config::Config::new(at(name)).with_hub(&url, None).unwrap();
            identity::put(&config.key_file, key).unwrap();
            config.tls.ca_file = (wire == Wire::Tls).then(|| at("ca.pem"));
            config.metrics_listen = somewhere();
            config
        };
        let configs = [config("edge-1", &taps[0], &world.key), config("ctl-1", &taps[1], &other)];
        Self { wire, world, taps, configs, _folder: folder }
    }
}

/// The counters of a page, by name and labels: those that are nothing but a name without a sample are 0.
struct Counters {
    names: BTreeSet<String>,
    samples: BTreeMap<String, u64>,
}

impl Counters {
    async fn of(address: std::net::SocketAddr) -> Self {
        let (_, page) = ask(address, "/metrics").await;
        let names: BTreeSet<_> = page
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
            .map(str::to_owned)
            .collect();
        let samples = page.lines().filter(|line| !line.starts_with('#')).map(|line| {
            let (name, figure) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), figure)
        });
        let is_counter = |name: &str| names.contains(name.split('{').next().unwrap());
        let samples = samples.filter(|(name, _)| is_counter(name));
        let samples = samples.map(|(name, figure)| (name, figure.parse().unwrap())).collect();
        Self { names, samples }
    }

    /// What differs from this; a counter that is not named here is 0, or is none whose figure is determined.
    fn differs(&self, expected: &[(&str, u64)]) -> Vec<String> {
        let mut left: BTreeMap<&str, u64> = expected.iter().copied().collect();
        let mut found = Vec::new();
        for (name, figure) in &self.samples {
            if NOT_DETERMINED.contains(&name.as_str()) {
                continue;
            }
            let wanted = left.remove(name.as_str()).unwrap_or_default();
            if *figure != wanted {
                found.push(format!("{name} is {figure}, done was {wanted}"));
            }
        }
        for (name, wanted) in left {
            assert!(self.names.contains(name.split('{').next().unwrap()), "there is no counter {name}");
            if wanted != 0 {
                found.push(format!("{name} is not there, done was {wanted}"));
            }
        }
        found
    }
}

/// The figures of one page.
type Figures = Vec<(&'static str, u64)>;

/// What the script did so far, beside what passed the taps.
#[derive(Debug, Clone, Copy)]
struct Done {
    /// Sessions of the sender, the present one among them.
    sessions: u64,
    /// Of these, ended for what their agent or their hub found wrong.
    ended: u64,
    records: u64,
}

impl Scene {
    /// Waits for a moment at which nothing moves and all pages say what was done.
    async fn counted(&self, agents: [&Agent; 2], done: Done) {
        let mut differs = Vec::new();
        let quiet = async {
            loop {
                let before = self.counts(agents).await;
                let pages = [
                    Counters::of(self.world.hub.metrics_addr().unwrap()).await,
                    Counters::of(agents[0].metrics_addr().unwrap()).await,
                    Counters::of(agents[1].metrics_addr().unwrap()).await,
                ];
                if before == self.counts(agents).await {
                    let expected =
                        [self.of_hub(before, done), of_sender(before[0], done), of_taker(before[1])];
                    let pairs = pages.iter().zip(&expected);
                    differs = pairs.flat_map(|(page, figures)| page.differs(figures)).collect();
                    if differs.is_empty() {
                        return;
                    }
                }
                tokio::task::yield_now().await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(20), quiet).await;
        assert!(in_time.is_ok(), "after {done:?}: {differs:#?}");
    }

    /// What passed the taps. Over TLS frames cannot be read there: the hub is held to what its agents say of theirs, and
    /// there are no pings in so short a time.
    async fn counts(&self, agents: [&Agent; 2]) -> [Counts; 2] {
        let mut counts = [self.taps[0].counts(), self.taps[1].counts()];
        if self.wire == Wire::Tls {
            for (counts, agent) in counts.iter_mut().zip(agents) {
                let own = agent.status().await.unwrap().counters;
                (counts.up.messages, counts.down.messages) = (own.frames_out, own.frames_in);
            }
        }
        counts
    }

    fn of_hub(&self, [sender, taker]: [Counts; 2], done: Done) -> Figures {
        let sum = |figure: fn(Counts) -> u64| figure(sender) + figure(taker);
        let connections = done.sessions + 1;
        vec![
            ("outpost_hub_tls_handshakes_total", if self.wire == Wire::Tls { connections } else { 0 }),
            ("outpost_hub_upgrades_total", connections),
            ("outpost_hub_credentials_total{kind=\"bearer\"}", connections),
            ("outpost_hub_registrations_total", connections),
            ("outpost_hub_sessions_ended_total{reason=\"bad_mac\"}", done.ended),
            ("outpost_hub_frames_received_total", sum(|counts| counts.up.messages)),
            ("outpost_hub_frames_sent_total", sum(|counts| counts.down.messages + counts.down.pings)),
            ("outpost_hub_received_bytes_total", sum(|counts| counts.up.bytes)),
            ("outpost_hub_sent_bytes_total", sum(|counts| counts.down.bytes)),
            ("outpost_hub_records_received_total", done.records),
            ("outpost_hub_relays_total{outcome=\"delivered\"}", 4),
            ("outpost_hub_relays_total{outcome=\"queued\"}", 2),
            ("outpost_hub_relays_total{outcome=\"relay_denied\"}", 1),
            ("outpost_hub_relays_total{outcome=\"relay_handler\"}", 1),
            ("outpost_hub_relays_total{outcome=\"relay_offline\"}", 1),
            ("outpost_hub_relays_total{outcome=\"unknown_agent\"}", 1),
            ("outpost_hub_relays_kept_total{outcome=\"delivered\"}", 1),
            ("outpost_hub_relays_kept_total{outcome=\"relay_handler\"}", 1),
        ]
    }
}

fn of_agent(Counts { up, down }: Counts, sessions: u64) -> Figures {
    vec![
        ("outpost_agent_dials_total", sessions),
        ("outpost_agent_upgrades_total", sessions),
        ("outpost_agent_registrations_total", sessions),
        ("outpost_agent_reconnects_total", sessions - 1),
        ("outpost_agent_frames_sent_total", up.messages + up.pings),
        ("outpost_agent_frames_received_total", down.messages),
        ("outpost_agent_sent_bytes_total", up.bytes),
        ("outpost_agent_received_bytes_total", down.bytes),
    ]
}

fn of_taker(counts: Counts) -> Figures {
    of_agent(counts, 1)
}

fn of_sender(counts: Counts, done: Done) -> Figures {
    let mut figures = of_agent(counts, done.sessions);
    figures.extend([
        ("outpost_agent_records_taken_total", 2),
        ("outpost_agent_sessions_ended_total{reason=\"bad_mac\"}", done.ended),
    ]);
    figures
}

/// What became of a message of this agent's, by name.
async fn sent(agent: &Agent, to: &str, payload: &'static str, delivery: Delivery) -> String {
    let (to, handler): (AgentName, HandlerName) = (to.parse().unwrap(), "door".parse().unwrap());
    let relay = agent.relay();
    within(async {
        loop {
            match relay.send(&to, &handler, payload, delivery).await {
                Ok(receipt) => return format!("{receipt:?}"),
                // Registered, and about to take messages.
                Err(RelayError::NoLink) => tokio::task::yield_now().await,
                Err(RelayError::NotDelivered(NotDelivered::Refused { code: Some(code), .. })) => {
                    return code.name().to_owned();
                }
                Err(error) => panic!("{error}"),
            }
        }
    })
    .await
}

/// Two lines of a local program.
async fn lines(agent: &Agent) {
    let socket = agent.socket().to_owned();
    let emit =
        move || client::emit(&client::connect(&socket).unwrap(), Lane::Logs, None, b"one\ntwo\n".as_slice());
    let accepted = within(tokio::task::spawn_blocking(emit)).await.unwrap().unwrap();
    assert_eq!(accepted.accepted, 2);
}

/// Messages of every outcome, and records; both agents are connected at the end.
async fn script(scene: &Scene) -> [Agent; 2] {
    use Delivery::{Now, Queued};
    let sender = Agent::start(scene.configs[0].clone()).await.unwrap();
    registered(&sender, 1).await;
    assert_eq!(sent(&sender, "ctl-1", "anybody?", Now).await, "relay_offline");
    assert_eq!(sent(&sender, "ctl-9", "anybody?", Now).await, "unknown_agent");
    assert_eq!(sent(&sender, "edge-1", "myself", Now).await, "relay_denied");
    assert_eq!(sent(&sender, "ctl-1", "kept", Queued).await, "Queued");
    assert_eq!(sent(&sender, "ctl-1", "no", Queued).await, "Queued");
    let handled = Arc::new(Semaphore::new(0));
    let taker = Agent::builder(scene.configs[1].clone()).relay_handler("door", Door(Arc::clone(&handled)));
    let taker = taker.start().await.unwrap();
    within(handled.acquire_many(2)).await.unwrap().forget();
    for payload in ["one", "two", "three"] {
        assert_eq!(sent(&sender, "ctl-1", payload, Now).await, "Delivered");
    }
    assert_eq!(sent(&sender, "ctl-1", "no", Now).await, "relay_handler");
    let to = "ctl-1".parse().unwrap();
    let own = scene.world.hub.send(&to, &"door".parse().unwrap(), "the hub's own", Now).await;
    assert_eq!(own, Ok(Receipt::Delivered));
    emit(&sender, Lane::Events, 7).await;
    emit(&sender, Lane::Logs, 3).await;
    lines(&sender).await;
    drained(&sender).await;
    [sender, taker]
}

/// The hub goes: its last words are counted as well.
async fn goes(scene: Scene, agents: [Agent; 2]) {
    let before: u64 =
        scene.counts([&agents[0], &agents[1]]).await.iter().map(|counts| counts.down.messages).sum();
    within(scene.world.hub.close()).await;
    within(async {
        loop {
            let counts = scene.counts([&agents[0], &agents[1]]).await;
            let said: u64 = counts.iter().map(|counts| counts.down.messages + counts.down.pings).sum();
            if scene.world.hub.counters()["frames_out"] == said && said >= before + 2 {
                return;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    for agent in agents {
        agent.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn counters_of_frames_bytes_and_messages_are_what_was_done_and_so_are_last_words() {
    let scene = Scene::new(Wire::Plain).await;
    let [sender, taker] = script(&scene).await;
    let done = Done { sessions: 1, ended: 0, records: 12 };
    scene.counted([&sender, &taker], done).await;
    // Either end closes with a word where a message's MAC is wrong.
    scene.taps[0].flip(To::Agent);
    emit(&sender, Lane::Events, 1).await;
    registered(&sender, 2).await;
    drained(&sender).await;
    scene.counted([&sender, &taker], Done { sessions: 2, ended: 1, records: 13 }).await;
    scene.taps[0].flip(To::Hub);
    emit(&sender, Lane::Events, 1).await;
    registered(&sender, 3).await;
    drained(&sender).await;
    scene.counted([&sender, &taker], Done { sessions: 3, ended: 2, records: 14 }).await;
    goes(scene, [sender, taker]).await;
}

#[tokio::test]
async fn over_tls_counters_of_frames_bytes_and_messages_are_what_was_done() {
    let scene = Scene::new(Wire::Tls).await;
    let [sender, taker] = script(&scene).await;
    scene.counted([&sender, &taker], Done { sessions: 1, ended: 0, records: 12 }).await;
    goes(scene, [sender, taker]).await;
}
