//! A delay of five seconds, each way.

use std::time::Duration;

use crate::link::Shape;
use crate::random;
use crate::site::{Security, Site};

const FAR: Shape = Shape { delay: Duration::from_secs(5), ..Shape::CLEAN };

fn a_backlog_arrives(security: Security) {
    let mut site = Site::new([FAR; 2], security);
    site.start_hub();
    let text = random::lines(site.seed(), 300_000, 200);
    site.fill(&text);
    site.start_agent("");
    let took = site.wait_drained(Duration::from_secs(200));
    println!("{} bytes with 5 s of delay each way, {security:?}: {took:?}", text.len());
    site.assert_arrived(&text);
    assert_eq!(site.said("edge.log", "no link to the hub"), 0, "one session carried it all");
}

#[test]
#[ignore = "needs network namespaces and minutes: scripts/test"]
fn a_backlog_arrives_with_five_seconds_of_delay_each_way() {
    a_backlog_arrives(Security::Plain);
}
