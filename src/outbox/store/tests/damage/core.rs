//! The core's files: rows in the version that was written last, or a report of what may be lost.

use super::*;
use crate::id::JobId;
use crate::outbox::job::{ReservationChange, SpecChange, Trust};

fn job(number: u8) -> JobId {
    JobId::from_bytes([number; 16])
}

/// A folder whose core holds every kind of row, some of them changed and removed again and again. Its streams.
pub(super) async fn filled(dir: &Path) -> Vec<StreamId> {
    let mut streams = Vec::new();
    for round in 0..2 {
        let outbox = open(dir);
        for lane in Lane::ALL {
            for from in (0..400).step_by(8) {
                outbox.append(lane, numbered(from..from + 8)).await.unwrap();
            }
            streams.push(current(&outbox, lane).stream);
            ack(&outbox, *streams.last().unwrap(), 100 + round).await.unwrap();
        }
        for number in 0..20 {
            for row in ["accepted", "finished"] {
                let change = JobChange {
                    job: job(number),
                    row: Bytes::from_static(row.as_bytes()),
                    spec: SpecChange::Put(vec![number; 20_000].into()),
                    reservation: ReservationChange::Keep,
                    forget: None,
                    records: Vec::new(),
                };
                outbox.change_job(change).await.unwrap();
            }
            outbox.put(&format!("name {number}"), vec![number; 300].into()).await.unwrap();
        }
        outbox.close().await.unwrap();
    }
    streams
}

/// Whether small values and jobs are as they were left; nothing is another one's, and what is old is told from the last.
pub(super) async fn rows_are_sound(outbox: &Outbox) -> bool {
    let mut all = true;
    for number in 0..20 {
        let value = outbox.get(&format!("name {number}")).await.unwrap();
        assert!(value.as_ref().is_none_or(|value| *value == vec![number; 300]));
        all &= value.is_some();
    }
    let jobs = outbox.jobs().await.unwrap();
    for row in &jobs.jobs {
        assert!(
            row.row == "finished" || row.trust == Trust::Doubtful,
            "a job that is over is never run again"
        );
        all &= row.trust == Trust::Certain;
    }
    all && jobs.jobs.len() == 20
}

#[tokio::test]
async fn a_damaged_core_opens_with_what_is_sound_in_it_and_tells_of_the_rest() {
    let base = tempfile::tempdir().unwrap();
    let streams = filled(base.path()).await;
    let seed = crate::seed::seed();
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut hurt = 0;
    let length = length_of(&base.path().join("core/db"));
    for damage in Damage::ALL.into_iter().cycle().take(24) {
        let dir = tempfile::tempdir().unwrap();
        copy(base.path(), dir.path());
        let at = rng.usize(0..length);
        damage.apply(&dir.path().join("core/db"), at);

        let drained = open_twice(dir.path(), &streams).await;
        let told = drained.reports.iter().filter(|report| report.reason == LossReason::CoreLost).count();
        for stream in &streams {
            let none = BTreeSet::new();
            let came = drained.came.get(stream).unwrap_or(&none);
            let lost = drained.lost.get(stream).unwrap_or(&none);
            let all: BTreeSet<u64> = came.union(lost).copied().collect();
            // Of the end of an older epoch of control nothing but the core knows.
            let has_no_hole = all.iter().zip(all.iter().skip(1)).all(|(one, next)| *next == one + 1);
            let is_unknown = *stream == streams[0] && has_no_hole && told == 1;
            let is_all = (103..=400).all(|seq| all.contains(&seq));
            assert!(is_all || is_unknown, "seed {seed}: {damage:?} at {at}: {stream}");
            assert!(stream.lane == Lane::Control || lost.is_empty(), "seed {seed}: {stream} lies elsewhere");
        }
        let outbox = open(dir.path());
        let sound = rows_are_sound(&outbox).await;
        assert!(told <= 1, "seed {seed}");
        assert!(told == 1 || (sound && drained.lost.is_empty()), "seed {seed}: {damage:?} at {at}");
        hurt += told;
        outbox.close().await.unwrap();
    }
    assert!(hurt > 0, "seed {seed}: the damage was real");
}

#[tokio::test]
async fn a_core_that_is_gone_altogether_keeps_no_agent_from_starting() {
    for gone in ["core/db", "core", "core/blobs"] {
        let dir = tempfile::tempdir().unwrap();
        let streams = filled(dir.path()).await;
        let path = dir.path().join(gone);
        if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }.unwrap();
        let drained = open_twice(dir.path(), &streams).await;
        let is_told = |report: &LossReport| report.reason == LossReason::CoreLost;
        assert_eq!(drained.reports.iter().any(is_told), gone != "core/blobs", "{gone}");
        for stream in streams.iter().filter(|stream| stream.lane != Lane::Control) {
            assert!((103..=400).all(|seq| drained.came[stream].contains(&seq)), "{gone}: {stream}");
        }
    }
}

#[tokio::test]
async fn the_small_files_of_the_database_are_made_anew() {
    let base = tempfile::tempdir().unwrap();
    let streams = filled(base.path()).await;
    let names: Vec<String> = fs::read_dir(base.path().join("core"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "db" && name != "blobs")
        .collect();
    assert!(names.len() >= 2, "{names:?}");
    for name in names {
        let length = length_of(&base.path().join("core").join(&name));
        let places = (0..length).step_by(length.div_ceil(9));
        for (at, damage) in places.zip(Damage::ALL.into_iter().cycle()) {
            let dir = tempfile::tempdir().unwrap();
            copy(base.path(), dir.path());
            damage.apply(&dir.path().join("core").join(&name), at);
            fs::write(dir.path().join("core/snap.00FF.generating"), b"half").unwrap();
            let drained = open_twice(dir.path(), &streams).await;
            assert!(
                drained.lost.is_empty() && drained.reports.is_empty(),
                "{name} {damage:?} at {at}: {:?}",
                drained.reports
            );
            let outbox = open(dir.path());
            assert!(rows_are_sound(&outbox).await);
            outbox.close().await.unwrap();
        }
    }
}
