//! Jobs between the API and a raw agent: offers, what the agent says, and what the hub makes of it.

use bytes::Bytes;
use outpost::hub::store::Submission;
use outpost::id::{JobId, Lane};
use outpost::job::JobSpec;
use outpost::limit;
use outpost::obs::clock;
use outpost::time::HubTime;
use outpost::wire::job::{Answer, JobProgress, JobRecord, JobState, LogSummary, Refusal};
use outpost::wire::message::RecordKind;
use serde_json::json;

use crate::job_agent::{JobAgent, accepted, numbered, output, result, result_with, running};
use crate::raw_agent::{World, within};

/// Milliseconds of a day.
const DAY: u64 = 24 * 3600 * 1000;

fn in_future(ms: u64) -> HubTime {
    HubTime(clock::wall_now().0 + ms)
}

#[tokio::test]
async fn a_job_is_offered_to_a_connected_agent_as_it_was_submitted() {
    let world = World::new().await;
    let mut agent = JobAgent::register(&world).await;
    let spec = "{ \"kind\" : \"exec\",\n \"payload\":{\"command\":[\"true\"]} }";
    let (status, job) = world.post("/v1/jobs?agent=edge-1", None, spec).await;
    assert_eq!(status, 202, "{job}");
    let offer = agent.offer().await;
    assert_eq!(offer.spec, spec.as_bytes());
    assert_eq!(offer.job.to_string(), job["job_id"].as_str().unwrap());
    assert_eq!(offer.created_at.0, job["created_at_ms"].as_u64().unwrap());
    assert_eq!(world.status_of(offer.job).await, "offered");
    drop(agent);
    world.hub.shutdown().await;
}

#[tokio::test]
async fn jobs_that_wait_are_offered_at_the_registration_in_their_order() {
    let world = World::new().await;
    let jobs = [world.submit().await, world.submit().await, world.submit().await];
    let mut agent = JobAgent::register(&world).await;
    for job in jobs {
        assert_eq!(agent.offer().await.job, job);
    }
    // Not answered: offered again at the next registration, and only there.
    agent.settle().await;
    assert!(agent.offers.is_empty());
    let mut again = JobAgent::register(&world).await;
    for job in jobs {
        assert_eq!(again.offer().await.job, job);
    }
    drop(agent);
    drop(again);
    world.hub.shutdown().await;
}

#[tokio::test]
async fn a_hub_that_was_restarted_offers_what_it_had_taken() {
    let world = World::new().await;
    let job = world.submit().await;
    let world = world.restart().await;
    assert_eq!(world.status_of(job).await, "queued");
    let mut agent = JobAgent::register(&world).await;
    assert_eq!(agent.offer().await.job, job);
    let world = world.restart().await;
    assert_eq!(world.status_of(job).await, "offered");
    let mut agent = JobAgent::register(&world).await;
    assert_eq!(agent.offer().await.job, job);
    drop(agent);
    world.hub.shutdown().await;
}

#[tokio::test]
async fn what_the_agent_says_moves_the_job_once_and_under_any_epoch() {
    let world = World::new().await;
    let mut agent = JobAgent::register(&world).await;
    let job = world.submit().await;
    agent.offer().await;
    agent.tell([accepted(job)]).await;
    assert_eq!(world.status_of(job).await, "accepted");
    agent.tell([running(job, 1)]).await;
    let shown = world.job(job).await;
    assert_eq!((&shown["status"], &shown["run"]), (&json!("running"), &json!(1)), "{shown}");
    let progress = |at| JobProgress {
        job,
        run: 1,
        at: outpost::time::WallTime(at),
        permille: Some(500),
        text: format!("at {at}"),
    };
    agent.tell([JobRecord::Progress(progress(7)), JobRecord::Progress(progress(6))]).await;
    assert_eq!(world.job(job).await["progress"]["text"], "at 7");
    agent.tell([result(job, JobState::Failed)]).await;
    let shown = world.job(job).await;
    for (field, value) in [
        ("status", json!("failed")),
        ("exit_code", json!(3)),
        ("signal", json!(null)),
        ("started_at_ms", json!(2000)),
        ("finished_at_ms", json!(3000)),
        ("logs_complete", json!(true)),
        ("result", json!({"text": "{\"x\":1}"})),
        ("spec", json!({"kind": "exec", "payload": {"command": ["true"]}})),
    ] {
        assert_eq!(shown[field], value, "{field} of {shown}");
    }
    // Rolled back and told anew, and another word for good measure.
    let mut agent = JobAgent::register_as(&world, 2).await;
    agent.tell([accepted(job), running(job, 1), result(job, JobState::Succeeded)]).await;
    assert_eq!(world.job(job).await, shown);
    agent.settle().await;
    assert!(agent.offers.is_empty() && agent.cancels.is_empty());
    drop(agent);
    world.hub.shutdown().await;
}

