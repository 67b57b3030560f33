use std::fs;
use std::path::Path;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair, SerialNumber};
use tempfile::TempDir;

use super::*;
use crate::net::tls::pem::PemError;

/// Writes a certificate of this number, and its key.
fn write(folder: &Path, number: u8) {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.serial_number = Some(SerialNumber::from_slice(&[number]));
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    fs::write(folder.join("hub.pem"), certificate.pem()).unwrap();
    fs::write(folder.join("hub.key"), key.serialize_pem()).unwrap();
}

fn files(folder: &Path) -> Files {
    Files { cert: folder.join("hub.pem"), key: folder.join("hub.key"), client_ca: None }
}

fn served() -> (TempDir, ServerTls) {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 1);
    let tls = ServerTls::load(files(folder.path())).unwrap();
    (folder, tls)
}

fn at(seconds: u64) -> BootTime {
    BootTime(Duration::from_secs(seconds))
}

#[test]
fn a_replaced_pair_is_used_and_one_that_was_only_touched_is_not_news() {
    let (folder, tls) = served();
    assert!(matches!(tls.look_here(at(0)), Look::Same));
    assert_eq!(tls.certificate().serial, "01");
    write(folder.path(), 2);
    assert!(matches!(tls.look_here(at(1)), Look::Replaced));
    assert_eq!(tls.certificate().serial, "02");
    let text = fs::read(folder.path().join("hub.pem")).unwrap();
    fs::write(folder.path().join("again"), text).unwrap();
    fs::rename(folder.path().join("again"), folder.path().join("hub.pem")).unwrap();
    assert!(matches!(tls.look_here(at(2)), Look::Same));
    assert!(matches!(tls.look_here(at(3)), Look::Same));
}

#[test]
fn half_a_replacement_changes_nothing_until_the_other_half_is_there() {
    let (folder, tls) = served();
    let other = tempfile::tempdir().unwrap();
    write(other.path(), 2);
    fs::copy(other.path().join("hub.pem"), folder.path().join("hub.pem")).unwrap();
    assert!(matches!(tls.look_here(at(0)), Look::Same));
    assert_eq!(tls.certificate().serial, "01");
    fs::copy(other.path().join("hub.key"), folder.path().join("hub.key")).unwrap();
    assert!(matches!(tls.look_here(at(1)), Look::Replaced));
    assert_eq!(tls.certificate().serial, "02");
}

#[test]
fn a_broken_replacement_is_told_of_once_and_the_one_before_stays() {
    let (folder, tls) = served();
    fs::write(folder.path().join("hub.pem"), "nothing").unwrap();
    assert!(matches!(tls.look_here(at(0)), Look::Same));
    let Look::Broken(error) = tls.look_here(at(5)) else { panic!("it is not told of") };
    assert!(error.to_string().contains("hub.pem"), "{error}");
    assert!(matches!(tls.look_here(at(60)), Look::Same), "told twice");
    fs::remove_file(folder.path().join("hub.pem")).unwrap();
    assert!(matches!(tls.look_here(at(61)), Look::Same));
    assert!(matches!(tls.look_here(at(66)), Look::Broken(ServerTlsError::Pem(PemError::Unreadable { .. }))));
    assert_eq!(tls.certificate().serial, "01");
    write(folder.path(), 3);
    assert!(matches!(tls.look_here(at(67)), Look::Replaced));
    assert_eq!(tls.certificate().serial, "03");
}

#[test]
fn each_fault_of_the_files_has_its_own_words() {
    let (folder, _tls) = served();
    let other = tempfile::tempdir().unwrap();
    write(other.path(), 2);
    let at = |name: &str| folder.path().join(name);
    fs::write(at("empty"), "").unwrap();
    fs::write(
        at("locked"),
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAA==\n-----END ENCRYPTED PRIVATE KEY-----\n",
    )
    .unwrap();
    fs::write(at("odd"), "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").unwrap();
    fs::write(at("damaged"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    fs::write(at("large"), vec![b'#'; 5 << 20]).unwrap();
    let good = files(folder.path());
    let cases = [
        (Files { cert: at("none"), ..good.clone() }, "No such file"),
        (Files { cert: at("empty"), ..good.clone() }, "no usable certificate"),
        (Files { cert: at("damaged"), ..good.clone() }, "not an X.509 certificate"),
        (Files { cert: folder.path().to_owned(), ..good.clone() }, "not a regular file"),
        (Files { cert: "/dev/zero".into(), ..good.clone() }, "not a regular file"),
        (Files { cert: at("large"), ..good.clone() }, "more than 4194304 bytes"),
        (Files { key: at("hub.pem"), ..good.clone() }, "no usable private key"),
        (Files { key: at("locked"), ..good.clone() }, "passphrase"),
        (Files { key: at("odd"), ..good.clone() }, "ECDSA"),
        (Files { key: other.path().join("hub.key"), ..good.clone() }, "first certificate"),
        (Files { client_ca: Some(at("hub.key")), ..good.clone() }, "no usable certificate"),
        (Files { client_ca: Some(at("damaged")), ..good.clone() }, "damaged"),
    ];
    for (files, expected) in cases {
        let error = ServerTls::load(files.clone()).unwrap_err().to_string();
        assert!(error.contains(expected), "{files:?}: {error}");
        let named = [Some(&files.cert), Some(&files.key), files.client_ca.as_ref()];
        let named = named.into_iter().flatten().any(|file| error.contains(&file.display().to_string()));
        assert!(named, "no file is named: {error}");
    }
}

#[test]
fn a_chain_ends_with_its_first_certificate_that_does() {
    let (folder, _tls) = served();
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.not_after = rcgen::date_time_ymd(2027, 1, 1);
    let authority = params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem();
    let chain = fs::read_to_string(folder.path().join("hub.pem")).unwrap() + &authority;
    fs::write(folder.path().join("hub.pem"), chain).unwrap();
    let tls = ServerTls::load(files(folder.path())).unwrap();
    assert_eq!(tls.expires().to_string(), "2027-01-01T00:00:00.000Z");
    assert!(tls.certificate().not_after > tls.expires());
}
