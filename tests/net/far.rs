//! A delay of five seconds.

use std::time::Duration;

use crate::link::Shape;
use crate::random;
use crate::site::{Security, Site};

const FAR: Shape = Shape { delay: Duration::from_secs(5), ..Shape::CLEAN };
/// An answer then comes after five seconds in all.
const HALF: Shape = Shape { delay: Duration::from_millis(2500), ..Shape::CLEAN };

fn a_backlog_arrives(shape: Shape, security: Security) {
    let mut site = Site::new([shape; 2], security);
    site.start_hub();
    let text = random::lines(site.seed(), 300_000, 200);
    site.fill(&text);
    site.start_agent("");
    let took = site.wait_drained(Duration::from_secs(200));
    println!("{} bytes with {:?} of delay each way, {security:?}: {took:?}", text.len(), shape.delay);
    assert_eq!(site.said("edge.log", "no link to the hub"), 0, "one session carried it all");
    site.assert_arrived(&text);
}

#[test]
#[ignore = "needs network namespaces and minutes: scripts/test"]
fn a_backlog_arrives_with_five_seconds_of_delay_each_way() {
    a_backlog_arrives(FAR, Security::Plain);
}

#[test]
#[ignore = "needs network namespaces and minutes: scripts/test"]
fn a_backlog_arrives_with_tls_and_answers_after_five_seconds() {
    a_backlog_arrives(HALF, Security::Tls);
}
