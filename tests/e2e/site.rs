//! A hub, a place for an agent's folder, and something between the two that has an address before the hub has one.

use std::time::Duration;

use outpost::agent::config::Config;
use outpost::agent::{Agent, identity};
use outpost::hub::config::Config as HubConfig;
use tempfile::TempDir;

use crate::front::Front;
use crate::raw_agent::World;

pub(crate) struct Site {
    pub(crate) world: World,
    pub(crate) front: Front,
    pub(crate) folder: TempDir,
}

impl Site {
    /// `change` is told the address that the agent dials.
    pub(crate) async fn with(change: impl FnOnce(&mut HubConfig, &str)) -> Self {
        let front = Front::new().await;
        let world = World::with(|config| change(config, &front.url)).await;
        front.lead_to(world.hub.agent_addr());
        Self { world, front, folder: tempfile::tempdir().unwrap() }
    }

    /// An agent of this hub, with its key in place, that is soon back.
    pub(crate) fn config(&self) -> Config {
        self.config_for(&self.front.url)
    }

    pub(crate) fn config_for(&self, url: &str) -> Config {
        let mut config = Config::new(self.folder.path()).with_hub(url, None).unwrap();
        identity::put(&config.key_file, &self.world.key).unwrap();
        for delay in [&mut config.reconnect.min, &mut config.reconnect.fast, &mut config.reconnect.max] {
            *delay = Duration::from_millis(20);
        }
        config
    }

    pub(crate) async fn end(self, agent: Agent) {
        agent.shutdown().await.unwrap();
        self.world.hub.shutdown().await;
    }
}
