//! Damaged files: a byte flipped, a range zeroed, an end cut off, at many places of every file.
//!
//! Whatever is damaged, the outbox opens, what lies in other blocks is read, what is gone is declared, nothing is served
//! that nobody wrote, and new records are taken.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use fastrand::Rng;
use outpost::id::RecordId;

use crate::backlog::{AGENT, Backlog, Blocks};
use crate::examine::Examination;
use crate::findings::Findings;

/// Numbers of payloads that no backlog has.
const APPENDS: u64 = 1 << 40;
const ZEROED_BYTES_MAX: usize = 64 * 1024;
/// Where FORMAT has its version: of this nobody can tell damage from a newer program's file.
const VERSION: Range<usize> = 8..12;
const OTHER: [u8; 16] = [9; 16];

/// What is done to a file.
#[derive(Debug, Clone)]
enum Damage {
    Flip { at: usize, mask: u8 },
    Zero(Range<usize>),
    Cut { to: usize },
}

impl Damage {
    /// The bytes of a file of this length that are not what they were.
    fn range(&self, length: usize) -> Range<usize> {
        match self {
            Self::Flip { at, .. } => *at..at + 1,
            Self::Zero(range) => range.clone(),
            Self::Cut { to } => *to..length,
        }
    }

    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Flip { at, mask } => bytes[*at] ^= mask,
            Self::Zero(range) => bytes[range.clone()].fill(0),
            Self::Cut { to } => bytes.truncate(*to),
        }
    }

    fn random(random: &mut Rng, length: usize, kind: usize) -> Self {
        match kind % 5 {
            0..=2 => Self::Flip { at: random.usize(..length), mask: random.u8(1..) },
            3 => {
                let start = random.usize(..length);
                Self::Zero(start..(start + random.usize(1..ZEROED_BYTES_MAX)).min(length))
            }
            _ => Self::Cut { to: random.usize(..length) },
        }
    }
}

/// One damaged outbox that was not dealt with as it should.
struct Failure {
    file: PathBuf,
    damage: String,
    wrong: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}: {} wrong: {}",
            self.file.display(),
            self.damage,
            self.wrong.len(),
            self.wrong.iter().take(3).cloned().collect::<Vec<_>>().join("; ")
        )
    }
}

/// A backlog and copies of it that are damaged one by one.
struct Ward {
    folder: tempfile::TempDir,
    backlog: Backlog,
    sound: Findings,
    random: Rng,
    seed: u64,
    cases: u32,
    failures: Vec<Failure>,
}

impl Ward {
    fn new() -> Self {
        let seed = Rng::new().u64(..);
        let folder = tempfile::tempdir().unwrap();
        let backlog = Backlog::make(&folder.path().join("sound"));
        let copy = folder.path().join("copy");
        backlog.copy(&copy);
        let sound = examine(&copy, AGENT, APPENDS);
        let violations = backlog.account.check_damaged(&sound, &BTreeSet::new());
        assert!(violations.is_empty(), "undamaged: {violations:?}");
        assert_eq!((sound.gaps.len(), sound.jobs.len()), (3, 3));
        Self { folder, backlog, sound, random: Rng::with_seed(seed), seed, cases: 0, failures: Vec::new() }
    }

    /// A fresh copy, in the place of the one before.
    fn copy(&self) -> PathBuf {
        let copy = self.folder.path().join("copy");
        std::fs::remove_dir_all(&copy).unwrap();
        self.backlog.copy(&copy);
        copy
    }

    /// Every file whose path says yes.
    fn files(&self, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
        let files: Vec<_> =
            self.backlog.files().into_iter().filter(|file| wanted(&file.to_string_lossy())).collect();
        assert!(!files.is_empty());
        files
    }

    /// Damages a file in `count` ways, one at a time.
    fn damage(&mut self, file: &Path, count: usize) {
        let bytes = std::fs::read(self.backlog.dir.join(file)).unwrap();
        let is_data = file.file_name().is_some_and(|name| name == "db");
        let blocks = if is_data { Blocks::of(&bytes) } else { Blocks::none() };
        for kind in 0..if bytes.is_empty() { 0 } else { count } {
            let damage = Damage::random(&mut self.random, bytes.len(), kind);
            let excused = blocks.hit(&damage.range(bytes.len()));
            let mut damaged = bytes.clone();
            damage.apply(&mut damaged);
            self.case(file, &format!("{damage:?}"), &excused, |copy| {
                std::fs::write(copy.join(file), &damaged).unwrap()
            });
        }
    }

