//! Workers in this process, each as a process of its own would be: its own connections, its own name; what they run
//! ends at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use towpath_backends::Authorities;
use towpath_backends::bus::RedisBus;
use towpath_backends::queue::RabbitQueue;
use towpath_backends::store::SqlStore;
use towpath_common::id::WorkerName;
use towpath_common::port::Store;
use towpath_common::time::SystemClock;
use towpath_rendering::{Keyring, Rendering, Vault};
use towpath_worker::executor::NoopExecutor;
use towpath_worker::{Services, WorkerConfig};

use crate::cluster::Cluster;
use crate::process::eventually;

pub struct Crowd {
    stop: watch::Sender<bool>,
    workers: JoinSet<()>,
}

impl Crowd {
    /// So many workers, once all are on record. What they run ends with this code.
    pub async fn gather(
        cluster: &Cluster,
        workers: usize,
        slots: u16,
        code: i64,
    ) -> anyhow::Result<Self> {
        let stop = watch::Sender::new(false);
        let mut crowd = Self { stop, workers: JoinSet::new() };
        for number in 0..workers {
            let name = WorkerName::new(&format!("crowd{number}"))?;
            let dir = cluster.dir().join(name.as_str());
            let config = WorkerConfig::new(name, cluster.dir().join("logs"), dir);
            let config = WorkerConfig { concurrency: slots, ..config };
            let services = services(cluster, code)?;
            crowd.workers.spawn(towpath_worker::run(services, config, crowd.stop.subscribe()));
        }
        eventually("all workers are on record", Duration::from_secs(120), || async {
            let known = cluster.store.workers().await?;
            Ok((known.len() >= workers).then_some(()))
        })
        .await?;
        Ok(crowd)
    }

    pub async fn leave(mut self) -> anyhow::Result<()> {
        self.stop.send_replace(true);
        while let Some(left) = self.workers.join_next().await {
            left?;
        }
        Ok(())
    }
}

fn services(cluster: &Cluster, code: i64) -> anyhow::Result<Services> {
    let (addresses, authorities) = (&cluster.addresses, Authorities::default());
    let store = SqlStore::open(&addresses.database_url, &authorities, 1)?;
    let store: Arc<dyn Store> = Arc::new(store);
    let vault = Vault::new(Arc::clone(&store), Keyring::default(), std::iter::empty());
    Ok(Services {
        rendering: Rendering { store: Arc::clone(&store), vault: Arc::new(vault) },
        store,
        queue: Arc::new(RabbitQueue::new(&addresses.rabbitmq_url, &authorities)),
        bus: Arc::new(RedisBus::new(&addresses.redis_url, &authorities)?),
        executor: Arc::new(NoopExecutor { code }),
        clock: Arc::new(SystemClock),
    })
}
