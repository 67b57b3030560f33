//! The plan of faults, drawn from the seed alone: the same seed, the same plan.

use std::time::Duration;

/// What goes wrong at a site while one chunk of records is being emitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The link is cut and stays down.
    Cut {
        /// From the chunk's beginning.
        after: Duration,
        /// How long the link is down.
        down: Duration,
    },
    /// The agent is killed (SIGKILL) and started again.
    Kill {
        /// From the chunk's beginning.
        after: Duration,
    },
}

/// Chunks of one site: how many records each has, and what goes wrong meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) records: u64,
    pub(super) fault: Option<Fault>,
}

/// Agents are killed half as often as links are cut, but at least this often.
const KILLS_MIN: usize = 3;
/// A fault strikes this long after its chunk began, at most: about what emitting a chunk takes.
const AFTER_MS_MAX: u64 = 60;
/// A link stays down between these.
const DOWN_MS: std::ops::Range<u64> = 200..1200;

/// Deals `records` and the faults to `sites` sites.
pub(super) fn plan(seed: u64, sites: usize, records: u64, cuts: usize) -> Vec<Vec<Chunk>> {
    let mut random = fastrand::Rng::with_seed(seed);
    let sites = sites.max(1);
    let kills = if cuts == 0 { 0 } else { (cuts / 2).max(KILLS_MIN) };
    let mut faults: Vec<Fault> = (0..cuts).map(|_| cut(&mut random)).collect();
    faults.extend((0..kills).map(|_| Fault::Kill { after: after(&mut random) }));
    random.shuffle(&mut faults);

    let mut plans: Vec<Vec<Option<Fault>>> = vec![Vec::new(); sites];
    for (index, fault) in faults.into_iter().enumerate() {
        if let Some(plan) = plans.get_mut(index % sites) {
            plan.push(Some(fault));
        }
    }
    // A quiet chunk at both ends: everybody is seen to work before the first fault and after the last.
    for plan in &mut plans {
        plan.insert(0, None);
        plan.push(None);
    }
    let chunks: u64 = plans.iter().map(|plan| plan.len() as u64).sum();
    let mut left = records;
    let mut chunks_left = chunks;
    plans
        .into_iter()
        .map(|plan| {
            plan.into_iter()
                .map(|fault| {
                    let records = left / chunks_left.max(1);
                    left -= records;
                    chunks_left -= 1;
                    Chunk { records, fault }
                })
                .collect()
        })
        .collect()
}

fn cut(random: &mut fastrand::Rng) -> Fault {
    Fault::Cut { after: after(random), down: Duration::from_millis(random.u64(DOWN_MS)) }
}

fn after(random: &mut fastrand::Rng) -> Duration {
    Duration::from_millis(random.u64(0..AFTER_MS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_plan() {
        assert_eq!(plan(7, 3, 1000, 6), plan(7, 3, 1000, 6));
        assert_ne!(plan(7, 3, 1000, 6), plan(8, 3, 1000, 6));
    }

    #[test]
    fn all_records_and_faults_are_dealt() {
        for (sites, records, cuts) in [(1, 10, 5), (3, 30_000, 6), (5, 7, 1), (2, 0, 0)] {
            let plans = plan(1, sites, records, cuts);
            let chunks: Vec<_> = plans.iter().flatten().collect();
            assert_eq!(plans.len(), sites);
            assert_eq!(chunks.iter().map(|chunk| chunk.records).sum::<u64>(), records);
            let cut = chunks.iter().filter(|chunk| matches!(chunk.fault, Some(Fault::Cut { .. }))).count();
            assert_eq!(cut, cuts);
            let killed =
                chunks.iter().filter(|chunk| matches!(chunk.fault, Some(Fault::Kill { .. }))).count();
            assert_eq!(killed >= KILLS_MIN, cuts > 0);
        }
    }
}
