//! A delay of five seconds each way: an answer comes after ten.

use std::time::Duration;

use crate::link::Shape;
use crate::random;
use crate::site::{Security, Site, now};

const FAR: Shape = Shape { delay: Duration::from_secs(5), ..Shape::CLEAN };

fn a_backlog_arrives(site: &mut Site, flags: &str) {
    let text = random::lines(site.seed(), 300_000, 200);
    site.fill(&text);
    site.start_agent(flags);
    let took = site.wait_drained(Duration::from_secs(200));
    println!("{} bytes with {:?} of delay each way: {took:?}", text.len(), FAR.delay);
    assert_eq!(site.said("edge.log", "no link to the hub"), 0, "one session carried it all");
    site.assert_arrived(&text);
}

#[test]
#[ignore = "needs network namespaces and minutes: scripts/test"]
fn a_backlog_arrives_with_five_seconds_of_delay_each_way() {
    let mut site = Site::new([FAR; 2], Security::Plain);
    site.start_hub();
    a_backlog_arrives(&mut site, "");
}

#[test]
#[ignore = "needs network namespaces and minutes: scripts/test"]
fn a_backlog_arrives_with_five_seconds_of_delay_each_way_and_tls() {
    let mut site = Site::new([FAR; 2], Security::Tls);
    site.start_hub();
    a_backlog_arrives(&mut site, "");
}

/// Everything that a hub is asked for beside sessions, and a signature in the session's opening.
#[test]
#[ignore = "needs network namespaces and minutes: scripts/test"]
fn a_machine_enrols_gets_tokens_and_delivers_with_an_identity_five_seconds_away() {
    let mut site = Site::new([FAR; 2], Security::Tls);
    site.start_empty_hub();
    let began = now();
    site.enroll();
    println!("enrolled with {:?} of delay each way: {:?}", FAR.delay, began.elapsed());
    assert!(site.path("edge/agent.identity").exists());
    std::fs::write(site.path("edge.toml"), "[hub]\njwt = \"on\"\n").unwrap();
    a_backlog_arrives(&mut site, "--config edge.toml");
    assert_eq!(site.said("edge.log", "no token"), 0);
    let status = site.status().unwrap();
    assert_eq!(status["counters"]["tokens"], 1, "{status}");
}
