//! What people and schedules ask for, carried out: runs are created, loaded, changed.

use std::collections::BTreeSet;
use std::sync::Arc;

use towpath_common::asset::AssetSource;
use towpath_common::backfill::{Action, Backfill, BackfillId, BackfillSpec, BackfillState, Step};
use towpath_common::command::Command;
use towpath_common::dag::Dag;
use towpath_common::event::Event;
use towpath_common::id::{DagId, RunKey, VersionId};
use towpath_common::params;
use towpath_common::plan::Plan;
use towpath_common::run::{DagRun, DataInterval, RunType};
use towpath_common::selection::Selection;
use towpath_common::time::Timestamp;

use crate::core::{backfill, people};
use crate::cycle::{Cycle, End};
use crate::takeover::{load_run, plan, previous, restore};
use crate::world::{NewEvents, Previous};

/// How many events of an asset a run holds, for its templates.
const EVENTS_SHOWN_MAX: u32 = 100;

/// Repeats something with the store until it answers; the `?` ends the pass.
macro_rules! insist {
    ($cycle:expr, $attempt:expr) => {
        loop {
            match $attempt.await {
                Ok(answer) => break answer,
                Err(error) => $cycle.outlast(error).await?,
            }
        }
    };
}

impl Cycle<'_> {
    pub async fn obey(&mut self, command: Command) -> Result<(), End> {
        let now = self.services.clock.now();
        match command {
            Command::DagChanged { dag_id } => self.load_dag(&dag_id).await,
            Command::PauseDag { dag_id, paused } => {
                self.world.pause(&dag_id, paused, now, &mut self.draft);
                Ok(())
            }
            Command::TriggerRun { dag_id, run, run_id, logical_date, data_interval, params } => {
                let Some(plan) = self.deployed(&dag_id).await? else { return Ok(()) };
                let run = DagRun {
                    run_id,
                    logical_date,
                    params,
                    ..DagRun::new(run, &plan, RunType::Manual, data_interval, now)
                };
                self.create_run(run).await
            }
            Command::CancelRun { run, by } => {
                self.world.cancel(run, by, now, &mut self.draft);
                Ok(())
            }
            Command::Clear { run, selection, latest_version, by } => {
                self.clear(run, &selection, latest_version, by).await
            }
            Command::Mark { run, selection, state, by } => {
                self.change(
                    run,
                    |selected| Event::Marked { instances: selected, state, by },
                    &selection,
                )
                .await
            }
            Command::MarkRun { run, state, by } => {
                let all = Selection::default();
                self.change(run, |_| Event::RunMarked { state, by }, &all).await
            }
            Command::CreateBackfill { id, spec } => self.backfill(id, spec).await,
            Command::SetBackfill { id, state, by } => {
                self.world.set_backfill(id, state, &by, now, &mut self.draft);
                Ok(())
            }
            Command::MaterializeAsset { asset, by } => {
                self.world.materialize(&asset, AssetSource::Person { by }, now, &mut self.draft);
                Ok(())
            }
            Command::PoolsChanged => {
                let pools = insist!(self, self.services.store.pools());
                self.world.lanes.set_pools(pools);
                Ok(())
            }
        }
    }

    async fn deployed(&mut self, dag_id: &DagId) -> Result<Option<Arc<Plan>>, End> {
        if self.world.dag(dag_id).is_none() {
            self.load_dag(dag_id).await?;
        }
        let dag = self.world.dag(dag_id).map(|dag| Arc::clone(&dag.plan));
        if dag.is_none() {
            tracing::warn!(%dag_id, "something was asked of a Dag that is not there");
        }
        Ok(dag)
    }

    async fn plan(&mut self, version: &VersionId) -> Result<Option<Arc<Plan>>, End> {
        Ok(insist!(self, plan(self.services.store.as_ref(), &mut self.world, version)))
    }

    async fn previous(&mut self, run: &DagRun, plan: &Plan) -> Result<Previous, End> {
        Ok(insist!(self, previous(self.services.store.as_ref(), &self.world, run, plan)))
    }

    /// Adds the run, if its Dag does not already have one of that name.
    pub async fn create_run(&mut self, run: DagRun) -> Result<(), End> {
        let known = insist!(self, self.services.store.find_runs(Some(&run.dag_id), &run.run_id));
        if !known.is_empty() || self.world.has_run(run.key) {
            tracing::info!(dag.id = %run.dag_id, run.id = %run.run_id, "there is such a run already");
            return Ok(());
        }
        self.add_run(run).await?;
        // The next run of this pass may have the same name: the store must know this one.
        self.commit().await
    }

    /// Takes a new run in, whose name is known to be free.
    async fn add_run(&mut self, run: DagRun) -> Result<(), End> {
        let Some(plan) = self.plan(&run.version).await? else { return Ok(()) };
        let previous = self.previous(&run, &plan).await?;
        let now = self.services.clock.now();
        self.world.add_run(run, plan, &previous, now, &mut self.draft);
        Ok(())
    }

    /// Creates the runs of all schedules that are due, however many, in one commit.
    pub async fn create_scheduled(&mut self, due: Vec<(DagId, DataInterval)>) -> Result<(), End> {
        if due.is_empty() {
            return Ok(());
        }
        let now = self.services.clock.now();
        let due: Vec<(DataInterval, DagRun)> = due
            .into_iter()
            .filter_map(|(dag_id, interval)| {
                Some((interval, self.scheduled_run(&dag_id, interval, now)?))
            })
            .collect();
        let names: Vec<(DagId, String)> =
            due.iter().map(|(_, run)| (run.dag_id.clone(), run.run_id.clone())).collect();
        let known = insist!(self, self.services.store.taken_run_ids(&names));
        let known: BTreeSet<(DagId, String)> = known.into_iter().collect();
        for ((interval, run), name) in due.into_iter().zip(names) {
            if !known.contains(&name) {
                self.add_run(run).await?;
            }
            self.world.note_fired(&name.0, interval, now, &mut self.draft);
        }
        Ok(())
    }

    /// Creates a run for every Dag that has the assets that it waits for, and room.
    pub async fn start_consumers(&mut self) -> Result<(), End> {
        loop {
            let ready = self.world.take_ready_consumers();
            if ready.is_empty() {
                return Ok(());
            }
            // The events that the runs consume must be in the store before they are read.
            self.commit().await?;
            for (dag_id, events) in ready {
                self.start_consumer(&dag_id, &events).await?;
            }
        }
    }

    async fn start_consumer(&mut self, dag_id: &DagId, events: &[NewEvents]) -> Result<(), End> {
        let Some(plan) = self.deployed(dag_id).await? else { return Ok(()) };
        let now = self.services.clock.now();
        let mut asset_events = Vec::new();
        for NewEvents { asset, after, upto } in events {
            let store = &self.services.store;
            let of_asset =
                insist!(self, store.asset_events_between(asset, *after, *upto, EVENTS_SHOWN_MAX));
            asset_events.extend(of_asset);
        }
        let key = RunKey(self.services.ids.uuid());
        let latest = events.iter().map(|events| events.upto).max().unwrap_or(0);
        let interval = DataInterval { start: now, end: now };
        let run = DagRun {
            run_id: format!("{}__{latest}", RunType::AssetTriggered.run_id(now)),
            asset_events,
            ..DagRun::new(key, &plan, RunType::AssetTriggered, interval, now)
        };
        self.world.consume(dag_id, events, &mut self.draft);
        self.create_run(run).await
    }

    fn scheduled_run(
        &self,
        dag_id: &DagId,
        data_interval: DataInterval,
        now: Timestamp,
    ) -> Option<DagRun> {
        let plan = &self.world.dag(dag_id)?.plan;
        let key = RunKey(self.services.ids.uuid());
        Some(DagRun::new(key, plan, RunType::Scheduled, data_interval, now))
    }

    /// The run in memory, whether it is live or not. False if there is none.
    async fn load_run(&mut self, run: RunKey) -> Result<bool, End> {
        if self.world.has_run(run) {
            return Ok(true);
        }
        // What is decided of it in this pass must be in the store before it is read.
        self.commit().await?;
        let loaded = insist!(self, load_run(self.services.store.as_ref(), &mut self.world, run));
        if !loaded {
            tracing::warn!(%run, "something was asked of a run that is not there");
        }
        Ok(loaded)
    }

    async fn change(
        &mut self,
        run: RunKey,
        event: impl FnOnce(Vec<u32>) -> Event,
        selection: &Selection,
    ) -> Result<(), End> {
        if self.load_run(run).await?
            && let Some(snapshot) = self.world.run(run)
        {
            let event = event(people::selected(snapshot, selection));
            self.world.obey(run, event, self.services.clock.now(), &mut self.draft);
        }
        Ok(())
    }

    async fn clear(
        &mut self,
        run: RunKey,
        selection: &Selection,
        latest_version: bool,
        by: String,
    ) -> Result<(), End> {
        if !self.load_run(run).await? {
            return Ok(());
        }
        if latest_version {
            self.move_to_latest(run).await?;
        }
        self.change(run, |instances| Event::Cleared { instances, by }, selection).await
    }

    /// The run goes on under its Dag's present version, with what its instances have come to.
    async fn move_to_latest(&mut self, run: RunKey) -> Result<(), End> {
        let dag_id = self.world.run(run).map(|run| run.run.dag_id.clone());
        let Some(dag_id) = dag_id else { return Ok(()) };
        let Some(latest) = self.deployed(&dag_id).await? else { return Ok(()) };
        // It is read anew from the store, as when a leader begins.
        self.commit().await?;
        let now = self.services.clock.now();
        let old = self.world.take_out(run, &latest, now, &mut self.draft);
        let Some(old) = old else { return Ok(()) };
        let clear_number = old.clear_number + 1;
        let moved = DagRun { version: latest.version.clone(), clear_number, ..old };
        let store = self.services.store.as_ref();
        insist!(self, restore(store, &mut self.world, moved.clone()));
        self.draft.runs.insert(run);
        Ok(())
    }

    async fn backfill(&mut self, id: BackfillId, spec: BackfillSpec) -> Result<(), End> {
        let now = self.services.clock.now();
        let Some(deployed) = self.deployed(&spec.dag_id).await? else { return Ok(()) };
        self.commit().await?;
        let store = &self.services.store;
        let runs = insist!(self, store.runs_between(&spec.dag_id, spec.from, spec.to));
        let existing = backfill::existing(&runs);
        let steps = backfill::steps(&deployed.dag, &spec, &existing, now);
        let steps = steps.and_then(|steps| {
            let params =
                params::resolve(&deployed.dag, &spec.params).map_err(|why| why.to_string())?;
            Ok((steps, params, part_of(&deployed, &spec)?))
        });
        let (steps, params, plan) = match steps {
            Ok(steps) => steps,
            Err(why) => {
                tracing::warn!(dag.id = %spec.dag_id, %why, "the backfill is refused");
                return Ok(());
            }
        };
        if plan.version != deployed.version {
            self.draft.partial_versions.push(plan.dag.clone());
        }
        let given = (!spec.params.is_empty()).then(|| params.clone());
        let backfill = Backfill { id, spec, state: BackfillState::Running, created_at: now };
        self.world.put_backfill(backfill.clone());
        for Step { data_interval, action } in steps {
            match action {
                Action::Skip(_) => {}
                Action::Create => {
                    let key = RunKey(self.services.ids.uuid());
                    let run = DagRun {
                        params: params.clone(),
                        backfill: Some(id),
                        ..DagRun::new(key, &plan, RunType::Backfill, data_interval, now)
                    };
                    // The first run of a backfill passes whatever lies before it.
                    let previous = match self.world.previous_live(&run, plan.dag.catchup) {
                        Some(previous) => Previous::Live(previous.run.key),
                        None => Previous::None,
                    };
                    let plan = Arc::clone(&plan);
                    self.world.add_run(run, plan, &previous, now, &mut self.draft);
                }
                Action::RunAgain(run) => {
                    if self.load_run(run).await? {
                        let given = given.clone();
                        self.world.adopt_into(run, id, given, now, &mut self.draft);
                    }
                }
            }
        }
        self.world.begin_backfill(backfill, now, &mut self.draft);
        Ok(())
    }
}

/// The Dag's plan, or that of the part of it that the backfill is about.
fn part_of(plan: &Arc<Plan>, spec: &BackfillSpec) -> Result<Arc<Plan>, String> {
    if spec.tasks.is_empty() {
        return Ok(Arc::clone(plan));
    }
    let part: Dag = plan.dag.part(&spec.tasks)?;
    Plan::new(part).map(Arc::new).map_err(|missing| missing.to_string())
}
