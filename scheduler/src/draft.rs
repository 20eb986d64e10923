//! What one pass of the loop changes, collected: one commit, then what is done after it.

use std::collections::BTreeSet;

use towpath_common::asset::{AssetEvent, AssetOffset};
use towpath_common::backfill::{Backfill, BackfillId};
use towpath_common::dag::Dag;
use towpath_common::event::InstanceIndex;
use towpath_common::id::{AttemptKey, DagId, RunKey, TaskId};
use towpath_common::message::Dispatch;
use towpath_common::notification::Notification;
use towpath_common::port::{Commit, XCom};
use towpath_common::run::{DagRun, DataInterval, InstanceRecord};

/// Instances are named, not copied: however often one changes in a pass, it is written once, as it
/// stands at the end.
#[derive(Debug, Default)]
pub struct Draft {
    pub new_runs: Vec<DagRun>,
    pub runs: BTreeSet<RunKey>,
    pub instances: BTreeSet<(RunKey, InstanceIndex)>,
    pub ended_attempts: Vec<InstanceRecord>,
    /// Instances of tasks that their run no longer has.
    pub removed: Vec<InstanceRecord>,
    pub xcoms: Vec<XCom>,
    pub fired: Vec<(DagId, DataInterval)>,
    pub paused: Vec<(DagId, bool)>,
    pub failed_in_a_row: Vec<(DagId, u32)>,
    pub partial_versions: Vec<Dag>,
    pub backfills: BTreeSet<BackfillId>,
    pub notifications: Vec<Notification>,
    pub asset_events: Vec<AssetEvent>,
    pub asset_offsets: Vec<AssetOffset>,
    /// Tasks that have their instances instead of the one that they were born with.
    pub expanded: Vec<(RunKey, TaskId)>,
    /// Instances whose outputs are no longer theirs.
    pub cleared: Vec<(RunKey, TaskId, i32)>,
    pub consumed: Vec<String>,
    /// Instances that workers have claimed: the store knows, watchers are told.
    pub claimed: BTreeSet<(RunKey, InstanceIndex)>,
    /// To publish when the commit is done.
    pub dispatches: Vec<Dispatch>,
    /// To announce to the workers when the commit is done.
    pub stops: Vec<AttemptKey>,
    /// Runs that ended; they leave memory when the commit is done.
    pub ended_runs: Vec<RunKey>,
    /// Instances that begin to wait for something outside when the commit is done.
    pub waits: Vec<(RunKey, InstanceIndex)>,
    /// And those that wait no longer.
    pub waits_over: Vec<(RunKey, InstanceIndex)>,
    pub ended_backfills: Vec<BackfillId>,
}

impl Draft {
    /// The store's part of the draft, with the records as the world now has them.
    pub fn take_commit(
        &mut self,
        run: impl Fn(RunKey) -> DagRun,
        record: impl Fn(RunKey, InstanceIndex) -> InstanceRecord,
        backfill: impl Fn(BackfillId) -> Option<Backfill>,
    ) -> Commit {
        let new: BTreeSet<RunKey> = self.new_runs.iter().map(|run| run.key).collect();
        let changed = std::mem::take(&mut self.runs);
        Commit {
            new_runs: std::mem::take(&mut self.new_runs).iter().map(|new| run(new.key)).collect(),
            runs: changed.difference(&new).map(|key| run(*key)).collect(),
            instances: std::mem::take(&mut self.instances)
                .into_iter()
                .map(|(run, instance)| record(run, instance))
                .chain(std::mem::take(&mut self.removed))
                .collect(),
            ended_attempts: std::mem::take(&mut self.ended_attempts),
            xcoms: std::mem::take(&mut self.xcoms),
            fired: std::mem::take(&mut self.fired),
            paused: std::mem::take(&mut self.paused),
            failed_in_a_row: std::mem::take(&mut self.failed_in_a_row),
            partial_versions: std::mem::take(&mut self.partial_versions),
            backfills: std::mem::take(&mut self.backfills)
                .into_iter()
                .filter_map(backfill)
                .collect(),
            notifications: std::mem::take(&mut self.notifications),
            asset_events: std::mem::take(&mut self.asset_events),
            asset_offsets: std::mem::take(&mut self.asset_offsets),
            expanded: std::mem::take(&mut self.expanded),
            cleared: std::mem::take(&mut self.cleared),
            consumed: std::mem::take(&mut self.consumed),
        }
    }
}
