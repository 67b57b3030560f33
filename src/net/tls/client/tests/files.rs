//! Files that are wrong, and files that change while the client runs.

use super::super::*;
use super::world::*;

fn wrong(settings: &Settings) -> String {
    ClientTls::new(settings).unwrap_err().to_string()
}

#[test]
fn a_file_that_cannot_be_used_is_named_with_what_to_do() {
    let authority = Authority::new("ca");
    let (folder, good) = pinned(&authority);
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("empty.pem"), "").unwrap();
    std::fs::write(at("damaged.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        .unwrap();
    for (ca, says) in [
        ("gone.pem", "check the path and who may read it"),
        ("empty.pem", "there is none in it"),
        ("damaged.pem", "cannot be an authority"),
    ] {
        let text = wrong(&Settings { ca_file: Some(at(ca)), ..Settings::default() });
        assert!(text.contains(ca) && text.contains(says), "{text}");
    }
    let pair = authority.client(2200).files(folder.path());
    std::fs::write(at("other.key"), authority.client(2200).key.serialize_pem()).unwrap();
    let locked = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    std::fs::write(at("locked.key"), locked).unwrap();
    for (key, says) in [
        ("other.key", "own.pem"),
        ("locked.key", "passphrase"),
        ("empty.pem", "no usable private key"),
        ("gone.key", "cannot read"),
    ] {
        let client = Some(ClientFiles { cert: pair.cert.clone(), key: at(key) });
        let text = wrong(&Settings { client, ..good.clone() });
        assert!(text.contains(key) && text.contains(says), "{text}");
    }
    ClientTls::new(&Settings { client: Some(pair), ..good }).unwrap();
}

#[tokio::test]
async fn an_authority_that_is_replaced_is_used_from_the_next_connection_on() {
    let (before, after) = (Authority::new("before"), Authority::new("after"));
    let (folder, settings) = pinned(&before);
    let client = client(&settings);
    let dial = async |authority: &Authority| {
        meet(&client, HOST, authority.server(&[HOST], 1..10).server()).await.0.map(|secured| secured.trust)
    };
    dial(&before).await.unwrap();
    dial(&after).await.unwrap_err();
    after.file(folder.path());
    dial(&after).await.unwrap();
    dial(&before).await.unwrap_err();
    // Half of a replacement: an error, and no authority of before.
    std::fs::write(folder.path().join("ca.pem"), "").unwrap();
    let error = dial(&after).await.unwrap_err();
    assert!(matches!(error, TlsError::Settings(_)) && error.to_string().contains("ca.pem"), "{error}");
    after.file(folder.path());
    dial(&after).await.unwrap();
}

#[tokio::test]
async fn an_authority_that_an_enrolment_leaves_is_taken_and_never_let_go() {
    let authority = Authority::new("ca");
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { ca_default: Some(folder.path().join("ca.pem")), ..Settings::default() };
    let client = client(&settings);
    let dial = async || {
        let met = meet(&client, HOST, authority.server(&[HOST], 1..10).server()).await;
        met.0.map(|secured| secured.trust)
    };
    let text = dial().await.unwrap_err().to_string();
    assert!(text.contains("this system"), "{text}");
    authority.file(folder.path());
    dial().await.unwrap();
    std::fs::remove_file(folder.path().join("ca.pem")).unwrap();
    let error = dial().await.unwrap_err();
    assert!(matches!(error, TlsError::Settings(SettingsError::Pem(_))), "not the system's instead: {error}");
}

#[tokio::test]
async fn a_certificate_of_our_own_that_is_replaced_is_used_too() {
    let authority = Authority::new("ca");
    let (folder, mut settings) = pinned(&authority);
    let pair = authority.client(2200);
    settings.client = Some(pair.files(folder.path()));
    let client = client(&settings);
    let dial = async || meet(&client, HOST, authority.server(&[HOST], 1..10).server()).await.0.map(|_| ());
    dial().await.unwrap();
    // One of two files is replaced: an error until the other is, too.
    let next = authority.client(2200);
    std::fs::write(folder.path().join("own.key"), next.key.serialize_pem()).unwrap();
    let error = dial().await.unwrap_err();
    assert!(error.to_string().contains("own.key is not the one of the first certificate in"), "{error}");
    next.files(folder.path());
    dial().await.unwrap();
}
