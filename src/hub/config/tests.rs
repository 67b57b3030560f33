use std::num::{NonZeroU32, NonZeroU64};

use super::*;

pub(super) fn load(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hub.toml");
    std::fs::write(&file, text).unwrap();
    Config::load(Some(&file), |name| {
        variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    })
}

#[test]
fn the_environment_overrides_the_file() {
    let text = "listen = \"127.0.0.1:1\"\n[limits]\nmessage = \"128KiB\"\n[auth]\nsignature = \"none\"\n";
    let config = load(text, &[("OUTPOST_AUTH_SIGNATURE", "required")]).unwrap();
    assert_eq!(config.listen, "127.0.0.1:1".parse().unwrap());
    assert_eq!(config.message_bytes, 128 * 1024);
    assert_eq!(config.signature, SignatureMode::Required);
}

#[test]
fn unknown_keys_and_wrong_values_are_named() {
    let unknown = load("lisen = \"x\"", &[]).unwrap_err().to_string();
    assert!(unknown.contains("line 1") && unknown.contains("lisen") && !unknown.contains('\n'), "{unknown}");
    assert!(load("[limits]\nmessage = \"3MiB\"", &[]).unwrap_err().to_string().contains("limits.message"));
    assert!(load("", &[("OUTPOST_LISTEN", "here")]).unwrap_err().to_string().contains("listen"));
}

#[test]
fn limits_and_quotas_are_read_and_zero_is_no_bound() {
    let text = "trusted_proxies = [\"10.0.0.0/8\"]\n[limits]\nmax_sessions = 500\nper_ip = 0\nauth = \"5s\"\n\
                [quota]\nrate = \"1MiB\"\nbytes = \"10GiB\"\nopen_jobs = 7\n";
    let config = load(text, &[("OUTPOST_LIMITS_HANDSHAKES", "9"), ("OUTPOST_QUOTA_OPEN_JOBS", "0")]).unwrap();
    let admission = &config.admission;
    assert_eq!((admission.max_sessions, admission.per_ip), (NonZeroU32::new(500), None));
    assert_eq!((admission.handshakes.get(), admission.auth), (9, Duration::from_secs(5)));
    assert_eq!(admission.trusted_proxies, ["10.0.0.0/8".parse().unwrap()]);
    let quota =
        QuotaConfig { rate: NonZeroU64::new(1 << 20), bytes: NonZeroU64::new(10 << 30), open_jobs: None };
    assert_eq!(config.quota, quota);
    let config =
        load("[limits]\nmax_sessions = 0\n", &[("OUTPOST_TRUSTED_PROXIES", "::1, 10.1.1.1,")]).unwrap();
    assert_eq!((config.admission.max_sessions, config.admission.trusted_proxies.len()), (None, 2));
    assert_eq!(config.quota, QuotaConfig::default());
}

#[test]
fn limits_that_cannot_be_are_named() {
    for (text, key) in [
        ("[limits]\nhandshakes = 0", "limits.handshakes"),
        ("[limits]\nmax_sessions = \"many\"", "limits.max_sessions"),
        ("[limits]\nper_ip = 4294967296", "limits.per_ip"),
        ("[limits]\nauth = \"91s\"", "limits.auth"),
        ("[limits]\nauth = \"0s\"", "limits.auth"),
        ("[limits]\nmessage = \"63KiB\"", "limits.message"),
        ("[quota]\nrate = \"1KiB\"", "quota.rate"),
        ("[quota]\nbytes = \"all\"", "quota.bytes"),
        ("[quota]\nopen_jobs = \"-1\"", "quota.open_jobs"),
        ("trusted_proxies = [\"proxy\"]", "trusted_proxies"),
        ("[metrics]\nlisten = \"here\"", "metrics.listen"),
    ] {
        let error = load(text, &[]).unwrap_err().to_string();
        assert!(error.contains(key), "{text}: {error}");
    }
}
