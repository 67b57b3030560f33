//! Jobs with secrets across restarts and rotations: sealed on disk, and never lost for a key that is not there.

use super::*;
use crate::agent::identity::Identity;
use crate::agent::jobs::Parties;
use crate::agent::jobs::seal::{is_sealed, sealing_key};
use crate::exec::{JobContext, JobHandler, Outcome};
use crate::id::{AgentId, HubId, Lane};
use crate::wire::identity::public_to_line;
use crate::wire::job::{Answer, JobOffer, Refusal};
use crate::wire::key::{AgentKey, KeyFile};
use crate::wire::operator::OperatorKeys;

const HUB: HubId = HubId::from_bytes([1; 16]);
const AGENT: AgentId = AgentId::from_bytes([2; 16]);
const REPORTED: &str = r#"{"kind":"wait","secrets":{"TOKEN":"hunter2-on-disk"}}"#;
const RERUN: &str = r#"{"kind":"wait","on_crash":"rerun","secrets":{"TOKEN":"hunter2-on-disk"}}"#;
const RUNNING: Stage =
    Stage::Running { accepted_at: NOW, boot: BootId::from_bytes([9; 16]), process: None, started_at: NOW };

fn key(number: u8) -> KeyFile {
    let key_id = format!("k{number}").parse().unwrap();
    KeyFile { hub_id: HUB, agent_id: AGENT, key_id, key: AgentKey::new([number; 32]) }
}

/// What an agent with key `number` has, and with the one before where that is still there.
fn keys(number: u8, previous: Option<u8>) -> SealKeys {
    let identity = Identity { key: key(number), previous: previous.map(key), signing: None };
    SealKeys::of(&key(number), &identity)
}

/// Ends when it is told to.
struct Wait;

impl JobHandler for Wait {
    async fn run(&self, job: JobContext) -> Outcome {
        Outcome::stopped(job.cancelled().await)
    }
}

impl World {
    /// An agent with key 1 that ended while the journal said this of a job with secrets.
    async fn left_sealed(stage: Stage, spec: &str) -> Self {
        let disk = Disk::new(Rng::with_seed(1), 64 << 20);
        disk.set_now(BootTime(Duration::from_secs(100)));
        let world = Self { disk, job: JobId::from_time(NOW.0, [7; 10]) };
        let sealed = keys(1, None).seal(world.job, spec.as_bytes()).unwrap();
        world.leave(HubTime(NOW.0), stage, sealed).await;
        world
    }

    async fn actor_with(&self, keys: SealKeys) -> Actor {
        self.actor_of(keys, None).await
    }

    async fn actor_of(&self, keys: SealKeys, operator_keys: Option<OperatorKeys>) -> Actor {
        let with = Surroundings {
            outbox: self.open(),
            state: State::default(),
            wall_clock: || NOW,
            keys,
            operator_keys,
        };
        let handlers = Handlers::default().with("wait", Wait);
        Actor::restore(Settings::default(), handlers, with, CancellationToken::new()).await.unwrap()
    }

    /// The id of the key that the job's spec is sealed with on disk.
    async fn sealed_with(&self, actor: &Actor) -> String {
        let rows = actor.with.outbox.jobs().await.unwrap();
        let spec = rows.jobs[0].spec.clone().unwrap();
        assert!(is_sealed(&spec) && !spec.windows(7).any(|bytes| bytes == b"hunter2"));
        sealing_key(&spec)
    }
}

async fn told(actor: &Actor, lane: Lane) -> u64 {
    actor.with.outbox.stat().await.unwrap().lane(lane).records
}

#[tokio::test]
async fn a_job_whose_key_is_not_there_waits_for_it() {
    let world = World::left_sealed(Stage::Accepted { at: NOW }, REPORTED).await;
    for strange in [SealKeys::default(), keys(9, None)] {
        let mut actor = world.actor_with(strange).await;
        let events = told(&actor, Lane::Events).await;
        actor.enter(world.job).await;
        actor.tell_locked().await;
        actor.tend().await;
        assert!(actor.is_locked(world.job));
        assert_eq!(world.stage(&actor), Stage::Accepted { at: NOW }, "it is neither run nor over");
        assert_eq!(told(&actor, Lane::Events).await, events + 1, "the hub hears what it waits for");
        actor.with.outbox.close().await.unwrap();
    }
    let mut actor = world.actor_with(SealKeys::default()).await;
    actor.take_keys(keys(1, None)).await;
    assert!(!actor.is_locked(world.job) && actor.cancellers.contains_key(&world.job), "it has its turn");
    assert_eq!(actor.specs[&world.job].secrets.get("TOKEN").unwrap().expose(), "hunter2-on-disk");
    actor.with.outbox.close().await.unwrap();
}

