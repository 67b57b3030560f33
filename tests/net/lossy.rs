//! Three packets of ten are lost, in each direction.

use std::time::Duration;

use crate::link::Shape;
use crate::random;
use crate::site::{Security, Site};

const LOSSY: Shape = Shape { delay: Duration::from_millis(20), loss_percent: 30, ..Shape::CLEAN };

/// Half of all packets are lost or their acknowledgement is, and TCP doubles its wait with each in a row: there is no bound on
/// the whole that chance does not exceed now and then. This is several times what either end is silent before it dials again.
const PAUSE_MAX: Duration = Duration::from_secs(600);

fn a_backlog_arrives(security: Security) {
    let mut site = Site::new([LOSSY; 2], security);
    site.start_hub();
    let text = random::lines(site.seed(), 100_000, 200);
    site.fill(&text);
    site.start_agent("");
    let took = site.wait_drained_at_any_pace(PAUSE_MAX);
    println!("{} bytes with 30 % loss, {security:?}: {took:?}", text.len());
    site.assert_arrived(&text);
}

#[test]
#[ignore = "needs network namespaces and minutes: scripts/test"]
fn a_backlog_arrives_with_thirty_percent_loss() {
    a_backlog_arrives(Security::Plain);
}

#[test]
#[ignore = "needs network namespaces and minutes: scripts/test"]
fn a_backlog_arrives_with_thirty_percent_loss_and_tls() {
    a_backlog_arrives(Security::Tls);
}
