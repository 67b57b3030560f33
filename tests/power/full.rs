//! Disks that are full: what is refused, what still fits, and how it goes on when there is room again.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use outpost::id::{JobId, Lane};
use outpost::obs::clock::boot_now;
use outpost::outbox::OnFull;
use outpost::outbox::job::{JobChange, ReservationChange, SpecChange};
use outpost::outbox::{AppendError, Options, Outbox, Reading};
use outpost::time::BootTime;
use outpost::wire::batch;
use outpost::wire::message::StreamMark;
use serde::{Deserialize, Serialize};

use crate::account::Account;
use crate::child::{self, Child};
use crate::disk::{self, Mounted};
use crate::examine::Examination;
use crate::lanes::options;
use crate::payload::{Seen, look, record};
use crate::report::{Event, place, say};

const STEP_TIMEOUT: Duration = Duration::from_secs(120);
/// Refusals in a row after which the disk counts as full.
const REFUSALS: u32 = 60;
/// After a drain, room is there again within this.
const ROOM_TIMEOUT: Duration = Duration::from_secs(60);
const ROOM_PAUSE: Duration = Duration::from_millis(20);
/// Records of one append.
const RECORDS: u64 = 20;
const NUMBERS: u64 = 1 << 32;

/// What the process does on its disk.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Filling {
    dir: PathBuf,
    first: u64,
    then: Then,
}

/// And when the disk is full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Then {
    /// Drains everything, and goes on.
    Drain,
    /// The same once this file is there: while others fill the disk, what a drain gives back is theirs.
    DrainAfter(PathBuf),
    /// Keeps trying.
    Try,
}

/// Does nothing where `fill` did not start it.
#[tokio::test]
async fn fills_a_disk() {
    let Some(filling) = child::order::<Filling>() else { return };
    let result = filling.run().await;
    say(result.map_or_else(|error| Event::Failed { error }, |()| Event::Step { name: "end".to_owned() }));
}

fn step(name: &str) {
    say(Event::Step { name: name.to_owned() });
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

fn job(first: u64, row: &'static str, reservation: ReservationChange, number: u64) -> JobChange {
    JobChange {
        job: JobId::from_bytes(u128::from(first).to_be_bytes()),
        row: Bytes::from_static(row.as_bytes()),
        spec: SpecChange::Keep,
        reservation,
        forget: None,
        records: vec![record(number)],
    }
}

impl Filling {
    async fn run(&self) -> Result<(), String> {
        // The others leave nothing free: what a drain gives back is all there is.
        let options = Options { min_free: Some(0), ..options(&[], OnFull::Refuse) };
        let outbox = Outbox::open(&self.dir, options).map_err(text)?;
        say(Event::Opened);
        let mut numbers = self.first..self.first + NUMBERS;
        change(&outbox, self.first, "accepted", ReservationChange::Take, &mut numbers).await?;
        step("accepted");
        for lane in [Lane::Events, Lane::Logs] {
            append(&outbox, lane, &mut numbers).await?;
        }
        step("begun");
        let mut refused = 0;
        while refused < REFUSALS {
            for lane in [Lane::Events, Lane::Logs] {
                refused = if append(&outbox, lane, &mut numbers).await? { 0 } else { refused + 1 };
            }
        }
        change(&outbox, self.first, "finished", ReservationChange::Release, &mut numbers).await?;
        step("full");
        if self.then == Then::Try {
            loop {
                append(&outbox, Lane::Logs, &mut numbers).await?;
            }
        }
        if let Then::DrainAfter(filled) = &self.then {
            let deadline = boot_now().after(STEP_TIMEOUT);
            while !filled.exists() {
                if boot_now() > deadline {
                    return Err("nobody says that the disk is full".to_owned());
                }
                tokio::time::sleep(ROOM_PAUSE).await;
            }
        }
        drain(&outbox).await?;
        step("drained");
        for lane in Lane::ALL {
            let deadline = boot_now().after(ROOM_TIMEOUT);
            while !append(&outbox, lane, &mut numbers).await? {
                if boot_now() > deadline {
                    return Err(format!("{lane} has no room {ROOM_TIMEOUT:?} after the drain"));
                }
                tokio::time::sleep(ROOM_PAUSE).await;
            }
        }
        step("again");
        outbox.close().await.map_err(text)
    }
}

/// A change of the job with its record, which must be taken.
async fn change(
    outbox: &Outbox,
    first: u64,
    row: &'static str,
    reservation: ReservationChange,
    numbers: &mut std::ops::Range<u64>,
) -> Result<(), String> {
    let number = numbers.next().unwrap();
    let next = |outbox: &Outbox| outbox.durable().borrow()[Lane::Control.index()];
    let before = next(outbox);
    let change = job(first, row, reservation, number);
    outbox.change_job(change).await.map_err(|error| format!("{row}: {error}"))?;
    say(Event::Appended { first: place(before.stream, before.next), numbers: number..number + 1 });
    Ok(())
}

/// Whether it was taken; an error where it was refused for another reason than a full disk.
async fn append(outbox: &Outbox, lane: Lane, numbers: &mut std::ops::Range<u64>) -> Result<bool, String> {
    let batch = numbers.start..numbers.start + RECORDS;
    numbers.start = batch.end;
    match outbox.append(lane, batch.clone().map(record).collect()).await {
        Ok(appended) => {
            say(Event::Appended { first: appended.first, numbers: batch });
            Ok(true)
        }
        Err(error @ AppendError::DiskFull { .. }) => {
            say(Event::Refused { numbers: batch, error: error.to_string() });
            Ok(false)
        }
        Err(error) => Err(format!("{lane} refuses for another reason: {error}")),
    }
}

/// Reads and acks everything there is.
async fn drain(outbox: &Outbox) -> Result<(), String> {
    for state in outbox.streams().await.map_err(text)? {
        let stream = state.stream;
        let (mut from, mut before) = (state.first_unacked, None);
        while let Some(read) = outbox.read(stream, from, 256 * 1024).await.map_err(text)? {
            let Reading::Records(read) = read else { return Err(format!("{read:?}")) };
            for record in batch::decode(&read.batch, read.count).map_err(text)? {
                let seen = look(stream.lane, &record, before.as_ref());
                if let Seen::Wrong(detail) = &seen {
                    return Err(format!("{}: {detail}", place(stream, from)));
                }
                before = Some(seen);
                from += 1;
            }
            say(Event::Acking { upto: place(stream, from - 1) });
            outbox.ack(vec![StreamMark { stream, acked: from - 1, acked_crc: 0 }]).await.map_err(text)?;
        }
        if from != state.next {
            return Err(format!("{} is not there", place(stream, from)));
        }
    }
    Ok(())
}

/// Starts the process.
fn fill(dir: &Path, first: u64, then: Then) -> Child {
    Child::start("full::fills_a_disk", &Filling { dir: dir.to_owned(), first, then })
}

/// Takes reports up to this step.
fn until(child: &mut Child, name: &str, account: &mut Account) {
    let deadline = boot_now().after(STEP_TIMEOUT);
    loop {
        let report =
            child.next(deadline).unwrap_or_else(|| panic!("the process ended or hangs before `{name}`"));
        assert!(!matches!(report.event, Event::Failed { .. }), "before `{name}`: {report}");
        let reached = matches!(&report.event, Event::Step { name: reached } if reached == name);
        account.take(report);
        if reached {
            return;
        }
    }
}

/// Takes every byte there is.
fn take_all_room(path: &Path) {
    let mut file = File::create(path).unwrap();
    for piece in [1 << 20, 4096, 1] {
        let bytes = vec![7; piece];
        while file.write_all(&bytes).and_then(|()| file.sync_data()).is_ok() {}
    }
}

fn assert_sound(account: &Account, examination: &Examination, when: &str) {
    let violations = account.check(&examination.run(), BootTime(Duration::MAX));
    assert!(violations.is_empty(), "{when}: {:#?}", violations.iter().take(9).collect::<Vec<_>>());
}

fn looked_at(dir: &Path, appends: Option<u64>) -> Examination {
    Examination { dir: dir.to_owned(), agent: None, appends }
}

/// A disk of its own, filled by the outbox alone.
#[test]
#[ignore = "needs root, loop devices and FUSE: scripts/test runs it where they are"]
fn a_disk_the_outbox_fills_takes_results_and_gives_room_after_the_drain() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Mounted::memory(&folder.path().join("disk"), 24);
    let dir = disk.path().join("outbox");
    let mut account = Account::default();
    let mut child = fill(&dir, NUMBERS, Then::Drain);
    until(&mut child, "end", &mut account);
    assert!(account.refused() > 0);
    assert_sound(&account, &looked_at(&dir, Some(2 * NUMBERS)), "after the drain");
}

