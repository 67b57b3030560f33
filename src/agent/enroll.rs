//! Enrolment: an invite becomes an identity and a key in the data folder.
//!
//! ```text
//! agent.identity    made here, 0600 and synced, before the hub hears of it; kept where it is there
//! hub-ca.pem        the authority that the invite or `--ca` names, by which the agent knows the hub from then on
//! agent.key         the hub's answer; a key of the same agent that was there becomes the previous one
//! ```
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
use crate::net::proxy::{Proxies, ProxyUrlError};
use crate::net::tls::client::{ClientFiles, ClientTls, SettingsError};
use crate::obs::{folder, random, secret_file};
use crate::secret::Secret;
use crate::wire::ENROLL_PATH;
use crate::wire::identity::{public_to_line, seed_to_line};
use crate::wire::invite::Invite;
use crate::wire::key::{KeyError, KeyFile};

use super::address;
use super::identity::{self, IdentityError};
use authority::Authority;

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
    /// The authority of the hub; `None`: the invite's, else that of the folder, else the system's.
    pub ca_file: Option<&'a Path>,
    /// What is shown to a hub that asks for a certificate.
    pub client: Option<ClientFiles>,
    /// The way there.
    pub proxies: Proxies,
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
    /// The invite names an authority, and there is none without TLS.
    #[error("the invite is for a hub with TLS; begin the hub's URL with https://")]
    NeedsTls,
    /// An authority or a certificate was named by flag, and neither means anything without TLS.
    #[error(
        "--ca, --client-cert and --client-key are for a hub with TLS; begin the hub's URL with https://, or leave them out"
    )]
    FlagsNeedTls,
    /// A file with an authority that is not the invite's.
    #[error(
        "{} is not the authority that the invite names (SHA-256 {}); leave --ca out, or ask for another invite", path.display(), hex::encode(expected)
    )]
    OtherAuthority {
        /// The file.
        path: PathBuf,
        /// What the invite names.
        expected: [u8; 32],
    },
    /// The proxy, or what may be sent through it.
    #[error(transparent)]
    Proxy(#[from] ProxyUrlError),
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

/// Enrols. Blocks until the hub answered: as long as the way there takes (docs/network.md), and [`limit::ENROLL_TIMEOUT`]
/// without a byte moved after that.
///
/// # Errors
/// See [`EnrollError`]. Where no answer came it may be tried again.
pub fn enroll(request: &Request<'_>) -> Result<Enrolled, EnrollError> {
    let Request { hub, allow_insecure, invite, data, .. } = request;
    let hub = address::hub(hub, *allow_insecure).map_err(EnrollError::Address)?;
    let route = hub.endpoint.route;
    if invite.ca.is_some() && route.security == Security::Plain {
        return Err(EnrollError::NeedsTls);
    }
    if (request.ca_file.is_some() || request.client.is_some()) && route.security == Security::Plain {
        return Err(EnrollError::FlagsNeedTls);
    }
    let known = Authority::of(request)?;
    request.proxies.check(&route, hub.allow_insecure)?;
    let tls = Some(ClientTls::new(&known.settings(request))?);
    let dialer = Dialer { tls, proxies: request.proxies.clone(), ..Dialer::default() };
    let key_file = data.join("agent.key");
    let present = present(&key_file)?;
    check(&key_file, present.as_ref(), |present| present.hub_id == invite.hub_id)?;
    folder::make(data).map_err(|source| EnrollError::File { path: data.to_path_buf(), source })?;
    let identity_file = data.join("agent.identity");
    let signing = identity(&identity_file)?;
    let answer = ask(&dialer, &Target::new(route, &hub.api), invite, &signing)?;
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
    let Reply { json: answer, authority } = http::wait_for(asked).map_err(EnrollError::Runtime)??;
    let strange = |reason: String| EnrollError::NotAHub { url: target.base().to_owned(), reason };
    let field = |key: &str| answer.get(key).and_then(Value::as_str);
    let key = field("key").ok_or_else(|| strange("it has no key".to_owned()))?;
    let key = key.parse().map_err(|error: KeyError| strange(error.to_string()))?;
    Ok(Answer { name: field("name").unwrap_or_default().to_owned(), key, authority })
}
