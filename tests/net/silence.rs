//! A line that goes dead without a word.

use std::time::Duration;

use outpost::obs::clock::wall_now;
use outpost::time::{WallTime, millis};

use crate::link::Shape;
use crate::site::{Security, Site};

/// What both ends promise.
const NOTICED_WITHIN: Duration = Duration::from_secs(90);

#[test]
#[ignore = "needs network namespaces and minutes: scripts/test"]
fn a_dead_line_is_noticed_by_both_ends_within_ninety_seconds() {
    let mut site = Site::new([Shape::CLEAN; 2], Security::Plain);
    site.start_hub();
    site.start_agent("");
    site.emit(b"before\n");
    site.wait("the link", Duration::from_secs(30), || site.is_connected().then_some(()));
    site.wait_drained(Duration::from_secs(30));
    // Nothing is on its way any more.
    let quiet =
        |link: &crate::link::Link| link.quiet_for().is_some_and(|quiet| quiet > Duration::from_secs(1));
    site.wait("a quiet line", Duration::from_secs(60), || quiet(&site.link).then_some(()));
    site.link.go_dark();
    let dark = wall_now();
    let (agent, hub) = site.wait("both ends to notice", NOTICED_WITHIN + Duration::from_secs(30), || {
        let agent = site.said_at("edge.log", "no link to the hub", dark)?;
        let hub = site.said_at("hub.log", "a session ended", dark)?;
        (!site.is_connected()).then_some((agent, hub))
    });
    println!("the line is dead since {dark}: noticed by the agent at {agent}, by the hub at {hub}");
    // By their own times: this test sees it later, and both are due within a second of the bound.
    let end = WallTime(dark.0 + millis(NOTICED_WITHIN)).to_string();
    assert!(agent.max(hub) <= end, "after {end}{}", site.log_ends());
}
