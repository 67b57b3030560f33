//! A signed job that the agent has had to forget.

use std::time::Duration;

use ed25519_dalek::SigningKey;
use serde_json::json;
use tokio::sync::mpsc;

use super::NOW;
use crate::agent::jobs::seal::SealKeys;
use crate::agent::jobs::{self, Answered, Jobs, Parties, Settings, Surroundings};
use crate::agent::state::State;
use crate::exec::{Handlers, JobContext, JobHandler, Outcome};
use crate::id::{AgentId, HubId, JobId, MessageId};
use crate::job::JobState;
use crate::limit;
use crate::outbox::{Options, Outbox};
use crate::time::HubTime;
use crate::wire::identity::public_to_line;
use crate::wire::job::{Answer, JobOffer, Refusal};
use crate::wire::operator::{OperatorKeys, OperatorSignature, Subject};

const PARTIES: Parties = Parties { hub: HubId::from_bytes([1; 16]), agent: AgentId::from_bytes([2; 16]) };
const HOUR: u64 = 3600 * 1000;
const DEADLINE: Duration = Duration::from_secs(60);
/// Of two jobs that ended at the same time the one with the smaller id is forgotten first.
const JOB: JobId = JobId::from_bytes([0; 16]);

struct Nothing;

impl JobHandler for Nothing {
    async fn run(&self, _job: JobContext) -> Outcome {
        Outcome::succeeded()
    }
}

struct World {
    jobs: Jobs,
    answers: (mpsc::Sender<Answered>, mpsc::Receiver<Answered>),
}

impl World {
    fn offer(&self, offer: JobOffer) {
        self.jobs.offer(MessageId::NONE, offer, PARTIES, HubTime(NOW.0), &self.answers.0);
    }

    /// The answer to an offer that is not answered by a record.
    async fn answer(&mut self, offer: JobOffer) -> Answer {
        self.offer(offer);
        let answer = tokio::time::timeout(DEADLINE, self.answers.1.recv()).await;
        answer.expect("an answer that is no record").unwrap().1.answer
    }
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&[9; 32])
}

/// May start in an hour, so that it waits until it is cancelled.
fn signed(created_at: u64) -> JobOffer {
    let spec = json!({"kind": "nothing", "job_id": JOB.to_string(), "hub_id": PARTIES.hub.to_string(),
        "agents": [PARTIES.agent.to_string()], "not_before_ms": NOW.0 + HOUR, "expires_at_ms": NOW.0 + 2 * HOUR});
    let spec = spec.to_string();
    let signature = Some(OperatorSignature::sign(Subject::Job, &key(), spec.as_bytes()));
    JobOffer { job: JOB, created_at: HubTime(created_at), spec: spec.into(), signature }
}

#[tokio::test]
async fn a_forgotten_job_is_too_old_whatever_a_hub_says_of_its_age() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = Outbox::open(dir.path(), Options::default()).unwrap();
    let with = Surroundings {
        outbox: outbox.clone(),
        state: State::default(),
        wall_clock: || NOW,
        keys: SealKeys::default(),
        operator_keys: Some(OperatorKeys::parse(&[public_to_line(&key().verifying_key())]).unwrap()),
    };
    let handlers = Handlers::new().with("nothing", Nothing);
    let (jobs, running) = jobs::start(Settings::default(), handlers, with).await.unwrap();
    let mut world = World { jobs, answers: mpsc::channel(8) };
    // As old as can be, so that its age would say nothing later.
    world.offer(signed(1));
    assert_eq!(world.answer(signed(1)).await, Answer::Accepted(JobState::Accepted));
    world.jobs.cancel(JOB);
    assert_eq!(world.answer(signed(1)).await, Answer::Accepted(JobState::Cancelled));
    // A hub can have an agent remember any number of ids.
    for number in 1..=u128::try_from(2 * limit::JOBS_REMEMBERED_MAX).unwrap() {
        world.jobs.cancel(JobId::from_bytes(number.to_be_bytes()));
        if number % 16 == 0 {
            let unsigned = JobOffer { job: JobId::from_bytes([7; 16]), signature: None, ..signed(1) };
            assert!(matches!(
                world.answer(unsigned).await,
                Answer::Refused { refusal: Refusal::Invalid, .. }
            ));
        }
    }
    let again = world.answer(signed(NOW.0 + HOUR)).await;
    assert!(matches!(again, Answer::Refused { refusal: Refusal::TooOld, .. }), "{again:?}");
    running.stop().await;
    outbox.close().await.unwrap();
}