#[tokio::test]
async fn a_record_that_does_not_decode_is_kept_and_the_session_goes_on() {
    let world = World::new().await;
    let mut agent = JobAgent::register(&world).await;
    let job = world.submit().await;
    agent.offer().await;
    for (lane, kind) in [
        (Lane::Control, RecordKind::JobAck),
        (Lane::Control, RecordKind::JobResult),
        (Lane::Logs, RecordKind::JobOutput),
    ] {
        agent.tell_raw(lane, kind, "nonsense".into()).await;
    }
    // In a lane it does not belong to.
    agent.tell_raw(Lane::Logs, RecordKind::JobResult, result(job, JobState::Failed).encode()).await;
    assert_eq!(world.status_of(job).await, "offered");
    agent.run(job).await;
    assert_eq!(world.status_of(job).await, "succeeded");
    let (_, page) = world.get("/v1/agents/edge-1/records").await;
    let kept = page["records"].as_array().unwrap().iter();
    // "nonsense", as what is not text is shown.
    assert_eq!(kept.filter(|record| record["base64"] == "bm9uc2Vuc2U=").count(), 3);
    drop(agent);
    world.hub.shutdown().await;
}

#[tokio::test]
async fn a_result_that_overtakes_its_log_is_complete_when_the_log_is_there() {
    let world = World::new().await;
    let mut agent = JobAgent::register(&world).await;
    let job = world.submit().await;
    agent.offer().await;
    agent.tell([accepted(job), running(job, 1), output(job, 1, 1..=2)]).await;
    let log =
        LogSummary { end: Some(agent.log_place(0)), lines: Some(3), bytes: 18, ..LogSummary::default() };
    agent.tell([result_with(job, JobState::Failed, log)]).await;
    let (status, shown) = world.get(&format!("/v1/jobs/{job}?wait=60&until=final")).await;
    assert_eq!((status, &shown["status"], &shown["logs_complete"]), (200, &json!("failed"), &json!(false)));
    assert_eq!(world.lines(job, "").await.1["complete"], false);
    let path = format!("/v1/jobs/{job}?wait=60");
    let logs = "?from=3&wait=60";
    let wait = async { tokio::join!(world.get(&path), world.lines(job, logs)) };
    let tell = async {
        agent.settle().await;
        agent.tell([output(job, 1, 3..=3)]).await;
    };
    let (((_, shown), (lines, log)), ()) = within(async { tokio::join!(wait, tell) }).await;
    assert_eq!(shown["logs_complete"], true, "{shown}");
    assert_eq!(lines, numbered([3]));
    // A line that comes while it is looked for is told before it is known to be the last.
    let rest = format!("?from={}&wait=60", log["next"].as_str().unwrap());
    let (lines, rest) = world.lines(job, &rest).await;
    assert_eq!((lines, &rest["complete"]), (numbered([]), &json!(true)));
    drop(agent);
    world.hub.shutdown().await;
}

