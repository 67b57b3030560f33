//! Settings that cannot lead anywhere: the agent ends with 78 and says which and what to write, before a byte is sent.

use std::net::TcpListener;

use crate::site::{PASSWORD, USER};
use crate::world::World;

fn refused(world: &World, words: &str, environment: &[(&str, &str)]) -> String {
    let mut command = world.command(words);
    let output = command.envs(environment.iter().copied()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78), "{words}: {said}");
    assert!(!said.contains(PASSWORD), "{words}: {said}");
    said
}

#[test]
fn a_proxy_url_with_a_slip_is_named_without_its_password() {
    let world = World::new();
    let hub = "agent run --hub https://hub.example --data edge";
    for (text, says) in [
        (format!("htp://{USER}:{PASSWORD}@proxy:3128"), "`htp`, and only http is spoken to a proxy"),
        (format!("http://{USER}:{PASSWORD}@proxy:31z8"), "http://***@proxy has a port that is not a number"),
        (format!("http://{USER}:{PASSWORD}@pro/xy:3128"), "http://***@pro has something behind its port"),
        (format!("http://{USER}:%{PASSWORD}@proxy:3128"), "not percent-encoded"),
        (format!("{USER}:{PASSWORD}"), "has a port that is not a number"),
    ] {
        let said = refused(&world, &format!("{hub} --proxy {text}"), &[]);
        assert!(said.contains("hub.proxy: the proxy") && said.contains(says), "{text}: {said}");
        let said = refused(&world, hub, &[("HTTPS_PROXY", &text)]);
        assert!(said.contains("HTTPS_PROXY: the proxy") && said.contains(says), "{text}: {said}");
        let said = refused(&world, hub, &[("OUTPOST_HUB_PROXY", &text)]);
        assert!(said.contains(says), "{text}: {said}");
        std::fs::write(world.path("agent.toml"), format!("[hub]\nproxy = \"{text}\"\n")).unwrap();
        let said = refused(&world, "config check agent.toml", &[]);
        assert!(said.contains("agent.toml") && said.contains(says), "{text}: {said}");
    }
    assert!(!world.path("edge").exists(), "nothing was begun");
}

#[test]
fn plain_text_is_not_handed_to_a_proxy_elsewhere() {
    let world = World::new();
    let plain = "agent run --hub http://127.0.0.1:8440 --data edge --proxy";
    let said = refused(&world, &format!("{plain} http://{USER}:{PASSWORD}@proxy.example:3128"), &[]);
    assert!(
        said.contains("proxy.example:3128 may not have plain text") && said.contains("\"any\""),
        "{said}"
    );
    let said = refused(&world, &format!("{plain} http://10.0.0.1:3128"), &[]);
    assert!(said.contains("allow_insecure = true"), "{said}");
}

#[test]
fn hub_urls_that_lead_nowhere_are_named() {
    let world = World::new();
    for (flags, says) in [
        ("--hub ftp://hub.example", "scheme `ftp` is not supported; use https, wss, http or ws"),
        ("--hub https://hub.example --hub wsss://hub.example", "`wsss`"),
        ("--hub https://hub.example --hub wss://hub.example:443/", "named twice"),
        ("--hub hub.example:8440", "no scheme"),
    ] {
        let said = refused(&world, &format!("agent run {flags} --data edge"), &[]);
        assert!(said.contains(says), "{flags}: {said}");
    }
    let many = (0..17).map(|number| format!("--hub https://hub{number}.example ")).collect::<String>();
    let said = refused(&world, &format!("agent run {many}"), &[]);
    assert!(said.contains("more than 16 addresses"), "{said}");
}

#[test]
fn plain_text_to_another_machine_is_refused_and_nobody_is_dialled() {
    let world = World::new();
    // Where a proxy is asked first, it would hear of it.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    for (url, flags) in [
        ("ws://203.0.113.7:8440", ""),
        ("ws://203.0.113.7:8440", "--allow-insecure"),
        ("http://[2001:db8::1]", "--allow-insecure"),
        ("ws://hub.example", ""),
        ("ws://hub.example", "--allow-insecure"),
        ("ws://10.0.0.1", ""),
    ] {
        let words = format!("agent run --hub {url} --data edge {flags} --proxy {proxy}");
        let said = refused(&world, &words, &[("ALL_PROXY", &proxy)]);
        assert!(said.contains("plain text to") && said.contains("use https"), "{url}: {said}");
    }
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "nobody came");
}
