//! An agent that moves to another network while it sends.

use std::time::Duration;

use crate::link::Shape;
use crate::random;
use crate::site::{Security, Site};

/// The backlog takes some ten seconds.
const LINE: Shape = Shape {
    delay: Duration::from_millis(50),
    bytes_per_second: Some(32 * 1024),
    queue_bytes: 32 * 1024,
    loss_percent: 0,
};

#[test]
#[ignore = "needs network namespaces and minutes: scripts/test"]
fn an_agent_whose_address_changes_goes_on_from_the_new_one() {
    let mut site = Site::new([LINE; 2], Security::Plain);
    site.start_hub();
    let text = random::lines(site.seed(), 400_000, 200);
    site.fill(&text);
    site.start_agent("");
    let all = site.waiting().unwrap();
    site.wait("a part of the backlog to arrive", Duration::from_secs(60), || {
        site.waiting().filter(|waiting| *waiting < all * 3 / 4)
    });
    site.move_agent();
    let took = site.wait_drained(Duration::from_secs(120));
    println!("the rest arrived {took:?} after the address changed");
    site.assert_arrived(&text);
}