    fn case(&mut self, file: &Path, damage: &str, excused: &BTreeSet<RecordId>, apply: impl FnOnce(&Path)) {
        let copy = self.copy();
        apply(&copy);
        self.cases += 1;
        let findings = examine(&copy, AGENT, APPENDS);
        // It may be a newer program's, which is left alone.
        if file == Path::new("FORMAT")
            && findings.refused.as_ref().is_some_and(|why| why.contains("has format"))
        {
            return;
        }
        let mut wrong: Vec<String> =
            self.backlog.account.check_damaged(&findings, excused).iter().map(ToString::to_string).collect();
        let in_core = file.starts_with("core");
        if findings.refused.is_none() && !in_core {
            let kept = self.sound.gaps.iter().all(|gap| findings.gaps.contains(gap));
            wrong.extend((!kept).then(|| format!("gaps are missing: {:?}", findings.gaps)));
            wrong.extend((findings.jobs != self.sound.jobs).then(|| "the journal is another".to_owned()));
        }
        if wrong.is_empty() {
            // What was found out must not be forgotten, nor found out a second time.
            let again = examine(&copy, AGENT, 2 * APPENDS);
            wrong.extend(
                self.backlog
                    .account
                    .check_damaged(&again, excused)
                    .iter()
                    .map(|wrong| format!("later: {wrong}")),
            );
        }
        if !wrong.is_empty() {
            self.failures.push(Failure { file: file.to_owned(), damage: damage.to_owned(), wrong });
        }
    }

    fn finish(self) {
        let failures: Vec<String> = self.failures.iter().map(ToString::to_string).collect();
        println!("seed {}: {} cases", self.seed, self.cases);
        assert!(
            failures.is_empty(),
            "seed {}: {} of {} cases:\n{}",
            self.seed,
            failures.len(),
            self.cases,
            failures.join("\n")
        );
    }
}

fn examine(dir: &Path, agent: [u8; 16], appends: u64) -> Findings {
    Examination { dir: dir.to_owned(), agent: Some(agent), appends: Some(appends) }.run()
}

#[test]
fn damage_in_generations_loses_only_the_blocks_it_hits() {
    let mut ward = Ward::new();
    for file in ward.files(|path| path.ends_with("/db") && !path.starts_with("core")) {
        ward.damage(&file, 6);
    }
    ward.finish();
}

#[test]
fn damage_in_the_core_loses_only_the_blocks_it_hits() {
    let mut ward = Ward::new();
    for file in ward.files(|path| path == "core/db") {
        ward.damage(&file, 35);
    }
    ward.finish();
}

#[test]
fn damage_beside_the_data_loses_nothing() {
    let mut ward = Ward::new();
    for file in ward.files(|path| !path.ends_with("/db")) {
        // A generation is like another.
        if ward.random.bool() && file.components().count() > 1 && !file.starts_with("core") {
            continue;
        }
        ward.damage(&file, 5);
        ward.case(&file, "emptied", &BTreeSet::new(), |copy| std::fs::write(copy.join(&file), []).unwrap());
        if file.file_name().is_none_or(|name| name != "FORMAT") {
            ward.case(&file, "removed", &BTreeSet::new(), |copy| {
                std::fs::remove_file(copy.join(&file)).unwrap()
            });
        }
    }
    ward.finish();
}

#[test]
fn what_an_interrupted_open_left_behind_is_no_hindrance() {
    let mut ward = Ward::new();
    let none = BTreeSet::new();
    for file in ward.files(|path| path.ends_with("/db")) {
        let database = file.parent().unwrap().to_owned();
        ward.case(&database, "snapshot half made", &none, |copy| {
            std::fs::write(copy.join(&database).join("snap.0000000000000123.generating"), b"half").unwrap();
        });
    }
    for name in
        ["new-logs-00000001aaaaaaaa-0000000000000001", "dead-events-00000001aaaaaaaa-0000000000000001"]
    {
        ward.case(Path::new(name), "left over", &none, |copy| {
            std::fs::create_dir(copy.join(name)).unwrap();
            std::fs::write(copy.join(name).join("db"), b"half").unwrap();
        });
    }
    ward.case(Path::new("FORMAT.new"), "left over", &none, |copy| {
        std::fs::write(copy.join("FORMAT.new"), b"half").unwrap();
    });
    ward.finish();
}

/// What says whose outbox it is may be damaged: it opens for the agent it has, and from then on for no other.
#[test]
fn a_damaged_format_is_written_anew_for_the_agent_that_opens() {
    let mut ward = Ward::new();
    let sound = std::fs::read(ward.backlog.dir.join("FORMAT")).unwrap();
    for at in (0..sound.len()).filter(|at| !VERSION.contains(at)) {
        let mut damaged = sound.clone();
        damaged[at] ^= ward.random.u8(1..);
        let copy = ward.copy();
        std::fs::write(copy.join("FORMAT"), &damaged).unwrap();
        let own = examine(&copy, AGENT, APPENDS);
        let violations = ward.backlog.account.check_damaged(&own, &BTreeSet::new());
        assert!(violations.is_empty(), "seed {}, byte {at}: {violations:?}", ward.seed);
        let other = examine(&copy, OTHER, APPENDS);
        assert!(other.refused.is_some_and(|why| why.contains("belongs to agent")), "byte {at}");
    }
}
