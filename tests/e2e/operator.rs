//! An agent with operator keys, and a hub that holds the agent's key and says whatever it likes: a stolen hub.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use outpost::agent::Agent;
use outpost::agent::config::{Config, LinkMode};
use outpost::agent::state::Status;
use outpost::exec::{JobContext, JobHandler, Outcome};
use outpost::id::{AgentId, JobId};
use outpost::obs::clock::wall_now;
use outpost::time::HubTime;
use outpost::wire::identity::public_to_line;
use outpost::wire::job::{Answer, JobOffer, JobRecord, JobState, Refusal};
use outpost::wire::key::KeyFile;
use outpost::wire::message::ConfigSnapshot;
use outpost::wire::operator::{OperatorKeys, OperatorSignature, Subject};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::hand_hub::{DEADLINE, HandHub, Lies, Manner, Order, Seen};

const HOUR: u64 = 3600 * 1000;

fn operator() -> SigningKey {
    SigningKey::from_bytes(&[0x0b; 32])
}

fn keys(keys: &[&SigningKey]) -> OperatorKeys {
    let texts: Vec<_> = keys.iter().map(|key| public_to_line(&key.verifying_key())).collect();
    OperatorKeys::parse(&texts).unwrap()
}

/// Counts its runs.
struct Counted(Arc<Semaphore>);

impl JobHandler for Counted {
    async fn run(&self, _job: JobContext) -> Outcome {
        self.0.add_permits(1);
        Outcome::succeeded()
    }
}

fn config(folder: &Path, hub: &HandHub) -> Config {
    let mut config = Config::new(folder).with_hub(&hub.url, None).unwrap();
    std::fs::write(&config.key_file, hub.key.to_line().expose()).unwrap();
    config.reconnect.min = Duration::from_millis(20);
    config.reconnect.fast = Duration::from_millis(20);
    config.heartbeat = Some(Duration::from_millis(20));
    config.operator_keys = Some(keys(&[&operator()]));
    config
}

/// An agent that counts the jobs it runs.
async fn start(config: Config) -> (Agent, Arc<Semaphore>) {
    let runs = Arc::new(Semaphore::new(0));
    let agent = Agent::builder(config).handler("counted", Counted(Arc::clone(&runs))).start().await.unwrap();
    (agent, runs)
}

fn job(number: u8) -> JobId {
    JobId::from_bytes([number; 16])
}

/// A spec for the agent of this key, good from an hour ago for another hour.
fn spec(key: &KeyFile, number: u8) -> Value {
    let now = wall_now().0;
    json!({"kind": "counted", "job_id": job(number).to_string(), "hub_id": key.hub_id.to_string(),
        "agents": [key.agent_id.to_string()], "not_before_ms": now - HOUR, "expires_at_ms": now + HOUR})
}

fn offer(number: u8, spec: impl Into<Bytes>, signature: Option<OperatorSignature>) -> JobOffer {
    JobOffer { job: job(number), created_at: HubTime(wall_now().0), spec: spec.into(), signature }
}

fn signed(number: u8, spec: &Value) -> JobOffer {
    let spec = spec.to_string();
    let signature = OperatorSignature::sign(Subject::Job, &operator(), spec.as_bytes());
    offer(number, spec, Some(signature))
}

fn say(hub: &HandHub, orders: impl IntoIterator<Item = Order>) {
    hub.orders.send_replace(orders.into_iter().collect());
}

fn succeeded(seen: &Seen, number: u8) -> bool {
    seen.jobs.iter().any(|record| {
        matches!(record, JobRecord::Result(result)
            if result.job == job(number) && result.state == JobState::Succeeded)
    })
}

fn refusals(seen: &Seen, number: u8) -> Vec<(Refusal, String)> {
    let refusals =
        seen.answers.iter().filter(|ack| ack.job == job(number)).filter_map(|ack| match &ack.answer {
            Answer::Refused { refusal, detail } => Some((*refusal, detail.clone())),
            Answer::Accepted(_) => None,
        });
    refusals.collect()
}

