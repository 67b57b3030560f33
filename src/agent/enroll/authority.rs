//! By whom the hub is known while an agent enrols, and from then on.

use std::path::Path;

use rustls::pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};

use crate::agent::config::HUB_CA_FILE;
use crate::net::tls::client::Settings;
use crate::net::tls::pem;
use crate::obs::whole_file::{self, Readers};

use super::{EnrollError, Request};

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
    /// As invite and flags say.
    pub(super) fn of(request: &Request<'_>) -> Result<Self, EnrollError> {
        let Some(path) = request.ca_file else {
            return Ok(request.invite.ca.map_or(Self::Known, Self::Named));
        };
        let given = pem::certificates(path).map_err(|error| EnrollError::Tls(error.into()))?;
        match (request.invite.ca, given.as_slice()) {
            (None, _) => {}
            (Some(expected), [only]) if Sha256::digest(only)[..] == expected[..] => {}
            (Some(expected), _) => {
                return Err(EnrollError::OtherAuthority { path: path.to_owned(), expected });
            }
        }
        Ok(Self::Given(given))
    }

    /// What TLS has to go by.
    pub(super) fn settings(&self, request: &Request<'_>) -> Settings {
        let client = request.client.clone();
        match self {
            Self::Named(hash) => Settings { ca_hash: Some(*hash), client, ..Settings::default() },
            Self::Given(_) => {
                Settings { ca_file: request.ca_file.map(Path::to_owned), client, ..Settings::default() }
            }
            Self::Known => {
                let ca_default = Some(request.data.join(HUB_CA_FILE));
                Settings { ca_default, client, ..Settings::default() }
            }
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
