//! Enrolment: an invite becomes an identity and a key in the data folder.
//!
//! ```text
//! agent.identity    made here, 0600 and synced, before the hub hears of it; kept where it is there
//! hub-ca.pem        the authority that the invite or `--ca` names, by which the agent knows the hub from then on
//! agent.key         the hub's answer; a key of the same agent that was there becomes the previous one
//! ```
//! What it is told is what the agent is told, by the same flags, variables and file: so the agent finds with them what was
//! written here, wherever that is.
//!
//! Each step may be cut off: asked again with the same identity, the hub issues the same key until it was used. What is
//! sent is the public key, never the other half. Whatever comes back is written only where it is a key of this hub, and of
//! the agent whose folder this is.
//!
//! The token leaves only towards a hub whose certificate is believed: where the invite has a hash, no other authority than
//! that one counts, and the hub presents it; there is no provisional trust, so a clock that is wrong is an error.

mod authority;

use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::SigningKey;
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};

use crate::id::{AgentId, HubId};
use crate::limit;
use crate::net::dial::{Dialer, Security};
use crate::net::http::{self, HttpError, Reply, Target};
use crate::net::tls::client::{ClientTls, SettingsError};
use crate::net::tls::trust::TimeFloor;
use crate::obs::{folder, random, secret_file};
use crate::secret::Secret;
use crate::wire::ENROLL_PATH;
use crate::wire::identity::{public_to_line, seed_to_line};
use crate::wire::invite::Invite;
use crate::wire::key::{KeyError, KeyFile};

use super::config::{Config, Hub};
use super::identity::{self, IdentityError};
use authority::Authority;

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
    /// The settings name no hub.
    #[error("no hub address: pass --hub URL, or set OUTPOST_HUB_URLS or hub.urls")]
    NoHub,
    /// The invite names an authority, and there is none without TLS.
    #[error("the invite is for a hub with TLS; begin the hub's URL with https://")]
    NeedsTls,
    /// A file with an authority that is not the invite's.
    #[error(
        "{} is not the authority that the invite names (SHA-256 {}); leave it out (--ca, hub.ca_file), or ask for another invite", path.display(), hex::encode(expected)
    )]
    OtherAuthority {
        /// The file.
        path: PathBuf,
        /// What the invite names.
        expected: [u8; 32],
    },
    /// The settings of TLS.
    #[error(transparent)]
    Tls(#[from] SettingsError),
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
    /// No answer, of none of the hubs. Asking again does no harm.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Away(Vec<HttpError>),
    /// An answer that does not let the agent in. Asking again does no harm.
    #[error(transparent)]
    Http(HttpError),
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

/// Enrols at the first hub that answers, in the order of the settings. Blocks until then: for each as long as the way there
/// takes (docs/network.md), and [`limit::DIAL_STALL_TIMEOUT`] without a byte moved after that.
///
/// # Errors
/// See [`EnrollError`]. Where no answer came it may be tried again.
pub fn enroll(config: &Config, invite: &Invite) -> Result<Enrolled, EnrollError> {
    let plain = |hub: &Hub| hub.endpoint.route.security == Security::Plain;
    if config.hubs.is_empty() {
        return Err(EnrollError::NoHub);
    }
    if invite.ca.is_some() && config.hubs.iter().any(plain) {
        return Err(EnrollError::NeedsTls);
    }
    let known = Authority::of(&config.tls, invite)?;
    let tls = ClientTls::with_time(&known.settings(&config.tls), config.wall_clock, TimeFloor::default())?;
    let dialer = Dialer { tls: Some(tls), proxies: config.proxies.clone(), ..Dialer::default() };
    let (files, data) = (config.identity_files(), &config.data);
    let key_file = files.key_file;
    let present = present(&key_file)?;
    check(&key_file, present.as_ref(), |present| present.hub_id == invite.hub_id)?;
    folder::make(data).map_err(|source| EnrollError::File { path: data.clone(), source })?;
    let identity_file = files.identity_file.unwrap_or(files.identity_default);
    let signing = identity(&identity_file)?;
    let answer = ask_all(&dialer, &config.hubs, invite, &signing)?;
    let Answer { name, key, authority } = answer;
    if key.hub_id != invite.hub_id {
        return Err(EnrollError::WrongHub(key.hub_id));
    }
    check(&key_file, present.as_ref(), |present| present.agent_id == key.agent_id)?;
    // Before the key: an agent that has one finds its hub.
    known.keep(data, authority.as_ref())?;
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
    /// What vouched for the hub, where the invite's hash named it.
    authority: Option<CertificateDer<'static>>,
}

/// What the first hub that answers says.
fn ask_all(
    dialer: &Dialer,
    hubs: &[Hub],
    invite: &Invite,
    signing: &SigningKey,
) -> Result<Answer, EnrollError> {
    let mut away = Vec::new();
    for hub in hubs {
        match ask(dialer, &hub.target(), invite, signing) {
            Err(EnrollError::Http(error @ HttpError::Away { .. })) => away.push(error),
            answered => return answered,
        }
    }
    Err(EnrollError::Away(away))
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
    let asked = http::post(dialer, target, ENROLL_PATH, None, &body, limit::DIAL_STALL_TIMEOUT);
    let reply = http::wait_for(asked).map_err(EnrollError::Runtime)?;
    let Reply { json: answer, authority } = reply.map_err(EnrollError::Http)?;
    let strange = |reason: String| EnrollError::NotAHub { url: target.base().to_owned(), reason };
    let field = |key: &str| answer.get(key).and_then(Value::as_str);
    let key = field("key").ok_or_else(|| strange("it has no key".to_owned()))?;
    let key = key.parse().map_err(|error: KeyError| strange(error.to_string()))?;
    Ok(Answer { name: field("name").unwrap_or_default().to_owned(), key, authority })
}
