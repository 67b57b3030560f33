use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::Command;

use rustls::sign::CertifiedKey;

use super::*;
use crate::net::tls::certificate::Certificate;
use crate::net::tls::provider;

/// 2026-11-22.
const NOW_S: i64 = 1_795_305_600;
const DAY_S: i64 = 86_400;

struct World(tempfile::TempDir);

impl World {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join("tls").join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.file(name)).unwrap()
    }

    fn init_at(&self, now_s: i64, hosts: &[&str]) -> Result<Server, CertError> {
        let hosts = hosts.iter().map(|host| host.parse()).collect::<Result<_, _>>()?;
        let now = WallTime(u64::try_from(now_s).unwrap() * 1000);
        init(ServerRequest { data: self.0.path(), hosts, days: 397, now })
    }

    fn init(&self, hosts: &[&str]) -> Result<Server, CertError> {
        self.init_at(NOW_S, hosts)
    }

    fn issue(&self, name: &str, days: Option<u32>) -> Result<Issued, CertError> {
        let name = &name.parse().unwrap();
        let now = WallTime(u64::try_from(NOW_S).unwrap() * 1000);
        issue(&ClientRequest { data: self.0.path(), name, out: None, days, now })
    }

    /// What the file's first certificate says.
    fn certificate(&self, name: &str) -> Certificate {
        Certificate::read(&pem::certificates(&self.file(name)).unwrap()[0]).unwrap()
    }

    /// What openssl says.
    fn openssl(&self, words: &str) -> String {
        let mut command = Command::new("openssl");
        let output = command.args(words.split_whitespace()).current_dir(self.file("")).output().unwrap();
        assert!(output.status.success(), "openssl {words}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Whether openssl takes a certificate for this purpose on a day.
    fn verified(&self, certificate: &str, purpose: &str, at_s: i64) -> bool {
        let mut command = Command::new("openssl");
        let words = format!(
            "verify -x509_strict -attime {at_s} -purpose {purpose} -CAfile ca.pem -untrusted ca.pem {certificate}"
        );
        command.args(words.split_whitespace()).current_dir(self.file("")).output().unwrap().status.success()
    }
}

#[test]
#[ignore = "needs openssl: scripts/test runs it"]
fn a_new_authority_and_a_certificate_are_what_openssl_and_their_owner_expect() {
    let world = World::new();
    let server = world.init(&["hub.example", "192.0.2.7"]).unwrap();
    assert_eq!(server.authority, Origin::New);
    assert_eq!(server.issued.expires_at, NOW_S + 397 * DAY_S);
    assert_eq!(server.issued.ca_expires_at, NOW_S + 3650 * DAY_S);
    for (name, mode) in [("ca.pem", 0o644), ("ca.key", 0o600), ("hub.pem", 0o644), ("hub.key", 0o600)] {
        assert_eq!(fs::metadata(world.file(name)).unwrap().mode() & 0o777, mode, "{name}");
    }
    assert_eq!(fs::metadata(world.file("")).unwrap().mode() & 0o777, 0o700);
    assert_eq!(fs::read_dir(world.file("")).unwrap().count(), 4, "nothing else is left there");
    let text = world.openssl("x509 -in hub.pem -noout -text");
    for expected in [
        "DNS:hub.example, IP Address:192.0.2.7, DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1",
        "TLS Web Server Authentication",
        "Digital Signature",
        "CA:FALSE",
        "ASN1 OID: prime256v1",
        "Authority Key Identifier",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let text = world.openssl("x509 -in ca.pem -noout -text");
    assert!(text.contains("CA:TRUE, pathlen:0") && text.contains("Certificate Sign"), "{text}");
    for (at_s, good) in
        [(-DAY_S - 1, false), (1 - DAY_S, true), (397 * DAY_S - 1, true), (397 * DAY_S + 1, false)]
    {
        assert_eq!(world.verified("hub.pem", "sslserver", NOW_S + at_s), good, "{at_s} s from now");
    }
    assert!(!world.verified("hub.pem", "sslclient", NOW_S));
    let chain = crate::net::tls::pem::certificates(&world.file("hub.pem")).unwrap();
    assert_eq!(chain.len(), 2, "the chain has the authority");
    assert_eq!(anchor(&chain), Some(server.issued.ca_sha256));
    assert_eq!(anchor(&chain[..1]), None, "an authority that is not shown is not named");
    assert_eq!(own_anchor(world.0.path()).unwrap(), anchor(&chain));
    assert_eq!(own_anchor(&world.file("agents")).unwrap(), None);
    let fingerprint = world.openssl("x509 -in ca.pem -noout -fingerprint -sha256").replace(':', "");
    assert!(fingerprint.to_lowercase().contains(&hex::encode(server.issued.ca_sha256)), "{fingerprint}");
}

#[test]
fn a_renewal_keeps_authority_key_and_hosts_and_is_another_certificate() {
    let world = World::new();
    world.init(&["hub.example"]).unwrap();
    let files = ["ca.pem", "ca.key", "hub.key"];
    let before = files.map(|name| world.read(name));
    let serial = || world.certificate("hub.pem").serial;
    let first = serial();
    let again = world.init_at(NOW_S + 300 * DAY_S, &[]).unwrap();
    assert_eq!(again.authority, Origin::Kept);
    assert_eq!(files.map(|name| world.read(name)), before);
    assert_eq!(again.hosts[0].to_string(), "hub.example");
    assert_ne!(serial(), first);
    assert_eq!(again.issued.expires_at, NOW_S + 697 * DAY_S);
    // The hub moved.
    let moved = world.init(&["other.example"]).unwrap();
    assert!(!moved.hosts.contains(&"hub.example".parse().unwrap()), "{:?}", moved.hosts);
    // Its key is gone: the new one fits.
    fs::remove_file(world.file("hub.key")).unwrap();
    world.init(&[]).unwrap();
    let (chain, key) = (pem::certificates(&world.file("hub.pem")), pem::private_key(&world.file("hub.key")));
    CertifiedKey::from_der(chain.unwrap(), key.unwrap(), &provider()).expect("one pair");
}

#[test]
fn nothing_outlives_its_authority_and_one_that_is_over_makes_nothing() {
    let world = World::new();
    let first = world.init(&[]).unwrap();
    let late = world.init_at(NOW_S + 3500 * DAY_S, &[]).unwrap();
    assert_eq!(late.issued.expires_at, first.issued.ca_expires_at);
    let error = world.init_at(NOW_S + 3651 * DAY_S, &[]).unwrap_err();
    assert!(matches!(error, CertError::Expired(_)) && error.to_string().contains("2036-"), "{error}");
    // A clock that was set back: not good from before the authority is.
    world.init_at(NOW_S - DAY_S / 2, &[]).unwrap();
    assert_eq!(world.certificate("hub.pem").not_before, world.certificate("ca.pem").not_before);
}

#[test]
fn a_clock_behind_the_authority_s_beginning_replaces_nothing() {
    let world = World::new();
    world.init(&["hub.example"]).unwrap();
    let before = ["hub.pem", "hub.key", "ca.pem"].map(|name| world.read(name));
    let behind = WallTime(u64::try_from(NOW_S - 60 * DAY_S).unwrap() * 1000);
    for days in [30, 397] {
        let request = ServerRequest { data: world.0.path(), hosts: vec![], days, now: behind };
        let error = init(request).map(|_| ()).unwrap_err();
        assert!(matches!(error, CertError::Behind { .. }), "{days}: {error}");
        assert!(
            error.to_string().contains("2026-09-23") && error.to_string().contains("set the clock"),
            "{error}"
        );
    }
    let name = &"edge-1".parse().unwrap();
    let request = ClientRequest { data: world.0.path(), name, out: None, days: Some(30), now: behind };
    assert!(matches!(issue(&request), Err(CertError::Behind { .. })));
    assert_eq!(["hub.pem", "hub.key", "ca.pem"].map(|name| world.read(name)), before);
}

#[test]
#[ignore = "needs openssl: scripts/test runs it"]
fn an_agents_certificate_is_a_clients_alone_and_never_overwritten() {
    let world = World::new();
    let error = world.issue("edge-1", None).unwrap_err();
    assert!(error.to_string().contains("hub cert init"), "{error}");
    let server = world.init(&[]).unwrap();
    let issued = world.issue("edge-1", None).unwrap();
    assert_eq!(issued.expires_at, server.issued.ca_expires_at, "nobody visits the machine to renew it");
    assert!(world.verified("agents/edge-1.pem", "sslclient", NOW_S));
    assert!(!world.verified("agents/edge-1.pem", "sslserver", NOW_S));
    assert!(world.openssl("x509 -in agents/edge-1.pem -noout -subject").contains("edge-1"));
    assert_eq!(fs::metadata(world.file("agents/edge-1.key")).unwrap().mode() & 0o777, 0o600);
    let before = [world.read("agents/edge-1.pem"), world.read("agents/edge-1.key")];
    assert!(matches!(world.issue("edge-1", None), Err(CertError::Present(_))));
    assert_eq!([world.read("agents/edge-1.pem"), world.read("agents/edge-1.key")], before);
    assert_eq!(world.issue("edge-2", Some(30)).unwrap().expires_at, NOW_S + 30 * DAY_S);
}

#[test]
fn what_is_damaged_missing_or_open_to_others_is_named_and_stays() {
    let broken = |name: &str, content: Option<&[u8]>| {
        let world = World::new();
        world.init(&["hub.example"]).unwrap();
        match content {
            Some(content) => fs::write(world.file(name), content).unwrap(),
            None => fs::remove_file(world.file(name)).unwrap(),
        }
        let error = world.init(&[]).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
        assert_eq!(fs::read(world.file(name)).ok().as_deref(), content, "{name} was touched");
        error
    };
    let other = World::new();
    other.init(&[]).unwrap();
    assert!(matches!(broken("ca.pem", Some(b"")), CertError::Damaged { .. }));
    assert!(matches!(broken("ca.pem", Some(&other.read("ca.pem"))), CertError::Damaged { .. }));
    let two = [other.read("ca.pem"), other.read("ca.pem")].concat();
    assert!(broken("ca.pem", Some(&two)).to_string().contains("2 certificates"));
    assert!(matches!(broken("ca.key", Some(b"-----BEGIN PRIVATE KEY-----\n")), CertError::Damaged { .. }));
    assert!(matches!(broken("ca.key", None), CertError::Incomplete { .. }));
    assert!(matches!(broken("ca.pem", None), CertError::Incomplete { .. }));
    assert!(matches!(broken("hub.key", Some(b"x")), CertError::Damaged { .. }));
    assert!(broken("hub.pem", Some(b"x")).to_string().contains("--host"));
    let leaf = other.read("hub.pem");
    let end = String::from_utf8(leaf.clone()).unwrap().find("-----END CERTIFICATE-----").unwrap() + 26;
    assert!(broken("ca.pem", Some(&leaf[..end])).to_string().contains("not the certificate of an authority"));
    fs::set_permissions(other.file("ca.key"), Permissions::from_mode(0o640)).unwrap();
    let error = other.init(&[]).unwrap_err().to_string();
    assert!(error.contains("chmod 600"), "{error}");
}

#[test]
fn a_beginning_that_was_cut_off_goes_on() {
    let world = World::new();
    world.init(&[]).unwrap();
    let key = world.read("ca.key");
    for name in ["ca.pem", "hub.pem", "hub.key"] {
        fs::remove_file(world.file(name)).unwrap();
    }
    assert_eq!(world.init(&[]).unwrap().authority, Origin::New);
    assert_eq!(world.read("ca.key"), key);
    assert_eq!(world.certificate("hub.pem").issuer, world.certificate("ca.pem").subject);
}

#[test]
fn a_clock_that_was_never_set_and_hosts_that_are_none_make_nothing() {
    let world = World::new();
    for now_s in [0, limit::CLOCK_PLAUSIBLE_FROM - 1] {
        let error = world.init_at(now_s, &[]).unwrap_err();
        assert!(error.to_string().contains("set the clock"), "{error}");
    }
    for host in [
        "",
        "https://hub.example",
        "hub.example:8440",
        "*.example",
        "hub example",
        "127.1",
        "a..b",
        "hub.",
        "-a",
    ] {
        assert!(matches!(world.init(&[host]), Err(CertError::Host(_))), "{host}");
    }
    let many: Vec<String> = (0..limit::CERT_HOSTS_MAX).map(|number| format!("hub-{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!(matches!(world.init(&many), Err(CertError::TooManyHosts(67))));
    assert!(!world.file("").exists());
    let hosts = world.init(&["HUB.example", "::1", "hub.EXAMPLE"]).unwrap().hosts;
    let hosts: Vec<String> = hosts.iter().map(Host::to_string).collect();
    assert_eq!(hosts, ["hub.example", "::1", "localhost", "127.0.0.1"]);
}
