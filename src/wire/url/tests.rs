use super::*;

fn parse(text: &str) -> HubUrl {
    HubUrl::parse(text, AllowInsecure::No).unwrap()
}

#[test]
fn what_leads_to_the_same_hub_is_written_in_one_way() {
    for (text, canonical) in [
        ("wss://Hub.Example:443/out/", "https://hub.example/out"),
        ("https://hub.example/out/v1/agents/connect", "https://hub.example/out"),
        ("https://hub.example:80", "https://hub.example:80"),
        ("ws://localhost:80/", "http://localhost"),
        ("http://[0:0::1]:8440", "http://[::1]:8440"),
    ] {
        let url = parse(text);
        assert_eq!(url.canonical(), canonical, "{text}");
        assert_eq!(parse(canonical).http_base(), canonical);
        assert_eq!(parse(canonical).canonical(), canonical, "the form reads back");
    }
}

#[test]
fn every_prefix_is_kept_and_the_path_never_doubled() {
    for (text, base, path) in [
        ("https://hub.example", "https://hub.example", "/v1/agents/connect"),
        ("https://hub.example/", "https://hub.example", "/v1/agents/connect"),
        ("wss://hub.example:8443/a/b/", "wss://hub.example:8443/a/b", "/a/b/v1/agents/connect"),
        ("https://hub.example/v1/agents/connect", "https://hub.example", "/v1/agents/connect"),
        ("https://hub.example/x/v1/agents/connect/", "https://hub.example/x", "/x/v1/agents/connect"),
        ("HTTPS://Hub.Example/V1", "https://hub.example/V1", "/V1/v1/agents/connect"),
    ] {
        let url = parse(text);
        assert_eq!((url.base().as_str(), url.connect_path().as_str()), (base, path), "{text}");
        assert_eq!(parse(&url.to_string()), url, "the base reads back");
    }
}

#[test]
fn ports_and_addresses_come_out_as_a_socket_needs_them() {
    let url = parse("wss://[2001:db8::1]:9/x");
    assert_eq!(
        (url.host().as_str(), url.port(), url.authority().as_str()),
        ("2001:db8::1", 9, "[2001:db8::1]:9")
    );
    let url = parse("https://[::1]");
    assert_eq!((url.port(), url.authority().as_str(), url.scheme_is_tls()), (443, "[::1]", true));
    let url = parse("ws://127.0.0.1");
    assert_eq!((url.port(), url.authority().as_str(), url.scheme_is_tls()), (80, "127.0.0.1", false));
}

#[test]
fn another_scheme_is_named_in_the_error() {
    let error = HubUrl::parse("ftp://hub", AllowInsecure::Any).unwrap_err();
    assert!(error.to_string().contains("`ftp`"), "{error}");
    assert_eq!(HubUrl::parse("hub.example:80", AllowInsecure::Any), Err(UrlError::NoScheme));
    assert_eq!(HubUrl::parse("", AllowInsecure::Any), Err(UrlError::NoScheme));
}

#[test]
fn damaged_urls_are_refused_with_their_part() {
    let error = |text| HubUrl::parse(text, AllowInsecure::Any).unwrap_err();
    assert_eq!(error("https://"), UrlError::Host(String::new()));
    assert_eq!(error("https://:80"), UrlError::Host(String::new()));
    assert_eq!(error("https://a b"), UrlError::Host("a b".to_owned()));
    assert_eq!(error("https://[::1"), UrlError::Port(":1".to_owned()));
    assert_eq!(error("http://127.1"), UrlError::Host("127.1".to_owned()));
    assert_eq!(error("http://0x7f000001"), UrlError::Host("0x7f000001".to_owned()));
    assert_eq!(error("https://hub:0"), UrlError::Port("0".to_owned()));
    assert_eq!(error("https://hub:65536"), UrlError::Port("65536".to_owned()));
    assert_eq!(error("https://hub:+1"), UrlError::Port("+1".to_owned()));
    assert_eq!(error("https://hub:"), UrlError::Port(String::new()));
    assert_eq!(error("https://hub/a?b"), UrlError::Query);
    assert_eq!(error("https://hub/a#b"), UrlError::Query);
    assert_eq!(error("https://hub/a b"), UrlError::Path);
    assert_eq!(error("https://hub/\r\nX: y"), UrlError::Path);
}

#[test]
fn credentials_are_refused_and_never_shown() {
    let error = HubUrl::parse("https://me:secret@hub", AllowInsecure::Any).unwrap_err();
    assert_eq!(error, UrlError::Credentials);
    assert!(!format!("{error} {error:?}").contains("secret"));
}

#[test]
fn plain_text_goes_only_where_it_may() {
    use AllowInsecure::{Any, No, Private};
    let least = |text: &str| [No, Private, Any].into_iter().find(|allow| HubUrl::parse(text, *allow).is_ok());
    for text in [
        "http://localhost",
        "ws://LOCALHOST:1/x",
        "http://127.9.9.9",
        "ws://[::1]",
        "http://[::ffff:127.0.0.1]",
    ] {
        assert_eq!(least(text), Some(No), "{text}");
    }
    for text in [
        "http://10.0.0.1",
        "ws://172.16.0.1",
        "http://172.31.255.255",
        "http://192.168.1.1",
        "http://100.64.0.0",
        "http://100.127.255.255",
        "ws://[fc00::1]",
        "ws://[fdff::1]",
        "ws://[::ffff:10.0.0.1]",
    ] {
        assert_eq!(least(text), Some(Private), "{text}");
    }
    for text in [
        "http://hub.example",
        "ws://localhost.example",
        "http://172.32.0.1",
        "http://100.63.255.255",
        "http://100.128.0.0",
        "ws://[fe80::1]",
        "http://8.8.8.8",
        "http://0.0.0.0",
        "ws://[fe00::1]",
    ] {
        assert_eq!(least(text), Some(Any), "{text}");
    }
    assert_eq!(least("https://8.8.8.8"), Some(No));
}

#[test]
fn the_error_names_the_setting_that_would_allow_it() {
    let error = HubUrl::parse("http://10.1.2.3", AllowInsecure::No).unwrap_err();
    assert!(error.to_string().contains("allow_insecure = true"), "{error}");
    let error = HubUrl::parse("http://hub", AllowInsecure::Private).unwrap_err();
    assert!(error.to_string().contains("allow_insecure = \"any\""), "{error}");
}
