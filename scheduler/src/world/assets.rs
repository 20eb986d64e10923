//! Which Dags have what they wait for. Events are a log; each consumer has an offset in it for each of its
//! assets, so that none is lost while there is no room for a run, and none is consumed twice.

use std::collections::{BTreeMap, BTreeSet};

use towpath_common::asset::{AssetCondition, AssetEvent, AssetName, AssetOffset, AssetSource};
use towpath_common::dag::Dag;
use towpath_common::id::DagId;
use towpath_common::time::Timestamp;

use super::World;
use super::lots::Lot;
use crate::draft::Draft;

/// Events of an asset after one number up to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvents {
    pub asset: AssetName,
    pub after: u64,
    pub upto: u64,
}

#[derive(Debug, Default)]
pub struct Assets {
    /// The latest event of all.
    sequence: u64,
    /// The latest event of each asset.
    heads: BTreeMap<AssetName, u64>,
    offsets: BTreeMap<(DagId, AssetName), u64>,
    consumers: BTreeMap<AssetName, BTreeSet<DagId>>,
    /// Dags that may have become ready.
    stirred: BTreeSet<DagId>,
}

impl World {
    /// What the store knows, when a leader begins.
    pub fn restore_assets(&mut self, heads: Vec<(AssetName, u64)>, offsets: Vec<AssetOffset>) {
        self.assets.sequence = heads.iter().map(|(_, head)| *head).max().unwrap_or(0);
        self.assets.heads = heads.into_iter().collect();
        let offsets = offsets.into_iter().map(|o| ((o.dag_id, o.asset), o.sequence));
        self.assets.offsets = offsets.collect();
    }

    /// The Dag's condition has gone.
    pub(super) fn forget_consumer(&mut self, dag_id: &DagId, dag: &Dag) {
        let condition = dag.schedule.assets.iter();
        for asset in condition.flat_map(AssetCondition::assets) {
            if let Some(dags) = self.assets.consumers.get_mut(asset) {
                dags.remove(dag_id);
            }
        }
    }

    /// The Dag's condition has come.
    pub(super) fn note_consumer(&mut self, dag_id: &DagId) {
        for asset in self.assets_of(dag_id) {
            self.assets.consumers.entry(asset).or_default().insert(dag_id.clone());
        }
        self.stir_consumer(dag_id);
    }

    fn condition(&self, dag_id: &DagId) -> Option<&AssetCondition> {
        self.dags.get(dag_id)?.plan.dag.schedule.assets.as_ref()
    }

    fn assets_of(&self, dag_id: &DagId) -> Vec<AssetName> {
        let condition = self.condition(dag_id);
        condition.iter().flat_map(|c| c.assets()).map(str::to_owned).collect()
    }

    /// An asset was made anew. Consumers that are paused miss it, as in Airflow.
    pub fn materialize(
        &mut self,
        asset: &str,
        source: AssetSource,
        at: Timestamp,
        draft: &mut Draft,
    ) {
        self.assets.sequence += 1;
        let sequence = self.assets.sequence;
        let before = self.assets.heads.insert(asset.to_owned(), sequence).unwrap_or(0);
        draft.asset_events.push(AssetEvent { sequence, asset: asset.to_owned(), at, source });
        for dag_id in self.assets.consumers.get(asset).cloned().unwrap_or_default() {
            let key = (dag_id.clone(), asset.to_owned());
            if self.is_paused(&dag_id) {
                self.set_offset(key, sequence, draft);
                continue;
            }
            // A consumer begins with the first event that comes while it is there.
            if !self.assets.offsets.contains_key(&key) {
                self.set_offset(key, before, draft);
            }
            self.assets.stirred.insert(dag_id);
        }
    }

    fn set_offset(&mut self, key: (DagId, AssetName), sequence: u64, draft: &mut Draft) {
        let (dag_id, asset) = key.clone();
        draft.asset_offsets.push(AssetOffset { dag_id, asset, sequence });
        self.assets.offsets.insert(key, sequence);
    }

    /// A place in the Dag has become free: events may be waiting for it.
    pub(super) fn stir_consumer(&mut self, dag_id: &DagId) {
        if self.condition(dag_id).is_some() {
            self.assets.stirred.insert(dag_id.clone());
        }
    }

    /// The Dags whose condition holds and that have room, each with the events that a run of it would
    /// consume.
    pub fn take_ready_consumers(&mut self) -> Vec<(DagId, Vec<NewEvents>)> {
        let stirred = std::mem::take(&mut self.assets.stirred);
        stirred.into_iter().filter_map(|dag_id| self.ready(&dag_id).map(|e| (dag_id, e))).collect()
    }

    fn ready(&self, dag_id: &DagId) -> Option<Vec<NewEvents>> {
        let dag = self.dags.get(dag_id).filter(|dag| !dag.record.paused)?;
        let room = dag.plan.dag.max_active_runs as usize > self.lots.len(&Lot::Dag(dag_id.clone()));
        let waiting = |asset: &str| -> Option<(u64, u64)> {
            let offset = self.assets.offsets.get(&(dag_id.clone(), asset.to_owned())).copied()?;
            let head = self.assets.heads.get(asset).copied()?;
            (head > offset).then_some((offset, head))
        };
        let holds = self.condition(dag_id)?.holds(&|asset: &str| waiting(asset).is_some());
        let events = self.assets_of(dag_id).into_iter().filter_map(|asset| {
            let (after, upto) = waiting(&asset)?;
            Some(NewEvents { asset, after, upto })
        });
        (room && holds).then(|| events.collect())
    }

    /// A run of the Dag has taken these events.
    pub fn consume(&mut self, dag_id: &DagId, events: &[NewEvents], draft: &mut Draft) {
        for NewEvents { asset, upto, .. } in events {
            self.set_offset((dag_id.clone(), asset.clone()), *upto, draft);
        }
        self.assets.stirred.insert(dag_id.clone());
    }
}
