use proptest::prelude::*;

use super::*;

const SECRET: &[u8] = b"a secret text of more than 32 characters";
/// Made by Python's json, hmac and hashlib: `{"user_id":"7","topic":"app.1","expires":1800000060}`.
const FOR_A_TOPIC: &str = "7b22757365725f6964223a2237222c22746f706963223a226170702e31222c2265787069726573223a313830303030303036307d.5a5da73ce287ffaa091ddfae1b26ca78361010a5e16be9d7f0c865751c577407";
/// Likewise: `{"user_id":7,"expires":1800000060,"session_id":"s1"}`.
const FOR_A_SESSION: &str = "7b22757365725f6964223a372c2265787069726573223a313830303030303036302c2273657373696f6e5f6964223a227331227d.fe589b33abbdd18a507a963e66f237bf1372c2675448b22e5e95eda89fa9f707";
const NOW: HubTime = HubTime(1_800_000_000_000);

fn secret() -> MacKey {
    MacKey::from_bytes(SECRET)
}

fn claims(grant: Grant) -> Claims {
    Claims { user_id: UserId::Text("7".to_owned()), expires_s: 1_800_000_060, grant }
}

/// Whatever stands in it, minted with the secret.
fn signed(json: &str) -> String {
    let claims = hex::encode(json);
    format!("{claims}.{}", hex::encode(secret().sign(claims.as_bytes())))
}

#[test]
fn tokens_of_another_program_are_read_and_ours_are_the_same() {
    let topic = claims(Grant::Topic("app.1".to_owned()));
    assert_eq!(verify(FOR_A_TOPIC, &secret(), "app.1", NOW), Ok(topic.clone()));
    assert_eq!(mint(&topic, &secret()).as_deref(), Ok(FOR_A_TOPIC));
    let session = Claims { user_id: UserId::Number(7), ..claims(Grant::Session("s1".to_owned())) };
    assert_eq!(verify(FOR_A_SESSION, &secret(), "session.s1", NOW), Ok(session));
}

#[test]
fn a_token_is_good_for_its_topic_alone() {
    for other in ["", "app", "app.", "app.11", "App.1", "app.1 ", "session.app.1", "session.s1"] {
        assert_eq!(verify(FOR_A_TOPIC, &secret(), other, NOW), Err(TokenError::OtherTopic), "{other}");
    }
    for other in ["s1", "session.", "session.s", "session.s11", "session.session.s1"] {
        assert_eq!(verify(FOR_A_SESSION, &secret(), other, NOW), Err(TokenError::OtherTopic), "{other}");
    }
    let named = mint(&claims(Grant::Topic("session.s1".to_owned())), &secret()).unwrap();
    assert!(verify(&named, &secret(), "session.s1", NOW).is_ok(), "the exact topic, by its name");
}

#[test]
fn a_token_ends_at_the_second_it_names() {
    let at = |ms| verify(FOR_A_TOPIC, &secret(), "app.1", HubTime(ms));
    assert!(at(1_800_000_059_999).is_ok());
    assert_eq!(at(1_800_000_060_000), Err(TokenError::Expired(0)));
    assert_eq!(at(1_800_000_070_500), Err(TokenError::Expired(10)));
    assert!(at(u64::MAX).is_err());
}

#[test]
fn every_digit_counts_and_has_one_case() {
    for at in 0..FOR_A_TOPIC.len() {
        let mut token = FOR_A_TOPIC.as_bytes().to_vec();
        token[at] = if token[at] == b'0' { b'1' } else { b'0' };
        let error = verify(std::str::from_utf8(&token).unwrap(), &secret(), "app.1", NOW).unwrap_err();
        assert!(matches!(error, TokenError::Mac | TokenError::Shape), "digit {at}: {error}");
    }
    let (text, mac) = FOR_A_TOPIC.split_once('.').unwrap();
    let upper = format!("{text}.{}", mac.to_ascii_uppercase());
    assert_eq!(verify(&upper, &secret(), "app.1", NOW), Err(TokenError::Shape));
    let text = text.to_ascii_uppercase();
    let vouched = format!("{text}.{}", hex::encode(secret().sign(text.as_bytes())));
    assert_eq!(verify(&vouched, &secret(), "app.1", NOW), Err(TokenError::Shape));
}

