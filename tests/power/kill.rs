//! Processes that are killed at any moment, also while they open the outbox.

use std::time::Duration;

use fastrand::Rng;
use outpost::obs::clock::boot_now;
use outpost::time::BootTime;

use crate::account::Account;
use crate::examine::Examination;
use crate::report::Event;
use crate::workload::{Syncs, Work};

const KILLS: u64 = 36;
/// Looked at after so many kills.
const KILLS_PER_LOOK: u64 = 3;
/// From nothing to well into the work, by way of every step of opening.
const OPENING_MS: u64 = 60;
const REPORT_TIMEOUT: Duration = Duration::from_secs(60);
const NUMBERS: u64 = 1 << 32;

#[test]
fn processes_killed_while_they_open_or_work_lose_nothing() {
    let seed = crate::seed::seed();
    let mut random = Rng::with_seed(seed);
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("outbox");
    let mut account = Account::default();
    let (mut opened, mut records) = (0, 0);
    for kill in 1..=KILLS {
        let producers = random.choice([1, 16, 256]).unwrap();
        let work = Work {
            dir: dir.clone(),
            producers,
            seed: random.u64(..),
            first: kill * NUMBERS,
            syncs: Syncs::Kept,
        };
        let mut child = work.start();
        // Half of them at a moment soon after the start, half after some work.
        let (deadline, mut left) = if random.bool() {
            (boot_now().after(Duration::from_millis(random.u64(..OPENING_MS))), usize::MAX)
        } else {
            (boot_now().after(REPORT_TIMEOUT), random.usize(1..300))
        };
        let mut take = |report: crate::report::Report| {
            assert!(!matches!(report.event, Event::Failed { .. }), "seed {seed}: {report}");
            opened += u32::from(report.event == Event::Opened);
            let appended = matches!(report.event, Event::Appended { .. });
            account.take(report);
            usize::from(appended)
        };
        while left > 0 {
            let Some(report) = child.next(deadline) else { break };
            left -= take(report);
        }
        child.kill();
        child.rest().into_iter().for_each(|report| {
            take(report);
        });
        if kill % KILLS_PER_LOOK == 0 {
            let findings = Examination::of(&dir, kill * NUMBERS + NUMBERS / 2).run();
            let violations = account.check(&findings, BootTime(Duration::MAX));
            assert!(
                violations.is_empty(),
                "seed {seed}, after kill {kill}: {:#?}",
                violations.iter().take(9).collect::<Vec<_>>()
            );
            records += account.len();
            account.settle(&findings);
        }
    }
    println!("seed {seed}: {KILLS} kills, {opened} of them after opening, {records} records looked for");
}
