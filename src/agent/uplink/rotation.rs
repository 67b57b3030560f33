//! A new key for this agent, agreed on in its session: durable beside the one the session runs with before the hub hears
//! of it, and used at once when the hub has it.

use std::path::PathBuf;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::agent::identity;
use crate::limit;
use crate::obs::clock::boot_now;
use crate::obs::random;
use crate::wire::key::KeyFile;
use crate::wire::message::KeyShare;

use super::{Flow, Uplink};

/// What the session runs with, and where its successor goes.
#[derive(Debug, Clone)]
pub(in crate::agent) struct SessionKey {
    /// The key file.
    pub(in crate::agent) file: PathBuf,
    /// The key itself: the one in the file, or the one before where the hub knew only that.
    pub(in crate::agent) key: KeyFile,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Uplink<S> {
    pub(super) async fn on_rotate_key(&mut self, hub: &KeyShare) -> Flow {
        let Some(key) = self.session.agree_key(hub, random::bytes()) else { return Flow::On };
        let SessionKey { file, key: present } = self.with.key.clone();
        let next = KeyFile { key_id: hub.key_id.clone(), key, ..present.clone() };
        let shown = file.display().to_string();
        let write = tokio::task::spawn_blocking(move || identity::replace_key(&file, &present, &next));
        match tokio::time::timeout(limit::KEY_WRITE_TIMEOUT, write).await {
            Ok(Ok(Ok(()))) => self.session.key_is_durable(),
            Ok(Ok(Err(error))) => {
                tracing::warn!(%error, file = shown, "the new key cannot be kept: the hub asks again in the next session");
            }
            Ok(Err(error)) => tracing::error!(%error, "the task that keeps the new key ended badly"),
            Err(_late) => {
                tracing::warn!(
                    file = shown,
                    "the disk does not take the new key: the hub asks again in the next session"
                );
            }
        }
        Flow::On
    }

    pub(super) fn on_key_stored(&mut self) {
        tracing::info!(hub = %self.with.hub, "this agent has a new key; it comes back with it");
        self.outcome.rotated();
        self.session.close(boot_now());
    }
}
