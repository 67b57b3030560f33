//! testssl.sh, which knows the weaknesses of TLS servers.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::world::World;

/// What it finds of an authority of one's own: nobody asks it whether a certificate was revoked, it is replaced.
const OF_A_PRIVATE_AUTHORITY: [&str; 1] = ["cert_revocation"];
/// Protocols, ciphers, the certificate and known vulnerabilities. HTTP headers are for browsers, whom this port does not serve.
const CHECKS: [&str; 6] =
    ["--protocols", "--std", "--fs", "--server-preference", "--server-defaults", "--vulnerable"];

#[test]
#[ignore = "needs testssl.sh: scripts/test"]
fn testssl_finds_no_weakness() {
    // With what `hub cert init` makes: its certificate is looked at, too.
    let mut world = World::new();
    world.run("hub cert init --data hub --host localhost");
    let _hub = world.start_hub_with("--tls-cert hub/tls/hub.pem --tls-key hub/tls/hub.key");
    let output = Command::new("testssl")
        .args([
            "--quiet",
            "--color",
            "0",
            "--warnings",
            "off",
            "--nodns",
            "none",
            "--jsonfile",
            "testssl.json",
        ])
        .args(CHECKS)
        .args(["--add-ca", "hub/tls/ca.pem", &format!("localhost:{}", world.hub_address().port())])
        .current_dir(world.path(""))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let found: Vec<Value> =
        serde_json::from_slice(&std::fs::read(world.path("testssl.json")).unwrap()).unwrap();
    let of = |id: &str| found.iter().find(|finding| finding["id"] == id).map(|finding| &finding["finding"]);

    let weak: Vec<_> = found
        .iter()
        .filter(|finding| !matches!(finding["severity"].as_str().unwrap(), "OK" | "INFO" | "WARN"))
        .filter(|finding| !OF_A_PRIVATE_AUTHORITY.contains(&finding["id"].as_str().unwrap()))
        .collect();
    assert!(weak.is_empty(), "{weak:#?}");
    for (id, finding) in [("TLS1_2", "not offered"), ("TLS1_3", "offered"), ("heartbleed", "not vulnerable")]
    {
        assert!(of(id).is_some_and(|found| found.as_str().unwrap().starts_with(finding)), "{id}: {said}");
    }
}
