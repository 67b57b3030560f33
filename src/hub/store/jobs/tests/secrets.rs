//! Specs with secrets lie sealed in the database, and leave it as they came.

use super::*;

const SECRET: &str = "hunter2-in-the-database";
const SPEC: &str = r#"{"kind": "exec", "job_id": "01938c5e-7b1a-7fff-bfff-ffffffffffff",
    "secrets": {"TOKEN": "hunter2-in-the-database"}}"#;

impl World {
    fn bytes_of(&self, spec: &'static str, key: &str) -> Submission {
        let bytes = Bytes::from_static(spec.as_bytes());
        let spec = JobSpec::parse(&bytes).unwrap();
        Submission {
            agent: self.agent.clone(),
            spec,
            bytes,
            signature: None,
            idempotency_key: Some(key.to_owned()),
            open_max: None,
        }
    }

    /// Files of the hub's folder that hold the secret.
    fn showing(&self) -> Vec<String> {
        let files = std::fs::read_dir(self._folder.path()).unwrap().map(|file| file.unwrap().path());
        let shows = |bytes: &[u8]| bytes.windows(SECRET.len()).any(|at| at == SECRET.as_bytes());
        files.filter(|path| shows(&std::fs::read(path).unwrap())).map(|path| format!("{path:?}")).collect()
    }
}

#[tokio::test]
async fn a_spec_with_secrets_is_sealed_in_the_database_and_offered_as_it_came() {
    let world = World::new().await;
    let open = world.submit(EXEC).await;
    let job = world.store.submit_job(world.bytes_of(SPEC, "k"), NOW).await.unwrap().job();
    assert_eq!(world.showing(), [""; 0]);
    let kept: Vec<(Vec<u8>, i64)> = sqlx::query_as("select spec, spec_sealed from jobs order by job")
        .fetch_all(&world.store.pool)
        .await
        .unwrap();
    assert_eq!(kept[0], (EXEC.as_bytes().to_vec(), 0), "without secrets it is as it was");
    assert_eq!(kept[1].1, 1);
    let offers = world.store.take_offers(world.agent.agent, Inbox::Queued, 9, NOW).await.unwrap();
    let specs: Vec<_> = offers.iter().map(|offer| (offer.order.job, &*offer.order.spec)).collect();
    assert_eq!(specs, [(open, EXEC.as_bytes()), (job, SPEC.as_bytes())]);
    assert!(!format!("{offers:?}").contains(SECRET));
    let row = world.store.job(job).await.unwrap();
    assert_eq!(world.store.job_content(&row).await.unwrap().0.unwrap(), SPEC);
}

#[tokio::test]
async fn a_sealed_spec_is_compared_when_it_is_submitted_again() {
    let world = World::new().await;
    let job = world.store.submit_job(world.bytes_of(SPEC, "k"), NOW).await.unwrap().job();
    let again = world.store.submit_job(world.bytes_of(SPEC, "k"), NOW).await.unwrap();
    assert_eq!(again, Submitted::Known(job));
    let by_id = world.store.submit_job(world.bytes_of(SPEC, "other"), NOW).await.unwrap();
    assert_eq!(by_id, Submitted::Known(job));
    let other = r#"{"kind": "exec", "secrets": {"TOKEN": "hunter3"}}"#;
    let reused = world.store.submit_job(world.bytes_of(other, "k"), NOW).await.unwrap_err();
    assert!(matches!(&reused, JobError::KeyReused { .. }), "{reused}");
    assert!(!reused.to_string().contains("hunter"));
}

#[tokio::test]
async fn a_sealed_spec_opens_as_its_own_job_alone() {
    let world = World::new().await;
    let job = world.store.submit_job(world.bytes_of(SPEC, "k"), NOW).await.unwrap().job();
    let other = world.submit(EXEC).await;
    sqlx::query(
        "update jobs set spec = (select spec from jobs where id = $1), spec_sealed = 1 where id = $2",
    )
    .bind(job.as_bytes().to_vec())
    .bind(other.as_bytes().to_vec())
    .execute(&world.store.pool)
    .await
    .unwrap();
    let row = world.store.job(other).await.unwrap();
    assert_eq!(world.store.job_content(&row).await.unwrap().0, None);
}

impl World {
    async fn damage(&self, job: JobId, set: &str) {
        sqlx::query(sqlx::AssertSqlSafe(format!("update jobs set {set} where id = $1")))
            .bind(job.as_bytes().to_vec())
            .execute(&self.store.pool)
            .await
            .unwrap();
    }

    async fn offered(&self, inbox: Inbox, count_max: u32) -> Vec<JobId> {
        let offers = self.store.take_offers(self.agent.agent, inbox, count_max, NOW).await.unwrap();
        offers.into_iter().map(|offer| offer.order.job).collect()
    }
}

#[tokio::test]
async fn a_job_that_cannot_be_read_is_closed_and_those_behind_it_are_offered() {
    let world = World::new().await;
    let sealed = world.store.submit_job(world.bytes_of(SPEC, "k"), NOW).await.unwrap().job();
    let signed = world.submit(EXEC).await;
    let good = world.submit(EXEC).await;
    world.damage(sealed, "spec = zeroblob(40)").await;
    world.damage(signed, "signature = zeroblob(63)").await;
    // One at a time: what is found first is all closed.
    assert_eq!(world.offered(Inbox::Queued, 1).await, [good]);
    for (job, says) in [(sealed, "does not open with hub.key"), (signed, "job signature")] {
        let row = world.store.job(job).await.unwrap();
        assert_eq!((row.status, row.by_hub), (JobState::Rejected, true));
        assert!(row.reason.contains(says) && row.reason.contains("submit it again"), "{}", row.reason);
    }
    let again = world.store.submit_job(world.bytes_of(SPEC, "k"), NOW).await.unwrap_err();
    assert!(matches!(again, JobError::KeyReused { job, .. } if job == sealed), "{again}");
    // The same for one that was offered before.
    assert_eq!(world.offered(Inbox::Offered { after: 0 }, 9).await, [good]);
    world.damage(good, "spec_sealed = 1").await;
    assert_eq!(world.offered(Inbox::Offered { after: 0 }, 9).await, []);
    assert_eq!(world.status(good).await, JobState::Rejected);
}

#[tokio::test]
async fn an_agent_that_has_a_job_the_hub_cannot_read_has_the_last_word() {
    let mut world = World::new().await;
    let job = world.store.submit_job(world.bytes_of(SPEC, "k"), NOW).await.unwrap().job();
    assert_eq!(world.offered(Inbox::Queued, 9).await, [job]);
    world.damage(job, "spec = zeroblob(40)").await;
    assert_eq!(world.offered(Inbox::Offered { after: 0 }, 9).await, []);
    assert_eq!(world.status(job).await, JobState::Rejected);
    world.say(JobRecord::Ack(JobAck { job, answer: Answer::Accepted(JobState::Accepted) })).await;
    assert_eq!(world.status(job).await, JobState::Accepted, "its answer was on its way");
}
