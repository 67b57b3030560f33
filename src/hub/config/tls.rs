//! `[tls]`: the hub's own certificate, and who must show one.

use std::path::PathBuf;

use serde::Deserialize;

use crate::net::tls::server::Files;

use super::{ConfigError, wrong};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TlsFile {
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    client_ca: Option<PathBuf>,
}

impl TlsFile {
    pub(super) fn overlay_environment(&mut self, variable: &impl Fn(&str) -> Option<String>) {
        let path = |name: &str, path: &mut Option<PathBuf>| {
            *path = variable(name).map(PathBuf::from).or(path.take());
        };
        path("OUTPOST_TLS_CERT", &mut self.cert);
        path("OUTPOST_TLS_KEY", &mut self.key);
        path("OUTPOST_TLS_CLIENT_CA", &mut self.client_ca);
    }

    /// `None`: no TLS.
    pub(super) fn check(self) -> Result<Option<Files>, ConfigError> {
        let Self { cert, key, client_ca } = self;
        match (cert, key, client_ca) {
            (Some(cert), Some(key), client_ca) => Ok(Some(Files { cert, key, client_ca })),
            (None, None, None) => Ok(None),
            (Some(_), None, _) => {
                Err(wrong("tls.key", "", "the file of the private key that belongs to tls.cert"))
            }
            (None, _, Some(_)) => Err(wrong(
                "tls.cert",
                "",
                "a file with the hub's certificate, with tls.key: without TLS no client shows one",
            )),
            (None, Some(_), None) => {
                Err(wrong("tls.cert", "", "a file with the certificate that belongs to tls.key"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::hub::config::tests::load;

    use super::*;

    #[test]
    fn a_certificate_and_its_key_come_together() {
        let text = "[tls]\ncert = \"a.pem\"\nkey = \"a.key\"\nclient_ca = \"ca.pem\"\n";
        let files = load(text, &[("OUTPOST_TLS_KEY", "b.key")]).unwrap().tls.unwrap();
        let expected = Files { cert: "a.pem".into(), key: "b.key".into(), client_ca: Some("ca.pem".into()) };
        assert_eq!(files, expected);
        assert_eq!(load("", &[]).unwrap().tls, None);
        for (text, key) in [
            ("[tls]\ncert = \"a.pem\"", "tls.key"),
            ("[tls]\nkey = \"a.key\"", "tls.cert"),
            ("[tls]\nclient_ca = \"ca.pem\"", "tls.cert"),
            ("[tls]\nkey = \"a.key\"\nclient_ca = \"ca.pem\"", "tls.cert"),
            ("[tls]\ncertificate = \"a.pem\"", "certificate"),
        ] {
            let error = load(text, &[]).unwrap_err().to_string();
            assert!(error.contains(key), "{text}: {error}");
        }
    }
}
