//! Tokens and signed upgrades against tests/golden/upgrade.json, which Python and PyJWT made (tests/python/upgrade.py).

use std::path::Path;

use ed25519_dalek::SigningKey;
use outpost::secret::Secret;
use outpost::time::HubTime;
use outpost::wire::identity::BoundKey;
use outpost::wire::jwt::{Claims, JwtKey};
use outpost::wire::signed_upgrade::{SignedUpgrade, UpgradeClaim};
use serde_json::Value;

struct Vectors(Value);

impl Vectors {
    fn read() -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/upgrade.json");
        Self(serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap())
    }

    fn text(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap()
    }

    fn bytes(&self, name: &str) -> [u8; 32] {
        hex::decode(self.text(name)).unwrap().try_into().unwrap()
    }

    fn now(&self) -> HubTime {
        HubTime(self.0["now_ms"].as_u64().unwrap())
    }

    fn key(&self) -> JwtKey {
        JwtKey::new(&Secret::new(self.bytes("hub_key")), self.text("hub_id").parse().unwrap())
    }

    fn claims(&self) -> Claims {
        Claims {
            agent_id: self.text("agent_id").parse().unwrap(),
            key_id: self.text("key_id").parse().unwrap(),
            issued_at: self.now(),
            expires_at: HubTime(self.now().0 + 1000 * self.0["ttl_s"].as_u64().unwrap()),
        }
    }
}

#[test]
fn the_token_is_the_one_that_python_makes() {
    let vectors = Vectors::read();
    assert_eq!(vectors.key().sign(&vectors.claims()).expose(), vectors.text("token"));
}

#[test]
fn a_token_that_pyjwt_makes_is_read() {
    let vectors = Vectors::read();
    assert_eq!(vectors.key().verify(vectors.text("pyjwt"), vectors.now()), Ok(vectors.claims()));
}

#[test]
fn tokens_that_pyjwt_makes_otherwise_are_refused() {
    let vectors = Vectors::read();
    let refused = vectors.0["refused"].as_object().unwrap();
    assert_eq!(refused.len(), 9);
    for (what, token) in refused {
        assert!(vectors.key().verify(token.as_str().unwrap(), vectors.now()).is_err(), "{what}");
    }
}

#[test]
fn the_signed_upgrade_is_the_one_that_python_makes() {
    let vectors = Vectors::read();
    let headers = vectors.0["headers"].as_object().unwrap();
    let claim = UpgradeClaim {
        url: headers["X-Outpost-URL"].as_str().unwrap().to_owned(),
        agent_id: vectors.text("agent_id").parse().unwrap(),
        timestamp: vectors.now(),
        nonce: std::array::from_fn(|index| 0x50 + u8::try_from(index).unwrap()),
    };
    assert_eq!(hex::encode(claim.digest()), vectors.text("digest"));
    let identity = SigningKey::from_bytes(&vectors.bytes("identity_seed"));
    let signed = claim.sign(&identity);
    assert_eq!(signed.headers().len(), headers.len());
    for (name, text) in signed.headers() {
        assert_eq!(headers[name].as_str(), Some(text.as_str()), "{name}");
    }
    let read = SignedUpgrade::read(|name| headers.get(name).and_then(Value::as_str)).unwrap();
    assert_eq!(read, signed);
    assert!(read.is_signed_by(&BoundKey::from(identity.verifying_key())));
}
