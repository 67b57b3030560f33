//! An encrypted outbox: nothing of what it holds can be read from its files, and no wrong key does harm.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use super::damage::Damage;
use super::*;
use crate::id::JobId;
use crate::outbox::job::{ReservationChange, SpecChange};

/// No file at all.
const NONE: [PathBuf; 0] = [];
const SECRET: &str = "a payload nobody may read";

struct World {
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn dir(&self) -> PathBuf {
        self.folder.path().join("outbox")
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("outbox.key")
    }

    fn open(&self, key_file: Option<PathBuf>) -> Result<Outbox, OpenError> {
        Outbox::open(&self.dir(), Options { key_file, ..Options::default() })
    }

    /// Fails to open, and leaves every file as it is.
    fn refused(&self, key_file: Option<PathBuf>) -> OpenError {
        let before = files(&self.dir());
        let error = self.open(key_file).unwrap_err();
        assert!(files(&self.dir()) == before, "{error}");
        error
    }
}

/// Every file below a folder with its bytes, but for the lock, which has no content that matters.
fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if !path.ends_with("LOCK") {
            found.push((path.clone(), fs::read(path).unwrap()));
        }
    }
    found.sort();
    found
}

fn leaks(dir: &Path) -> Vec<PathBuf> {
    let secret = SECRET.as_bytes();
    let leaky =
        files(dir).into_iter().filter(|(_, bytes)| bytes.windows(secret.len()).any(|at| at == secret));
    leaky.map(|(path, _)| path).collect()
}

/// Everything an agent hands over, with the secret in it.
async fn fill(outbox: &Outbox) {
    for lane in Lane::ALL {
        for _ in 0..20 {
            outbox.append(lane, vec![record(SECRET); 50]).await.unwrap();
        }
    }
    outbox.put("config", Bytes::from_static(SECRET.as_bytes())).await.unwrap();
    let change = JobChange {
        job: JobId::from_bytes([1; 16]),
        row: Bytes::from_static(SECRET.as_bytes()),
        spec: SpecChange::Put(SECRET.repeat(1000).into()),
        reservation: ReservationChange::Take,
        forget: None,
        records: vec![record(SECRET)],
    };
    outbox.change_job(change).await.unwrap();
}

async fn check(outbox: &Outbox, streams: &[StreamId]) {
    for stream in streams {
        let records = drain(outbox, *stream, 1).await;
        assert!(records.len() >= 1000, "{stream}");
        assert!(records.iter().all(|record| record.payload == SECRET.as_bytes()), "{stream}");
    }
    assert_eq!(outbox.get("config").await.unwrap().unwrap(), SECRET.as_bytes());
    let rows = outbox.jobs().await.unwrap();
    assert_eq!(rows.jobs[0].row, SECRET.as_bytes());
    assert_eq!(rows.jobs[0].spec.as_deref().unwrap(), SECRET.repeat(1000).as_bytes());
}

#[tokio::test]
async fn no_file_of_the_folder_holds_a_payload_in_the_clear() {
    let world = World::new();
    let outbox = world.open(Some(world.key())).unwrap();
    assert_eq!(fs::metadata(world.key()).unwrap().permissions().mode() & 0o777, 0o600);
    fill(&outbox).await;
    let streams = Lane::ALL.map(|lane| current(&outbox, lane).stream);
    assert_eq!(leaks(&world.dir()), NONE);
    check(&outbox, &streams).await;
    outbox.close().await.unwrap();
    let outbox = world.open(Some(world.key())).unwrap();
    check(&outbox, &streams).await;
    assert_eq!(leaks(&world.dir()), NONE);
    outbox.close().await.unwrap();
    // The same without a key, so that the search itself is known to find something.
    let plain = World::new();
    let outbox = plain.open(None).unwrap();
    fill(&outbox).await;
    assert!(leaks(&plain.dir()).len() >= 3);
    outbox.close().await.unwrap();
}

#[tokio::test]
async fn a_wrong_missing_or_unset_key_is_an_error_that_names_the_file_and_changes_nothing() {
    let world = World::new();
    let outbox = world.open(Some(world.key())).unwrap();
    fill(&outbox).await;
    let streams = Lane::ALL.map(|lane| current(&outbox, lane).stream);
    outbox.close().await.unwrap();
    let other = World::new();
    other.open(Some(other.key())).unwrap().close().await.unwrap();
    let error = world.refused(Some(other.key()));
    assert!(matches!(error, OpenError::WrongKey { .. }), "{error}");
    assert!(error.to_string().contains(other.key().to_str().unwrap()), "{error}");
    let absent = world.folder.path().join("absent.key");
    let error = world.refused(Some(absent.clone()));
    assert!(matches!(error, OpenError::KeyFileMissing { .. }), "{error}");
    assert!(error.to_string().contains("absent.key") && !absent.exists(), "{error}");
    let error = world.refused(None);
    assert!(matches!(error, OpenError::KeyUnset { .. }), "{error}");
    let malformed = world.folder.path().join("malformed.key");
    fs::write(&malformed, "opo1.short\n").unwrap();
    fs::set_permissions(&malformed, fs::Permissions::from_mode(0o600)).unwrap();
    let error = world.refused(Some(malformed));
    assert!(matches!(error, OpenError::KeyFileMalformed { .. }), "{error}");
    fs::set_permissions(world.key(), fs::Permissions::from_mode(0o640)).unwrap();
    let error = world.refused(Some(world.key()));
    assert!(matches!(error, OpenError::KeyFileOpen { mode: 0o640, .. }), "{error}");
    fs::set_permissions(world.key(), fs::Permissions::from_mode(0o600)).unwrap();
    let outbox = world.open(Some(world.key())).unwrap();
    check(&outbox, &streams).await;
    outbox.close().await.unwrap();
}

