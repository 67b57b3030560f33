//! Agents over TLS against hubs made by hand: wrong clocks, certificates that are not believed, and somebody between.
//!
//! These hubs say that it is January 2126, and their certificates hold for that month: whatever this machine's clock and
//! the date of the build are, they lie far before.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use outpost::agent::config::Config;
use outpost::agent::state::{LastError, LinkState, Status};
use outpost::agent::{Agent, StartError};
use outpost::id::Lane;
use outpost::obs::clock::wall_now;
use outpost::outbox::NewRecord;
use outpost::time::WallTime;
use outpost::wire::message::RecordKind;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::agent_link::status;
use crate::hand_hub::{HandHub, Lies};

/// 2126-01-01.
const YEAR_2126_MS: u64 = 4_922_899_200_000;
const DAY_MS: u64 = 86_400_000;

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(2200, 1, 1));
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate for this host, from the first of a month of 2126 to the first of another.
    fn pair(&self, host: &str, from: u8, to: u8) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2126, from, 1), date_time_ymd(2126, to, 1));
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        (vec![leaf.der().clone(), self.0.der().clone()], key)
    }

    /// A server with a certificate of January.
    fn server(&self, host: &str) -> ServerConfig {
        let (chain, key) = self.pair(host, 1, 2);
        server().with_no_client_auth().with_single_cert(chain, key).unwrap()
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        Arc::new(roots)
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn server() -> rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier> {
    let builder = ServerConfig::builder_with_provider(provider());
    builder.with_protocol_versions(&[&rustls::version::TLS13]).unwrap()
}

/// A hub that says it is this day of 2126.
async fn hub(tls: ServerConfig, day: u64) -> HandHub {
    let hub = HandHub::start_tls(HandHub::a_key(), tls).await;
    says(&hub, day);
    hub
}

fn says(hub: &HandHub, day: u64) {
    let ahead = YEAR_2126_MS + day * DAY_MS - wall_now().0;
    let clock_ms = i64::try_from(ahead).unwrap();
    hub.lies.send_replace(Lies { clock_ms, ..Lies::default() });
}

/// An agent of this hub, which pins the authority.
fn config(folder: &TempDir, hub: &HandHub, url: &str, authority: &Authority) -> Config {
    let mut config = Config::new(folder.path()).with_hub(url, None).unwrap();
    std::fs::write(&config.key_file, hub.key.to_line().expose()).unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, authority.0.pem()).unwrap();
    config.tls.ca_file = Some(ca);
    config.reconnect.min = Duration::from_millis(20);
    config.reconnect.fast = Duration::from_millis(20);
    config.reconnect.max = Duration::from_millis(50);
    config
}

async fn append(agent: &Agent, texts: &[&str]) {
    let records = texts.iter().map(|text| NewRecord {
        recorded_at: WallTime(5),
        source: "test".to_owned(),
        kind: RecordKind::Opaque,
        payload: Bytes::from(text.to_string()),
        app: None,
    });
    agent.outbox().append(Lane::Events, records.collect()).await.unwrap();
}

/// The error an agent with these settings comes to, after which it still has its record.
async fn error(config: Config) -> LastError {
    let agent = Agent::start(config).await.unwrap();
    append(&agent, &["kept"]).await;
    let shown = status(&agent, "an error is shown", |status| status.last_error.is_some()).await;
    assert_eq!(shown.outbox.lane(Lane::Events).records, 1);
    agent.shutdown().await.unwrap();
    shown.last_error.unwrap()
}

