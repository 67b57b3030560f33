//! TLS end to end with the hub's own authority: enrolment, tokens, jobs and the operator's commands, and whoever sits on
//! the way and has another authority.

mod between;
mod told;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::world::{Process, World, numbered_lines, wait_for};

use between::{Between, Forgery};

/// What every request of the operator names.
const OPERATOR: &str = "--token-file hub/admin.token --ca hub/tls/ca.pem";

impl World {
    /// A hub on TLS with certificates of its own.
    fn start_secure_hub(&mut self) -> Process {
        self.run("hub cert init --data hub");
        self.start_hub_with("--tls-cert hub/tls/hub.pem --tls-key hub/tls/hub.key")
    }

    fn https(&self) -> String {
        format!("https://{}", self.hub_address())
    }

    /// What the operator's commands need to reach the hub.
    fn secure(&self) -> String {
        format!("--hub {} {OPERATOR}", self.https())
    }

    fn json(&self, words: &str) -> Value {
        serde_json::from_slice(&self.run(words)).unwrap()
    }

    /// An invite in `edge-1.token`.
    fn secure_invite(&self) -> String {
        let token =
            String::from_utf8(self.run(&format!("hub agent invite edge-1 {}", self.secure()))).unwrap();
        std::fs::write(self.path("edge-1.token"), &token).unwrap();
        token.trim().to_owned()
    }

    fn authority(&self) -> Vec<u8> {
        std::fs::read(self.path("hub/tls/ca.pem")).unwrap()
    }
}

fn enroll(url: &str, flags: &str) -> String {
    format!("agent enroll --json --hub {url} --token-file edge-1.token --data edge-1 {flags}")
}

#[test]
fn from_two_commands_to_an_enrolled_agent_a_job_and_its_records() {
    let mut world = World::new();
    let _hub = world.start_secure_hub();
    let token = world.secure_invite();
    let chain = outpost::net::tls::pem::certificates(&world.path("hub/tls/hub.pem")).unwrap();
    let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(&chain[1]));
    assert_eq!(token.split('.').nth(3), Some(hash.as_str()), "the invite names the authority");
    world.run(&enroll(&world.https(), ""));
    assert_eq!(std::fs::read(world.path("edge-1/hub-ca.pem")).unwrap(), world.authority());
    let _agent = world.run_agent_at(&world.https(), "edge-1", "");
    world.emit("edge-1", "events", &numbered_lines(10));
    world.wait_drained("edge-1");
    let listed = world.run(&format!("records list --agent edge-1 --lane events {}", world.secure()));
    assert_eq!(listed, numbered_lines(10));
    let job = format!("job submit --json --wait --agent edge-1 {} -- /bin/echo over TLS", world.secure());
    assert_eq!(world.json(&job)["status"], "succeeded");
    let shown = world.json(&format!("hub agent show edge-1 --json {}", world.secure()));
    assert_eq!(shown["public_key"], true, "{shown}");
}

#[test]
fn an_invite_of_the_folder_names_the_authority_as_well() {
    let mut world = World::new();
    let _hub = world.start_secure_hub();
    let by_folder = String::from_utf8(world.run("hub agent invite edge-1 --data hub")).unwrap();
    let named = by_folder.trim().split('.').nth(3).expect("a digest");
    assert_eq!(Some(named), world.secure_invite().split('.').nth(3));
    let mut plain = World::new();
    let _plain_hub = plain.start_hub();
    assert_eq!(plain.invite("edge-1", "").trim().split('.').count(), 3, "a hub without TLS has none");
}

#[test]
fn tokens_are_fetched_over_tls() {
    let mut world = World::new();
    let _hub = world.start_secure_hub();
    world.secure_invite();
    world.run(&enroll(&world.https(), ""));
    std::fs::write(world.path("agent.toml"), "[hub]\njwt = \"on\"\n").unwrap();
    let _agent = world.run_agent_at(&world.https(), "edge-1", "--config agent.toml");
    let issued = || world.json(&format!("hub agent list --json {}", world.secure()))["connected"] == true;
    wait_for("the agent to connect", || issued().then_some(()));
    let counted = |status: Value| status["counters"]["tokens"].as_u64().filter(|tokens| *tokens > 0);
    wait_for("a token", || world.status("edge-1").and_then(counted));
}