async fn refused(hub: &HandHub, number: u8) -> (Refusal, String) {
    hub.until("a refusal", |seen| !refusals(seen, number).is_empty()).await;
    hub.look(|seen| refusals(seen, number).remove(0))
}

/// Waits until the agent's status is as wished.
async fn shows(agent: &Agent, what: &str, wish: impl Fn(&Status) -> bool) {
    let wait = async {
        while !wish(&agent.status().await.unwrap()) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}

/// Nothing of a job is left on the agent or was said of one.
async fn ran_nothing(hub: &HandHub, agent: &Agent, runs: &Semaphore) {
    assert_eq!(runs.available_permits(), 0);
    assert_eq!(agent.outbox().jobs().await.unwrap().jobs, []);
    assert_eq!(hub.look(|seen| seen.jobs.clone()), []);
}

#[tokio::test]
async fn what_an_operator_signed_runs_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let hub = HandHub::start(Manner::Proper).await;
    let text = spec(&hub.key, 1).to_string();
    let stranger = SigningKey::from_bytes(&[0x0c; 32]);
    let by = |key: &SigningKey, subject| Some(OperatorSignature::sign(subject, key, text.as_bytes()));
    let without = |field: &str| {
        let mut spec = spec(&hub.key, 5);
        spec.as_object_mut().unwrap().remove(field);
        signed(5, &spec)
    };
    let mut long = spec(&hub.key, 6);
    long["expires_at_ms"] = json!(wall_now().0 + 31 * 24 * HOUR);
    let cases = [
        (offer(1, text.clone(), None), "signature: it is not signed"),
        (offer(1, text.clone(), by(&stranger, Subject::Job)), "signature: its signature verifies under none"),
        (
            offer(1, text.clone(), by(&operator(), Subject::Config)),
            "signature: its signature verifies under none",
        ),
        (offer(2, text.clone(), by(&operator(), Subject::Job)), "job_id: the spec says"),
        (without("hub_id"), "hub_id: must stand"),
        (without("agents"), "agents: must stand"),
        (without("job_id"), "job_id: must stand"),
        (without("not_before_ms"), "not_before_ms: must stand"),
        (without("expires_at_ms"), "expires_at_ms: must stand"),
        (signed(6, &long), "expires_at_ms: is more than 30 days"),
    ];
    say(&hub, cases.iter().map(|(offer, _)| Order::Offer(offer.clone())));
    let (agent, runs) = start(config(folder.path(), &hub)).await;
    hub.until("an answer to each", |seen| seen.answers.len() == cases.len()).await;
    for (answer, (_, says)) in hub.look(|seen| seen.answers.clone()).iter().zip(&cases) {
        let Answer::Refused { refusal, detail } = &answer.answer else { panic!("{says}: {answer:?}") };
        assert_eq!(*refusal, Refusal::Invalid, "{says}");
        assert!(detail.starts_with(says), "{says}: {detail}");
    }
    ran_nothing(&hub, &agent, &runs).await;
    let refusals = agent.status().await.unwrap().counters.operator_refusals;
    assert_eq!(refusals, cases.len() as u64, "shown on the machine, too");
    say(&hub, [Order::Offer(offer(1, text.clone(), by(&operator(), Subject::Job)))]);
    hub.until("the signed one to run", |seen| succeeded(seen, 1)).await;
    assert_eq!(runs.available_permits(), 1);
    agent.shutdown().await.unwrap();
}

