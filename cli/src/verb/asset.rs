//! `towpath asset …`.

use towpath_common::time::Timestamp;
use towpath_operations::answer::{Asset, AssetEvent, AssetRequest};

use crate::args::{AssetVerb, Connection};
use crate::client::at;
use crate::outcome::Outcome;

pub async fn run(connection: &Connection, verb: AssetVerb) -> anyhow::Result<Outcome> {
    let client = connection.client().await?;
    match verb {
        AssetVerb::List => {
            println!("{:<40} {:>8} LATEST", "ASSET", "EVENTS");
            for asset in client.list::<Asset>(at(&["assets"]), None).await? {
                let latest = asset.latest.map(|at| Timestamp::from(at).to_string());
                let latest = latest.unwrap_or_else(|| "-".to_owned());
                println!("{:<40} {:>8} {latest}", asset.asset, asset.events);
            }
        }
        AssetVerb::Events { asset, limit } => {
            let place = at(&["asset-events"]).with_some("asset", asset);
            for event in client.list::<AssetEvent>(place, Some(limit)).await? {
                let at = Timestamp::from(event.at);
                println!("{:>8} {at} {} {}", event.sequence, event.asset, event.source);
            }
        }
        AssetVerb::Materialize { asset } => {
            let request = AssetRequest { asset: asset.clone() };
            client.post::<()>(at(&["asset-events"]), &request).await?;
            println!("{asset} is new");
        }
    }
    Ok(Outcome::Done)
}
