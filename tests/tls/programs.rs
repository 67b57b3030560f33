//! The hub as other people's programs see it. `scripts/test` runs these where the programs are installed.

use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::authority::Authority;
use crate::peer::{Peer, get};
use crate::world::{Process, World};

mod nginx;
mod testssl;

/// A hub with TLS, as a process.
fn secured() -> (World, Process, Authority) {
    let mut world = World::new();
    let authority = Authority::new("a test's authority");
    authority.server(1).write(&world.path(""), "tls");
    std::fs::write(world.path("ca.pem"), authority.pem()).unwrap();
    let hub = world.start_hub_with("--tls-cert tls.pem --tls-key tls.key");
    (world, hub, authority)
}

/// Handshakes that failed, by their reasons.
fn failures(world: &World, authority: &Authority) -> Value {
    let token = std::fs::read_to_string(world.path("hub/admin.token")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answer = runtime.block_on(async {
        let mut stream = Peer::believing(authority).dial(world.hub_address()).await.unwrap();
        get(&mut stream, "/v1/status", token.trim()).await.unwrap()
    });
    let status: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    status["counters"]["tls_failed"].clone()
}

fn s_client(world: &World, flags: &str) -> Output {
    Command::new("openssl")
        .args(["s_client", "-connect", &world.hub_address().to_string(), "-servername", "localhost"])
        .args(flags.split_whitespace())
        .current_dir(world.path(""))
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
#[ignore = "needs openssl: scripts/test"]
fn openssl_sees_tls_1_3_with_http_1_1_and_nothing_older() {
    let (world, _hub, authority) = secured();
    let output =
        s_client(&world, "-alpn h2,http/1.1 -CAfile ca.pem -verify_hostname localhost -verify_return_error");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    for expected in
        ["New, TLSv1.3", "ALPN protocol: http/1.1", "Verify return code: 0 (ok)", "Early data was not sent"]
    {
        assert!(said.contains(expected), "no `{expected}` in {said}");
    }
    assert!(!said.contains("Post-Handshake New Session Ticket"), "{said}");
    for (version, alert) in [
        ("-tls1", "alert handshake failure"),
        ("-tls1_1", "alert handshake failure"),
        ("-tls1_2", "alert protocol version"),
    ] {
        // Older versions are off in openssl's own defaults.
        let output = s_client(&world, &format!("{version} -cipher ALL:@SECLEVEL=0"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(alert), "{version}: {said}");
    }
    assert_eq!(failures(&world, &authority), json!({"version": 3}));
}
