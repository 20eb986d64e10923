//! What verbs work through: an API in this process in front of the services, or that of a server.

use std::path::PathBuf;
use std::sync::Arc;

use towpath_common::id::RandomIds;
use towpath_common::port::{Bus, Store};
use towpath_common::time::SystemClock;
use towpath_operations::Services;
use towpath_rendering::{Keyring, Rendering};

use crate::args::Connection;
use crate::client::{Client, Server};
use crate::keys::rendering;
use crate::settings::WAIT_VERB;

/// Who asks, as far as the machine knows.
pub fn somebody() -> String {
    std::env::var("USER").unwrap_or_else(|_| "somebody".to_owned())
}

pub fn services(
    store: Arc<dyn Store>,
    bus: Arc<dyn Bus>,
    rendering: Rendering,
    log_dir: PathBuf,
) -> Services {
    let (clock, ids) = (Arc::new(SystemClock), Arc::new(RandomIds));
    let (versions, policy) = (Arc::default(), Arc::default());
    Services { store, bus, clock, ids, rendering, log_dir, versions, policy }
}

impl Connection {
    pub async fn client(&self) -> anyhow::Result<Client> {
        self.client_with(Self::keyring).await
    }

    /// For verbs that seal: an embedded home that has no key gets one.
    pub async fn sealing_client(&self) -> anyhow::Result<Client> {
        self.client_with(Self::sealing_keyring).await
    }

    async fn client_with(
        &self,
        keyring: impl Fn(&Self) -> anyhow::Result<Keyring>,
    ) -> anyhow::Result<Client> {
        if let Some(url) = &self.server {
            return Ok(Client::of_server(Server::reach(url, self).await?));
        }
        let store = self.store(WAIT_VERB).await?;
        let rendering = rendering(&store, keyring(self)?);
        let bus = self.bus_if_any()?;
        let services = services(store, bus, rendering, self.log_dir());
        let services = Services { policy: Arc::new(self.policy()?), ..services };
        Ok(Client::here(services, somebody()))
    }
}
