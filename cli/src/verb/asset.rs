//! `towpath asset …`.

use towpath_common::time::Timestamp;

use crate::args::{AssetVerb, Connection};
use crate::outcome::Outcome;

pub async fn run(connection: &Connection, verb: AssetVerb) -> anyhow::Result<Outcome> {
    let operations = connection.operations().await?;
    match verb {
        AssetVerb::List => {
            println!("{:<40} {:>8} LATEST", "ASSET", "EVENTS");
            for asset in operations.assets().await?.items {
                let latest = asset.latest.map(|at| Timestamp::from(at).to_string());
                let latest = latest.unwrap_or_else(|| "-".to_owned());
                println!("{:<40} {:>8} {latest}", asset.asset, asset.events);
            }
        }
        AssetVerb::Events { asset, limit } => {
            for event in operations.asset_events(asset.as_deref(), limit).await?.items {
                let at = Timestamp::from(event.at);
                println!("{:>8} {at} {} {}", event.sequence, event.asset, event.source);
            }
        }
        AssetVerb::Materialize { asset } => {
            operations.materialize(&asset).await?;
            println!("{asset} is new");
        }
    }
    Ok(Outcome::Done)
}
