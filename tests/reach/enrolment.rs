//! An enrolment through a proxy that wants a password.

use std::path::Path;

use crate::front::{Front, Manner};
use crate::site::{PASSWORD, Site, USER, assert_none};

#[test]
fn an_enrolment_through_a_proxy_says_how_to_start_the_agent_without_the_proxys_password() {
    let site = Site::behind_tls();
    let world = &site.world;
    let hub = world.hub_address();
    let proxy = Front::before(hub, Manner::Honest);
    let open = format!("http://127.0.0.1:{}", proxy.port);
    let secret = format!("http://{USER}:{PASSWORD}@127.0.0.1:{}", proxy.port);
    for (name, url) in [("edge-2", &open), ("edge-3", &secret)] {
        let invite = world.run(&format!("hub agent invite {name} --data hub"));
        std::fs::write(world.path("token"), invite).unwrap();
        let words = format!(
            "agent enroll --hub https://127.0.0.1:{} --token-file token --data {name} --ca ca.pem --proxy {url}",
            hub.port()
        );
        let output = world.command(&words).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        for said in [&output.stdout, &output.stderr] {
            assert_none(said, Path::new("what the enrolment said"));
        }
        let said = String::from_utf8(output.stdout).unwrap();
        let run = format!("  outpost agent run --hub https://127.0.0.1:{}", hub.port());
        assert!(said.contains(&run) && said.contains(&format!("--data {name} --ca ca.pem")), "{said}");
        assert_eq!(said.contains(&format!(" --proxy {open} ")), url == &open, "{said}");
        assert_eq!(said.contains("set OUTPOST_HUB_PROXY"), url == &secret, "{said}");
    }
    assert_eq!(proxy.asked().len(), 2, "both went through it");
    assert!(proxy.asked()[1].contains("Proxy-Authorization: Basic"));
}
