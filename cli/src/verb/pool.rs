//! `towpath pool …`.

use towpath_operations::answer::{Page, Pool, PoolRequest};

use crate::args::{Connection, PoolVerb};
use crate::client::at;
use crate::outcome::Outcome;

pub async fn run(connection: &Connection, verb: PoolVerb) -> anyhow::Result<Outcome> {
    let client = connection.client().await?;
    match verb {
        PoolVerb::List => {
            println!("{:<30} {:>6} {:>6} {:<16}", "POOL", "SLOTS", "USED", "COUNTS DEFERRED");
            let pools: Page<Pool> = client.get(at(&["pools"])).await?;
            for pool in pools.items {
                let deferred = if pool.include_deferred { "yes" } else { "no" };
                println!("{:<30} {:>6} {:>6} {deferred:<16}", pool.name, pool.slots, pool.used);
            }
        }
        PoolVerb::Set { name, slots, include_deferred } => {
            let request = PoolRequest { slots, include_deferred };
            client.put::<()>(at(&["pools", name.as_str()]), &request).await?;
            println!("pool {name} has {slots} slots");
        }
        PoolVerb::Delete { name } => {
            client.delete(at(&["pools", name.as_str()])).await?;
            println!("pool {name} is gone");
        }
    }
    Ok(Outcome::Done)
}
