//! Certificates and clocks, straight to the judge.

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::{ServerName, UnixTime};
use sha2::{Digest as _, Sha256};

use super::super::verifier::{Found, Roots, Verifier};
use super::super::*;
use super::world::*;
use crate::time::{HubTime, WallTime};
use crate::wire::error::{ErrorCode, Retry};

/// 2026, before every certificate of these tests.
const BUILD: HubTime = HubTime(1_795_000_000_000);

fn times(wall: WallTime) -> Times {
    Times { wall, build: BUILD, floor: HubTime(0) }
}

fn library(authority: &Authority) -> Arc<WebPkiServerVerifier> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der()).unwrap();
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build().unwrap()
}

fn file(authority: &Authority) -> Roots {
    Roots::File("/etc/hub-ca.pem".into(), library(authority))
}

/// The judgement, and that what the library is told fits it.
fn judged(roots: Roots, times: Times, pair: &Pair, host: &str) -> Result<Trust, TlsError> {
    let verifier = Verifier::new(roots, times);
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let (leaf, others) = pair.chain.split_first().unwrap();
    // What the library takes for the time does not matter.
    let told = verifier.verify_server_cert(leaf, others, &name, &[], UnixTime::now());
    match verifier.found().unwrap() {
        Found::Believed { trust, .. } => {
            told.unwrap();
            Ok(trust)
        }
        Found::Refused(error) => {
            told.unwrap_err();
            Err(error)
        }
    }
}

#[test]
fn a_certificate_within_its_dates_settles_it() {
    let authority = Authority::new("ca");
    let pair = authority.server(&[HOST], 1..10);
    for roots in [file(&authority), Roots::System(library(&authority))] {
        let trust = judged(roots, times(wall(5)), &pair, HOST).unwrap();
        assert!(matches!(trust, Trust::Settled(valid) if valid.contains(HubTime(wall(9).0))), "{trust:?}");
    }
}

#[test]
fn under_an_authority_of_ones_own_a_clock_at_1970_or_ten_years_ahead_is_provisional() {
    let authority = Authority::new("ca");
    let pair = authority.server(&[HOST], 1..10);
    for (clock, present) in [(WallTime(0), BUILD), (wall(3650), HubTime(wall(3650).0))] {
        let trust = judged(file(&authority), times(clock), &pair, HOST).unwrap();
        let Trust::Provisional { valid, present: found } = trust else { panic!("{trust:?}") };
        assert_eq!(found, present);
        assert_eq!(valid.not_before(), HubTime(wall(1).0));
    }
}

#[test]
fn with_the_floor_within_its_dates_a_clock_at_1970_does_no_harm() {
    let authority = Authority::new("ca");
    let pair = authority.server(&[HOST], 1..10);
    let times = Times { floor: HubTime(wall(5).0), ..times(WallTime(0)) };
    for roots in [file(&authority), Roots::System(library(&authority))] {
        assert!(matches!(judged(roots, times, &pair, HOST), Ok(Trust::Settled(_))));
    }
}

#[test]
fn what_expired_before_the_floor_is_refused_whatever_the_clock_says() {
    let authority = Authority::new("ca");
    let pair = authority.server(&[HOST], 1..10);
    for clock in [WallTime(0), wall(5), wall(3650)] {
        let times = Times { floor: HubTime(wall(11).0), ..times(clock) };
        let error = judged(file(&authority), times, &pair, HOST).unwrap_err();
        let text = error.to_string();
        assert_eq!((error.code(), error.retry()), (Some(ErrorCode::Clock), Retry::Capped), "{text}");
        assert!(text.contains("hub.example expired at 2126-01-25T00:00:00Z"), "{text}");
        assert!(text.contains("`outpost hub cert init`"), "{text}");
    }
}

#[test]
fn with_the_systems_authorities_dates_are_named_clock_and_say_what_to_do() {
    let authority = Authority::new("ca");
    let pair = authority.server(&[HOST], 1..10);
    for (clock, says) in [
        (wall(20), "expired at 2126-01-25T00:00:00Z, and this machine takes it to be 2126-02-04T00:00:00Z"),
        (WallTime(0), "is not valid before 2126-01-16T00:00:00Z, and this machine takes it to be 2026-"),
    ] {
        let error = judged(Roots::System(library(&authority)), times(clock), &pair, HOST).unwrap_err();
        let text = error.to_string();
        assert_eq!((error.code(), error.retry()), (Some(ErrorCode::Clock), Retry::Capped), "{text}");
        assert!(text.starts_with("the certificate of hub.example ") && text.contains(says), "{text}");
        assert!(text.contains("set its clock") && text.contains("--ca"), "{text}");
    }
}

#[test]
fn a_wrong_clock_excuses_nothing_but_dates() {
    let (authority, other) = (Authority::new("ca"), Authority::new("other"));
    let pair = authority.server(&[HOST, "10.0.0.7"], 1..10);
    for clock in [WallTime(0), wall(5), wall(3650)] {
        let error = judged(file(&authority), times(clock), &pair, "elsewhere.example").unwrap_err();
        let text = error.to_string();
        assert_eq!(error.code(), Some(ErrorCode::Tls), "{text}");
        assert!(text.contains("of elsewhere.example is for other hosts"), "{text}");
        assert!(text.contains("hub.example, 10.0.0.7"), "{text}");
        let error = judged(file(&other), times(clock), &pair, HOST).unwrap_err();
        let text = error.to_string();
        assert_eq!(error.code(), Some(ErrorCode::Tls), "{text}");
        assert!(text.contains("/etc/hub-ca.pem") && text.contains("issued by `CN=ca`"), "{text}");
        let error = judged(Roots::System(library(&other)), times(clock), &pair, HOST).unwrap_err();
        assert!(error.to_string().contains("nobody this system believes"), "{error}");
    }
}

#[test]
fn an_invites_hash_takes_the_authority_from_the_chain_and_no_other() {
    let (authority, other) = (Authority::new("ca"), Authority::new("other"));
    let pair = authority.server(&[HOST], 1..10);
    let hash = |authority: &Authority| Roots::Hash(Sha256::digest(authority.der()).into());
    let trust = judged(hash(&authority), times(wall(5)), &pair, HOST).unwrap();
    assert!(matches!(trust, Trust::Settled(_)));
    let trust = judged(hash(&authority), times(WallTime(0)), &pair, HOST).unwrap();
    assert!(matches!(trust, Trust::Provisional { .. }), "no other certificate is believed for its dates");
    // Another authority's leaf beside the right certificate.
    let mut forged = other.server(&[HOST], 1..10);
    forged.chain = vec![forged.chain[0].clone(), authority.der()];
    for (roots, pair) in [(hash(&other), &pair), (hash(&authority), &forged)] {
        let error = judged(roots, times(wall(5)), pair, HOST).unwrap_err();
        assert!(error.to_string().contains("the authority that the invite names"), "{error}");
    }
}
