//! Space for what is still to be said about accepted jobs, on a disk that is really full.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use super::*;
use crate::id::JobId;
use crate::outbox::AppendError;
use crate::outbox::job::{ReservationChange, SpecChange};
use crate::outbox::policy::OnFull;

/// Every lane refuses, and leaves nothing free for others.
fn open_refusing(dir: &Path) -> Outbox {
    let mut options = Options { min_free: Some(0), ..Options::default() };
    for lane in Lane::ALL {
        options.lanes.of_mut(lane).on_full = OnFull::Refuse;
    }
    Outbox::open(dir, options).unwrap()
}

fn change(job: usize, records: Vec<NewRecord>, reservation: ReservationChange) -> JobChange {
    JobChange {
        job: JobId::from_bytes([u8::try_from(job).unwrap(); 16]),
        row: Bytes::from(vec![1; 60]),
        spec: SpecChange::Keep,
        reservation,
        forget: None,
        records,
    }
}

/// What a job says until its reservation is used up, in records of so many bytes.
fn words(bytes: usize) -> Vec<NewRecord> {
    let count = usize::try_from(limit::JOB_RESERVATION_BYTES).unwrap() / (bytes + 100);
    (0..count).map(|_| record(&"x".repeat(bytes))).collect()
}

#[tokio::test]
async fn what_sled_writes_for_reserved_words_stays_within_what_is_provided() {
    let memory = Path::new("/dev/shm");
    for bytes in [100, 1000, 8000, 12000] {
        let dir = if memory.exists() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        let outbox = open(dir.path());
        for job in 0..limit::JOB_QUEUE {
            outbox.change_job(change(job, vec![record("accepted")], ReservationChange::Take)).await.unwrap();
        }
        let length = || std::fs::metadata(dir.path().join("core/db")).unwrap().len();
        let (before, words) = (length(), words(bytes));
        for word in &words {
            for job in 0..limit::JOB_QUEUE {
                let change = change(job, vec![word.clone()], ReservationChange::Keep);
                outbox.change_job(change).await.unwrap();
            }
        }
        let (grown, reserved) = (length() - before, limit::JOB_QUEUE as u64 * limit::JOB_RESERVATION_BYTES);
        println!("records of {bytes} B: {grown} bytes written for {reserved} reserved");
        assert!(grown <= reserved * limit::CORE_AMPLIFICATION, "{bytes}: {grown}");
        outbox.close().await.unwrap();
    }
}

/// Runs a test of this binary in a mount namespace of its own, with a small disk at `dir`.
fn run_on_small_disk(test: &str, dir: &Path, megabytes: u32) {
    let script = r#"mount -t tmpfs -o size="$2"m small "$1" && exec "$3" --exact "$4" --ignored --nocapture"#;
    let ways: [&[&str]; 2] = [&["--user", "--map-root-user", "--mount"], &["--mount"]];
    let works = |way: &&&[&str]| Command::new("unshare").args(**way).arg("true").status().unwrap().success();
    let way = ways.iter().find(works).expect("a mount namespace: allow user namespaces, or run as root");
    let output = Command::new("unshare")
        .args(*way)
        .args(["sh", "-c", script, "sh"])
        .arg(dir)
        .arg(megabytes.to_string())
        .arg(std::env::current_exe().unwrap())
        .arg(format!("outbox::store::tests::reserve::{test}"))
        .env("OUTPOST_TEST_SMALL_DISK", dir)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("1 passed"), "{text}");
}

fn small_disk() -> Option<PathBuf> {
    std::env::var_os("OUTPOST_TEST_SMALL_DISK").map(PathBuf::from)
}

/// Takes what is left of the disk, to the last byte.
fn fill(dir: &Path) -> PathBuf {
    let path = dir.join("filler");
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(&path).unwrap();
    for chunk in [64 * 1024, 4096, 1] {
        while file.write_all(&vec![0; chunk]).is_ok() {}
    }
    let disk = rustix::fs::statvfs(dir).unwrap();
    assert_eq!(disk.f_bavail, 0);
    path
}

#[test]
#[ignore = "needs a mount namespace: scripts/test runs it where there is one"]
fn jobs_accepted_before_the_disk_was_full_tell_their_results() {
    let dir = tempfile::tempdir().unwrap();
    run_on_small_disk("the_results_of_32_jobs_on_a_full_disk", dir.path(), 24);
}

/// Within `jobs_accepted_before_the_disk_was_full_tell_their_results`; does nothing otherwise.
#[tokio::test]
#[ignore = "part of another test"]
async fn the_results_of_32_jobs_on_a_full_disk() {
    let Some(disk) = small_disk() else { return };
    let dir = disk.join("outbox");
    let outbox = open_refusing(&dir);
    for job in 0..limit::JOB_QUEUE {
        outbox.change_job(change(job, vec![record("accepted")], ReservationChange::Take)).await.unwrap();
    }
    let filler = fill(&disk);
    // Others are refused before they take what is kept for jobs.
    let refused = loop {
        if let Err(error) = outbox.append(Lane::Control, numbered(0..20)).await {
            break error;
        }
    };
    assert!(matches!(refused, AppendError::DiskFull { .. }), "{refused}");
    let refused = outbox.change_job(change(99, vec![record("accepted")], ReservationChange::Take)).await;
    assert!(matches!(refused, Err(AppendError::DiskFull { .. })), "{refused:?}");

    let words = words(4000);
    let (last, rest) = words.split_last().unwrap();
    for word in rest {
        for job in 0..limit::JOB_QUEUE {
            outbox.change_job(change(job, vec![word.clone()], ReservationChange::Keep)).await.unwrap();
        }
    }
    for job in 0..limit::JOB_QUEUE {
        outbox.change_job(change(job, vec![last.clone()], ReservationChange::Release)).await.unwrap();
    }
    assert_eq!(rustix::fs::statvfs(&disk).unwrap().f_bavail, 0, "all of it without a free byte");
    let stream = current(&outbox, Lane::Control).stream;
    let records = drain(&outbox, stream, 1).await;
    let said = records.iter().filter(|record| record.payload == last.payload).count();
    assert_eq!(said, limit::JOB_QUEUE * words.len());
    ack(&outbox, stream, records.len() as u64).await.unwrap();
    assert!(!outbox.stat().await.unwrap().degraded);
    std::fs::remove_file(filler).unwrap();
    outbox.change_job(change(99, vec![record("accepted")], ReservationChange::Take)).await.unwrap();
    outbox.close().await.unwrap();
}

