//! Handlers of other kinds: what they can say, and what becomes of those that misbehave.

use outpost::exec::{CancelReason, Ending, JobContext, JobHandler, Outcome, ReportError};
use outpost::job::JobState;
use outpost::limit;
use outpost::wire::job::OutputStream::{Stderr, Stdout};
use serde::Deserialize;
use serde_json::json;

use crate::world::{Story, job, pool_with, run, start};

#[derive(Deserialize)]
struct Measure {
    sensor: String,
}

struct Sensor;

impl JobHandler for Sensor {
    async fn run(&self, job: JobContext) -> Outcome {
        let measure: Measure = match job.payload() {
            Ok(measure) => measure,
            Err(wrong) => return Outcome::failed(wrong.to_string()),
        };
        match measure_with(&job, &measure.sensor).await {
            Ok(()) => Outcome::succeeded().with_payload("21.5"),
            Err(error) => Outcome::failed(error.to_string()),
        }
    }
}

async fn measure_with(job: &JobContext, sensor: &str) -> Result<(), ReportError> {
    job.log(Stdout, format!("sensor {sensor}\nrun {}\n", job.run())).await?;
    job.progress(Some(0.5), "half").await?;
    job.log(Stderr, "warm").await?;
    job.artifact("curve.csv", "1,2,3").await?;
    let error = job.artifact("", "").await.unwrap_err();
    assert_eq!(error, ReportError::ArtifactName { bytes: 0 });
    let error = job.artifact(&"x".repeat(256), "").await.unwrap_err();
    assert_eq!(error, ReportError::ArtifactName { bytes: 256 });
    let bytes = limit::JOB_ATTACHMENT_BYTES_MAX + 1;
    let error = job.artifact("long", vec![0; bytes]).await.unwrap_err();
    assert_eq!(error, ReportError::ArtifactTooLong { bytes });
    Ok(())
}

#[tokio::test]
async fn a_handler_logs_and_leaves_things_behind_in_order() {
    let pool = pool_with("sensor", Sensor);
    let story = run(&pool, job(&json!({"kind": "sensor", "payload": {"sensor": "t1"}}))).await;
    assert_eq!(story.started, [None]);
    assert_eq!(story.texts(Stdout), ["sensor t1", "run 1"]);
    assert_eq!(story.texts(Stderr), ["warm"]);
    assert_eq!(story.progress, [(Some(500), "half".to_owned())]);
    assert_eq!(story.artifacts, [("curve.csv".to_owned(), b"1,2,3".to_vec())]);
    let outcome = &story.end().outcome;
    assert_eq!((outcome.ending, &*outcome.payload), (Ending::Succeeded, b"21.5".as_slice()));
    let story = run(&pool, job(&json!({"kind": "sensor", "payload": {}}))).await;
    assert_eq!(story.end().outcome.reason, "payload: missing field `sensor`");
}

struct Panics;

impl JobHandler for Panics {
    async fn run(&self, job: JobContext) -> Outcome {
        job.log(Stdout, "before").await.unwrap();
        panic!("out of {}", "cheese");
    }
}

#[tokio::test]
async fn a_handler_that_panics_has_failed() {
    let pool = pool_with("panics", Panics);
    let story = run(&pool, job(&json!({"kind": "panics"}))).await;
    assert_eq!(story.texts(Stdout), ["before"]);
    assert_eq!(story.end().outcome, Outcome::failed("the handler panicked: out of cheese"));
}

struct Deaf;

impl JobHandler for Deaf {
    async fn run(&self, _job: JobContext) -> Outcome {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_does_not_hear_is_left_behind() {
    let mut running = start(&pool_with("deaf", Deaf), job(&json!({"kind": "deaf"}))).await;
    let mut story = Story::default();
    story.until(&mut running, |story| !story.started.is_empty()).await;
    running.canceller().cancel(CancelReason::Cancelled);
    story.finish(&mut running).await;
    let outcome = &story.end().outcome;
    assert_eq!(outcome.state(), JobState::Cancelled);
    assert!(outcome.reason.contains("did not end in time"), "{outcome:?}");
}

/// Says its secret in every way there is.
struct Gossip;

impl JobHandler for Gossip {
    async fn run(&self, job: JobContext) -> Outcome {
        let token = job.secret("TOKEN").unwrap().expose().clone();
        assert!(job.secret("OTHER").is_none());
        let lengths = format!("it has {} bytes", token.len());
        for text in [format!("out {token}"), lengths] {
            job.log(Stdout, text).await.unwrap();
        }
        job.progress(None, &format!("half of {token}")).await.unwrap();
        Outcome::failed(format!("cannot use {token}")).with_payload(format!("{{\"used\": \"{token}\"}}"))
    }
}

#[tokio::test]
async fn a_handler_gets_its_secret_and_nobody_hears_it() {
    let pool = pool_with("gossip", Gossip);
    let story = run(&pool, job(&json!({"kind": "gossip", "secrets": {"TOKEN": "hunter2"}}))).await;
    assert_eq!(story.texts(Stdout), ["out ***", "it has 7 bytes"]);
    assert_eq!(story.progress, [(None, "half of ***".to_owned())]);
    let outcome = &story.end().outcome;
    assert_eq!(outcome.reason, "cannot use ***");
    assert_eq!(&*outcome.payload, b"{\"used\": \"***\"}");
    assert!(!format!("{story:?}").contains("hunter2"));
}
