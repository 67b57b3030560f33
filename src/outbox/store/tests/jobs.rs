//! The journal's rows: with their records or not at all, and with room kept free for what is still to be said.

use super::*;
use crate::id::JobId;
use crate::outbox::AppendError;
use crate::outbox::job::{Forget, JobRow, ReservationChange, SpecChange, Trust};

fn job(number: u8) -> JobId {
    JobId::from_bytes([number; 16])
}

fn change(number: u8, row: &'static str, reservation: ReservationChange) -> JobChange {
    JobChange {
        job: job(number),
        row: Bytes::from_static(row.as_bytes()),
        spec: SpecChange::Keep,
        reservation,
        forget: None,
        records: Vec::new(),
    }
}

fn spec(bytes: usize) -> Bytes {
    (0..bytes).map(|index| u8::try_from(index % 251).unwrap()).collect()
}

fn accept(number: u8, bytes: usize) -> JobChange {
    JobChange {
        spec: SpecChange::Put(spec(bytes)),
        records: vec![record("accepted")],
        ..change(number, "accepted", ReservationChange::Take)
    }
}

fn finish(number: u8) -> JobChange {
    JobChange {
        spec: SpecChange::Remove,
        records: vec![record("result")],
        ..change(number, "finished", ReservationChange::Release)
    }
}

/// An outbox whose control lane has room for so many reservations and a little more.
fn open_for(dir: &Path, reservations: u64) -> Outbox {
    let mut options = Options::default();
    options.lanes.of_mut(Lane::Control).max_bytes = reservations * limit::JOB_RESERVATION_BYTES + 4096;
    Outbox::open(dir, options).unwrap()
}

#[tokio::test]
async fn a_job_survives_with_its_spec_and_records() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    let longest = limit::JOB_SPEC_STORED_BYTES_MAX;
    outbox.change_job(accept(1, longest)).await.unwrap();
    outbox.change_job(accept(2, 0)).await.unwrap();
    let stream = current(&outbox, Lane::Control).stream;
    outbox.close().await.unwrap();
    let outbox = open(dir.path());
    let rows = outbox.jobs().await.unwrap();
    let row = |number, spec| JobRow {
        job: job(number),
        row: Bytes::from_static(b"accepted"),
        spec,
        trust: Trust::Certain,
    };
    assert_eq!(rows.jobs, [row(1, Some(spec(longest))), row(2, None)]);
    let texts: Vec<_> = drain(&outbox, stream, 1).await.into_iter().map(|record| record.payload).collect();
    assert_eq!(texts, ["accepted", "accepted"]);
    outbox.change_job(finish(1)).await.unwrap();
    let rows = outbox.jobs().await.unwrap();
    assert_eq!(
        rows.jobs[0],
        JobRow { job: job(1), row: Bytes::from_static(b"finished"), spec: None, trust: Trust::Certain }
    );
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    let too_long = outbox.change_job(accept(1, limit::JOB_SPEC_STORED_BYTES_MAX + 1)).await.unwrap_err();
    assert!(matches!(too_long, AppendError::CallTooLarge { .. }), "{too_long}");
    let none = JobRows { jobs: Vec::new(), remembered: None, trust: Trust::Certain };
    assert_eq!(outbox.jobs().await.unwrap(), none);
    assert_eq!(current(&outbox, Lane::Control).next, 1);
}

#[tokio::test]
async fn room_is_kept_for_accepted_jobs_until_their_result_is_acked() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open_for(dir.path(), 2);
    outbox.change_job(accept(1, 10)).await.unwrap();
    outbox.change_job(accept(2, 10)).await.unwrap();
    // No room for a third, nor for so much from others; a job that has a reservation may use it.
    let full = outbox.change_job(accept(3, 10)).await.unwrap_err();
    assert!(matches!(full, AppendError::LaneFull { .. }), "{full}");
    let large = record(&"x".repeat(8000));
    let full = outbox.append(Lane::Control, vec![large.clone()]).await.unwrap_err();
    assert!(matches!(full, AppendError::LaneFull { .. }), "{full}");
    let said = JobChange { records: vec![large], ..change(1, "running", ReservationChange::Keep) };
    outbox.change_job(said).await.unwrap();
    outbox.change_job(finish(1)).await.unwrap();
    let outbox = {
        outbox.close().await.unwrap();
        open_for(dir.path(), 2)
    };
    let full = outbox.change_job(accept(3, 10)).await.unwrap_err();
    assert!(matches!(full, AppendError::LaneFull { .. }), "finished is not acked: {full}");
    let held = outbox.streams().await.unwrap();
    let old = held.iter().find(|state| state.first_unacked < state.next).unwrap();
    ack(&outbox, old.stream, old.next - 2).await.unwrap();
    assert!(outbox.change_job(accept(3, 10)).await.is_err(), "the result itself is not acked");
    ack(&outbox, old.stream, old.next - 1).await.unwrap();
    outbox.change_job(accept(3, 10)).await.unwrap();
    // The release is durable: after a restart two are held again, not three.
    outbox.close().await.unwrap();
    let outbox = open_for(dir.path(), 3);
    outbox.change_job(accept(4, 10)).await.unwrap();
    assert!(outbox.change_job(accept(5, 10)).await.is_err());
}

#[tokio::test]
async fn without_records_a_reservation_ends_at_once_and_a_row_needs_no_number() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open_for(dir.path(), 1);
    outbox.change_job(accept(1, 10)).await.unwrap();
    let next = current(&outbox, Lane::Control).next;
    outbox.change_job(change(1, "starting", ReservationChange::Keep)).await.unwrap();
    outbox.change_job(change(1, "finished", ReservationChange::Release)).await.unwrap();
    assert_eq!(current(&outbox, Lane::Control).next, next);
    outbox.change_job(accept(2, 10)).await.unwrap();
}

#[tokio::test]
async fn a_job_that_ends_without_having_been_accepted_takes_no_room() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open_for(dir.path(), 1);
    outbox.change_job(finish(1)).await.unwrap();
    outbox.change_job(accept(2, 10)).await.unwrap();
}

#[tokio::test]
async fn the_forgotten_leave_only_what_is_remembered_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    for number in 1..=3 {
        outbox.change_job(accept(number, 20_000)).await.unwrap();
    }
    let forget = Forget { jobs: vec![job(1), job(2)], remembered: Bytes::from_static(b"until 2") };
    outbox.change_job(JobChange { forget: Some(forget), ..finish(3) }).await.unwrap();
    outbox.close().await.unwrap();
    let rows = open(dir.path()).jobs().await.unwrap();
    assert_eq!(rows.jobs.iter().map(|row| row.job).collect::<Vec<_>>(), [job(3)]);
    assert_eq!(rows.remembered.as_deref(), Some(b"until 2".as_slice()));
}

#[tokio::test]
async fn many_changes_at_once_share_commits_and_keep_their_order() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    let tasks: Vec<_> = (0..32)
        .map(|number| {
            let outbox = outbox.clone();
            tokio::spawn(async move {
                outbox.change_job(accept(number, 3000)).await.unwrap();
                outbox.change_job(finish(number)).await.unwrap();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let rows = outbox.jobs().await.unwrap();
    assert_eq!(rows.jobs.len(), 32);
    assert!(rows.jobs.iter().all(|row| row.row == "finished" && row.spec.is_none()));
    assert_eq!(current(&outbox, Lane::Control).next, 65);
}
