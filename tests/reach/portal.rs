//! A network that wants a login first: what answers in the hub's place is named, and once it lets the agent through,
//! everything arrives.

use crate::front::{Front, Manner};
use crate::site::Site;

const PORTALS: &[Manner] = &[
    Manner::Says(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 35\r\n\r\n<html>Accept our terms first</html>",
    ),
    Manner::Says("HTTP/1.1 302 Found\r\nLocation: http://login.example/\r\nContent-Length: 0\r\n\r\n"),
    Manner::Says("HTTP/1.1 511 Network Authentication Required\r\nContent-Length: 0\r\n\r\n"),
];

#[test]
fn a_captive_portal_is_named_and_outlived() {
    let mut site = Site::new();
    let portal = Front::before(site.world.hub_address(), PORTALS[0]);
    let _agent = site.agent(&Site::urls(&[&portal.url()]), "", &[]);
    site.emit(10);
    for (manner, status) in PORTALS.iter().zip([200, 302, 511]) {
        portal.turn(*manner);
        let error = site.wait_error("captive_portal", &format!("(HTTP {status})"));
        assert!(error["text"].as_str().unwrap().contains("may want a login in a browser first"), "{error}");
        assert_eq!(error["verified"], false);
        assert_eq!(site.status()["state"], "reconnecting");
    }
    portal.turn(Manner::Honest);
    site.delivers();
}
