//! By whom the hub is known while an agent enrols, and from then on.

use std::path::Path;

use rustls::pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};

use crate::agent::config::HUB_CA_FILE;
use crate::net::tls::client::Settings;
use crate::net::tls::pem;
use crate::obs::whole_file::{self, Readers};
use crate::wire::invite::Invite;

use super::EnrollError;

/// Who vouches for the hub.
pub(super) enum Authority {
    /// The one with this digest, which the hub presents.
    Named([u8; 32]),
    /// Those of a file, the only one of the invite or whatever it holds.
    Given(Vec<CertificateDer<'static>>),
    /// Who did before, else whom the system believes.
    Known,
}

impl Authority {
    /// As invite and settings say.
    pub(super) fn of(tls: &Settings, invite: &Invite) -> Result<Self, EnrollError> {
        let Some(path) = &tls.ca_file else {
            return Ok(invite.ca.map_or(Self::Known, Self::Named));
        };
        let given = pem::certificates(path).map_err(|error| EnrollError::Tls(error.into()))?;
        match (invite.ca, given.as_slice()) {
            (None, _) => {}
            (Some(expected), [only]) if Sha256::digest(only)[..] == expected[..] => {}
            (Some(expected), _) => {
                return Err(EnrollError::OtherAuthority { path: path.to_owned(), expected });
            }
        }
        Ok(Self::Given(given))
    }

    /// What TLS has to go by.
    pub(super) fn settings(&self, tls: &Settings) -> Settings {
        match self {
            Self::Named(hash) => Settings { ca_hash: Some(*hash), ..tls.clone() },
            Self::Given(_) | Self::Known => tls.clone(),
        }
    }

    /// Puts it where the agent looks for it at each start.
    pub(super) fn keep(
        &self,
        data: &Path,
        presented: Option<&CertificateDer<'static>>,
    ) -> Result<(), EnrollError> {
        let certificates: Vec<_> = match self {
            Self::Named(_) => presented.into_iter().collect(),
            Self::Given(given) => given.iter().collect(),
            Self::Known => return Ok(()),
        };
        let text: String = certificates.into_iter().map(pem::to_text).collect();
        let path = data.join(HUB_CA_FILE);
        let written = whole_file::replace(&path, text.as_bytes(), Readers::All);
        written.map_err(|source| EnrollError::File { path, source })
    }
}