#[tokio::test]
async fn with_any_byte_changed_a_signed_job_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let hub = HandHub::start(Manner::Proper).await;
    let good = signed(1, &spec(&hub.key, 1));
    let signature = *good.signature.unwrap().as_bytes();
    let in_spec = (0..good.spec.len()).map(|at| {
        let mut spec = good.spec.to_vec();
        spec[at] ^= 1;
        JobOffer { spec: spec.into(), ..good.clone() }
    });
    let in_signature = (0..signature.len()).map(|at| {
        let mut signature = signature;
        signature[at] ^= 1;
        JobOffer { signature: Some(OperatorSignature::from_bytes(signature)), ..good.clone() }
    });
    let changed: Vec<_> = in_spec.chain(in_signature).collect();
    let (agent, runs) = start(config(folder.path(), &hub)).await;
    let mut answered = 0;
    // As many as an agent looks at without calling itself busy.
    for offers in changed.chunks(16) {
        say(&hub, offers.iter().cloned().map(Order::Offer));
        answered += offers.len();
        hub.until("an answer to each", |seen| seen.answers.len() >= answered).await;
    }
    let refusals = hub.look(|seen| refusals(seen, 1));
    assert_eq!(refusals.len(), changed.len());
    for (refusal, detail) in refusals {
        assert!(refusal == Refusal::Invalid && detail.starts_with("signature:"), "{detail}");
    }
    ran_nothing(&hub, &agent, &runs).await;
    say(&hub, [Order::Offer(good)]);
    hub.until("the unchanged one to run", |seen| succeeded(seen, 1)).await;
    agent.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_signed_job_replayed_to_another_agent_or_by_another_hub_is_refused() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let hub = HandHub::start(Manner::Proper).await;
    let good = signed(1, &spec(&hub.key, 1));
    let elsewhere = HandHub::start(Manner::Proper).await;
    let mut for_other_hub = spec(&hub.key, 2);
    for_other_hub["hub_id"] = json!(elsewhere.key.hub_id.to_string());
    say(&hub, [Order::Offer(good.clone()), Order::Offer(signed(2, &for_other_hub))]);
    let (agent, _runs) = start(config(first.path(), &hub)).await;
    hub.until("it runs where it belongs", |seen| succeeded(seen, 1)).await;
    let (refusal, detail) = refused(&hub, 2).await;
    assert!(refusal == Refusal::Invalid && detail.starts_with("hub_id: the spec is for hub"), "{detail}");
    agent.shutdown().await.unwrap();

    // The same hub, another of its agents; by its name, too, which only the hub gives.
    let other = KeyFile { agent_id: AgentId::from_bytes([9; 16]), ..hub.key.clone() };
    let hub = HandHub::start_for(other, Manner::Proper).await;
    let mut by_name = spec(&hub.key, 3);
    by_name["agents"] = json!(["edge-2"]);
    say(&hub, [Order::Offer(good), Order::Offer(signed(3, &by_name))]);
    let (agent, runs) = start(config(second.path(), &hub)).await;
    let (refusal, detail) = refused(&hub, 1).await;
    assert!(
        refusal == Refusal::Invalid && detail.starts_with("agents: the spec is not for agent"),
        "{detail}"
    );
    let (_, detail) = refused(&hub, 3).await;
    assert!(detail.contains("`edge-2` is a name"), "{detail}");
    ran_nothing(&hub, &agent, &runs).await;
    agent.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_has_expired_stays_expired_for_a_hub_that_lies_about_the_time() {
    let folder = tempfile::tempdir().unwrap();
    let hub = HandHub::start(Manner::Proper).await;
    let late = Lies { clock_ms: i64::try_from(2 * HOUR).unwrap(), ..Lies::default() };
    let (good, other) = (signed(1, &spec(&hub.key, 1)), signed(2, &spec(&hub.key, 2)));
    say(&hub, [Order::Offer(good)]);
    let (agent, runs) = start(config(folder.path(), &hub)).await;
    hub.until("in its time it runs", |seen| succeeded(seen, 1)).await;

    // Two hours later, once, and nothing is offered.
    hub.lies.send_replace(late);
    let sessions = hub.look(|seen| seen.sessions);
    say(&hub, [Order::End]);
    hub.until("a session in which it is later", |seen| seen.sessions > sessions).await;
    say(&hub, []);
    let hour = i64::try_from(HOUR).unwrap();
    shows(&agent, "it is later", |status| status.clock_offset_ms.is_some_and(|ms| ms > hour)).await;

    // From here on the hub says what it said at first.
    hub.lies.send_replace(Lies::default());
    let sessions = hub.look(|seen| seen.sessions);
    say(&hub, [Order::End]);
    hub.until("a session with the old time", |seen| seen.sessions > sessions).await;
    shows(&agent, "it is as at first", |status| status.clock_offset_ms.is_some_and(|ms| ms < hour)).await;
    say(&hub, [Order::Offer(other.clone())]);
    let (refusal, detail) = refused(&hub, 2).await;
    assert!(refusal == Refusal::Expired && detail.contains("it expired at"), "{detail}");
    say(&hub, []);
    agent.shutdown().await.unwrap();

    // Nor does a restart make it forget: first what is offered at once, then what comes later.
    say(&hub, [Order::Offer(other.clone())]);
    let (agent, again) = start(config(folder.path(), &hub)).await;
    hub.until("another refusal", |seen| refusals(seen, 2).len() >= 2).await;
    assert!(hub.look(|seen| refusals(seen, 2)).iter().all(|(refusal, _)| *refusal == Refusal::Expired));
    assert_eq!((runs.available_permits(), again.available_permits()), (1, 0));
    agent.shutdown().await.unwrap();
}

