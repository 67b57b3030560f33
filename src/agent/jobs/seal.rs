//! Specs with secrets as they lie on this disk: sealed under a key that follows from one of the agent's own.
//!
//! ```text
//! 0x01 | length u8 of the key id | key id | nonce[24] | ciphertext | tag[16]     else the spec itself, which begins with no 0x01
//! key   = HKDF-SHA256(mac_root of that agent key, info "outpost/v1 job secret")
//! label = "outpost/v1 job secret" | job id
//! ```
//! The id of the sealing key stands beside, so that after a rotation the right one is taken, and one that is not there can be
//! named. Pure but for the nonce.

use bytes::Bytes;

use crate::agent::identity::Identity;
use crate::id::{JobId, KeyId};
use crate::job::JobSpec;
use crate::limit;
use crate::obs::random;
use crate::outbox::cipher::Cipher;
use crate::secret::Secret;
use crate::wire::key::KeyFile;

/// What a sealed spec begins with; no JSON text does.
const SEALED: u8 = 1;
const LABEL: &[u8] = b"outpost/v1 job secret";

/// The keys that specs are sealed with: the first seals, all of them open.
#[derive(Debug, Clone, Default)]
pub(in crate::agent) struct SealKeys(Vec<(KeyId, Secret)>);

impl SealKeys {
    /// What follows from the agent's keys; from `session`, the one a session is opened with, first. A job is sealed with
    /// the key of the session it came by: when a new key takes that one's place, that one stays as the previous.
    pub(in crate::agent) fn of(session: &KeyFile, identity: &Identity) -> Self {
        let others = [Some(&identity.key), identity.previous.as_ref()].into_iter().flatten();
        let all = std::iter::once(session).chain(others.filter(|key| *key != session));
        Self(all.map(|file| (file.key_id.clone(), file.key.mac_root().job_secret_key())).collect())
    }

    /// These, and behind them what was known before.
    pub(super) fn and_before(mut self, older: &Self) -> Self {
        let older: Vec<_> = older.0.iter().filter(|key| !self.0.contains(key)).cloned().collect();
        self.0.extend(older);
        self.0.truncate(limit::JOB_SEAL_KEYS_MAX);
        self
    }

    /// The spec as it is to be stored; `None` where there is no key.
    pub(super) fn seal(&self, job: JobId, spec: &[u8]) -> Option<Bytes> {
        let (id, key) = self.0.first()?;
        let length = u8::try_from(id.as_str().len()).ok()?;
        let sealed = Cipher::new(key).seal(random::bytes(), &label(job), spec);
        Some([&[SEALED, length], id.as_str().as_bytes(), &sealed].concat().into())
    }

    /// What was sealed; `None` where none of these keys opens it.
    fn open(&self, job: JobId, stored: &[u8]) -> Option<Secret<Vec<u8>>> {
        let (id, sealed) = split(stored)?;
        let keys = self.0.iter().filter(|(key, _)| key.as_str().as_bytes() == id);
        let mut opened = keys.filter_map(|(_, key)| Cipher::new(key).open(&label(job), sealed));
        opened.next().map(Secret::new)
    }

    /// The spec in what is stored; `None` where it is none, or where none of these keys opens it.
    pub(super) fn spec(&self, job: JobId, stored: &[u8]) -> Option<JobSpec> {
        if !is_sealed(stored) {
            return JobSpec::parse(stored).ok();
        }
        JobSpec::parse(self.open(job, stored)?.expose()).ok()
    }

    /// What is stored, sealed with the first key instead; `None` where it is that already, or cannot be opened.
    pub(super) fn seal_anew(&self, job: JobId, stored: &[u8]) -> Option<Bytes> {
        let first = Self(self.0.first().cloned().into_iter().collect());
        if first.open(job, stored).is_some() {
            return None;
        }
        self.seal(job, self.open(job, stored)?.expose())
    }
}

/// Whether it is a sealed spec.
pub(super) fn is_sealed(stored: &[u8]) -> bool {
    stored.first() == Some(&SEALED)
}

/// The id of the key it is sealed with, to be shown.
pub(super) fn sealing_key(stored: &[u8]) -> String {
    split(stored).map_or_else(|| "?".to_owned(), |(id, _)| String::from_utf8_lossy(id).into_owned())
}

