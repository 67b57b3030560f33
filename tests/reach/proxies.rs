//! Through the proxies that people have, with and without a password.

use crate::real_proxy::{Guard, Kind, RealProxy};
use crate::site::{PASSWORD, Site, USER};

fn passes(kind: Kind) {
    let mut site = Site::new();
    let hub = site.world.hub_address();
    let proxy = RealProxy::start(&site.world, kind, Guard::Nobody, hub.port());
    let setting = format!("proxy = \"http://127.0.0.1:{}\"", proxy.port);
    let agent = site.agent(&setting, &format!("--hub http://{hub}"), &[]);
    site.delivers();
    assert_eq!(site.status()["hub"], site.world.hub_url());
    drop(agent);
    assert!(logged(&proxy, &format!("CONNECT {hub}")), "{}", proxy.log());
}

/// The log is written when a tunnel ends.
fn logged(proxy: &RealProxy, what: &str) -> bool {
    crate::site::wait_until(|| proxy.log().contains(what))
}

fn wants_a_password(kind: Kind) {
    let mut site = Site::new();
    let hub = site.world.hub_address();
    let proxy = RealProxy::start(&site.world, kind, Guard::Password, hub.port());
    let address = format!("127.0.0.1:{}", proxy.port);
    let setting = |user: &str| format!("urls = [\"http://{hub}\"]\nproxy = \"http://{user}{address}\"");
    let mut agent = site.agent(&setting(""), "", &[]);
    let error = site.wait_error("proxy", &format!("{address} answered 407: it wants a user and a password"));
    assert_eq!(error["verified"], false);
    agent.kill();
    let mut agent = site.agent(&setting(&format!("{USER}:wrong-{PASSWORD}@")), "", &[]);
    site.wait_error("proxy", ": it refused the user and password");
    site.assert_no_password();
    agent.kill();
    let _agent = site.agent(&setting(&format!("{USER}:{PASSWORD}@")), "", &[]);
    site.delivers();
    site.assert_no_password();
}

#[test]
#[ignore = "wants squid and tinyproxy: scripts/test"]
fn records_pass_through_squid() {
    passes(Kind::Squid);
}

#[test]
#[ignore = "wants squid and tinyproxy: scripts/test"]
fn records_pass_through_tinyproxy() {
    passes(Kind::Tinyproxy);
}

#[test]
#[ignore = "wants squid and tinyproxy: scripts/test"]
fn squid_with_a_password_lets_through_who_knows_it() {
    wants_a_password(Kind::Squid);
}

#[test]
#[ignore = "wants squid and tinyproxy: scripts/test"]
fn tinyproxy_with_a_password_lets_through_who_knows_it() {
    wants_a_password(Kind::Tinyproxy);
}

#[test]
#[ignore = "wants squid and tinyproxy: scripts/test"]
fn a_port_that_the_proxy_does_not_allow_is_named() {
    let site = Site::new();
    let hub = site.world.hub_address();
    let proxy = RealProxy::start(&site.world, Kind::Tinyproxy, Guard::Nobody, 1);
    let setting = format!("urls = [\"http://{hub}\"]\nproxy = \"http://127.0.0.1:{}\"", proxy.port);
    let _agent = site.agent(&setting, "", &[]);
    site.wait_error(
        "proxy",
        &format!("does not let connections to {hub} through (HTTP 403); ask who runs it"),
    );
}
