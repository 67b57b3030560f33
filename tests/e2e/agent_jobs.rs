//! What an agent does with offers and cancels of a hub that says whatever it likes.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use outpost::agent::Agent;
use outpost::agent::config::Config;
use outpost::exec::{JobContext, JobHandler, Outcome};
use outpost::id::JobId;
use outpost::obs::clock::wall_now;
use outpost::time::HubTime;
use outpost::wire::job::{Answer, JobAck, JobOffer, JobRecord, JobResult, JobState, Refusal, ResultPayload};
use tokio::sync::Semaphore;

use crate::hand_hub::{HandHub, Manner, Order, Seen};

fn config(folder: &Path, hub: &HandHub) -> Config {
    let mut config = Config::new(folder).with_hub(&hub.url, None).unwrap();
    std::fs::write(&config.key_file, hub.key.to_line().expose()).unwrap();
    config.reconnect.min = std::time::Duration::from_millis(20);
    config.reconnect.fast = std::time::Duration::from_millis(20);
    config
}

fn job(number: u8) -> JobId {
    JobId::from_bytes([number; 16])
}

fn offer(number: u8, spec: &str) -> JobOffer {
    let spec = Bytes::copy_from_slice(spec.as_bytes());
    JobOffer { job: job(number), created_at: HubTime(wall_now().0), spec, signature: None }
}

fn say(hub: &HandHub, orders: impl IntoIterator<Item = Order>) {
    hub.orders.send_replace(orders.into_iter().collect());
}

fn results(seen: &Seen) -> Vec<JobResult> {
    let results = seen.jobs.iter().filter_map(|record| match record {
        JobRecord::Result(result) => Some((**result).clone()),
        _ => None,
    });
    results.collect()
}

fn refusal(seen: &Seen, number: u8) -> Option<(Refusal, String)> {
    seen.answers.iter().filter(|ack| ack.job == job(number)).find_map(|ack| match &ack.answer {
        Answer::Refused { refusal, detail } => Some((*refusal, detail.clone())),
        Answer::Accepted(_) => None,
    })
}

/// Runs until it is let, and counts its runs.
struct Gated {
    gate: Arc<Semaphore>,
    runs: Arc<Semaphore>,
}

impl JobHandler for Gated {
    async fn run(&self, job: JobContext) -> Outcome {
        self.runs.add_permits(1);
        tokio::select! {
            _let = self.gate.acquire() => Outcome::succeeded(),
            reason = job.cancelled() => Outcome::stopped(reason),
        }
    }
}

fn gated() -> (Gated, Arc<Semaphore>, Arc<Semaphore>) {
    let (gate, runs) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    (Gated { gate: Arc::clone(&gate), runs: Arc::clone(&runs) }, gate, runs)
}

#[tokio::test]
async fn a_job_offered_twice_at_once_and_after_a_restart_runs_once() {
    let folder = tempfile::tempdir().unwrap();
    let hub = HandHub::start(Manner::Proper).await;
    let marker = folder.path().join("runs");
    let spec = serde_json::json!({"kind": "exec", "payload": {"script": format!("echo run >> {}", marker.display())}});
    let offer = offer(1, &spec.to_string());
    say(&hub, [Order::Offer(offer.clone()), Order::Offer(offer.clone())]);
    let agent = Agent::start(config(folder.path(), &hub)).await.unwrap();
    hub.until("the result", |seen| results(seen).len() == 1 && seen.answers.len() == 1).await;
    // Once by a record, once with its state at that time.
    assert!(matches!(hub.look(|seen| seen.answers[0].answer.clone()), Answer::Accepted(_)));
    agent.shutdown().await.unwrap();

    let agent = Agent::start(config(folder.path(), &hub)).await.unwrap();
    let done = JobAck { job: job(1), answer: Answer::Accepted(JobState::Succeeded) };
    hub.until("the answers after the restart", |seen| {
        seen.answers.iter().filter(|ack| **ack == done).count() == 2
    })
    .await;
    agent.shutdown().await.unwrap();
    assert_eq!(hub.look(|seen| results(seen).len()), 1);
    assert_eq!(std::fs::read_to_string(marker).unwrap(), "run\n");
}

