use proptest::prelude::*;

use super::*;

const SECRET: &str = "a worker secret of 32 characters";

#[test]
fn a_file_of_another_broker_is_read() {
    let text = format!(
        "# the broker\n---\nws_port: 9100\ninternal_port: '9101'\nworker_secret: \"{SECRET}\"\n\
         ws_bind: 0.0.0.0\ninternal_bind: \"\"\ntopic_ttl: 1h30m\norigins:\n  - https://a.example\n  - https://b.example\n"
    );
    let config = parse(&text).unwrap().check().unwrap().unwrap();
    assert_eq!(config.public, "0.0.0.0:9100".parse().unwrap());
    assert_eq!(config.internal, "127.0.0.1:9101".parse().unwrap());
    assert_eq!(config.secret.expose(), SECRET);
    assert_eq!(config.topic_ttl.as_secs(), 5400);
    assert_eq!(config.origins, ["https://a.example", "https://b.example"]);
    let flow =
        format!("{{worker_secret: {SECRET}, ws_port: , origins: 'https://a.example, https://b.example'}}");
    let config = parse(&flow).unwrap().check().unwrap().unwrap();
    assert_eq!((config.public.port(), config.origins.len()), (9000, 2));
}

#[test]
fn a_file_without_a_secret_is_no_broker() {
    for text in ["", "# nothing\n", "---\n", "ws_port: 1\n", "~"] {
        assert_eq!(parse(text).unwrap().check().unwrap(), None, "{text:?}");
    }
}

#[test]
fn what_is_not_such_a_file_is_named_without_its_values() {
    let secret = format!("worker_secret: {SECRET}\n");
    for (text, expected) in [
        ("ws_prot: 1\n", "line 1: unknown key `ws_prot`"),
        ("ws_port: 1\nws_port: 2\n", "line 2: `ws_port` is set twice"),
        ("- a\n", "line 1: only lines like"),
        ("text\n", "line 1: only lines like"),
        ("ws_port:\n  a: 1\n", "only lines like"),
        ("ws_port: *x\n", "line 1"),
        ("ws_port: 1\n---\nws_port: 2\n", "only lines like"),
        ("ws_port: \"1\n", "line"),
        ("a: [\n", "line"),
        ("? [x]\n: 1\n", "only lines like"),
    ] {
        let error = parse(&format!("{text}{secret}"))
            .map(|_| ())
            .or(parse(text).map(|_| ()))
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected) && !error.contains(SECRET), "{text:?}: {error}");
    }
    let error = parse(&format!("{secret}{SECRET}\n")).map(|_| ()).unwrap_err().to_string();
    assert!(!error.contains(SECRET), "{error}");
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in "[ a-z:\\-\\[\\]{}&*!|>'\"#%\n\t?,]{0,200}") {
        let _read_or_not = parse(&text);
    }
}
