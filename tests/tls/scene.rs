//! A hub with TLS in a folder of its own, and what it says of itself.

use outpost::hub::Hub;
use outpost::hub::config::Config;
use outpost::net::tls::server::Files;
use serde_json::Value;
use tempfile::TempDir;

use crate::authority::Authority;
use crate::peer::{Peer, get, within};

pub(crate) struct Scene {
    pub(crate) hub: Hub,
    pub(crate) authority: Authority,
    pub(crate) folder: TempDir,
}

impl Scene {
    /// A hub with certificate number 1.
    pub(crate) async fn new() -> Self {
        Self::with(|_config, _folder| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config, &std::path::Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new("a test's authority");
        authority.server(1).write(folder.path(), "hub");
        let files = Files {
            cert: folder.path().join("hub.pem"),
            key: folder.path().join("hub.key"),
            client_ca: None,
        };
        let mut config = Config {
            data: folder.path().join("hub"),
            listen: "127.0.0.1:0".parse().unwrap(),
            tls: Some(files),
            ..Config::default()
        };
        change(&mut config, folder.path());
        let hub = Hub::start(config).await.unwrap();
        Self { hub, authority, folder }
    }

    pub(crate) fn peer(&self) -> Peer {
        Peer::believing(&self.authority)
    }

    /// What the hub says of itself.
    pub(crate) async fn status(&self) -> Value {
        let token = std::fs::read_to_string(self.folder.path().join("hub/admin.token")).unwrap();
        let mut stream = self.peer().dial(self.hub.local_addr()).await.unwrap();
        let answer = get(&mut stream, "/v1/status", token.trim()).await.unwrap();
        let (_head, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap()
    }

    /// Handshakes that failed, by their reasons.
    pub(crate) async fn failed(&self) -> Value {
        self.status().await["counters"]["tls_failed"].clone()
    }

    /// Waits until so many handshakes failed for this reason.
    pub(crate) async fn failed_for(&self, reason: &str, count: u64) {
        within(async {
            while self.failed().await[reason] != count {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}
