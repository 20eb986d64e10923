//! Assets: who makes them, whom they start, and what has happened to them.

use std::collections::BTreeMap;

use serde_json::json;
use towpath_common::asset::{AssetSource, check_name};
use towpath_common::command::Command;
use towpath_common::id::{DagId, instance_name};
use towpath_common::port::DagFilter;
use towpath_common::user::Role;

use crate::answer::{Asset, AssetEvent, AssetUse, Page, Part, time};
use crate::{Deed, Operations, PAGE_MAX, Refusal, Result};

impl Operations {
    /// Those that have events, and those that Dags name.
    pub async fn assets(&self, part: &Part) -> Result<Page<Asset>> {
        self.require_any()?;
        let mut assets: BTreeMap<String, Asset> = BTreeMap::new();
        let bare = |asset: &str| Asset {
            asset: asset.to_owned(),
            events: 0,
            latest: None,
            made_by: Vec::new(),
            starts: Vec::new(),
        };
        for (asset, events, latest) in self.store().assets().await? {
            let known = assets.entry(asset.clone()).or_insert_with(|| bare(&asset));
            (known.events, known.latest) = (events, Some(time(latest)));
        }
        let filter = DagFilter { teams: self.visible_teams(), ..DagFilter::default() };
        let mut after = None;
        loop {
            let page = self.store().dag_page(&filter, after.as_ref(), PAGE_MAX).await?;
            for summary in &page {
                let Some(dag) = self.version_if_any(&summary.record.version).await? else {
                    continue;
                };
                for task in &dag.tasks {
                    for outlet in &task.outlets {
                        let known = assets.entry(outlet.clone()).or_insert_with(|| bare(outlet));
                        let (dag_id, task_id) = (dag.dag_id.to_string(), task.id.to_string());
                        known.made_by.push(AssetUse { dag_id, task_id });
                    }
                }
                for asset in dag.schedule.assets.iter().flat_map(|condition| condition.assets()) {
                    let known = assets.entry(asset.to_owned()).or_insert_with(|| bare(asset));
                    known.starts.push(dag.dag_id.to_string());
                }
            }
            if page.len() < PAGE_MAX as usize {
                break;
            }
            after = page.last().map(|summary| summary.record.dag_id.clone());
        }
        Ok(Page::part(assets.into_values().collect(), part, |asset: &Asset| asset.asset.clone()))
    }

    /// The newest first, those before `after`.
    pub async fn asset_events(
        &self,
        asset: Option<&str>,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Page<AssetEvent>> {
        self.require_any()?;
        let mut visible: BTreeMap<DagId, bool> = BTreeMap::new();
        let mut events = Vec::new();
        for event in self.store().asset_events(asset, after, limit).await? {
            let (source, run_key) = match event.source {
                AssetSource::Person { by } => (format!("by {by}"), None),
                AssetSource::Task { dag_id, run, run_id, task_id, map_index } => {
                    if !visible.contains_key(&dag_id) {
                        visible.insert(dag_id.clone(), self.sees(&dag_id).await?);
                    }
                    // Assets belong to all teams; who has made them may not.
                    match visible[&dag_id] {
                        true => {
                            let task = instance_name(&task_id, map_index);
                            (format!("{dag_id}/{run_id} {task}"), Some(run.0))
                        }
                        false => ("another team".to_owned(), None),
                    }
                }
            };
            let (sequence, asset, at) = (event.sequence, event.asset, time(event.at));
            events.push(AssetEvent { sequence, asset, at, source, run_key });
        }
        Ok(Page::of(events, limit, |event| event.sequence.to_string(), |event| event))
    }

    pub async fn materialize(&self, asset: &str) -> Result<()> {
        self.require(Role::Operator, None)?;
        check_name(asset).map_err(Refusal::Invalid)?;
        self.note(Deed {
            action: "asset.materialize",
            dag: None,
            subject: format!("asset/{asset}"),
            before: json!(null),
            after: json!(null),
        })
        .await?;
        let by = self.actor.name.clone();
        self.ask(Command::MaterializeAsset { asset: asset.to_owned(), by }).await
    }
}
