//! A line that goes dead without a word.

use std::time::Duration;

use crate::link::Shape;
use crate::site::{Security, Site, now};

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
    let begin = now();
    let (mut agent, mut hub) = (None, None);
    site.wait("both ends to notice", NOTICED_WITHIN + Duration::from_secs(20), || {
        if !site.is_connected() {
            agent.get_or_insert_with(|| begin.elapsed());
        }
        if site.said("hub.log", "a session ended") > 0 {
            hub.get_or_insert_with(|| begin.elapsed());
        }
        agent.zip(hub)
    });
    println!("noticed by the agent after {agent:?}, by the hub after {hub:?}");
    assert!(agent.zip(hub).is_some_and(|(agent, hub)| agent.max(hub) <= NOTICED_WITHIN), "{agent:?} {hub:?}");
}
