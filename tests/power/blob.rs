//! Nothing of a database may lie beside its log: what sled moves into a file of its own, because a page of values became
//! larger than a quarter of a segment, it never syncs. After a cut that file is empty, and opening drops all that was
//! written after it, however often it was synced.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use outpost::id::{JobId, Lane};
use outpost::limit;
use outpost::obs::clock::boot_now;
use outpost::outbox::job::{JobChange, ReservationChange, SpecChange};
use outpost::outbox::{NewRecord, Options, Outbox};
use outpost::time::WallTime;
use outpost::wire::message::RecordKind;

use crate::child::{self, Child};
use crate::examine::blobs;
use crate::report::{Event, say};

const APPENDS: u8 = 8;
/// Together more than a page may have.
const RECORDS: usize = 40;
const JOBS: u8 = 4;
const TIMEOUT: Duration = Duration::from_secs(60);

/// Does nothing where `the_largest_values_stay_in_the_log_that_is_synced` did not start it.
#[tokio::test]
async fn writes_the_largest_values() {
    let Some(dir) = child::order::<PathBuf>() else { return };
    let outbox = Outbox::open(&dir, Options::default()).unwrap();
    for byte in 0..APPENDS {
        for lane in Lane::ALL {
            outbox.append(lane, vec![large(byte); RECORDS]).await.unwrap();
        }
    }
    for byte in 0..JOBS {
        let change = JobChange {
            job: JobId::from_bytes([byte; 16]),
            row: Bytes::from(vec![byte; limit::JOB_ROW_BYTES_MAX]),
            spec: SpecChange::Put(Bytes::from(vec![byte; limit::JOB_SPEC_BYTES_MAX])),
            reservation: ReservationChange::Take,
            forget: None,
            records: vec![large(byte)],
        };
        outbox.change_job(change).await.unwrap();
        outbox.put(&format!("value {byte}"), vec![byte; limit::ROW_BYTES_MAX].into()).await.unwrap();
    }
    outbox.close().await.unwrap();
    say(Event::Step { name: "written".to_owned() });
}

fn large(byte: u8) -> NewRecord {
    NewRecord {
        recorded_at: WallTime(u64::from(byte)),
        source: "s".repeat(limit::SOURCE_BYTES_MAX),
        kind: RecordKind::Opaque,
        payload: vec![byte; limit::RECORD_PART_BYTES_MAX].into(),
        app: None,
    }
}

#[test]
fn the_largest_values_stay_in_the_log_that_is_synced() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Child::start("blob::writes_the_largest_values", &dir.path());
    let report = child.next(boot_now().after(TIMEOUT)).map(|report| report.event);
    assert_eq!(report, Some(Event::Step { name: "written".to_owned() }));
    assert_eq!(blobs(dir.path()).unwrap(), Vec::<String>::new());
}
