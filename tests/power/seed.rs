//! Where chance begins in a test that draws: `OUTPOST_TEST_SEED`, so that a failure can be had again, or anywhere.
//!
//! `scripts/test` begins at the same place each time: what chance finds next is for whoever looks for it, not for whoever
//! changed something else.

/// Drawn where the environment does not say it, and printed.
pub(crate) fn seed() -> u64 {
    let seed = std::env::var("OUTPOST_TEST_SEED")
        .map_or_else(|_| fastrand::u64(..1 << 32), |text| text.parse().unwrap());
    println!("OUTPOST_TEST_SEED={seed}");
    seed
}