#[test]
fn a_renewed_certificate_is_taken_by_the_hub_that_runs_and_believed_by_all() {
    let mut world = World::new();
    let _hub = world.start_secure_hub();
    world.secure_invite();
    world.run(&enroll(&world.https(), ""));
    let before = between::presented(world.hub_address());
    world.run("hub cert init --data hub");
    let renewed = outpost::net::tls::pem::certificates(&world.path("hub/tls/hub.pem")).unwrap();
    wait_for("the new certificate to be shown", || {
        let shown = between::presented(world.hub_address());
        assert!(shown == before || shown == renewed, "two files are mixed");
        (shown == renewed).then_some(())
    });
    world.run(&format!("hub agent list {}", world.secure()));
    let _agent = world.run_agent_at(&world.https(), "edge-1", "");
    world.emit("edge-1", "events", &numbered_lines(3));
    world.wait_drained("edge-1");
}

#[test]
fn whoever_sits_between_gets_no_byte_of_a_request() {
    let mut world = World::new();
    let _hub = world.start_secure_hub();
    let token = world.secure_invite();
    let admin = std::fs::read_to_string(world.path("hub/admin.token")).unwrap();
    for forgery in [Forgery::OwnAuthority, Forgery::ForeignAuthorityAppended, Forgery::SelfSigned] {
        let between = Between::start(forgery, &world.path("hub/tls"));
        let url = format!("https://{}", between.address());
        for flags in ["", "--ca hub/tls/ca.pem"] {
            let (exit, said) = world.fail(&enroll(&url, flags));
            assert!(exit == 77 && said.contains("127.0.0.1"), "{forgery:?} {flags}: {exit} {said}");
        }
        let (exit, said) = world.fail(&format!("hub agent list --hub {url} {OPERATOR}"));
        assert!(exit == 77 && said.contains("127.0.0.1"), "{forgery:?}: {exit} {said}");
        let heard = between.stop();
        assert_eq!(heard.handshakes, 0, "{forgery:?}");
        assert!(heard.requests.is_empty(), "{forgery:?}: {:?}", String::from_utf8_lossy(&heard.requests));
        assert!(heard.connections >= 3, "{forgery:?}: it was asked");
        let contains = |secret: &str| heard.raw.windows(secret.len()).any(|bytes| bytes == secret.as_bytes());
        assert!(!contains(token.split('.').nth(2).unwrap()) && !contains(admin.trim()), "{forgery:?}");
    }
    assert!(!world.path("edge-1/agent.key").exists() && !world.path("edge-1/hub-ca.pem").exists());
    // The right one still gets in with the same invite.
    world.run(&enroll(&world.https(), ""));
}

#[test]
fn the_same_one_in_between_gets_everything_where_its_authority_is_believed() {
    // What the test above does not hear is heard where nothing stops it.
    let mut world = World::new();
    let _hub = world.start_secure_hub();
    let token = world.secure_invite();
    let unpinned: Vec<&str> = token.split('.').take(3).collect();
    std::fs::write(world.path("edge-1.token"), unpinned.join(".")).unwrap();
    let between = Between::start(Forgery::OwnAuthority, &world.path("hub/tls"));
    std::fs::write(world.path("other.pem"), between.authority()).unwrap();
    let (_, said) = world.fail(&enroll(&format!("https://{}", between.address()), "--ca other.pem"));
    let heard = between.stop();
    assert!(heard.handshakes > 0, "{said}");
    let requests = String::from_utf8_lossy(&heard.requests).into_owned();
    assert!(requests.contains(unpinned[2]), "{requests}");
}

#[test]
fn enrolment_says_what_is_wrong_with_certificate_clock_and_address() {
    let mut world = World::new();
    let _hub = world.start_secure_hub();
    world.secure_invite();
    let expired = Between::start(Forgery::Expired, &world.path("hub/tls"));
    let (exit, said) = world.fail(&enroll(&format!("https://{}", expired.address()), ""));
    assert!(exit == 77 && said.contains("expired at") && said.contains("set its clock"), "{exit} {said}");
    let heard = expired.stop();
    assert!(heard.connections > 0 && heard.requests.is_empty(), "no provisional trust for an enrolment");
    // The certificate is for 127.0.0.1 and localhost; this leads to the same port by another name.
    let elsewhere = Between::start(Forgery::OtherHost, &world.path("hub/tls"));
    let (exit, said) = world.fail(&enroll(&format!("https://{}", elsewhere.address()), ""));
    assert!(exit == 77 && said.contains("other.example"), "{exit} {said}");
    let (exit, said) = world.fail(&enroll(&format!("http://{}", world.hub_address()), ""));
    assert!(exit == 78 && said.contains("https"), "{exit} {said}");
    let other = World::new();
    other.run("hub cert init --data hub");
    std::fs::copy(other.path("hub/tls/ca.pem"), world.path("other.pem")).unwrap();
    let (exit, said) = world.fail(&enroll(&world.https(), "--ca other.pem"));
    assert!(exit == 78 && said.contains("other.pem"), "{exit} {said}");
    assert!(!world.path("edge-1/agent.key").exists());
}

