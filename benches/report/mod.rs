//! Figures of a bench and where they go: rows in target/bench/<group>.json, which `scripts/bench` joins.

#![allow(dead_code, reason = "each bench uses its part")]

use std::path::PathBuf;
use std::time::Duration;
use std::{env, fs};

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use outpost::obs::clock::boot_now;
use serde_json::{Value, json};

/// Samples a median is taken of.
const SAMPLES: usize = 25;

/// What a figure is held against.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// Not above this.
    AtMost(f64),
    /// Not below this.
    AtLeast(f64),
}

impl Target {
    fn is_met(self, figure: f64) -> bool {
        match self {
            Self::AtMost(bound) => figure <= bound,
            Self::AtLeast(bound) => figure >= bound,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtMost(bound) => format!("<= {bound}"),
            Self::AtLeast(bound) => format!(">= {bound}"),
        }
    }
}

/// The rows of one group.
pub(crate) struct Report {
    group: &'static str,
    rows: Vec<Value>,
}

impl Report {
    /// An empty report.
    pub(crate) const fn new(group: &'static str) -> Self {
        Self { group, rows: Vec::new() }
    }

    /// A figure held against the target itself.
    pub(crate) fn figure(&mut self, name: &str, value: f64, unit: &str, target: Target) {
        self.push(name, value, unit, None, target);
    }

    /// A figure whose ratio to `limit`, measured in the same run, is held against the target.
    pub(crate) fn ratio(&mut self, name: &str, measured: &Pair, target: Target) {
        self.push(name, measured.value, "ns", Some((measured.limit, measured.ratio)), target);
    }

    /// Rates and those of their limit, measured by turns: the median of their ratios is held against the target.
    pub(crate) fn rates(&mut self, name: &str, unit: &str, turns: &[(f64, f64)], target: Target) {
        let limit = median(turns.iter().map(|(_, limit)| *limit));
        let ratio = median(turns.iter().map(|(rate, limit)| rate / limit));
        self.push(name, median(turns.iter().map(|(rate, _)| *rate)), unit, Some((limit, ratio)), target);
    }

    fn push(&mut self, name: &str, value: f64, unit: &str, limit: Option<(f64, f64)>, target: Target) {
        let met = target.is_met(limit.map_or(value, |(_, ratio)| ratio));
        self.rows.push(json!({
            "name": format!("{}/{name}", self.group),
            "value": rounded(value),
            "unit": unit,
            "limit": limit.map(|(limit, _)| rounded(limit)),
            "ratio": limit.map(|(_, ratio)| rounded(ratio)),
            "target": target.text(),
            "met": met,
        }));
    }

    /// Writes the rows, one a line.
    pub(crate) fn write(&self, file: &str) {
        let folder =
            env::var_os("OUTPOST_BENCH_DIR").map_or_else(|| PathBuf::from("target/bench"), PathBuf::from);
        fs::create_dir_all(&folder).expect("the folder of the figures can be made");
        let lines: String = self.rows.iter().map(|row| format!("{row}\n")).collect();
        fs::write(folder.join(format!("{file}.json")), lines).expect("the figures can be written");
    }
}

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// Medians of something and of its limit, measured by turns.
pub(crate) struct Pair {
    value: f64,
    limit: f64,
    ratio: f64,
}

/// Measures `product` beside `limit`: by turns of `chunk` runs, so that both see the same machine. Criterion sees
/// the product's time.
pub(crate) fn beside(
    criterion: &mut Criterion,
    id: (&str, u64),
    chunk: u64,
    mut limit: impl FnMut(),
    mut product: impl FnMut(),
) -> Pair {
    let mut samples = Vec::new();
    let mut group = criterion.benchmark_group(id.0);
    group.sample_size(SAMPLES).sampling_mode(SamplingMode::Flat);
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
    group.throughput(Throughput::Bytes(id.1));
    group.bench_function(BenchmarkId::from_parameter(id.1), |bencher| {
        bencher.iter_custom(|iterations| {
            let (mut limit_time, mut product_time, mut done) = (Duration::ZERO, Duration::ZERO, 0);
            while done < iterations {
                let turn = chunk.min(iterations - done);
                limit_time += timed(turn, &mut limit);
                product_time += timed(turn, &mut product);
                done += turn;
            }
            let runs = iterations as f64;
            samples.push((limit_time.as_secs_f64() * 1e9 / runs, product_time.as_secs_f64() * 1e9 / runs));
            product_time
        });
    });
    group.finish();
    // The samples before the last ones are criterion's warm-up.
    let samples = samples.split_off(samples.len().saturating_sub(SAMPLES));
    assert_eq!(samples.len(), SAMPLES, "a filter left the measurement out");
    Pair {
        value: median(samples.iter().map(|(_, product)| *product)),
        limit: median(samples.iter().map(|(limit, _)| *limit)),
        ratio: median(samples.iter().map(|(limit, product)| product / limit)),
    }
}

impl Pair {
    /// Median nanoseconds of the product.
    pub(crate) const fn nanos(&self) -> f64 {
        self.value
    }
}

fn timed(runs: u64, work: &mut impl FnMut()) -> Duration {
    let start = boot_now();
    (0..runs).for_each(|_| work());
    boot_now().since(start)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
