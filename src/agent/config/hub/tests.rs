use super::*;
use crate::agent::config::Flags;
use crate::net::dial::Route;
use crate::secret::Secret;

fn load(text: &str, variables: &[(&str, &str)], flags: &Flags) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.toml");
    std::fs::write(&path, text).unwrap();
    let environment =
        |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    Config::load(Some(&path), environment, flags).map_err(|error| error.to_string())
}

fn urls(config: &Config) -> Vec<&str> {
    config.hubs.iter().map(|hub| hub.url.as_str()).collect()
}

fn proxy_of(config: &Config, host: &str) -> Option<String> {
    let route = Route { host: host.to_owned(), port: 443, security: Security::Tls };
    config.proxies.of(&route).unwrap().map(crate::net::proxy::Proxy::name)
}

#[test]
fn several_hubs_come_from_file_environment_and_flags() {
    let file = "[hub]\nurls = [\"https://a.example\", \"https://b.example\"]\n";
    let config = load(file, &[], &Flags::default()).unwrap();
    assert_eq!(urls(&config), ["https://a.example", "https://b.example"]);
    let variables = [("OUTPOST_HUB_URLS", "https://c.example, https://d.example")];
    let config = load(file, &variables, &Flags::default()).unwrap();
    assert_eq!(urls(&config), ["https://c.example", "https://d.example"]);
    let flags = Flags { hubs: vec!["wss://e.example".to_owned()], ..Flags::default() };
    assert_eq!(urls(&load(file, &variables, &flags).unwrap()), ["wss://e.example"]);
}

#[test]
fn hubs_of_the_library_are_added_one_by_one_and_bounded() {
    let mut config = Config::new("/nowhere");
    for number in 0..limit::HUBS_MAX {
        config = config.with_hub(&format!("https://hub{number}.example"), None).unwrap();
    }
    assert_eq!(config.hubs.len(), limit::HUBS_MAX);
    let error = config.with_hub("https://one-more.example", None).unwrap_err().to_string();
    assert!(error.contains("more than 16 addresses"), "{error}");
}

#[test]
fn the_proxy_of_the_settings_wins_over_the_environment() {
    let hub = "[hub]\nurls = [\"https://a.example\"]\n";
    let environment = [("HTTPS_PROXY", "environment:1"), ("NO_PROXY", "b.example")];
    let config = load(hub, &environment, &Flags::default()).unwrap();
    assert_eq!(proxy_of(&config, "a.example").as_deref(), Some("environment:1"));
    assert_eq!(proxy_of(&config, "b.example"), None);
    let file = format!("{hub}proxy = \"http://file:1\"\n");
    let config = load(&file, &environment, &Flags::default()).unwrap();
    assert_eq!(proxy_of(&config, "b.example").as_deref(), Some("file:1"));
    let variable = [("OUTPOST_HUB_PROXY", "http://variable:1")];
    assert_eq!(
        proxy_of(&load(&file, &variable, &Flags::default()).unwrap(), "a.example").as_deref(),
        Some("variable:1")
    );
    let flags = Flags { proxy: Some(Secret::new("none".to_owned())), ..Flags::default() };
    assert_eq!(proxy_of(&load(&file, &variable, &flags).unwrap(), "a.example"), None);
}

#[test]
fn plain_text_is_handed_to_a_proxy_only_as_far_as_it_may_go() {
    let plain = "[hub]\nurls = [\"http://10.0.0.1\"]\nallow_insecure = true\n";
    let config = load(&format!("{plain}proxy = \"http://10.0.0.2:1\"\n"), &[], &Flags::default()).unwrap();
    assert!(config.hubs[0].warning.is_some());
    let error =
        load(&format!("{plain}proxy = \"http://u:hunter2@proxy:1\"\n"), &[], &Flags::default()).unwrap_err();
    assert!(error.contains("hub.proxy: the proxy proxy:1 may not") && !error.contains("hunter2"), "{error}");
    let error = load(plain, &[("http_proxy", "proxy:1")], &Flags::default()).unwrap_err();
    assert!(error.contains("may not have plain text"), "{error}");
    // Loopback is no loopback any more behind a proxy elsewhere.
    let here = Config::new("/nowhere").with_hub("http://127.0.0.1:1", Some("any")).unwrap();
    assert_eq!(here.hubs[0].warning, None);
    assert!(here.with_proxy("http://proxy:1").unwrap().hubs[0].warning.is_some());
    let here = Config::new("/nowhere").with_hub("http://127.0.0.1:1", None).unwrap();
    assert!(here.clone().with_proxy("http://127.0.0.1:2").is_ok());
    assert!(here.with_proxy("http://proxy:1").is_err());
}

#[test]
fn no_setting_is_printed_with_its_password() {
    let flags = Flags { proxy: Some(Secret::new("http://u:hunter2@proxy:1".to_owned())), ..Flags::default() };
    let config = load("[hub]\nurls = [\"https://a.example\"]\n", &[], &flags).unwrap();
    assert!(!format!("{config:?} {flags:?}").contains("hunter2"));
}

#[test]
fn settings_of_tls_are_for_hubs_of_which_one_has_tls() {
    let of_tls = ["ca_file = \"/a\"\n", "client_cert = \"/c\"\nclient_key = \"/k\"\n"];
    for settings in of_tls {
        let with = |urls: &str| load(&format!("[hub]\nurls = [{urls}]\n{settings}"), &[], &Flags::default());
        let error = with("\"http://127.0.0.1:1\", \"ws://127.0.0.1:2\"").unwrap_err();
        assert!(error.contains("is for a hub with TLS") && error.contains("(--c"), "{error}");
        with("\"http://127.0.0.1:1\", \"https://a.example\"").unwrap();
    }
    // Which hub it is comes later.
    let flags = Flags { no_link: true, ..Flags::default() };
    load("[hub]\nca_file = \"/a\"\n", &[], &flags).unwrap();
}
