//! A satellite's 2,400 bit/s.

use std::time::Duration;

use crate::link::Shape;
use crate::random;
use crate::site::{Security, Site};

/// 2,400 bit/s with a queue of ten seconds.
pub(crate) const SATELLITE: Shape = Shape {
    delay: Duration::from_millis(600),
    bytes_per_second: Some(300),
    queue_bytes: 3000,
    loss_percent: 0,
};

fn a_backlog_arrives(security: Security) {
    let mut site = Site::new([SATELLITE; 2], security);
    site.start_hub();
    let text = [random::lines(site.seed(), 10_000, 100), random::log(20_000)].concat();
    site.fill(&text);
    site.start_agent("");
    let took = site.wait_drained(Duration::from_secs(220));
    println!("{} bytes over 2,400 bit/s, {security:?}: {took:?}", text.len());
    assert_eq!(site.said("edge.log", "no link to the hub"), 0, "one session carried it all");
    site.assert_arrived(&text);
}

#[test]
#[ignore = "needs network namespaces and minutes: scripts/test"]
fn a_backlog_arrives_over_2400_bits_a_second_in_one_session() {
    a_backlog_arrives(Security::Plain);
}

#[test]
#[ignore = "needs network namespaces and minutes: scripts/test"]
fn a_backlog_arrives_over_2400_bits_a_second_with_tls_in_one_session() {
    a_backlog_arrives(Security::Tls);
}
