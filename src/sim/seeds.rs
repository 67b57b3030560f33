//! Seeds that failed once, with what they found. A seed stands for its run only as long as nothing draws differently, so
//! each fault that was found has a plain test beside its cure as well, or a mutant.

use super::run::run;
use super::scenario::Mode;

/// Seed, mode, and what it found.
const FAILED: [(u64, Mode, &str); 20] = [
    (29, Mode::Liveness, "a change of a job that was refused came back at the next start"),
    (223, Mode::Liveness, "a torn slot of the mark brought an old seal back, and accepted records went"),
    (690, Mode::Safety, "an undone row of a job was undone once more, and the job was gone"),
    (283, Mode::Liveness, "a gap that the hub had heard of stayed for ever"),
    (1133, Mode::Liveness, "a stream that only a heard gap kept was rolled at every registration"),
    (1223, Mode::Liveness, "logs starved beside a busy control lane"),
    (749, Mode::Liveness, "a damaged row of the core ended every session"),
    (
        4638,
        Mode::Safety,
        "a seal came back with a power cut, since the start after it had not synced the mark",
    ),
    (16241, Mode::Liveness, "what a crash made of a job found no room at the start, and was not tried again"),
    (22567, Mode::Liveness, "the judge: a fresh record came under a new number, its stream was rolled"),
    (
        37322,
        Mode::Safety,
        "the judge: the one block of a generation and the row that says its end, both damaged",
    ),
    (
        53655,
        Mode::Liveness,
        "the judge: the last block of an epoch and the row that says its end, both damaged",
    ),
    (
        5437,
        Mode::Liveness,
        "a start that failed took the end of an older epoch along, and refused records came",
    ),
    (6244, Mode::Safety, "the same, and they could be read"),
    (79695, Mode::Liveness, "the judge: a fresh record was evicted by an agent that took its disk for full"),
    (81277, Mode::Liveness, "the judge: the hub is told of a damaged core when the disk has room"),
    (175410, Mode::Safety, "a core whose first start failed never got a durable name, and the power took it"),
    (373325, Mode::Liveness, "the model: a row that was gone could not be read, and no scan told"),
    (
        655129,
        Mode::Liveness,
        "the judge: the last block of an epoch of control and the row that says its end",
    ),
    (853, Mode::Liveness, "damage about the time of a power cut"),
];

#[test]
fn what_failed_once_does_not_again() {
    for (seed, mode, found) in FAILED {
        if let Err(failure) = run(seed, mode) {
            panic!("{found}: {failure}");
        }
    }
}