fn snapshot(hub: &HandHub, version: u64, settings: &Value, key: Option<&SigningKey>) -> ConfigSnapshot {
    let mut document = json!({"hub_id": hub.key.hub_id.to_string(), "agents": [hub.key.agent_id.to_string()],
        "version": version});
    for (name, value) in settings.as_object().unwrap() {
        document[name] = value.clone();
    }
    let document = document.to_string();
    let signature = key.map(|key| OperatorSignature::sign(Subject::Config, key, document.as_bytes()));
    ConfigSnapshot { version, document: document.into(), signature }
}

#[tokio::test]
async fn no_config_of_the_hub_changes_who_may_sign_or_what_may_run() {
    let folder = tempfile::tempdir().unwrap();
    let hub = HandHub::start(Manner::Proper).await;
    let (operator, stranger) = (operator(), SigningKey::from_bytes(&[0x0c; 32]));
    let own = json!({"jobs": {"operator_keys": [public_to_line(&stranger.verifying_key())]}});
    let harmless = json!({"jobs": {"concurrency": 2}});
    let another = json!({"agents": ["00000000000000000000000000000001"]});
    let cases = [
        (snapshot(&hub, 11, &harmless, None), "it is not signed"),
        (snapshot(&hub, 12, &harmless, Some(&stranger)), "verifies under none"),
        (snapshot(&hub, 13, &own, Some(&operator)), "`jobs.operator_keys` is decided on the machine"),
        (
            snapshot(&hub, 14, &json!({"hub": {"urls": ["http://127.0.0.1:9"]}}), Some(&operator)),
            "`hub` is decided",
        ),
        (
            snapshot(&hub, 15, &json!({"jobs": {"kinds": ["exec"]}}), Some(&operator)),
            "`jobs.kinds` is decided",
        ),
        (snapshot(&hub, 16, &json!({"jobs": {"roots": ["/"]}}), Some(&operator)), "`jobs.roots` is decided"),
        (snapshot(&hub, 17, &another, Some(&operator)), "is not for agent"),
        (ConfigSnapshot { version: 18, ..snapshot(&hub, 1, &harmless, Some(&operator)) }, "came as 18"),
    ];
    let (agent, runs) = start(config(folder.path(), &hub)).await;
    for (config, says) in cases {
        let version = config.version;
        hub.lies.send_replace(Lies { config: Some(config), ..Lies::default() });
        say(&hub, [Order::End]);
        let told = |seen: &Seen| {
            seen.configs_refused
                .iter()
                .any(|refused| refused.version == version && refused.reason.contains(says))
        };
        hub.until(says, told).await;
        say(&hub, []);
        let status = agent.status().await.unwrap();
        let shown = status.config_refused.unwrap();
        assert!(shown.version == version && shown.reason.contains(says), "{shown:?}");
        assert_eq!((status.config_version, agent.outbox().get("config").await.unwrap()), (0, None));
    }
    // It is as it was: what is not signed is refused, and a config that is in order is kept.
    let spec = spec(&hub.key, 1).to_string();
    let by_stranger = OperatorSignature::sign(Subject::Job, &stranger, spec.as_bytes());
    let good = snapshot(&hub, 20, &harmless, Some(&operator));
    hub.lies.send_replace(Lies { config: Some(good.clone()), ..Lies::default() });
    say(&hub, [Order::End]);
    shows(&agent, "the config", |status| status.config_version == 20).await;
    say(&hub, [Order::Offer(offer(1, spec, Some(by_stranger)))]);
    refused(&hub, 1).await;
    ran_nothing(&hub, &agent, &runs).await;
    let status = agent.status().await.unwrap();
    assert_eq!((status.config_version, status.config_refused), (20, None));
    assert_eq!(agent.outbox().get("config.0").await.unwrap().unwrap(), good.document);
    agent.shutdown().await.unwrap();

    // An older one that was signed as well is none any more, also after a restart.
    let older = Some(snapshot(&hub, 19, &harmless, Some(&operator)));
    hub.lies.send_replace(Lies { config: older, ..Lies::default() });
    say(&hub, []);
    let (agent, _runs) = start(config(folder.path(), &hub)).await;
    hub.until("the older one is refused", |seen| {
        seen.configs_refused.iter().any(|refused| refused.reason.contains("version 19 is too old"))
    })
    .await;
    assert_eq!(agent.status().await.unwrap().config_version, 20);
    agent.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_was_accepted_before_there_were_operator_keys_does_not_begin_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let hub = HandHub::start(Manner::Proper).await;
    let waiting = json!({"kind": "counted", "not_before_ms": wall_now().0 + HOUR});
    say(&hub, [Order::Offer(offer(1, waiting.to_string(), None))]);
    let (agent, _runs) = start(Config { operator_keys: None, ..config(folder.path(), &hub) }).await;
    hub.until("it is accepted", |seen| !seen.jobs.is_empty()).await;
    agent.shutdown().await.unwrap();

    let (agent, runs) = start(config(folder.path(), &hub)).await;
    hub.until("its end", |seen| {
        seen.jobs.iter().any(|record| {
            matches!(record, JobRecord::Result(result) if result.state == JobState::Failed
                && result.reason.contains("operator keys of this agent were changed"))
        })
    })
    .await;
    // What was accepted with the keys that are there goes on waiting.
    let mut later = spec(&hub.key, 2);
    later["not_before_ms"] = json!(wall_now().0 + HOUR / 2);
    say(&hub, [Order::Offer(signed(2, &later))]);
    hub.until("the signed one is accepted", |seen| {
        seen.jobs.iter().any(|record| matches!(record, JobRecord::Ack(ack) if ack.job == job(2)))
    })
    .await;
    agent.shutdown().await.unwrap();
    let alone = Config { link: LinkMode::Off, ..config(folder.path(), &hub) };
    let (agent, _runs) = start(alone).await;
    shows(&agent, "it waits", |status| status.jobs.get("accepted") == Some(&1)).await;
    assert_eq!(runs.available_permits(), 0);
    agent.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_kind_that_is_not_allowed_is_refused_whoever_signed_the_job() {
    let folder = tempfile::tempdir().unwrap();
    let hub = HandHub::start(Manner::Proper).await;
    let mut exec = spec(&hub.key, 2);
    exec["kind"] = json!("exec");
    exec["payload"] = json!({"command": ["true"]});
    say(&hub, [Order::Offer(signed(1, &spec(&hub.key, 1))), Order::Offer(signed(2, &exec))]);
    let kinds = Some(["counted".to_owned()].into());
    let (agent, _runs) = start(Config { kinds, ..config(folder.path(), &hub) }).await;
    hub.until("the allowed one runs", |seen| succeeded(seen, 1)).await;
    let (refusal, detail) = refused(&hub, 2).await;
    assert!(refusal == Refusal::Invalid && detail.starts_with("kind: `exec` is not among"), "{detail}");
    agent.shutdown().await.unwrap();
}
