//! Damaged files: a byte flipped, a range zeroed, an end cut off, at many places of every file.
//!
//! Whatever is damaged, the outbox opens, what lies in other blocks is read, what is gone is declared, nothing is served
//! that nobody wrote, and new records are taken.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

use outpost::id::Lane;

use crate::backlog::{AGENT, Blocks, ends_of_epochs};
use crate::ward::{APPENDS, Damage, Ward, examine};

/// Where FORMAT has its version: of this nobody can tell damage from a newer program's file.
const VERSION: Range<usize> = 8..12;
const OTHER: [u8; 16] = [9; 16];

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

/// What is left of a message whose end is lost together with all that followed in its stream, and with what said where that
/// ended, was never whole to whoever opens it: it goes, and is declared.
#[test]
fn a_message_that_lost_its_end_at_the_end_of_a_stream_goes_whole() {
    let mut ward = Ward::new();
    let file = Path::new("core/db");
    let bytes = std::fs::read(ward.backlog.dir.join(file)).unwrap();
    let blocks = Blocks::of_core(&bytes);
    let mut gone = 0;
    for (beginning, second) in ward.backlog.account.cut_messages(Lane::Control) {
        let lost = [blocks.since(second), ends_of_epochs(&bytes)].concat();
        let damage = Damage::Blocks(lost);
        let (findings, hit) = ward.hurt(file, &bytes, &blocks, &damage);
        let left = findings.seen().any(|(place, _)| place == beginning);
        if !hit.contains(&beginning) {
            assert!(!left, "{beginning} is served without the end of its message");
            gone += 1;
        }
    }
    assert!(gone > 0, "no message lies in two blocks");
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