#[test]
fn without_a_hash_the_authority_comes_by_flag_and_is_kept() {
    let mut world = World::new();
    let _hub = world.start_secure_hub();
    let token = world.secure_invite();
    let unpinned: Vec<&str> = token.split('.').take(3).collect();
    std::fs::write(world.path("edge-1.token"), unpinned.join(".")).unwrap();
    let (exit, said) = world.fail(&enroll(&world.https(), ""));
    assert!(exit == 77 || exit == 78, "nobody else vouches for it: {exit} {said}");
    world.run(&enroll(&world.https(), "--ca hub/tls/ca.pem"));
    assert_eq!(std::fs::read(world.path("edge-1/hub-ca.pem")).unwrap(), world.authority());
    // The same folder again: what it knows the hub by is used.
    world.run(&format!("hub agent rotate edge-1 --key-out again.key {}", world.secure()));
    world.secure_invite();
    world.run(&enroll(&world.https(), ""));
}

#[test]
fn where_agents_show_certificates_one_without_gets_nowhere_and_one_with_delivers() {
    let mut world = World::new();
    world.run("hub cert init --data hub");
    world.run("hub cert issue edge-1 --data hub --out certs");
    let tls =
        "[tls]\ncert = \"hub/tls/hub.pem\"\nkey = \"hub/tls/hub.key\"\nclient_ca = \"hub/tls/ca.pem\"\n";
    std::fs::write(world.path("hub.toml"), tls).unwrap();
    let _hub = world.start_hub_with("--config hub.toml");
    std::fs::write(world.path("edge-1.token"), world.run("hub agent invite edge-1 --data hub")).unwrap();
    let (exit, said) = world.fail(&enroll(&world.https(), ""));
    assert!(exit == 77 && said.contains("asks for a client certificate"), "{exit} {said}");
    let shown = "--client-cert certs/edge-1.pem --client-key certs/edge-1.key";
    world.run(&enroll(&world.https(), shown));
    let _agent = world.run_agent_at(&world.https(), "edge-1", shown);
    world.emit("edge-1", "events", &numbered_lines(3));
    world.wait_drained("edge-1");
}

#[test]
fn the_admin_token_leaves_in_plain_text_only_where_it_may() {
    let mut world = World::new();
    let _hub = world.start_hub();
    let list = |flags: &str| format!("hub agent list --token-file hub/admin.token {flags}");
    for url in ["http://192.0.2.1:1", "http://hub.example", "http://10.0.0.1"] {
        let (exit, said) = world.fail(&list(&format!("--hub {url}")));
        assert!(exit == 78 && said.contains("allow_insecure"), "{url}: {exit} {said}");
    }
    let (exit, said) = world.fail(&list("--hub ftp://127.0.0.1"));
    assert!(exit == 78 && said.contains("ftp"), "{exit} {said}");
    world.run(&list(&format!("--hub {}", world.hub_url())));
    let (exit, said) = world.fail(&list("--hub https://127.0.0.1:1 --ca none.pem"));
    assert!(exit == 78 && said.contains("none.pem"), "{exit} {said}");
}

/// A TLS port that is asked in plain text, and the other way round, ends in time with a word of why.
#[test]
fn the_wrong_scheme_is_an_error_and_not_a_wait() {
    let (mut secure, mut plain) = (World::new(), World::new());
    let (_secure_hub, _plain_hub) = (secure.start_secure_hub(), plain.start_hub());
    let begin = outpost::obs::clock::boot_now();
    let (exit, said) =
        secure.fail(&format!("hub agent list --hub {} --token-file hub/admin.token", secure.hub_url()));
    assert!(exit == 78 && said.contains("https://"), "{exit} {said}");
    let url = plain.hub_url().replace("http:", "https:");
    std::fs::copy(secure.path("hub/tls/ca.pem"), plain.path("ca.pem")).unwrap();
    let (exit, said) =
        plain.fail(&format!("hub agent list --hub {url} --token-file hub/admin.token --ca ca.pem"));
    assert!(exit != 0 && said.contains("TLS"), "{exit} {said}");
    assert!(outpost::obs::clock::boot_now().since(begin) < Duration::from_secs(20));
}
