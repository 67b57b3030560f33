//! A backlog and copies of it that are damaged one by one.

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
pub(crate) const APPENDS: u64 = 1 << 40;
const ZEROED_BYTES_MAX: usize = 64 * 1024;

/// What is done to a file.
#[derive(Debug, Clone)]
pub(crate) enum Damage {
    Flip {
        at: usize,
        mask: u8,
    },
    Zero(Range<usize>),
    Cut {
        to: usize,
    },
    /// Several ranges.
    Blocks(Vec<Range<usize>>),
}

impl Damage {
    /// Whether any byte there is not what it was.
    fn touches(&self, place: &Range<usize>) -> bool {
        let overlaps = |damaged: &Range<usize>| place.start < damaged.end && damaged.start < place.end;
        match self {
            Self::Flip { at, .. } => place.contains(at),
            Self::Zero(range) => overlaps(range),
            Self::Cut { to } => *to < place.end,
            Self::Blocks(ranges) => ranges.iter().any(overlaps),
        }
    }

    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Flip { at, mask } => bytes[*at] ^= mask,
            Self::Zero(range) => bytes[range.clone()].fill(0),
            Self::Cut { to } => bytes.truncate(*to),
            Self::Blocks(ranges) => ranges.iter().for_each(|range| bytes[range.clone()].fill(0)),
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
pub(crate) struct Ward {
    folder: tempfile::TempDir,
    pub(crate) backlog: Backlog,
    sound: Findings,
    pub(crate) random: Rng,
    pub(crate) seed: u64,
    cases: u32,
    failures: Vec<Failure>,
}

impl Ward {
    pub(crate) fn new() -> Self {
        let seed = crate::seed::seed();
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
    pub(crate) fn copy(&self) -> PathBuf {
        let copy = self.folder.path().join("copy");
        std::fs::remove_dir_all(&copy).unwrap();
        self.backlog.copy(&copy);
        copy
    }

    /// Every file whose path says yes.
    pub(crate) fn files(&self, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
        let files: Vec<_> =
            self.backlog.files().into_iter().filter(|file| wanted(&file.to_string_lossy())).collect();
        assert!(!files.is_empty());
        files
    }

    /// Damages a file in `count` ways, one at a time.
    pub(crate) fn damage(&mut self, file: &Path, count: usize) {
        let bytes = std::fs::read(self.backlog.dir.join(file)).unwrap();
        let blocks = match file.file_name() {
            Some(name) if name != "db" => Blocks::none(),
            _ if file.starts_with("core") => Blocks::of_core(&bytes),
            _ => Blocks::of_generation(&bytes),
        };
        for kind in 0..if bytes.is_empty() { 0 } else { count } {
            let damage = Damage::random(&mut self.random, bytes.len(), kind);
            self.hurt(file, &bytes, &blocks, &damage);
        }
    }

    /// What is found after this damage, and the records it hit.
    pub(crate) fn hurt(
        &mut self,
        file: &Path,
        bytes: &[u8],
        blocks: &Blocks,
        damage: &Damage,
    ) -> (Findings, BTreeSet<RecordId>) {
        let excused = blocks.hit(|place| damage.touches(place));
        let mut damaged = bytes.to_vec();
        damage.apply(&mut damaged);
        let findings = self.case(file, &format!("{damage:?}"), &excused, |copy| {
            std::fs::write(copy.join(file), &damaged).unwrap()
        });
        (findings, excused)
    }

    pub(crate) fn case(
        &mut self,
        file: &Path,
        damage: &str,
        excused: &BTreeSet<RecordId>,
        apply: impl FnOnce(&Path),
    ) -> Findings {
        let copy = self.copy();
        apply(&copy);
        self.cases += 1;
        let findings = examine(&copy, AGENT, APPENDS);
        // It may be a newer program's, which is left alone.
        if file == Path::new("FORMAT")
            && findings.refused.as_ref().is_some_and(|why| why.contains("has format"))
        {
            return findings;
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
        findings
    }

    pub(crate) fn finish(self) {
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

pub(crate) fn examine(dir: &Path, agent: [u8; 16], appends: u64) -> Findings {
    Examination { dir: dir.to_owned(), agent: Some(agent), appends: Some(appends) }.run()
}
