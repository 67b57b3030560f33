//! Places: per kind, in total, in order, in time.

use std::num::NonZeroU32;
use std::time::Duration;

use outpost::exec::{CancelReason, Handlers, JobContext, JobHandler, NotStarted, Outcome, Pool, Queued};
use serde_json::json;

use crate::world::{DEADLINE, Story, handlers, job, run, settings, shell, start, within};

/// One at a time.
struct Deploy;

impl JobHandler for Deploy {
    fn concurrency(&self) -> Option<NonZeroU32> {
        NonZeroU32::new(1)
    }

    async fn run(&self, job: JobContext) -> Outcome {
        Outcome::stopped(job.cancelled().await)
    }
}

fn deploys() -> Handlers {
    handlers().with("deploy", Deploy)
}

fn queue(pool: &Pool, kind: &str) -> Queued {
    pool.queue(job(&json!({"kind": kind, "payload": {"command": ["true"]}}))).unwrap()
}

#[tokio::test]
async fn a_kind_runs_as_often_as_it_says_and_delays_no_other() {
    let pool = Pool::new(deploys(), settings(3));
    let (first, second, third) = (queue(&pool, "deploy"), queue(&pool, "deploy"), queue(&pool, "deploy"));
    let mut running = within(first.permit()).await.unwrap().start();
    let mut second = Box::pin(second.permit());
    let mut third = Box::pin(third.permit());
    // Two other kinds' jobs pass the deploys that wait.
    for _job in 0..2 {
        run(&pool, shell("true")).await;
    }
    let waits = futures_util::poll!(&mut second).is_pending() && futures_util::poll!(&mut third).is_pending();
    assert!(waits, "two deploys at once");
    running.canceller().cancel(CancelReason::Cancelled);
    Story::default().finish(&mut running).await;
    let permit = within(second).await.unwrap();
    assert!(futures_util::poll!(&mut third).is_pending(), "two deploys at once");
    // A permit that is not used gives its place back.
    drop(permit);
    within(third).await.unwrap();
}

#[tokio::test]
async fn no_more_run_than_there_are_places_in_the_order_of_the_queue() {
    let pool = Pool::new(handlers(), settings(1));
    let (first, gone, second, third) =
        (queue(&pool, "exec"), queue(&pool, "exec"), queue(&pool, "exec"), queue(&pool, "exec"));
    let mut third = Box::pin(third.permit());
    let mut second = Box::pin(second.permit());
    let first = within(first.permit()).await.unwrap();
    assert!(futures_util::poll!(&mut third).is_pending() && futures_util::poll!(&mut second).is_pending());
    drop(gone);
    drop(first);
    let second = within(second).await.unwrap();
    assert!(futures_util::poll!(&mut third).is_pending());
    drop(second);
    within(third).await.unwrap();
}

#[tokio::test]
async fn a_job_that_waits_too_long_or_is_cancelled_never_starts() {
    let pool = Pool::new(deploys(), settings(8));
    let first = within(queue(&pool, "deploy").permit()).await.unwrap();
    let mut late = job(&json!({"kind": "deploy"}));
    late.start_within = Some(Duration::from_millis(50));
    let late = pool.queue(late).unwrap();
    let cancelled = queue(&pool, "deploy");
    let canceller = cancelled.canceller();
    let (late, cancelled) = tokio::time::timeout(DEADLINE, async {
        tokio::join!(late.permit(), async {
            canceller.cancel(CancelReason::Cancelled);
            cancelled.permit().await
        })
    })
    .await
    .unwrap();
    assert_eq!(late.unwrap_err(), NotStarted::TooLate);
    assert_eq!(cancelled.unwrap_err(), NotStarted::Cancelled(CancelReason::Cancelled));
    // A deadline that has passed already counts, a free place or not.
    drop(first);
    let mut late = job(&json!({"kind": "deploy"}));
    late.start_within = Some(Duration::ZERO);
    assert_eq!(within(pool.queue(late).unwrap().permit()).await.unwrap_err(), NotStarted::TooLate);
    // Nobody of them kept a place.
    start(&pool, job(&json!({"kind": "deploy"}))).await;
}
