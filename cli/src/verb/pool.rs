//! `towpath pool …`.

use towpath_operations::answer::PoolRequest;

use crate::args::{Connection, PoolVerb};
use crate::outcome::Outcome;

pub async fn run(connection: &Connection, verb: PoolVerb) -> anyhow::Result<Outcome> {
    let operations = connection.operations().await?;
    match verb {
        PoolVerb::List => {
            println!("{:<30} {:>6} {:>6} {:<16}", "POOL", "SLOTS", "USED", "COUNTS DEFERRED");
            for pool in operations.pools().await?.items {
                let deferred = if pool.include_deferred { "yes" } else { "no" };
                println!("{:<30} {:>6} {:>6} {deferred:<16}", pool.name, pool.slots, pool.used);
            }
        }
        PoolVerb::Set { name, slots, include_deferred } => {
            operations.put_pool(&name, &PoolRequest { slots, include_deferred }).await?;
            println!("pool {name} has {slots} slots");
        }
        PoolVerb::Delete { name } => {
            operations.delete_pool(&name).await?;
            println!("pool {name} is gone");
        }
    }
    Ok(Outcome::Done)
}
