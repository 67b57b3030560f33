//! Enrolment: an invite becomes an identity and a key in the data folder.
//!
//! ```text
//! agent.identity    made here, 0600 and synced, before the hub hears of it; kept where it is there
//! agent.key         the hub's answer; a key of the same agent that was there becomes the previous one
//! ```
//! Each step may be cut off: asked again with the same identity, the hub issues the same key until it was used. What is
//! sent is the public key, never the other half. Whatever comes back is written only where it is a key of this hub, and of
//! the agent whose folder this is.

use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::SigningKey;
use serde_json::{Value, json};

use crate::id::{AgentId, HubId};
use crate::limit;
use crate::net::dial::Dialer;
use crate::net::http::{self, HttpError, Target};
use crate::obs::{folder, random, secret_file};
use crate::secret::Secret;
use crate::wire::ENROLL_PATH;
use crate::wire::identity::{public_to_line, seed_to_line};
use crate::wire::invite::Invite;
use crate::wire::key::{KeyError, KeyFile};

use super::address;
use super::identity::{self, IdentityError};

/// What to enrol with, and where.
#[derive(Debug)]
pub struct Request<'a> {
    /// The hub's address.
    pub hub: &'a str,
    /// As the setting of that name: plain text beyond loopback.
    pub allow_insecure: Option<&'a str>,
    /// The invite.
    pub invite: &'a Invite,
    /// The data folder, which is made where it is not there.
    pub data: &'a Path,
}

/// An agent that has its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolled {
    /// Its name at the hub.
    pub name: String,
    /// Its id.
    pub agent_id: AgentId,
    /// Where the key is.
    pub key_file: PathBuf,
    /// Where the identity is.
    pub identity_file: PathBuf,
}

/// Why it has none.
#[derive(Debug, thiserror::Error)]
pub enum EnrollError {
    /// The address cannot be used.
    #[error("{0}")]
    Address(String),
    /// The invite names a CA.
    #[error(
        "the invite is for a hub behind TLS, which this build does not speak yet; ask for one of a hub on plain http"
    )]
    NeedsTls,
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The folder has a key already, of another hub or agent.
    #[error("{} is the key of agent {agent} at hub {hub}, which stays; enrol in another folder with --data", path.display())]
    OtherKey {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        agent: AgentId,
        /// Its hub.
        hub: HubId,
    },
    /// The system has nothing left to ask with.
    #[error("starting the runtime: {0}")]
    Runtime(io::Error),
    /// No answer, or none that lets the agent in. Asking again does no harm.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The answer holds no key.
    #[error("the answer is not a hub's ({reason}); does {url} lead to an Outpost hub?")]
    NotAHub {
        /// What was asked.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// The key is for another hub.
    #[error("the hub answered with a key for hub {0}, which the invite is not for; nothing was written")]
    WrongHub(HubId),
}

/// Enrols. Blocks until the hub answered, at most for [`limit::ENROLL_TIMEOUT`] and the disk's time.
///
/// # Errors
/// See [`EnrollError`]. Where no answer came it may be tried again.
pub fn enroll(request: &Request<'_>) -> Result<Enrolled, EnrollError> {
    let Request { hub, allow_insecure, invite, data } = request;
    if invite.ca.is_some() {
        return Err(EnrollError::NeedsTls);
    }
    let hub = address::hub(hub, *allow_insecure).map_err(EnrollError::Address)?;
    let key_file = data.join("agent.key");
    let present = present(&key_file)?;
    check(&key_file, present.as_ref(), |present| present.hub_id == invite.hub_id)?;
    folder::make(data).map_err(|source| EnrollError::File { path: data.to_path_buf(), source })?;
    let identity_file = data.join("agent.identity");
    let signing = identity(&identity_file)?;
    let target = Target::new(hub.endpoint.route, &hub.api);
    let answer = ask(&Dialer::default(), &target, invite, &signing)?;
    let Answer { name, key } = answer;
    if key.hub_id != invite.hub_id {
        return Err(EnrollError::WrongHub(key.hub_id));
    }
    check(&key_file, present.as_ref(), |present| present.agent_id == key.agent_id)?;
    let written = match &present {
        Some(present) => identity::replace_key(&key_file, present, &key),
        None => identity::put(&key_file, &key),
    };
    written.map_err(|source| EnrollError::File { path: key_file.clone(), source })?;
    Ok(Enrolled { name, agent_id: key.agent_id, key_file, identity_file })
}

/// The key that is in the folder already.
fn present(path: &Path) -> Result<Option<KeyFile>, EnrollError> {
    if !path.exists() {
        return Ok(None);
    }
    identity::key(path).map(Some).map_err(EnrollError::from)
}

fn check(
    path: &Path,
    present: Option<&KeyFile>,
    fits: impl FnOnce(&KeyFile) -> bool,
) -> Result<(), EnrollError> {
    match present {
        Some(present) if !fits(present) => {
            Err(EnrollError::OtherKey { path: path.to_owned(), agent: present.agent_id, hub: present.hub_id })
        }
        Some(_) | None => Ok(()),
    }
}

/// The identity that is there, or a new one, durable before anybody hears of it.
fn identity(path: &Path) -> Result<SigningKey, EnrollError> {
    if path.exists() {
        return Ok(identity::signing(path)?);
    }
    let signing = SigningKey::from_bytes(&random::bytes());
    let line = Secret::new(format!("{}\n", seed_to_line(&signing).expose()));
    secret_file::write(path, line.expose().as_bytes())
        .map_err(|source| EnrollError::File { path: path.to_owned(), source })?;
    Ok(signing)
}

struct Answer {
    name: String,
    key: KeyFile,
}

fn ask(
    dialer: &Dialer,
    target: &Target,
    invite: &Invite,
    signing: &SigningKey,
) -> Result<Answer, EnrollError> {
    let signature = URL_SAFE_NO_PAD.encode(invite.sign(signing));
    let body = json!({
        "token": invite.to_line().expose(),
        "public_key": public_to_line(&signing.verifying_key()),
        "signature": signature,
    });
    let asked = http::post(dialer, target, ENROLL_PATH, None, &body, limit::ENROLL_TIMEOUT);
    let answer = http::wait_for(asked).map_err(EnrollError::Runtime)??;
    let strange = |reason: String| EnrollError::NotAHub { url: target.base().to_owned(), reason };
    let field = |key: &str| answer.get(key).and_then(Value::as_str);
    let key = field("key").ok_or_else(|| strange("it has no key".to_owned()))?;
    let key = key.parse().map_err(|error: KeyError| strange(error.to_string()))?;
    Ok(Answer { name: field("name").unwrap_or_default().to_owned(), key })
}