#[test]
fn what_is_no_token_is_told_apart() {
    let other = MacKey::from_bytes(b"another secret text of 32 and more characters");
    assert_eq!(verify(FOR_A_TOPIC, &other, "app.1", NOW), Err(TokenError::Mac));
    let (text, mac) = FOR_A_TOPIC.split_once('.').unwrap();
    for shape in
        ["", ".", text, &format!("{text}."), &format!("{text}.{}", &mac[2..]), &format!("{text}..{mac}")]
    {
        assert_eq!(verify(shape, &secret(), "app.1", NOW), Err(TokenError::Shape), "{shape}");
    }
    let long = "0".repeat(limit::BROWSER_TOKEN_BYTES_MAX + 1);
    assert_eq!(verify(&long, &secret(), "app.1", NOW), Err(TokenError::TooLong(long.len())));
    let topic = Grant::Topic("x".repeat(limit::BROWSER_TOKEN_BYTES_MAX));
    assert!(matches!(mint(&claims(topic), &secret()), Err(TokenError::TooLong(_))));
    for nothing in [Grant::Topic(String::new()), Grant::Session(String::new())] {
        assert!(matches!(mint(&claims(nothing), &secret()), Err(TokenError::Claims(_))));
    }
}

#[test]
fn claims_that_are_vouched_for_and_say_nothing_clear_open_nothing() {
    for json in [
        "",
        "[]",
        r#"{"topic":"app.1","expires":1800000060}"#,
        r#"{"user_id":"7","topic":"app.1"}"#,
        r#"{"user_id":"7","expires":1800000060}"#,
        r#"["7","app.1",null,1800000060]"#,
        r#"{"user_id":"7","expires":1.8e9,"topic":"app.1"}"#,
        r#"{"user_id":"7","expires":1800000060,"topic":"","session_id":""}"#,
        r#"{"user_id":"7","expires":1800000060,"topic":"app.1","session_id":"s1"}"#,
        r#"{"user_id":"7","expires":1800000060,"topic":"app.1","topic":"app.1"}"#,
        r#"{"user_id":"7","expires":-1,"topic":"app.1"}"#,
        r#"{"user_id":"7","expires":1800000060.5,"topic":"app.1"}"#,
        r#"{"user_id":"7","expires":1e400,"topic":"app.1"}"#,
        r#"{"user_id":null,"expires":1800000060,"topic":"app.1"}"#,
        r#"{"user_id":"7","expires":1800000060,"topic":7}"#,
        r#"{"user_id":"7","expires":1800000060,"topic":"app.1"} x"#,
    ] {
        let error = verify(&signed(json), &secret(), "app.1", NOW).unwrap_err();
        assert!(matches!(error, TokenError::Claims(_)), "{json}: {error}");
    }
    let empty = r#"{"user_id":7,"expires":1800000060,"topic":"app.1","session_id":""}"#;
    assert!(verify(&signed(empty), &secret(), "app.1", NOW).is_ok());
    let empty = r#"{"user_id":7,"expires":1800000060,"topic":"","session_id":"s1"}"#;
    assert!(verify(&signed(empty), &secret(), "session.s1", NOW).is_ok());
    let more = r#"{"user_id":"7","expires":1800000060,"topic":"app.1","iat":5}"#;
    assert!(verify(&signed(more), &secret(), "app.1", NOW).is_ok(), "other claims are left alone");
}

proptest! {
    #[test]
    fn what_is_minted_is_read_back(
        user_id in ".{0,40}",
        number in any::<Option<i64>>(),
        name in ".{1,80}",
        session in any::<bool>(),
        expires_s in 1_800_000_001..u64::MAX,
    ) {
        let grant = if session { Grant::Session(name.clone()) } else { Grant::Topic(name.clone()) };
        let topic = if session { format!("session.{name}") } else { name };
        let user_id = number.map_or(UserId::Text(user_id), UserId::Number);
        let claims = Claims { user_id, expires_s, grant };
        let token = mint(&claims, &secret()).unwrap();
        prop_assert_eq!(verify(&token, &secret(), &topic, NOW), Ok(claims));
    }

    #[test]
    fn arbitrary_text_is_refused(text in ".{0,300}") {
        prop_assert!(verify(&text, &secret(), "app.1", NOW).is_err());
    }
}