/// Killed while it is full, opened while it is full, drained by the next process.
#[test]
#[ignore = "needs root, loop devices and FUSE: scripts/test runs it where they are"]
fn a_process_killed_on_a_full_disk_opens_again_there_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Mounted::memory(&folder.path().join("disk"), 24);
    let dir = disk.path().join("outbox");
    let mut account = Account::default();
    for round in 1..=3 {
        let mut child = fill(&dir, round * NUMBERS, Then::Try);
        until(&mut child, "accepted", &mut account);
        until(&mut child, "full", &mut account);
        child.kill();
        child.rest().into_iter().for_each(|report| account.take(report));
        take_all_room(&disk.path().join("filler"));
        let examination = looked_at(&dir, None);
        let findings = examination.run();
        let violations = account.check(&findings, BootTime(Duration::MAX));
        assert!(violations.is_empty(), "round {round}: {:#?}", violations.iter().take(9).collect::<Vec<_>>());
        account.settle(&findings);
        std::fs::remove_file(disk.path().join("filler")).unwrap();
    }
    let mut child = fill(&dir, 9 * NUMBERS, Then::Drain);
    until(&mut child, "end", &mut account);
}

/// Another process fills the disk while this one works.
#[test]
#[ignore = "needs root, loop devices and FUSE: scripts/test runs it where they are"]
fn a_disk_that_others_fill_takes_results_and_gives_room_after_the_drain() {
    let _turn = disk::turn();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("disk.img");
    disk::format(&file, 64 << 20);
    let disk = Mounted::image(&file, &folder.path().join("disk"));
    let dir = disk.path().join("outbox");
    let mut account = Account::default();
    let filled = folder.path().join("filled");
    let mut child = fill(&dir, NUMBERS, Then::DrainAfter(filled.clone()));
    until(&mut child, "begun", &mut account);
    take_all_room(&disk.path().join("filler"));
    std::fs::write(filled, "").unwrap();
    until(&mut child, "end", &mut account);
    assert!(account.refused() > 0);
    // Little room came back, and not enough for whoever begins new generations: no reason to lose anything.
    assert_sound(&account, &looked_at(&dir, None), "while it is full");
    std::fs::remove_file(disk.path().join("filler")).unwrap();
    assert_sound(&account, &looked_at(&dir, Some(2 * NUMBERS)), "with room");
}