#[tokio::test]
async fn lines_that_came_under_another_epoch_complete_the_log() {
    let world = World::new().await;
    let mut agent = JobAgent::register(&world).await;
    let job = world.submit().await;
    agent.offer().await;
    let log = LogSummary { end: Some(agent.log_place(6)), lines: Some(7), bytes: 0, ..LogSummary::default() };
    agent.tell([accepted(job), output(job, 1, 1..=3), result_with(job, JobState::Succeeded, log)]).await;
    let mut agent = JobAgent::register_as(&world, 2).await;
    agent.tell([output(job, 1, 5..=6)]).await;
    assert_eq!(world.job(job).await["logs_complete"], false);
    // What a follower gets ends before the hole; who does not follow gets what there is.
    assert_eq!(world.lines(job, "?wait=60").await.0, numbered(1..=3));
    assert_eq!(world.lines(job, "").await.0, numbered([1, 2, 3, 5, 6]));
    agent.tell([output(job, 1, 1..=4), output(job, 1, 6..=7)]).await;
    assert_eq!(world.job(job).await["logs_complete"], true);
    let (lines, log) = world.lines(job, "?wait=60").await;
    assert_eq!((lines, &log["complete"]), (numbered(1..=7), &json!(true)));
    drop(agent);
    world.hub.shutdown().await;
}

#[tokio::test]
async fn output_is_read_in_ranges_and_by_stream() {
    let world = World::new().await;
    let mut agent = JobAgent::register(&world).await;
    let job = world.submit().await;
    agent.offer().await;
    agent.tell([accepted(job), running(job, 1)]).await;
    agent.tell([output(job, 1, 1..=4), output(job, 1, 5..=9), output(job, 2, 1..=2)]).await;
    let (lines, log) = world.lines(job, "?from=3&limit=4").await;
    assert_eq!((lines, &log["next"]), (numbered(3..=6), &json!("1:7")));
    let (lines, log) = world.lines(job, "?from=1:7").await;
    assert_eq!((lines, &log["next"]), (numbered([7, 8, 9, 1, 2]), &json!("2:3")));
    assert_eq!(world.lines(job, "?stream=stderr&run=1").await.0, numbered([3, 6, 9]));
    assert_eq!(world.lines(job, "?run=2&from=2").await.0, numbered([2]));
    assert_eq!(log["lines"][0]["stream"], "stdout");
    assert_eq!(log["lines"][2]["at_ms"], 2009);
    for (query, says) in [("?from=x", "from: `x`"), ("?stream=both", "stream: `both`"), ("?of=1", "of")] {
        let (status, answer) = world.get(&format!("/v1/jobs/{job}/logs{query}")).await;
        assert_eq!(status, 400, "{query}");
        assert!(answer["message"].as_str().unwrap().contains(says), "{query}: {answer}");
    }
    drop(agent);
    world.hub.shutdown().await;
}

#[tokio::test]
async fn a_late_result_wins_over_lost() {
    let world = World::new().await;
    let mut agent = JobAgent::register(&world).await;
    let job = world.submit_with(json!({"give_up_after": "1h"})).await;
    agent.offer().await;
    agent.tell([accepted(job), running(job, 1)]).await;
    // Present: nobody gives up.
    assert_eq!(world.hub.store().sweep_jobs(in_future(2 * 3600 * 1000)).await.unwrap(), 0);
    drop(agent);
    let offline = async {
        loop {
            let shown = world.job(job).await;
            if !shown["agent_offline_since_ms"].is_null() {
                return shown;
            }
            tokio::task::yield_now().await;
        }
    };
    assert_eq!(within(offline).await["status"], "running");
    assert_eq!(world.hub.store().sweep_jobs(in_future(1000)).await.unwrap(), 0);
    assert_eq!(world.hub.store().sweep_jobs(in_future(2 * 3600 * 1000)).await.unwrap(), 1);
    let lost = world.job(job).await;
    assert_eq!((&lost["status"], &lost["logs_complete"]), (&json!("lost"), &json!(true)), "{lost}");
    let (status, refused) = world.post(&format!("/v1/jobs/{job}/cancel"), None, "").await;
    assert_eq!((status, &refused["error"]), (409, &json!("job_final")));
    let mut agent = JobAgent::register(&world).await;
    agent.tell([running(job, 1)]).await;
    assert_eq!(world.status_of(job).await, "lost");
    agent.tell([result(job, JobState::Succeeded)]).await;
    let shown = world.job(job).await;
    assert_eq!((&shown["status"], &shown["reason"]), (&json!("succeeded"), &json!(null)), "{shown}");
    drop(agent);
    world.hub.shutdown().await;
}

