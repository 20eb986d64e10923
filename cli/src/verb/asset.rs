//! `towpath asset …`.

use towpath_common::asset::{AssetEvent, AssetSource, check_name};
use towpath_common::command::Command;
use towpath_common::id::instance_name;

use super::deploy::{Deployer, somebody};
use crate::args::{AssetVerb, Connection};
use crate::outcome::Outcome;

pub async fn run(connection: &Connection, verb: AssetVerb) -> anyhow::Result<Outcome> {
    let deployer = Deployer::connect(connection).await?;
    match verb {
        AssetVerb::List => {
            println!("{:<40} {:>8} LATEST", "ASSET", "EVENTS");
            for (asset, events, latest) in deployer.store.assets().await? {
                println!("{asset:<40} {events:>8} {latest}");
            }
        }
        AssetVerb::Events { asset, limit } => {
            for AssetEvent { sequence, asset, at, source } in
                deployer.store.asset_events(asset.as_deref(), limit).await?
            {
                println!("{sequence:>8} {at} {asset} {}", words(&source));
            }
        }
        AssetVerb::Materialize { asset } => {
            check_name(&asset).map_err(anyhow::Error::msg)?;
            let by = somebody();
            deployer.ask(Command::MaterializeAsset { asset: asset.clone(), by }).await?;
            println!("{asset} is new");
        }
    }
    Ok(Outcome::Done)
}

fn words(source: &AssetSource) -> String {
    match source {
        AssetSource::Person { by } => format!("by {by}"),
        AssetSource::Task { dag_id, run_id, task_id, map_index, .. } => {
            format!("{dag_id}/{run_id} {}", instance_name(task_id, *map_index))
        }
    }
}
