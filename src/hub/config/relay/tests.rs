use super::*;
use crate::hub::config::tests::load;

fn matches(pattern: &str, name: &str) -> bool {
    pattern.parse::<NamePattern>().unwrap().matches(&name.parse().unwrap())
}

#[test]
fn a_star_stands_for_any_letters_and_none() {
    for (pattern, yes, no) in [
        ("edge-1", &["edge-1"][..], &["edge-10", "edge", "xedge-1"][..]),
        ("edge-*", &["edge-1", "edge-"], &["edge", "ledge-1"]),
        ("*", &["a", "edge-1"], &[]),
        ("*-hub", &["a-hub", "b-hub-hub"], &["hub", "a-hubs"]),
        ("a*a", &["aa", "aba", "aaa"], &["a", "ab"]),
        ("a*b*c", &["abc", "axbybc", "abcbc"], &["acb", "abcd", "ac"]),
        ("**", &["x"], &[]),
    ] {
        for name in yes {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for name in no {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }
    for wrong in ["", "Edge", "a b", "a?", &"a".repeat(64)] {
        assert!(wrong.parse::<NamePattern>().is_err(), "{wrong}");
    }
}

proptest::proptest! {
    #[test]
    fn a_pattern_matches_as_one_that_tries_everything(pattern in "[ab*]{1,8}", name in "[ab]{1,8}") {
        fn tries(pattern: &[u8], name: &[u8]) -> bool {
            match (pattern, name) {
                ([], name) => name.is_empty(),
                ([b'*', rest @ ..], name) => (0..=name.len()).any(|at| tries(rest, &name[at..])),
                ([letter, rest @ ..], [first, left @ ..]) => letter == first && tries(rest, left),
                (_, []) => false,
            }
        }
        proptest::prop_assert_eq!(matches(&pattern, &name), tries(pattern.as_bytes(), name.as_bytes()));
    }
}

#[test]
fn rules_rate_and_size_are_read_and_nothing_is_allowed_by_default() {
    let (edge, control) = ("edge-1".parse().unwrap(), "control".parse().unwrap());
    assert!(!load("", &[]).unwrap().relay.allows(&edge, &control));
    let text =
        "[relay]\nallow = [{ from = \"edge-*\", to = \"control\" }]\nrate = 3\n[limits]\nrelay = \"1KiB\"\n";
    let config = load(text, &[]).unwrap();
    assert!(config.relay.allows(&edge, &control) && !config.relay.allows(&control, &edge));
    assert_eq!((config.relay.rate.get(), config.relay.bytes, config.relay_bytes_max()), (3, 1024, 1024));
    let variables = [
        ("OUTPOST_RELAY_ALLOW", "control:edge-*, x:y"),
        ("OUTPOST_RELAY_RATE", "7"),
        ("OUTPOST_LIMITS_RELAY", "2KiB"),
    ];
    let config = load(text, &variables).unwrap();
    assert!(!config.relay.allows(&edge, &control) && config.relay.allows(&control, &edge));
    assert_eq!((config.relay.rate.get(), config.relay.bytes), (7, 2048));
    // A frame has to hold it.
    let config = load("[limits]\nmessage = \"64KiB\"\n", &[]).unwrap();
    assert_eq!(config.relay_bytes_max(), 64 * 1024 - limit::RELAY_OVERHEAD_BYTES_MAX);
}

#[test]
fn what_cannot_be_is_named() {
    let many = "{ from = \"a\", to = \"b\" },".repeat(limit::RELAY_RULES_MAX + 1);
    for (text, key) in [
        ("[relay]\nallow = [{ from = \"Edge\", to = \"b\" }]", "Edge"),
        ("[relay]\nallow = [{ from = \"a\" }]", "to"),
        ("[relay]\nallow = [{ from = \"a\", to = \"b\", via = \"c\" }]", "via"),
        ("[relay]\nrate = 0", "relay.rate"),
        ("[relay]\nrate = 10001", "relay.rate"),
        ("[relay]\nrules = []", "rules"),
        ("[limits]\nrelay = \"65KiB\"", "limits.relay"),
        ("[limits]\nrelay = 0", "limits.relay"),
        ("[limits]\nrelay = \"much\"", "limits.relay"),
        (&format!("[relay]\nallow = [{many}]"), "1025 rules"),
    ] {
        let error = load(text, &[]).unwrap_err().to_string();
        assert!(error.contains(key), "{key}: {error}");
    }
    let error = load("", &[("OUTPOST_RELAY_ALLOW", "edge>control")]).unwrap_err().to_string();
    assert!(error.contains("relay.allow") && error.contains("edge>control"), "{error}");
}
