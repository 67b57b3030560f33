//! A proxy that refuses, fails and lies: each is named, none is believed, and the agent is there once it is honest.

use crate::front::{self, Front, Manner};
use crate::site::{PASSWORD, Site, USER};

/// What a proxy says, and what the agent says of it.
const LIES: &[(Manner, &str)] = &[
    (
        Manner::Says(
            "HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=\"x\"\r\nProxy-Authorization: Basic YWdlbnQ6aHVudGVyMg==\r\n\r\nagent:hunter2",
        ),
        "answered 407: it refused the user and password in its URL",
    ),
    (
        Manner::Says("HTTP/1.1 407 No\r\nProxy-Authenticate: NTLM\r\n\r\n"),
        "answered 407: it wants a login other than user and password",
    ),
    (Manner::Says("HTTP/1.1 403 agent:hunter2\r\n\r\n"), "does not let connections to"),
    (Manner::Says("HTTP/1.1 503 Busy\r\n\r\n"), "could not reach"),
    (Manner::Says("HTTP/1.1 418 I'm a teapot\r\n\r\n"), "answered HTTP 418"),
    (
        Manner::Says(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>Welcome! Accept our terms</html>",
        ),
        "answered with a web page (HTTP 200) instead of a tunnel",
    ),
    (
        Manner::Says("HTTP/1.1 302 Found\r\nLocation: http://login.example/?agent:hunter2\r\n\r\n"),
        "a captive portal",
    ),
    (
        Manner::Says("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 101 Switching Protocols\r\n\r\n"),
        "bytes behind its answer",
    ),
    (Manner::Says("220 mail.example ESMTP\r\n"), "does not speak HTTP"),
    (Manner::Says("HTTP/1.1 200 O"), "closed the connection 14 bytes into its answer"),
    (Manner::Endless, "a head of more than 16384 bytes"),
    (Manner::HangsUp, "proxy"),
];

#[test]
fn a_proxy_that_refuses_or_lies_is_named_and_outlived_and_no_password_is_shown() {
    let mut site = Site::new();
    let hub = site.world.hub_address();
    let proxy = Front::before(hub, LIES[0].0);
    let urls = Site::urls(&[&site.world.hub_url()]);
    let setting = format!("{urls}\nproxy = \"http://{USER}:{PASSWORD}@127.0.0.1:{}\"", proxy.port);
    let _agent = site.agent(&setting, "", &[]);
    let name = format!("127.0.0.1:{}", proxy.port);
    for (manner, says) in LIES {
        proxy.turn(*manner);
        let error = site.wait_error("proxy", says);
        assert!(error["text"].as_str().unwrap().contains(&name), "{error}");
        assert!(!error["text"].to_string().contains(PASSWORD), "{error}");
        assert_eq!(error["hub"], site.world.hub_url());
    }
    for head in proxy.asked() {
        assert!(head.starts_with(&format!("CONNECT {hub} HTTP/1.1\r\n")), "{head}");
        assert!(!head.contains("Bearer"), "the hub's credential is not the proxy's: {head}");
    }
    proxy.turn(Manner::Honest);
    site.delivers();
    site.assert_no_password();
}

#[test]
fn a_proxy_that_is_away_is_named() {
    let mut site = Site::new();
    let proxy = Front::before(site.world.hub_address(), Manner::HangsUp);
    let (_taken, closed) = front::closed();
    let setting = format!("{}\nproxy = \"http://{closed}\"", Site::urls(&[&site.world.hub_url()]));
    let mut agent = site.agent(&setting, "", &[]);
    site.wait_error(
        "proxy",
        &format!("no way to the proxy {closed}: cannot connect to {closed} ({closed}: "),
    );
    agent.kill();
    // A flag wins over the file, and the variable stands between.
    let flag = format!("--proxy http://127.0.0.1:{}", proxy.port);
    let _agent = site.agent(&setting, &flag, &[("OUTPOST_HUB_PROXY", "http://127.0.0.1:1")]);
    site.wait_error("proxy", &format!("127.0.0.1:{}", proxy.port));
    proxy.turn(Manner::Honest);
    site.delivers();
    assert!(!proxy.asked().is_empty());
}