#[tokio::test]
async fn a_job_that_nobody_took_expires_and_yields_to_an_agent_that_had_it() {
    let world = World::new().await;
    let job = world.submit().await;
    let mut agent = JobAgent::register(&world).await;
    let taken = agent.offer().await.job;
    assert_eq!(taken, job);
    drop(agent);
    assert_eq!(world.hub.store().sweep_jobs(in_future(DAY - 60_000)).await.unwrap(), 0);
    assert_eq!(world.hub.store().sweep_jobs(in_future(DAY + 1)).await.unwrap(), 1);
    assert_eq!(world.status_of(job).await, "expired");
    let mut agent = JobAgent::register(&world).await;
    agent.settle().await;
    assert!(agent.offers.is_empty());
    agent.tell([accepted(job), running(job, 1)]).await;
    assert_eq!(world.status_of(job).await, "running");
    agent.tell([result(job, JobState::Failed)]).await;
    assert_eq!(world.status_of(job).await, "failed");
    // Its time over, or not begun: not taken at all, or not offered.
    for (field, value, says) in [
        ("expires_at_ms", 1, "expires_at_ms: has passed"),
        ("expires_at_ms", clock::wall_now().0 + 31 * DAY, "expires_at_ms: is more than 30 days ahead"),
        ("not_before_ms", clock::wall_now().0 + 2 * DAY, "not_before_ms: is not before the job expires"),
    ] {
        let spec = json!({"kind": "exec", field: value}).to_string();
        let (status, answer) = world.post("/v1/jobs?agent=edge-1", None, spec).await;
        assert_eq!(status, 400, "{answer}");
        assert!(answer["message"].as_str().unwrap().contains(says), "{answer}");
    }
    let soon = clock::wall_now().0 + 300;
    let later = world.submit_with(json!({"not_before_ms": soon})).await;
    assert_eq!(agent.offer().await.job, later);
    assert!(clock::wall_now().0 >= soon);
    drop(agent);
    world.hub.shutdown().await;
}

#[tokio::test]
async fn results_of_unknown_jobs_and_of_other_agents_are_kept_as_orphans() {
    let world = World::new().await;
    let job = world.submit().await;
    let key = world.hub.store().add_agent(&"edge-2".parse().unwrap(), None).await.unwrap().key_file;
    let World { hub, folder, key: first } = world;
    let other = World { hub, folder, key };
    let mut stranger = JobAgent::register(&other).await;
    let nobodys = JobId::from_bytes([9; 16]);
    stranger.tell([accepted(job), running(job, 1), output(job, 1, 1..=2)]).await;
    stranger.tell([result(job, JobState::Failed), result(nobodys, JobState::Failed)]).await;
    assert_eq!(other.status_of(job).await, "queued");
    assert_eq!(other.lines(job, "").await.0, []);
    let (_, status) = other.get("/v1/status").await;
    assert_eq!(status["job_orphans"], 2, "{status}");
    let World { hub, folder, .. } = other;
    let world = World { hub, folder, key: first };
    let mut agent = JobAgent::register(&world).await;
    agent.offer().await;
    agent.run(job).await;
    assert_eq!(world.status_of(job).await, "succeeded");
    drop(agent);
    world.hub.shutdown().await;
}