fn split(stored: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = stored.strip_prefix(&[SEALED])?.split_first()?;
    rest.split_at_checked(usize::from(*length))
}

fn label(job: JobId) -> Vec<u8> {
    [LABEL, job.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{AgentId, HubId};
    use crate::wire::key::AgentKey;

    const SPEC: &[u8] = br#"{"kind":"exec","secrets":{"TOKEN":"hunter2"}}"#;

    fn key(id: &str, byte: u8) -> KeyFile {
        KeyFile {
            hub_id: HubId::from_bytes([1; 16]),
            agent_id: AgentId::from_bytes([2; 16]),
            key_id: id.parse().unwrap(),
            key: AgentKey::new([byte; 32]),
        }
    }

    fn keys(key: KeyFile, previous: Option<KeyFile>) -> SealKeys {
        SealKeys::of(&key.clone(), &Identity { key, previous, signing: None })
    }

    fn job(byte: u8) -> JobId {
        JobId::from_time(7, [byte; 10])
    }

    #[test]
    fn the_key_follows_from_the_agents_own() {
        // Python: HKDF(HKDF(bytes([3]*32), "outpost/v1 mac"), "outpost/v1 job secret"), SHA-256, empty salts.
        let key = key("k1", 3).key.mac_root().job_secret_key();
        assert_eq!(
            hex::encode(key.expose()),
            "2c1408901bbc164f6ea7be613b1d6a646ebd3ee7c2dcef3ec6c34ab63f6ee39f"
        );
    }

    #[test]
    fn only_the_same_key_and_job_open_a_spec() {
        let present = keys(key("k2", 2), Some(key("k1", 1)));
        let stored = present.seal(job(1), SPEC).unwrap();
        assert!(is_sealed(&stored) && !is_sealed(SPEC));
        assert_eq!(sealing_key(&stored), "k2");
        assert!(stored.len() <= SPEC.len() + limit::JOB_SPEC_SEAL_BYTES_MAX);
        assert!(!stored.windows(7).any(|bytes| bytes == b"hunter2"));
        let opened = present.spec(job(1), &stored).unwrap();
        assert_eq!(opened.secrets.get("TOKEN").unwrap().expose(), "hunter2");
        assert_eq!(present.spec(job(2), &stored), None, "it is another job's");
        // As the key before, under the same id another key, not there at all.
        assert!(keys(key("k3", 3), Some(key("k2", 2))).spec(job(1), &stored).is_some());
        assert_eq!(keys(key("k2", 9), None).spec(job(1), &stored), None);
        assert_eq!(keys(key("k3", 3), None).spec(job(1), &stored), None);
        assert_eq!(SealKeys::default().spec(job(1), &stored), None);
        assert_eq!(SealKeys::default().seal(job(1), SPEC), None);
        for at in 0..stored.len() {
            let mut flipped = stored.to_vec();
            flipped[at] ^= 1;
            assert_eq!(present.spec(job(1), &flipped), None, "{at}");
            assert_eq!(present.spec(job(1), &stored[..at]), None, "cut at {at}");
        }
    }

    #[test]
    fn a_spec_without_secrets_is_as_it_was_offered() {
        assert!(SealKeys::default().spec(job(1), br#"{"kind":"exec"}"#).is_some());
        assert_eq!(SealKeys::default().spec(job(1), b""), None);
    }

    #[test]
    fn a_rotation_seals_anew_and_forgets_the_oldest_keys_last() {
        let mut known = keys(key("k0", 0), None);
        let mut stored = known.seal(job(1), SPEC).unwrap();
        assert_eq!(known.seal_anew(job(1), &stored), None, "it is sealed with that key");
        for number in 1..20 {
            let (new, old) =
                (key(&format!("k{number}"), number), key(&format!("k{}", number - 1), number - 1));
            known = keys(new, Some(old)).and_before(&known);
            assert!(known.0.len() <= limit::JOB_SEAL_KEYS_MAX);
            stored = known.seal_anew(job(1), &stored).unwrap();
            assert_eq!(sealing_key(&stored), format!("k{number}"));
            assert!(keys(key(&format!("k{number}"), number), None).spec(job(1), &stored).is_some());
        }
        assert_eq!(known.seal_anew(job(1), b"\x01\x02zz"), None);
    }
}