#[tokio::test]
async fn what_cannot_be_run_here_is_refused_by_field_and_remembered_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let hub = HandHub::start(Manner::Proper).await;
    let other = r#"{"kind": "exec", "agents": ["00000000000000000000000000000001"], "payload": {"command": ["true"]}}"#;
    let cases = [
        ("nonsense", Refusal::Invalid, "expected"),
        (r#"{"kind": "cook"}"#, Refusal::Invalid, "kind: `cook`"),
        (r#"{"kind": "exec"}"#, Refusal::Invalid, "payload"),
        (r#"{"kind": "exec", "job_id": "01938c5e-7b1a-7fff-bfff-ffffffffffff"}"#, Refusal::Invalid, "job_id"),
        (r#"{"kind": "exec", "hub_id": "00000000000000000000000000000001"}"#, Refusal::Invalid, "hub_id"),
        (other, Refusal::Invalid, "agents"),
        (
            r#"{"kind": "exec", "payload": {"command": ["true"]}, "expires_at_ms": 5}"#,
            Refusal::Invalid,
            "expires_at_ms",
        ),
        (
            r#"{"kind": "exec", "payload": {"command": ["true"], "user": "nobody-knows"}}"#,
            Refusal::Invalid,
            "user",
        ),
        (
            r#"{"kind": "exec", "payload": {"command": ["true"], "env": {"LD_PRELOAD": "x"}}}"#,
            Refusal::Invalid,
            "LD_PRELOAD",
        ),
    ];
    let numbered = || (0u8..).zip(&cases);
    say(&hub, numbered().map(|(number, (spec, ..))| Order::Offer(offer(number, spec))));
    let agent = Agent::start(config(folder.path(), &hub)).await.unwrap();
    hub.until("an answer to each", |seen| seen.answers.len() == cases.len()).await;
    for (number, (spec, expected, says)) in numbered() {
        let (refusal, detail) = hub.look(|seen| refusal(seen, number)).expect(spec);
        assert_eq!(refusal, *expected, "{spec}");
        assert!(detail.contains(says), "{spec}: {detail}");
    }
    assert_eq!(agent.outbox().jobs().await.unwrap().jobs, []);
    assert_eq!(hub.look(|seen| seen.jobs.clone()), []);
    agent.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_offer_that_comes_too_late_is_expired_and_one_too_many_is_busy() {
    let folder = tempfile::tempdir().unwrap();
    let hub = HandHub::start(Manner::Proper).await;
    let (handler, gate, runs) = gated();
    let mut settings = config(folder.path(), &hub);
    settings.jobs.queue = 2;
    let late =
        JobOffer { created_at: HubTime(wall_now().0 - 24 * 3600 * 1000), ..offer(9, r#"{"kind": "gated"}"#) };
    let orders = (1..=3).map(|number| offer(number, r#"{"kind": "gated"}"#)).chain([late]);
    say(&hub, orders.map(Order::Offer));
    let agent = Agent::builder(settings).handler("gated", handler).start().await.unwrap();
    hub.until("both refusals", |seen| refusal(seen, 3).is_some() && refusal(seen, 9).is_some()).await;
    assert_eq!(hub.look(|seen| refusal(seen, 3).unwrap().0), Refusal::Busy);
    assert_eq!(hub.look(|seen| refusal(seen, 9).unwrap().0), Refusal::Expired);
    gate.add_permits(2);
    hub.until("two results", |seen| results(seen).len() == 2).await;
    // There is room again.
    say(&hub, [Order::Offer(offer(3, r#"{"kind": "gated"}"#))]);
    gate.add_permits(1);
    hub.until("the third", |seen| results(seen).len() == 3).await;
    assert_eq!(runs.available_permits(), 3);
    agent.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_cancel_ends_a_job_wherever_it_is_and_an_unknown_one_never_runs() {
    let folder = tempfile::tempdir().unwrap();
    let hub = HandHub::start(Manner::Proper).await;
    let (handler, _gate, runs) = gated();
    let mut settings = config(folder.path(), &hub);
    settings.jobs.concurrency = std::num::NonZeroU32::MIN;
    let spec = r#"{"kind": "gated"}"#;
    say(&hub, [Order::Cancel(job(7)), Order::Offer(offer(1, spec)), Order::Offer(offer(2, spec))]);
    let agent = Agent::builder(settings).handler("gated", handler).start().await.unwrap();
    let first = |seen: &Seen| seen.jobs.iter().any(|record| matches!(record, JobRecord::Status(_)));
    hub.until("the first to run", first).await;
    say(&hub, [Order::Cancel(job(2)), Order::Cancel(job(1)), Order::Offer(offer(7, spec))]);
    hub.until("three results", |seen| results(seen).len() == 3 && !seen.answers.is_empty()).await;
    for result in hub.look(results) {
        assert_eq!(result.state, JobState::Cancelled, "{result:?}");
        assert_eq!(result.started_at.is_some(), result.job == job(1), "{result:?}");
    }
    let answer = hub.look(|seen| seen.answers.iter().find(|ack| ack.job == job(7)).cloned());
    assert_eq!(answer, Some(JobAck { job: job(7), answer: Answer::Accepted(JobState::Cancelled) }));
    assert_eq!(runs.available_permits(), 1);
    agent.shutdown().await.unwrap();
}

/// Says everything a handler can say.
struct Talkative;

impl JobHandler for Talkative {
    async fn run(&self, job: JobContext) -> Outcome {
        let said = async {
            job.progress(Some(0.5), "half").await?;
            job.log(outpost::wire::job::OutputStream::Stdout, "one\ntwo").await?;
            job.artifact("core", vec![7; 100_000]).await
        };
        match said.await {
            Ok(()) => Outcome::succeeded().with_payload(vec![b'p'; 20_000]),
            Err(error) => Outcome::failed(error.to_string()),
        }
    }
}

#[tokio::test]
async fn a_handler_of_ones_own_reports_lines_progress_an_artifact_and_a_long_result() {
    let folder = tempfile::tempdir().unwrap();
    let hub = HandHub::start(Manner::Proper).await;
    say(&hub, [Order::Offer(offer(1, r#"{"kind": "talk"}"#))]);
    let agent = Agent::builder(config(folder.path(), &hub)).handler("talk", Talkative).start().await.unwrap();
    hub.until("the result and what it names", |seen| {
        results(seen).first().is_some_and(|result| match result.payload {
            ResultPayload::At { last, .. } => {
                seen.payloads.get(&last.stream).is_some_and(|taken| taken.len() as u64 >= last.seq)
            }
            ResultPayload::Inline(_) => true,
        })
    })
    .await;
    let result = hub.look(results).remove(0);
    assert_eq!((result.state, result.log.lines, result.log.bytes), (JobState::Succeeded, Some(2), 6));
    let ResultPayload::At { first, last } = result.payload else { panic!("{result:?}") };
    let index = |seq: u64| usize::try_from(seq - 1).unwrap();
    let parts = hub.look(|seen| {
        let taken = &seen.payloads[&first.stream];
        taken[index(first.seq)..=index(last.seq)].concat()
    });
    assert_eq!(parts, vec![b'p'; 20_000]);
    assert!(result.log.end.unwrap().seq < first.seq, "its log ends before its payload");
    let lines = hub.look(|seen| {
        seen.jobs.iter().find_map(|record| match record {
            JobRecord::Output(output) => Some(output.clone()),
            _ => None,
        })
    });
    let texts: Vec<_> = lines.unwrap().lines.into_iter().map(|line| line.text).collect();
    assert_eq!(texts, ["one", "two"]);
    let progress = |seen: &Seen| {
        seen.jobs
            .iter()
            .any(|record| matches!(record, JobRecord::Progress(said) if said.permille == Some(500)))
    };
    hub.until("the progress", progress).await;
    agent.shutdown().await.unwrap();
}
