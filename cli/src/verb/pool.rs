//! `towpath pool …`.

use anyhow::bail;
use towpath_common::command::Command;
use towpath_common::run::Pool;

use super::deploy::Deployer;
use crate::args::{Connection, PoolVerb};
use crate::outcome::Outcome;

pub async fn run(connection: &Connection, verb: PoolVerb) -> anyhow::Result<Outcome> {
    let deployer = Deployer::connect(connection).await?;
    match verb {
        PoolVerb::List => {
            println!("{:<30} {:>6} {:<16}", "POOL", "SLOTS", "COUNTS DEFERRED");
            for Pool { name, slots, include_deferred } in deployer.store.pools().await? {
                let deferred = if include_deferred { "yes" } else { "no" };
                println!("{name:<30} {slots:>6} {deferred:<16}");
            }
            return Ok(Outcome::Done);
        }
        PoolVerb::Set { name, slots, include_deferred } => {
            let pool = Pool { name, slots, include_deferred };
            deployer.store.put_pool(&pool).await?;
            println!("pool {} has {slots} slots", pool.name);
        }
        PoolVerb::Delete { name } => {
            if !deployer.store.delete_pool(&name).await? {
                bail!("there is no pool {name}");
            }
            println!("pool {name} is gone");
        }
    }
    deployer.ask(Command::PoolsChanged).await?;
    Ok(Outcome::Done)
}