#[test]
#[ignore = "needs a mount namespace: scripts/test runs it where there is one"]
fn a_full_disk_refuses_reopens_drains_and_takes_records_again_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    run_on_small_disk("a_store_until_and_after_a_full_disk", dir.path(), 24);
}

/// Within `a_full_disk_refuses_reopens_drains_and_takes_records_again_when_there_is_room`; does nothing otherwise.
#[tokio::test]
#[ignore = "part of another test"]
async fn a_store_until_and_after_a_full_disk() {
    let Some(disk) = small_disk() else { return };
    if std::env::var_os("OUTPOST_TEST_FIRST_LIFE").is_some() {
        return until_the_disk_is_full(&disk).await;
    }
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "outbox::store::tests::reserve::a_store_until_and_after_a_full_disk"])
        .args(["--ignored", "--nocapture"])
        .env("OUTPOST_TEST_FIRST_LIFE", "1")
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(FIRST_LIFE_ENDED));
    after_the_disk_was_full(&disk).await;
}

/// A process ends with this and closes nothing.
const FIRST_LIFE_ENDED: i32 = 77;

fn payload(lane: Lane, number: usize) -> String {
    format!("{lane} {number} {}", "x".repeat(500))
}

async fn until_the_disk_is_full(disk: &Path) {
    let outbox = open_refusing(&disk.join("outbox"));
    for lane in Lane::ALL {
        outbox.append(lane, vec![record(&payload(lane, 0))]).await.unwrap();
    }
    fill(disk);
    let mut text = String::new();
    for lane in Lane::ALL {
        let stream = current(&outbox, lane).stream;
        let mut count = 1;
        let refused = loop {
            let records = (count..count + 40).map(|number| record(&payload(lane, number))).collect();
            match outbox.append(lane, records).await {
                Ok(_) => count += 40,
                Err(error) => break error,
            }
        };
        assert!(matches!(refused, AppendError::DiskFull { .. }), "{refused}");
        assert_eq!(drain(&outbox, stream, 1).await.len(), count, "what was accepted stays readable");
        text += &format!("{count} {}\n", RecordId { stream, seq: count as u64 });
    }
    // Small values are not kept from what the core has left: this is where sled itself meets the full disk.
    let value = |number: u64| Bytes::from(vec![u8::try_from(number % 251).unwrap(); limit::ROW_BYTES_MAX]);
    let mut number = 0;
    let refused = loop {
        match outbox.put("name", value(number)).await {
            Ok(()) => number += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, StoreError::DiskFull { .. }), "{refused}");
    let kept = outbox.get("name").await.unwrap();
    assert_eq!(kept, number.checked_sub(1).map(value), "the refused value is undone");
    assert!(!outbox.stat().await.unwrap().degraded);
    // Beside the small disk.
    std::fs::write(disk.with_extension("accepted"), text).unwrap();
    std::process::exit(FIRST_LIFE_ENDED);
}

async fn after_the_disk_was_full(disk: &Path) {
    // What the first life gave up, others have taken.
    let filler = fill(disk);
    let outbox = open_refusing(&disk.join("outbox"));
    let accepted = std::fs::read_to_string(disk.with_extension("accepted")).unwrap();
    for (line, lane) in accepted.lines().zip(Lane::ALL) {
        let (count, last) = line.split_once(' ').unwrap();
        let last: RecordId = last.parse().unwrap();
        let records = drain(&outbox, last.stream, 1).await;
        assert_eq!(records.len().to_string(), count, "{lane}");
        let expected = (0..).map(|number| payload(lane, number));
        assert!(records.iter().zip(expected).all(|(got, put)| got.payload == put), "{lane}");
        ack(&outbox, last.stream, last.seq).await.unwrap();
    }
    std::fs::remove_file(filler).unwrap();
    // What waits for space looks for it once a second.
    let works = async {
        for lane in Lane::ALL {
            while let Err(error) = outbox.append(lane, numbered(0..10)).await {
                assert!(matches!(error, AppendError::DiskFull { .. }), "{error}");
                tokio::task::yield_now().await;
            }
        }
        while let Err(error) = outbox.put("name", Bytes::from_static(b"new")).await {
            assert!(matches!(error, StoreError::DiskFull { .. }), "{error}");
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), works).await.unwrap();
    let ballast = disk.join("outbox/BALLAST");
    let made = async {
        while !ballast.exists() {
            outbox.stat().await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), made).await.unwrap();
    outbox.close().await.unwrap();
}
