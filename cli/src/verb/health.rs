//! `towpath health …`.

use anyhow::bail;
use towpath_common::time::{Clock, SystemClock};

use crate::args::{Connection, HealthOptions, HealthRole};
use crate::outcome::Outcome;
use crate::role::worker::worker_name;
use crate::settings::WAIT_VERB;

pub async fn run(connection: &Connection, options: HealthOptions) -> anyhow::Result<Outcome> {
    let store = connection.store(WAIT_VERB).await?;
    let now = SystemClock.now();
    match options.role {
        HealthRole::Scheduler => match store.leader().await? {
            Some(lease) if lease.expires_at > now => println!("{} leads", lease.holder),
            _ => bail!("no scheduler leads"),
        },
        HealthRole::Worker => {
            let name = worker_name(options.name.as_ref())?;
            let workers = store.workers().await?;
            let alive = |worker: &&towpath_common::port::WorkerRecord| {
                worker.worker == name && worker.lease_until > now
            };
            match workers.iter().find(alive) {
                Some(worker) => println!("{name} runs {} of {}", worker.running, worker.slots),
                None => bail!("the worker {name} gives no sign of life"),
            }
        }
    }
    Ok(Outcome::Done)
}
