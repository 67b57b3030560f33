//! A hundred power cuts: fifty stops of a working process, and after each of them two disks, one as it stood and one as
//! a volatile cache may have left it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use fastrand::Rng;
use outpost::obs::clock::boot_now;
use outpost::time::BootTime;
use tempfile::TempDir;

use crate::account::{Account, Violation};
use crate::child::Child;
use crate::disk::{self, Mounted};
use crate::examine::Examination;
use crate::fuse::ImageFile;
use crate::image::{self, Image};
use crate::report::Event;
use crate::workload::{Syncs, Work};

/// Stops of one process; the next begins on the disk that the last cut left.
const STOPS_PER_RUN: u32 = 4;
const REPORT_TIMEOUT: Duration = Duration::from_secs(60);
/// Every process and examination gets so many numbers of payloads of its own.
const NUMBERS: u64 = 1 << 32;

/// One disk through its cuts.
struct Cuts {
    folder: TempDir,
    random: Rng,
    producers: u32,
    syncs: Syncs,
    account: Account,
    numbers: u64,
    tally: Tally,
}

/// What came of them.
#[derive(Debug, Default)]
struct Tally {
    cuts: u32,
    records: usize,
    refused: usize,
    violations: Vec<String>,
    lost: usize,
    cuts_with_losses: u32,
    /// The first disk with which something was wrong, before it was mounted again.
    kept: Option<PathBuf>,
}

impl Cuts {
    fn new(producers: u32, syncs: Syncs, seed: u64) -> Self {
        let (folder, random) = (tempfile::tempdir().unwrap(), Rng::with_seed(seed));
        let (account, tally) = (Account::default(), Tally::default());
        Self { folder, random, producers, syncs, account, numbers: NUMBERS, tally }
    }

    fn numbers(&mut self) -> u64 {
        self.numbers += NUMBERS;
        self.numbers
    }

    /// Cuts the power `stops` times in two ways each.
    fn run(mut self, stops: u32) -> Tally {
        let mut disk = disk::formatted(self.folder.path());
        let mut left = stops;
        while left > 0 {
            let now = left.min(STOPS_PER_RUN);
            disk = self.process(disk, now);
            left -= now;
        }
        self.tally
    }

    /// One process on this disk; gives the disk after its last cut.
    fn process(&mut self, disk: Vec<u8>, stops: u32) -> Vec<u8> {
        let device = folder(self.folder.path(), "device");
        let image = ImageFile::mount(&device, disk);
        let mounted = Mounted::image(&image.path(), &self.folder.path().join("disk"));
        let dir = mounted.path().join("outbox");
        let work = Work {
            dir,
            producers: self.producers,
            seed: self.random.u64(..),
            first: self.numbers(),
            syncs: self.syncs,
        };
        let mut child = work.start();
        let mut last = None;
        for _ in 0..stops {
            self.take_reports(&mut child);
            child.stop();
            child.rest().into_iter().for_each(|report| self.account.take(report));
            let copied = image::copied(&image.log());
            let replayed = image::replayed(&image.log(), &mut self.random);
            self.cut(&copied, "copied");
            last = Some(self.cut(&replayed, "replayed"));
            child.resume();
        }
        child.kill();
        let (disk, account) = last.unwrap();
        self.tally.records += self.account.len();
        self.tally.refused = self.account.refused();
        self.account = account;
        disk
    }

    /// Lets the process work for some time.
    fn take_reports(&mut self, child: &mut Child) {
        let mut left = self.random.usize(1..400);
        while left > 0 {
            let Some(report) = child.next(boot_now().after(REPORT_TIMEOUT)) else {
                panic!("the process ended ({}) or said nothing", child.has_ended());
            };
            if let Event::Failed { error } = &report.event {
                panic!("the process gave up: {error}");
            }
            left -= usize::from(matches!(report.event, Event::Appended { .. }));
            self.account.take(report);
        }
    }

    /// Looks at a disk; gives the disk after the look, and the account of what is on it.
    fn cut(&mut self, image: &Image, kind: &str) -> (Vec<u8>, Account) {
        self.tally.cuts += 1;
        let (mounted, file) = disk::after_cut(image, self.folder.path(), self.tally.cuts);
        let findings = Examination::of(&mounted.path().join("outbox"), self.numbers()).run();
        drop(mounted);
        let violations = self.account.check(&findings, image.cut_at);
        let lost = violations.iter().filter(|violation| matches!(violation, Violation::Lost(..))).count();
        self.tally.lost += lost;
        self.tally.cuts_with_losses += u32::from(lost > 0);
        let shown = violations
            .iter()
            .take(5)
            .map(|violation| format!("cut {} ({kind}): {violation}", self.tally.cuts));
        self.tally.violations.extend(shown);
        if !violations.is_empty() && self.syncs == Syncs::Kept && self.tally.kept.is_none() {
            let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cut-{}.img", self.producers));
            image.save(&kept);
            self.tally.kept = Some(kept);
        }
        let mut account = self.account.clone();
        account.settle(&findings);
        let disk = std::fs::read(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        (disk, account)
    }
}

fn folder(parent: &Path, name: &str) -> PathBuf {
    let path = parent.join(name);
    std::fs::create_dir_all(&path).unwrap();
    path
}

/// Everything durable survives `stops` times two cuts.
fn survives(producers: u32, stops: u32) {
    let _turn = disk::turn();
    let seed = crate::seed::seed();
    let begun: BootTime = boot_now();
    let tally = Cuts::new(producers, Syncs::Kept, seed).run(stops);
    println!("producers {producers}, seed {seed}: {tally:?} in {:?}", boot_now().since(begun));
    assert_eq!(tally.cuts, 2 * stops);
    assert!(tally.violations.is_empty(), "seed {seed}:\n{}", tally.violations.join("\n"));
}

#[test]
#[ignore = "needs root, loop devices and FUSE: scripts/test runs it where they are"]
fn cuts_with_one_producer_lose_nothing() {
    survives(1, 17);
}

#[test]
#[ignore = "needs root, loop devices and FUSE: scripts/test runs it where they are"]
fn cuts_with_16_producers_lose_nothing() {
    survives(16, 17);
}

#[test]
#[ignore = "needs root, loop devices and FUSE: scripts/test runs it where they are"]
fn cuts_with_256_producers_lose_nothing() {
    survives(256, 16);
}

/// The test of the test.
#[test]
#[ignore = "needs root, loop devices and FUSE: scripts/test runs it where they are"]
fn cuts_without_fdatasync_lose_records_and_are_found_out() {
    let _turn = disk::turn();
    let seed = crate::seed::seed();
    let tally = Cuts::new(16, Syncs::LeftOut, seed).run(STOPS_PER_RUN);
    println!("without fdatasync, seed {seed}: {tally:?}");
    assert!(tally.lost > 0, "seed {seed}: a store that syncs nothing passes {} cuts: {tally:?}", tally.cuts);
}