#[tokio::test]
async fn busy_goes_back_to_queued_until_a_result_makes_room() {
    let world = World::new().await;
    let mut agent = JobAgent::register(&world).await;
    let (first, second) = (world.submit().await, world.submit().await);
    assert_eq!(agent.offer().await.job, first);
    assert_eq!(agent.offer().await.job, second);
    agent.tell([accepted(first), running(first, 1)]).await;
    agent.refuse(second, Refusal::Busy, "").await;
    agent.settle().await;
    assert_eq!(world.status_of(second).await, "queued");
    // No room was made: a new one waits as well.
    let third = world.submit().await;
    agent.settle().await;
    assert!(agent.offers.is_empty());
    agent.tell([result(first, JobState::Succeeded)]).await;
    assert_eq!(agent.offer().await.job, second);
    agent.settle().await;
    assert!(agent.offers.is_empty());
    agent.run(second).await;
    assert_eq!(agent.offer().await.job, third);
    drop(agent);
    world.hub.shutdown().await;
}

#[tokio::test]
async fn other_refusals_end_the_job_and_an_acceptance_told_again_counts() {
    let world = World::new().await;
    let mut agent = JobAgent::register(&world).await;
    for (refusal, detail, status, reason) in [
        (Refusal::Invalid, "payload: no command", "rejected", "invalid: payload: no command"),
        (Refusal::TooOld, "forgotten", "rejected", "too_old: forgotten"),
        (Refusal::Expired, "its time was over", "expired", "its time was over"),
    ] {
        let job = world.submit().await;
        assert_eq!(agent.offer().await.job, job);
        agent.refuse(job, refusal, detail).await;
        agent.settle().await;
        let shown = world.job(job).await;
        assert_eq!((&shown["status"], &shown["reason"]), (&json!(status), &json!(reason)), "{shown}");
        assert_eq!(shown["logs_complete"], true);
    }
    let job = world.submit().await;
    agent.offer().await;
    agent.answer(job, Answer::Accepted(JobState::Running)).await;
    agent.settle().await;
    assert_eq!(world.status_of(job).await, "accepted");
    agent.refuse(job, Refusal::Busy, "").await;
    agent.settle().await;
    assert_eq!(world.status_of(job).await, "accepted");
    drop(agent);
    world.hub.shutdown().await;
}

#[tokio::test]
async fn a_cancel_reaches_a_job_wherever_it_is() {
    let world = World::new().await;
    let cancel = async |job: JobId| world.post(&format!("/v1/jobs/{job}/cancel"), None, "").await;
    let queued = world.submit().await;
    let (status, shown) = cancel(queued).await;
    assert_eq!((status, &shown["status"]), (200, &json!("cancelled")), "{shown}");
    let (status, shown) = cancel(queued).await;
    assert_eq!(status, 409, "{shown}");
    assert!(shown["message"].as_str().unwrap().contains("is cancelled already"), "{shown}");
    let (status, shown) = cancel(JobId::from_bytes([7; 16])).await;
    assert_eq!((status, &shown["error"]), (404, &json!("no_job")));

    let mut agent = JobAgent::register(&world).await;
    agent.settle().await;
    assert!(agent.offers.is_empty(), "a cancelled job was offered");
    let job = world.submit().await;
    agent.offer().await;
    agent.tell([accepted(job), running(job, 1)]).await;
    let (status, shown) = cancel(job).await;
    assert_eq!(
        (status, &shown["status"], &shown["cancel_requested"]),
        (200, &json!("running"), &json!(true))
    );
    assert_eq!(agent.cancel().await, job);
    // Until it is final: at every registration.
    let mut agent = JobAgent::register(&world).await;
    assert_eq!(agent.cancel().await, job);
    agent.tell([result(job, JobState::Cancelled)]).await;
    assert_eq!(world.status_of(job).await, "cancelled");
    let mut agent = JobAgent::register(&world).await;
    agent.settle().await;
    assert!(agent.cancels.is_empty());

    // Asked for while its offer is on its way, which the agent then has no room for.
    let job = world.submit().await;
    agent.offer().await;
    cancel(job).await;
    assert_eq!(agent.cancel().await, job);
    agent.refuse(job, Refusal::Busy, "").await;
    agent.settle().await;
    assert_eq!(world.status_of(job).await, "cancelled");
    drop(agent);
    world.hub.shutdown().await;
}

