//! The operations, as whoever runs this command.

use std::path::PathBuf;
use std::sync::Arc;

use towpath_common::id::RandomIds;
use towpath_common::port::{Bus, Store};
use towpath_common::time::SystemClock;
use towpath_operations::{Actor, Operations, Services};
use towpath_rendering::Rendering;

use crate::args::Connection;
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
    Services { store, bus, clock, ids, rendering, log_dir }
}

impl Connection {
    pub async fn operations(&self) -> anyhow::Result<Operations> {
        let store = self.store(WAIT_VERB).await?;
        let rendering = self.rendering(&store)?;
        self.operations_with(store, rendering).await
    }

    /// For verbs that seal: an embedded home that has no key gets one.
    pub async fn sealing_operations(&self) -> anyhow::Result<Operations> {
        let store = self.store(WAIT_VERB).await?;
        let rendering = rendering(&store, self.sealing_keyring()?);
        self.operations_with(store, rendering).await
    }

    async fn operations_with(
        &self,
        store: Arc<dyn Store>,
        rendering: Rendering,
    ) -> anyhow::Result<Operations> {
        let bus = self.bus_if_any().await?;
        let services = services(store, bus, rendering, self.log_dir());
        Ok(Operations::new(services, Actor::local(somebody())))
    }
}
