//! A network that wants a login first: what answers in the hub's place is named, and once it lets the agent through,
//! everything arrives.

use crate::front::{Front, Manner};
use crate::site::Site;
use crate::world::wait_for;

/// What one says, and the status that is to be shown.
const PORTALS: &[(Manner, u16)] = &[
    (
        Manner::Says(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 35\r\n\r\n<html>Accept our terms first</html>",
        ),
        200,
    ),
    (Manner::Says("HTTP/1.1 302 Found\r\nLocation: http://login.example/\r\nContent-Length: 0\r\n\r\n"), 302),
    (Manner::Says("HTTP/1.1 511 Network Authentication Required\r\nContent-Length: 0\r\n\r\n"), 511),
    (
        Manner::Says("HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<html>Accept our terms first</html>"),
        200,
    ),
    (Manner::Says("HTTP/1.0 302 Found\r\nLocation: http://login.example/\r\n\r\n"), 302),
];

#[test]
fn a_captive_portal_is_named_and_outlived() {
    let mut site = Site::new();
    let portal = Front::before(site.world.hub_address(), PORTALS[0].0);
    let _agent = site.agent(&Site::urls(&[&portal.url()]), "", &[]);
    site.emit(10);
    for (manner, status) in PORTALS {
        portal.turn(*manner);
        let error = site.wait_error("captive_portal", &format!("(HTTP {status})"));
        assert!(error["text"].as_str().unwrap().contains("may want a login in a browser first"), "{error}");
        assert_eq!(error["verified"], false);
        assert_eq!(site.status()["state"], "reconnecting");
    }
    portal.turn(Manner::Says("HTTP/1.0 502 Bad Gateway\r\n\r\n"));
    site.wait_error(
        "link",
        &format!("whoever answers at 127.0.0.1:{} refused with HTTP 502; what stands", portal.port),
    );
    portal.turn(Manner::Honest);
    site.delivers();
}

/// The operator's commands, an enrolment and a fetch of tokens go the same way.
#[test]
fn a_captive_portal_is_named_to_whoever_asks_the_hub_something() {
    let site = Site::new();
    let world = &site.world;
    let invite = world.run("hub agent invite edge-2 --data hub");
    std::fs::write(world.path("edge-2.token"), invite).unwrap();
    let portal = Front::before(world.hub_address(), PORTALS[0].0);
    let url = portal.url();
    for (manner, status) in PORTALS {
        portal.turn(*manner);
        for words in [
            format!("hub agent list --hub {url} --token-file hub/admin.token"),
            format!("agent enroll --hub {url} --token-file edge-2.token --data edge-2"),
        ] {
            let (exit, said) = world.fail(&words);
            let named = said.contains(&format!("(HTTP {status})")) && said.contains("a captive portal");
            assert!(exit == 69 && named, "{words}: {exit} {said}");
        }
    }
    assert!(!world.path("edge-2/agent.key").exists());
    let _agent = site.agent(&format!("{}\njwt = \"on\"", Site::urls(&[&url])), "", &[]);
    wait_for("the missing token to be told", || {
        let log = std::fs::read_to_string(world.path("agent.log")).unwrap();
        log.lines().any(|line| line.contains("no token") && line.contains("a captive portal")).then_some(())
    });
    portal.turn(Manner::Honest);
    world.run(&format!("agent enroll --hub {url} --token-file edge-2.token --data edge-2"));
}