#[tokio::test]
async fn a_submission_repeated_is_the_same_job() {
    let world = World::new().await;
    world.hub.store().add_agent(&"edge-2".parse().unwrap(), None).await.unwrap();
    let spec = r#"{"kind": "exec", "payload": {"command": ["true"]}}"#;
    let path = "/v1/jobs?agent=edge-1";
    let (status, first) = world.post(path, Some("k 1"), spec).await;
    assert_eq!(status, 202);
    let (status, again) = world.post(path, Some("k 1"), spec).await;
    assert_eq!((status, &again["job_id"]), (200, &first["job_id"]));
    for (path, spec) in [(path, r#"{"kind": "exec"}"#), ("/v1/jobs?agent=edge-2", spec)] {
        let (status, refused) = world.post(path, Some("k 1"), spec).await;
        assert_eq!((status, &refused["error"]), (409, &json!("idempotency_key_reused")));
        let message = refused["message"].as_str().unwrap();
        assert!(
            message.contains("`k 1`") && message.contains(first["job_id"].as_str().unwrap()),
            "{message}"
        );
    }
    let (status, other) = world.post(path, None, spec).await;
    assert_eq!(status, 202);
    assert_ne!(other["job_id"], first["job_id"]);

    let id = "01938c5e-7b1a-7c3e-9a44-0242ac120002";
    let spec = format!(r#"{{"kind": "exec", "job_id": "{id}"}}"#);
    let (status, named) = world.post(path, None, spec.as_str()).await;
    assert_eq!((status, &named["job_id"]), (202, &json!(id)));
    assert_eq!(world.post(path, Some("k2"), spec.as_str()).await.0, 200);
    let (status, refused) = world.post(path, None, spec.replace("exec", "other")).await;
    assert_eq!((status, &refused["error"]), (409, &json!("job_id_taken")));
    let (_, list) = world.get("/v1/jobs").await;
    assert_eq!(list["jobs"].as_array().unwrap().len(), 3, "{list}");
    world.hub.shutdown().await;
}

#[tokio::test]
async fn what_cannot_be_taken_is_refused_by_name() {
    let world = World::new().await;
    let path = "/v1/jobs?agent=edge-1";
    let exec = r#"{"kind": "exec"}"#;
    let long = format!(r#"{{"kind": "exec", "payload": {{"command": ["{}"]}}}}"#, "x".repeat(10 << 20));
    let key = "k".repeat(limit::IDEMPOTENCY_KEY_BYTES_MAX + 1);
    for (path, key, body, status, says) in [
        (path, None, long.as_str(), 413, "the limit is 262144"),
        (path, None, "{", 400, "the spec: EOF"),
        (path, None, r#"{"kind": "exec", "time_out": "1s"}"#, 400, "unknown field `time_out`"),
        (path, None, r#"{"kind": "exec", "timeout": "9999d"}"#, 400, "timeout: is longer than a year"),
        (path, None, r#"{"kind": "exec", "agents": ["edge-9"]}"#, 400, "agents: agent `edge-1` is not among"),
        (path, None, r#"{"kind": "exec", "secrets": {"A": 5}}"#, 400, "the value of `A` is not a text"),
        (
            path,
            None,
            r#"{"kind": "exec", "hub_id": "00000000000000000000000000000001"}"#,
            400,
            "hub_id: 00000000000000000000000000000001 is another hub",
        ),
        (path, Some(key.as_str()), exec, 400, "Idempotency-Key must be 1 to 128"),
        ("/v1/jobs?agent=edge-9", None, exec, 404, "there is no agent `edge-9`"),
        ("/v1/jobs?agent=Edge", None, exec, 400, "`Edge` is not an agent name"),
        ("/v1/jobs", None, exec, 400, "agent"),
    ] {
        let (found, answer) = world.post(path, key, body).await;
        assert_eq!(found, status, "{says}: {answer}");
        assert!(answer["message"].as_str().unwrap().contains(says), "{says}: {answer}");
    }
    for (path, status) in [("/v1/jobs/7", 400), ("/v1/jobs?status=done", 400), ("/v1/jobs?cursor=7", 400)] {
        assert_eq!(world.get(path).await.0, status, "{path}");
    }
    let (_, list) = world.get("/v1/jobs").await;
    assert_eq!(list["jobs"], json!([]));
    world.hub.shutdown().await;
}

#[tokio::test]
async fn the_list_is_filtered_and_turned_page_by_page() {
    let world = World::new().await;
    let key = world.hub.store().add_agent(&"edge-2".parse().unwrap(), None).await.unwrap();
    drop(key);
    let mut submitted = Vec::new();
    for number in 0..7 {
        let agent = if number % 3 == 0 { "edge-2" } else { "edge-1" };
        let (_, job) =
            world.post(&format!("/v1/jobs?agent={agent}"), None, r#"{"kind": "exec"}"#.to_owned()).await;
        submitted.push(job["job_id"].clone());
    }
    submitted.reverse();
    let mut seen = Vec::new();
    let mut path = "/v1/jobs?limit=3".to_owned();
    loop {
        let (_, page) = world.get(&path).await;
        let jobs = page["jobs"].as_array().unwrap();
        assert!(jobs.len() <= 3);
        seen.extend(jobs.iter().map(|job| job["job_id"].clone()));
        match page["next"].as_str() {
            Some(next) => path = format!("/v1/jobs?limit=3&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, submitted);
    let cancelled = submitted[2].as_str().unwrap();
    world.post(&format!("/v1/jobs/{cancelled}/cancel"), None, "").await;
    for (query, count) in [
        ("agent=edge-2", 3),
        ("agent=edge-1", 4),
        ("status=cancelled", 1),
        ("status=queued", 6),
        ("status=queued&agent=edge-1", 3),
        ("status=running", 0),
    ] {
        let (_, page) = world.get(&format!("/v1/jobs?{query}")).await;
        assert_eq!(page["jobs"].as_array().unwrap().len(), count, "{query}: {page}");
    }
    assert_eq!(world.get("/v1/jobs?agent=edge-9").await.0, 404);
    world.hub.shutdown().await;
}

#[tokio::test]
async fn a_thousand_queued_jobs_are_offered_a_window_at_a_time() {
    let world = World::new().await;
    let mut jobs = Vec::new();
    let row = world.hub.store().agent(&"edge-1".parse().unwrap()).await.unwrap();
    for _ in 0..1000 {
        let bytes = Bytes::from_static(br#"{"kind": "exec"}"#);
        let spec = JobSpec::parse(&bytes).unwrap();
        let submission = Submission {
            agent: row.clone(),
            spec,
            bytes,
            signature: None,
            idempotency_key: None,
            open_max: None,
        };
        jobs.push(world.hub.store().submit_job(submission, in_future(0)).await.unwrap().job());
    }
    let mut agent = JobAgent::register(&world).await;
    let window = limit::JOB_OFFERS_UNANSWERED as usize;
    let mut seen = Vec::new();
    while seen.len() < window {
        seen.push(agent.offer().await.job);
    }
    agent.settle().await;
    assert!(agent.offers.is_empty(), "{} more than the window", agent.offers.len());
    while seen.len() < jobs.len() {
        let answered: Vec<_> = seen[seen.len() - window..].to_vec();
        agent.tell(answered.into_iter().map(accepted)).await;
        for _ in 0..window.min(jobs.len() - seen.len()) {
            seen.push(agent.offer().await.job);
        }
        agent.settle().await;
        assert!(agent.offers.is_empty(), "{} more than the window", agent.offers.len());
    }
    assert_eq!(seen, jobs);
    drop(agent);
    world.hub.shutdown().await;
}
