//! Many seeds, on as many threads as there are processors; each failing one with its scenario and how to repeat it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::obs::clock;

use super::scenario::{Mode, Scenario};
use super::world::{Figures, World};

/// Failures that are told in full.
const TOLD_MAX: usize = 5;

/// One run.
pub(super) fn run(seed: u64, mode: Mode) -> Result<Figures, String> {
    let scenario = Scenario::new(seed, mode);
    let trace = std::env::var_os("OUTPOST_SIM_TRACE").is_some();
    let outcome = catch_unwind(AssertUnwindSafe(|| World::new(&scenario, trace).run()));
    outcome.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let word = match mode {
            Mode::Safety => "safety",
            Mode::Liveness => "liveness",
        };
        format!(
            "seed {seed} ({word}): {}\n{scenario:#?}\nrepeat it: OUTPOST_SIM_TRACE=1 scripts/sim --seeds 1 --from {seed} --mode {word}",
            text.unwrap_or_default()
        )
    })
}

/// Runs these seeds; panics with what failed.
pub(super) fn run_all(from: u64, seeds: u64, modes: &[Mode]) {
    let next = AtomicU64::new(from);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let work = || {
        let (mut failures, mut figures) = (Vec::new(), Figures::default());
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= from.saturating_add(seeds) || failures.len() >= TOLD_MAX {
                return (failures, figures);
            }
            let mode = modes[usize::try_from(seed).unwrap_or_default() % modes.len()];
            match run(seed, mode) {
                Ok(run) => {
                    figures.delivered += run.delivered;
                    figures.declared += run.declared;
                    figures.hub_lost += run.hub_lost;
                    figures.forgiven += run.forgiven;
                    figures.handled += run.handled;
                }
                Err(failure) => {
                    // At once: a run of many seeds may be ended before it comes to its end.
                    eprintln!("{}", failure.lines().next().unwrap_or_default());
                    failures.push(failure);
                }
            }
        }
    };
    let began = clock::boot_now();
    let done: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().expect("failures are caught")).collect()
    });
    let sum = |of: fn(&Figures) -> u64| done.iter().map(|(_, figures)| of(figures)).sum::<u64>();
    let took = clock::boot_now().since(began).as_secs_f64();
    println!(
        "{seeds} seeds from {from} in {took:.1} s: {} records delivered, {} declared as gaps, {} lost by a restored hub, {} by damage and a power cut; {} messages handled",
        sum(|figures| figures.delivered),
        sum(|figures| figures.declared),
        sum(|figures| figures.hub_lost),
        sum(|figures| figures.forgiven),
        sum(|figures| figures.handled),
    );
    let failures: Vec<&String> = done.iter().flat_map(|(failures, _)| failures).collect();
    for failure in failures.iter().skip(1) {
        println!("{}", failure.lines().next().unwrap_or_default());
    }
    assert!(failures.is_empty(), "{} seeds failed\n{}", failures.len(), failures[0]);
}
