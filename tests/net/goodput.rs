//! How much of a line records get.

use std::time::Duration;

use crate::link::Shape;
use crate::random;
use crate::site::{Security, Site, now};

const BYTES_PER_SECOND: u64 = 1_000_000 / 8;

/// 1 Mbit/s with 200 ms each way, and a queue of half a second.
const LINE: Shape = Shape {
    delay: Duration::from_millis(200),
    bytes_per_second: Some(BYTES_PER_SECOND),
    queue_bytes: BYTES_PER_SECOND / 2,
    loss_percent: 0,
};

/// Payload bytes a second that arrive while there is a backlog, as a share of the line's bytes a second.
fn goodput(security: Security) -> f64 {
    let mut site = Site::new([LINE; 2], security);
    site.start_hub();
    let text = random::lines(site.seed(), 4_000_000, 400);
    site.fill(&text);
    site.start_agent("");
    let per_record = text.len() as f64 / site.waiting().unwrap() as f64;
    // From the first records that arrive to the last: what it took to get there is another test's matter.
    let all = site.waiting().unwrap();
    let first = site.wait("the first records", Duration::from_secs(60), || {
        site.waiting().filter(|waiting| *waiting < all)
    });
    let begin = now();
    site.wait_drained(Duration::from_secs(120));
    let share = first as f64 * per_record / begin.elapsed().as_secs_f64() / BYTES_PER_SECOND as f64;
    site.assert_arrived(&text);
    println!("goodput over 1 Mbit/s with 200 ms, {security:?}: {:.1} % of the line", share * 100.0);
    share
}

fn median_of_three(security: Security) -> f64 {
    let mut shares: Vec<_> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..3).map(|_| scope.spawn(|| goodput(security))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    shares.sort_by(f64::total_cmp);
    shares[1]
}

#[test]
#[ignore = "needs network namespaces and minutes: scripts/test"]
fn records_get_at_least_85_percent_of_a_line_with_1_mbit_and_200_ms() {
    let share = median_of_three(Security::Plain);
    assert!(share >= 0.85, "{share}");
}

#[test]
#[ignore = "needs network namespaces and minutes: scripts/test"]
fn with_tls_as_well() {
    let share = median_of_three(Security::Tls);
    assert!(share >= 0.85, "{share}");
}
