//! A browser token as it comes in a first frame: any text, and any claims that the secret vouches for.

use outpost::time::HubTime;
use outpost::wire::browser_token::{mint, verify};
use outpost::wire::mac::MacKey;

const NOW: HubTime = HubTime(1_800_000_000_000);

/// The first byte is the length of the topic, which follows; the rest is the token's text, then its claims.
pub fn run(data: &[u8]) {
    let Some((length, rest)) = data.split_first() else { return };
    let (topic, rest) = rest.split_at((*length as usize).min(rest.len()));
    let Ok(topic) = std::str::from_utf8(topic) else { return };
    let secret = MacKey::from_bytes(b"the secret that only this target knows of");
    if let Ok(text) = std::str::from_utf8(rest) {
        assert!(verify(text, &secret, topic, NOW).is_err(), "nobody vouched for {text}");
    }
    let claims = hex::encode(rest);
    let vouched = format!("{claims}.{}", hex::encode(secret.sign(claims.as_bytes())));
    let Ok(claims) = verify(&vouched, &secret, topic, NOW) else { return };
    assert!(claims.grant.covers(topic), "{claims:?} is not for {topic}");
    assert!(claims.expires_s > NOW.0 / 1000, "{claims:?} is over");
    assert!(verify(&vouched, &secret, &format!("{topic}x"), NOW).is_err(), "good for two topics");
    // An end beyond the last moment that hub time can tell never comes.
    if let Some(end_ms) = claims.expires_s.checked_mul(1000) {
        assert!(verify(&vouched, &secret, topic, HubTime(end_ms)).is_err(), "good at its own end");
    }
    let other = MacKey::from_bytes(b"another secret text of 32 and more characters");
    assert!(verify(&vouched, &other, topic, NOW).is_err(), "good under two secrets");
    if let Ok(minted) = mint(&claims, &secret) {
        assert_eq!(verify(&minted, &secret, topic, NOW), Ok(claims));
    }
}
