//! Several addresses of one hub, asked in turn.

use crate::front::{self, Front, Manner};
use crate::site::{Site, wait_until};

#[test]
fn hubs_are_asked_in_turn_and_the_one_that_answers_is_kept() {
    let mut site = Site::new();
    let hub = site.world.hub_address();
    let (_taken, closed) = front::closed();
    let closed = format!("http://{closed}");
    let portal = Front::before(hub, Manner::Says("HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"));
    let (first, second) = (Front::before(hub, Manner::HangsUp), Front::before(hub, Manner::Honest));
    let flags =
        [&closed, &portal.url(), &first.url(), &second.url()].map(|url| format!("--hub {url} ")).concat();
    let _agent = site.agent("", &flags, &[]);
    site.delivers();
    assert_eq!(site.status()["hub"], second.url(), "the last of four");
    assert!(!portal.asked().is_empty() && portal.asked().len() <= 2, "{:?}", portal.asked());

    // It stays where it is, and goes on to the next where that fails.
    let asked = portal.asked().len() + second.asked().len();
    site.delivers();
    assert_eq!(asked, portal.asked().len() + second.asked().len(), "nobody is asked while a session is good");
    first.turn(Manner::Honest);
    second.turn(Manner::HangsUp);
    site.delivers();
    assert_eq!(site.status()["hub"], first.url());
    let status = String::from_utf8(site.world.run("agent status --socket edge-1.sock")).unwrap();
    assert!(status.contains(&first.url()), "{status}");
}

#[test]
fn each_hub_s_error_is_shown_with_its_address() {
    let site = Site::new();
    let hub = site.world.hub_address();
    let busy = Manner::Says(
        "HTTP/1.1 503 Busy\r\nX-Outpost-Error: busy\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n",
    );
    let (busy, portal) =
        (Front::before(hub, busy), Front::before(hub, Manner::Says("HTTP/1.1 200 OK\r\n\r\n")));
    let _agent = site.agent(&Site::urls(&[&busy.url(), &portal.url()]), "", &[]);
    // The first is left alone for an hour; the other is asked meanwhile, again and again.
    let error = site.wait_error("captive_portal", "HTTP 200");
    assert_eq!(error["hub"], portal.url());
    assert!(wait_until(|| portal.asked().len() >= 5));
    assert_eq!(busy.asked().len(), 1, "it said when to come back");
    let log = std::fs::read_to_string(site.world.path("agent.log")).unwrap();
    let warned = log.lines().filter(|line| line.contains("WARN") && line.contains("no link to the hub"));
    assert_eq!(warned.count(), 2, "once for each: {log}");
}