#[tokio::test]
async fn a_key_that_is_set_later_leaves_what_was_there_readable_and_hides_what_comes() {
    let world = World::new();
    let outbox = world.open(None).unwrap();
    for lane in Lane::ALL {
        outbox.append(lane, vec![record("in the clear"); 10]).await.unwrap();
    }
    let old = Lane::ALL.map(|lane| current(&outbox, lane).stream);
    outbox.close().await.unwrap();
    let outbox = world.open(Some(world.key())).unwrap();
    fill(&outbox).await;
    let new = Lane::ALL.map(|lane| current(&outbox, lane).stream);
    outbox.close().await.unwrap();
    assert_eq!(leaks(&world.dir()), NONE);
    let outbox = world.open(Some(world.key())).unwrap();
    check(&outbox, &new).await;
    for stream in old {
        let records = drain(&outbox, stream, 1).await;
        assert_eq!(records.len(), 10);
        assert!(records.iter().all(|record| record.payload == "in the clear"));
    }
    outbox.close().await.unwrap();
    assert!(matches!(world.refused(None), OpenError::KeyUnset { .. }));
}

#[tokio::test]
async fn a_damaged_format_or_check_does_not_let_another_key_in() {
    let world = World::new();
    let outbox = world.open(Some(world.key())).unwrap();
    fill(&outbox).await;
    let streams = Lane::ALL.map(|lane| current(&outbox, lane).stream);
    outbox.close().await.unwrap();
    let other = World::new();
    other.open(Some(other.key())).unwrap().close().await.unwrap();
    for name in ["FORMAT", "KEY"] {
        let file = world.dir().join(name);
        for change in ["damaged", "removed"] {
            match change {
                "damaged" => drop(Damage::Flip.apply(&file, 20)),
                _ => fs::remove_file(&file).unwrap(),
            }
            assert!(
                matches!(world.refused(Some(other.key())), OpenError::WrongKey { .. }),
                "{name} {change}"
            );
            assert!(matches!(world.refused(None), OpenError::KeyUnset { .. }), "{name} {change}");
            let outbox = world.open(Some(world.key())).unwrap();
            check(&outbox, &streams).await;
            outbox.close().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_damaged_core_is_carved_with_its_secrets() {
    let world = World::new();
    let outbox = world.open(Some(world.key())).unwrap();
    fill(&outbox).await;
    outbox.close().await.unwrap();
    let file = world.dir().join("core").join("db");
    fs::write(file.with_file_name("conf"), b"nonsense").unwrap();
    Damage::Flip.apply(&file, 40);
    let outbox = world.open(Some(world.key())).unwrap();
    assert_eq!(outbox.get("config").await.unwrap().unwrap(), SECRET.as_bytes());
    assert_eq!(outbox.jobs().await.unwrap().jobs[0].row, SECRET.as_bytes());
    outbox.close().await.unwrap();
    assert_eq!(leaks(&world.dir()), NONE);
}

#[tokio::test]
async fn a_damaged_ciphertext_is_damage_and_no_wrong_key() {
    let world = World::new();
    let outbox = world.open(Some(world.key())).unwrap();
    fill(&outbox).await;
    let stream = current(&outbox, Lane::Logs).stream;
    outbox.close().await.unwrap();
    let generation = folders(&world.dir()).into_iter().find(|name| name.starts_with("logs-")).unwrap();
    let file = world.dir().join(generation).join("db");
    Damage::Zero.apply(&file, usize::try_from(fs::metadata(&file).unwrap().len()).unwrap() / 2);
    let outbox = world.open(Some(world.key())).unwrap();
    let (mut position, mut came, mut lost) = (1, 0, 0);
    while let Some(reading) = outbox.read(stream, position, limit::BATCH_BYTES).await.unwrap() {
        match reading {
            Reading::Records(batch) => {
                let records = batch::decode(&batch.batch, batch.count).unwrap();
                assert!(records.iter().all(|record| record.payload == SECRET.as_bytes()));
                came += u64::from(batch.count);
                position += u64::from(batch.count);
            }
            Reading::Gap(gap) => {
                lost += gap.to + 1 - position;
                position = gap.to + 1;
            }
        }
    }
    assert!(lost > 0 && came > 0 && came + lost == 1000, "{came} came, {lost} are lost");
    outbox.close().await.unwrap();
}
