//! `towpath pool …`.

use towpath_operations::answer::{Pool, PoolRequest};

use crate::args::{Connection, PoolVerb};
use crate::client::at;
use crate::outcome::Outcome;

pub async fn run(connection: &Connection, verb: PoolVerb) -> anyhow::Result<Outcome> {
    let client = connection.client().await?;
    match verb {
        PoolVerb::List => {
            println!("{:<30} {:>6} {:>6} {:<16}", "POOL", "SLOTS", "USED", "COUNTS DEFERRED");
            for pool in client.list::<Pool>(at(&["pools"]), None).await? {
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