#[tokio::test]
async fn what_becomes_of_a_begun_job_is_said_when_its_key_is_back() {
    let interrupted = Stage::Finished { state: JobState::Interrupted, at: NOW };
    for (spec, expected) in [(REPORTED, interrupted), (RERUN, Stage::Accepted { at: NOW })] {
        let world = World::left_sealed(RUNNING, spec).await;
        let mut actor = world.actor_with(keys(9, None)).await;
        assert_eq!(world.stage(&actor), RUNNING, "whether it is run again is not known");
        actor.take_keys(keys(2, Some(1))).await;
        assert_eq!(world.stage(&actor), expected, "{spec}");
        assert_eq!(told(&actor, Lane::Control).await, u64::from(expected == interrupted));
        assert_eq!(actor.cancellers.contains_key(&world.job), expected != interrupted);
        actor.with.outbox.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_begun_job_whose_key_is_gone_keeps_no_agent_with_new_operator_keys_from_work() {
    let operator = ed25519_dalek::SigningKey::from_bytes(&[9; 32]).verifying_key();
    let operator = OperatorKeys::parse(&[public_to_line(&operator)]).unwrap();
    for spec in [REPORTED, RERUN] {
        let world = World::left_sealed(RUNNING, spec).await;
        let mut actor = world.actor_of(SealKeys::default(), Some(operator.clone())).await;
        assert_eq!(world.stage(&actor), Stage::Finished { state: JobState::Interrupted, at: NOW }, "{spec}");
        actor.keep_time().await.unwrap();
        actor.with.outbox.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_rotation_seals_anew_so_that_the_older_key_may_go() {
    let world = World::left_sealed(Stage::Accepted { at: NOW }, REPORTED).await;
    let mut actor = world.actor_with(keys(1, None)).await;
    for number in 2..5 {
        actor.take_keys(keys(number, Some(number - 1))).await;
        assert_eq!(world.sealed_with(&actor).await, format!("k{number}"));
    }
    actor.with.outbox.close().await.unwrap();
    // Rotated while the agent was down: the key before is there.
    let mut actor = world.actor_with(keys(5, Some(4))).await;
    assert!(!actor.is_locked(world.job));
    actor.seal_anew().await;
    assert_eq!(world.sealed_with(&actor).await, "k5");
    actor.with.outbox.close().await.unwrap();
    let actor = world.actor_with(keys(5, None)).await;
    assert!(!actor.is_locked(world.job), "the older ones may go");
    actor.with.outbox.close().await.unwrap();
}

#[tokio::test]
async fn a_full_disk_puts_off_a_new_seal() {
    let world = World::left_sealed(Stage::Accepted { at: NOW }, REPORTED).await;
    world.fill();
    let mut actor = world.actor_with(keys(1, None)).await;
    actor.take_keys(keys(2, None)).await;
    assert_eq!(world.sealed_with(&actor).await, "k1");
    world.disk.set_others(0);
    actor.tend().await;
    assert_eq!(world.sealed_with(&actor).await, "k2", "the key of this process's earlier sessions is known");
    actor.with.outbox.close().await.unwrap();
}

#[tokio::test]
async fn a_locked_job_can_be_cancelled() {
    for stage in [Stage::Accepted { at: NOW }, RUNNING] {
        let world = World::left_sealed(stage, RERUN).await;
        let mut actor = world.actor_with(SealKeys::default()).await;
        actor.cancel(world.job).await;
        assert_eq!(world.stage(&actor), Stage::Finished { state: JobState::Cancelled, at: NOW });
        assert!(!actor.is_locked(world.job));
        actor.with.outbox.close().await.unwrap();
    }
}

#[tokio::test]
async fn no_job_waits_for_its_key_for_ever() {
    let world = World::left_sealed(Stage::Accepted { at: NOW }, REPORTED).await;
    let sealed = keys(1, None).seal(world.job, REPORTED.as_bytes()).unwrap();
    let long_ago = NOW.0 - u64::try_from(limit::JOB_EXPIRY_MAX.as_millis()).unwrap() - 1;
    for (created_at, expected) in [
        (long_ago + 1, Stage::Accepted { at: NOW }),
        (long_ago, Stage::Finished { state: JobState::Expired, at: NOW }),
    ] {
        world.leave(HubTime(created_at), Stage::Accepted { at: NOW }, sealed.clone()).await;
        let mut actor = world.actor_with(SealKeys::default()).await;
        actor.tend().await;
        assert_eq!(world.stage(&actor), expected);
        actor.with.outbox.close().await.unwrap();
    }
}

#[tokio::test]
async fn an_offer_with_secrets_is_stored_sealed_or_not_taken() {
    let world = World::left(Stage::Finished { state: JobState::Succeeded, at: NOW }).await;
    let job = JobId::from_time(NOW.0 + 1, [8; 10]);
    let offer = |spec: &'static str| {
        let spec = Bytes::from_static(spec.as_bytes());
        JobOffer { job, created_at: HubTime(NOW.0 + 1), spec, signature: None }
    };
    let parties = Parties { hub: HUB, agent: AGENT };
    let mut actor = world.actor_with(SealKeys::default()).await;
    let refused = actor.offered(offer(REPORTED), parties, HubTime(NOW.0 + 2)).await;
    assert!(matches!(refused, Some(Answer::Refused { refusal: Refusal::Busy, .. })), "{refused:?}");
    actor.take_keys(keys(1, None)).await;
    let wrong = r#"{"kind":"hunter2","secrets":{"TOKEN":"hunter2"}}"#;
    let Some(Answer::Refused { detail, .. }) = actor.offered(offer(wrong), parties, HubTime(NOW.0 + 2)).await
    else {
        panic!("a kind nobody knows was taken");
    };
    assert!(detail.contains("`***`") && !detail.contains("hunter2"), "{detail}");
    assert_eq!(actor.offered(offer(REPORTED), parties, HubTime(NOW.0 + 2)).await, None);
    let rows = actor.with.outbox.jobs().await.unwrap();
    let stored = rows.jobs.iter().find(|row| row.job == job).unwrap().spec.clone().unwrap();
    assert!(is_sealed(&stored) && sealing_key(&stored) == "k1");
    actor.with.outbox.close().await.unwrap();
}