#[tokio::test]
async fn agents_with_clocks_at_1970_and_ten_years_ahead_deliver() {
    let clocks: [fn() -> WallTime; 3] =
        [|| WallTime(60_000), || WallTime(YEAR_2126_MS + 3_652 * DAY_MS), || WallTime(YEAR_2126_MS + DAY_MS)];
    for wall_clock in clocks {
        let (authority, folder) = (Authority::new("ca"), tempfile::tempdir().unwrap());
        let hub = hub(authority.server("127.0.0.1"), 14).await;
        let config = Config { wall_clock, ..config(&folder, &hub, &hub.url, &authority) };
        let agent = Agent::start(config).await.unwrap();
        append(&agent, &["1", "2", "3"]).await;
        hub.until("all records", |seen| seen.records() == 3).await;
        let after = status(&agent, "acked", |status| status.outbox.lane(Lane::Events).records == 0).await;
        assert_eq!(after.state, LinkState::Connected);
        agent.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn under_an_expired_certificate_nothing_passes_until_it_is_renewed() {
    let (authority, folder) = (Authority::new("ca"), tempfile::tempdir().unwrap());
    let hub = hub(authority.server("127.0.0.1"), 45).await;
    // Its clock is right: it sees that the certificate expired, and that it may be wrong about that.
    let config = Config {
        wall_clock: || WallTime(YEAR_2126_MS + 45 * DAY_MS),
        ..config(&folder, &hub, &hub.url, &authority)
    };
    let error = error(config).await;
    assert_eq!(error.code, "clock", "{}", error.text);
    assert!(error.text.contains("certificate of 127.0.0.1 is valid from 2126-01-01"), "{}", error.text);
    assert!(error.text.contains("to 2126-02-01") && error.text.contains("2126-02-15"), "{}", error.text);
    assert!(error.text.contains("hub cert init"), "{}", error.text);
    assert_eq!(hub.look(|seen| (seen.records(), seen.heartbeats)), (0, 0));
}

#[tokio::test]
async fn what_a_hub_proved_of_the_time_holds_after_a_restart_against_a_hub_that_lies() {
    let (authority, folder) = (Authority::new("ca"), tempfile::tempdir().unwrap());
    let (chain, key) = authority.pair("127.0.0.1", 1, 12);
    let tls = server().with_no_client_auth().with_single_cert(chain, key).unwrap();
    let proper = hub(tls, 90).await;
    let at_1970 = |hub: &HandHub| Config {
        wall_clock: || WallTime(60_000),
        ..config(&folder, hub, &hub.url, &authority)
    };
    let agent = Agent::start(at_1970(&proper)).await.unwrap();
    append(&agent, &["1"]).await;
    proper.until("the record", |seen| seen.records() == 1).await;
    status(&agent, "acked", |status| status.outbox.lane(Lane::Events).records == 0).await;
    agent.shutdown().await.unwrap();
    // The same hub's key, a certificate that expired in February, and a clock that says January.
    let lying = HandHub::start_tls(proper.key.clone(), authority.server("127.0.0.1")).await;
    says(&lying, 14);
    let error = error(at_1970(&lying)).await;
    assert_eq!(error.code, "clock", "{}", error.text);
    assert!(error.text.contains("expired at 2126-02-01T00:00:00Z"), "{}", error.text);
    assert!(error.text.contains("from 2126-04-01") && error.text.contains("renew it"), "{}", error.text);
    assert_eq!(lying.look(|seen| seen.sessions), 0, "not even the bearer was sent");
    // Renewed, it is believed again, and the record that waited comes.
    let (chain, key) = authority.pair("127.0.0.1", 3, 12);
    let tls = server().with_no_client_auth().with_single_cert(chain, key).unwrap();
    let renewed = HandHub::start_tls(proper.key.clone(), tls).await;
    says(&renewed, 91);
    let agent = Agent::start(at_1970(&renewed)).await.unwrap();
    renewed.until("the record that waited", |seen| seen.records() >= 1).await;
    agent.shutdown().await.unwrap();
}

#[tokio::test]
async fn each_thing_that_is_wrong_with_tls_has_its_own_message_in_the_status() {
    let (authority, other) = (Authority::new("ca"), Authority::new("another"));
    let roots = authority.roots();
    let asks = WebPkiClientVerifier::builder_with_provider(roots, provider()).build().unwrap();
    let (chain, key) = authority.pair("127.0.0.1", 1, 2);
    let asks = server().with_client_cert_verifier(asks).with_single_cert(chain, key).unwrap();
    for (tls, code, says) in [
        (other.server("127.0.0.1"), "tls", "issued by `CN=another`"),
        (authority.server("hub.example"), "tls", "is for other hosts"),
        (asks, "tls", "asks for a client certificate"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let hub = hub(tls, 14).await;
        let error = error(config(&folder, &hub, &hub.url, &authority)).await;
        assert_eq!(error.code, code, "{}", error.text);
        assert!(error.text.contains(says) && error.text.contains("127.0.0.1"), "{}", error.text);
        assert_eq!(hub.look(|seen| seen.sessions), 0);
    }
}

#[tokio::test]
async fn somebody_who_ends_tls_between_is_named_and_gets_no_record() {
    let (authority, folder) = (Authority::new("ca"), tempfile::tempdir().unwrap());
    let hub = hub(authority.server("127.0.0.1"), 14).await;
    let between = between(&authority, hub.url.trim_start_matches("https://")).await;
    let error = error(config(&folder, &hub, &between, &authority)).await;
    assert_eq!(error.code, "channel_binding", "{}", error.text);
    assert!(error.text.contains("something between ends TLS"), "{}", error.text);
    assert_eq!(hub.look(|seen| (seen.records(), seen.configs_known.len())), (0, 0), "no Register");
}

/// Somebody with a certificate of the hub's own authority, who makes another connection towards the hub.
async fn between(authority: &Authority, hub: &str) -> String {
    /// Believes whatever time it is: the certificates are of 2126.
    #[derive(Debug)]
    struct Then;
    impl rustls::time_provider::TimeProvider for Then {
        fn current_time(&self) -> Option<rustls::pki_types::UnixTime> {
            let time = Duration::from_millis(YEAR_2126_MS + DAY_MS);
            Some(rustls::pki_types::UnixTime::since_unix_epoch(time))
        }
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let client = ClientConfig::builder_with_details(provider(), Arc::new(Then));
    let client = client.with_protocol_versions(&[&rustls::version::TLS13]).unwrap();
    let client = client.with_root_certificates(authority.roots()).with_no_client_auth();
    let (connector, acceptor) =
        (TlsConnector::from(Arc::new(client)), TlsAcceptor::from(Arc::new(authority.server("127.0.0.1"))));
    let hub = hub.to_owned();
    tokio::spawn(async move {
        while let Ok((agent, _)) = listener.accept().await {
            let Ok(mut agent) = acceptor.accept(agent).await else { continue };
            let far = TcpStream::connect(&hub).await.unwrap();
            let name = rustls::pki_types::ServerName::try_from("127.0.0.1").unwrap();
            let mut far = connector.connect(name, far).await.unwrap();
            let _ended = tokio::io::copy_bidirectional(&mut agent, &mut far).await;
        }
    });
    url
}

#[tokio::test]
async fn a_file_of_tls_that_cannot_be_used_ends_the_start() {
    let (authority, folder) = (Authority::new("ca"), tempfile::tempdir().unwrap());
    let hub = hub(authority.server("127.0.0.1"), 14).await;
    let config = config(&folder, &hub, &hub.url, &authority);
    std::fs::write(folder.path().join("ca.pem"), "no certificate").unwrap();
    let error = Agent::start(config.clone()).await.unwrap_err();
    assert!(matches!(error, StartError::Tls(_)) && error.to_string().contains("ca.pem"), "{error}");
}

/// Nobody named that file: it is state, and no reason for local programs to lose their intake.
#[tokio::test]
async fn an_authority_of_an_enrolment_that_was_damaged_is_named_while_records_are_taken_until_it_is_mended() {
    let (authority, folder) = (Authority::new("ca"), tempfile::tempdir().unwrap());
    let hub = hub(authority.server("127.0.0.1"), 14).await;
    let mut config = config(&folder, &hub, &hub.url, &authority);
    config.tls.ca_file = None;
    let left = folder.path().join("hub-ca.pem");
    std::fs::write(&left, "no certificate").unwrap();
    let agent = Agent::start(config).await.unwrap();
    append(&agent, &["1"]).await;
    let named = |status: &Status| {
        let error = status.last_error.as_ref();
        error.is_some_and(|error| error.code == "tls" && error.text.contains("hub-ca.pem"))
    };
    status(&agent, "it is named", named).await;
    // Nor is one that goes away a reason to believe the system's authorities.
    std::fs::remove_file(&left).unwrap();
    let gone = |status: &Status| named(status) && format!("{:?}", status.last_error).contains("cannot read");
    status(&agent, "it is missed", gone).await;
    assert_eq!(hub.look(|seen| seen.sessions), 0);
    std::fs::write(&left, authority.0.pem()).unwrap();
    hub.until("the record", |seen| seen.records() == 1).await;
    agent.shutdown().await.unwrap();
}
