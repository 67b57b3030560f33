//! TLS on the way: whole through a proxy, and with something in between that answers in the hub's place.

use crate::front::{Front, Manner};
use crate::site::{PASSWORD, Site, USER};
use crate::world::wait_for;

const PORTAL: Manner =
    Manner::Says("HTTP/1.1 302 Found\r\nLocation: http://login.example/\r\nContent-Length: 0\r\n\r\n");

#[test]
fn tls_goes_through_a_proxy_whole() {
    let mut site = Site::behind_tls();
    let hub = site.world.hub_address();
    let proxy = Front::before(hub, Manner::Honest);
    let setting = format!("proxy = \"http://{USER}:{PASSWORD}@127.0.0.1:{}\"", proxy.port);
    let flags = format!("--hub https://127.0.0.1:{} --ca ca.pem", hub.port());
    let _agent = site.agent(&setting, &flags, &[]);
    site.drains();
    let asked = proxy.asked();
    assert!(
        !asked.is_empty()
            && asked.iter().all(|head| head.starts_with(&format!("CONNECT {hub} HTTP/1.1\r\n")))
    );
    assert!(asked.iter().all(|head| !head.contains("Bearer") && !head.contains("/v1/agents")), "{asked:?}");
    // The session is bound to this channel: the hub ends TLS, whatever carries it.
    let log = std::fs::read_to_string(site.world.path("agent.log")).unwrap();
    assert!(log.contains("registered with the hub"), "{log}");
    site.assert_no_password();
}

#[test]
fn what_answers_in_the_place_of_a_hub_behind_tls_is_named_and_outlived() {
    let mut site = Site::behind_tls();
    let hub = site.world.hub_address();
    let portal = Front::before(hub, PORTAL);
    let flags = format!("--hub https://127.0.0.1:{} --ca ca.pem", portal.port);
    let mut agent = site.agent("", &flags, &[]);
    let error = site.wait_error("tls", "127.0.0.1 answers is no TLS");
    assert!(error["text"].as_str().unwrap().contains("does something between answer?"), "{error}");
    // One that has a certificate of its own for everything.
    let interceptor = Site::behind_tls();
    let other = Front::before(interceptor.world.hub_address(), Manner::Honest);
    agent.kill();
    let elsewhere = format!("--hub https://127.0.0.1:{} --ca ca.pem", other.port);
    let mut agent = site.agent("", &elsewhere, &[]);
    let error = site.wait_error("tls", "the certificate of 127.0.0.1");
    assert_eq!(error["verified"], false);
    assert!(other.asked().iter().all(|head| !head.contains("Bearer")), "{:?}", other.asked());
    agent.kill();
    let _agent = site.agent("", &flags, &[]);
    portal.turn(Manner::Honest);
    site.drains();
}

#[test]
fn an_authority_that_the_system_has_from_now_on_is_found_by_an_agent_that_runs() {
    let (mut site, other) = (Site::behind_tls(), Site::behind_tls());
    // What the system believes, for this one process.
    let system = site.world.path("system.pem");
    std::fs::copy(other.world.path("ca.pem"), &system).unwrap();
    let front = Front::before(site.world.hub_address(), Manner::HonestOnce);
    let flags = format!("--hub https://127.0.0.1:{}", front.port);
    let variables = [("SSL_CERT_FILE", system.to_str().unwrap()), ("SSL_CERT_DIR", "/nonexistent")];
    let _agent = site.agent("", &flags, &variables);
    // After that no dial gets as far as a certificate.
    let refused = "the certificate of 127.0.0.1";
    wait_for("the certificate to be refused", || {
        let log = std::fs::read_to_string(site.world.path("agent.log")).unwrap();
        log.contains(refused).then_some(())
    });
    std::fs::copy(site.world.path("ca.pem"), &system).unwrap();
    front.turn(Manner::Honest);
    site.drains();
}
