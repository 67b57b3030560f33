//! The runs. `OUTPOST_SIM_SEEDS`, `_FROM` and `_MODE` say which; scripts/sim sets them.

mod mutants;

use super::run::run_all;
use super::scenario::Mode;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}: not a number")))
}

#[test]
fn whatever_goes_wrong_promises_are_kept() {
    let modes: &[Mode] = match std::env::var("OUTPOST_SIM_MODE").as_deref() {
        Err(_) => &[Mode::Safety, Mode::Liveness],
        Ok("safety") => &[Mode::Safety],
        Ok("liveness") => &[Mode::Liveness],
        Ok(other) => panic!("OUTPOST_SIM_MODE={other}: safety or liveness"),
    };
    run_all(number("OUTPOST_SIM_FROM", 0), number("OUTPOST_SIM_SEEDS", 300), modes);
}
