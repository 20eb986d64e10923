//! What people look at, a page at a time.

use std::collections::BTreeMap;

use async_trait::async_trait;
use towpath_common::id::{DagId, RunKey, TaskId, VersionId};
use towpath_common::outcome::ContainerFacts;
use towpath_common::port::{
    Cell, DagFilter, DagRecord, DagSummary, LiveRecord, ReadingStore, RunFilter, RunOrder,
    VersionRecord,
};
use towpath_common::run::{DagRun, InstanceRecord};
use towpath_common::state::TaskState;
use towpath_common::time::Timestamp;

use super::{MemoryStore, Result, Tables};

impl Tables {
    /// Instances of live runs that are in any of these states, with their runs.
    fn live<'a>(
        &'a self,
        teams: Option<&'a [String]>,
        states: &'a [TaskState],
    ) -> impl Iterator<Item = (&'a DagRun, &'a InstanceRecord)> {
        let of_state = |record: &&InstanceRecord| states.contains(&record.instance.state);
        let with_run = |record: &'a InstanceRecord| Some((self.runs.get(&record.run)?, record));
        self.instances
            .values()
            .filter(of_state)
            .filter_map(with_run)
            .filter(move |(run, _)| !run.state.is_terminal() && self.is_visible(&run.dag_id, teams))
    }

    pub(super) fn note_deployed(
        &mut self,
        dag_id: &DagId,
        version: VersionId,
        source: Option<&str>,
        now: Timestamp,
    ) {
        let place = (dag_id.clone(), version.clone());
        let known = self.deployments.get(&place).and_then(|known| known.source.clone());
        let source = source.map(str::to_owned).or(known);
        self.deployments.insert(place, VersionRecord { version, deployed_at: now, source });
    }

    fn summary(&self, record: &DagRecord) -> Option<DagSummary> {
        let dag = self.versions.get(&record.version)?;
        Some(DagSummary {
            record: record.clone(),
            team: dag.team.clone(),
            description: dag.description.clone(),
            tags: dag.tags.iter().cloned().collect(),
        })
    }

    pub(super) fn is_visible(&self, dag_id: &DagId, teams: Option<&[String]>) -> bool {
        let Some(teams) = teams else { return true };
        let summary = self.dags.get(dag_id).and_then(|record| self.summary(record));
        summary.and_then(|summary| summary.team).is_some_and(|team| teams.contains(&team))
    }

    fn instances_of<'a>(
        &'a self,
        runs: &'a [RunKey],
    ) -> impl Iterator<Item = &'a InstanceRecord> + 'a {
        self.instances.values().filter(|record| runs.contains(&record.run))
    }
}

#[async_trait]
impl ReadingStore for MemoryStore {
    async fn dag_page(
        &self,
        filter: &DagFilter,
        after: Option<&DagId>,
        limit: u32,
    ) -> Result<Vec<DagSummary>> {
        let tables = self.tables();
        let search = filter.search.as_ref().map(|text| text.to_lowercase());
        let found = |text: &str| search.as_ref().is_none_or(|s| text.to_lowercase().contains(s));
        let wanted = |summary: &DagSummary| {
            let DagSummary { record, team, description, tags } = summary;
            tables.is_visible(&record.dag_id, filter.teams.as_deref())
                && filter.team.as_ref().is_none_or(|wanted| team.as_ref() == Some(wanted))
                && (found(record.dag_id.as_str()) || found(description))
                && filter.tag.as_ref().is_none_or(|tag| {
                    tags.iter().any(|own| own.to_lowercase() == tag.to_lowercase())
                })
                && filter.paused.is_none_or(|paused| record.paused == paused)
                && after.is_none_or(|after| record.dag_id > *after)
        };
        let summaries = tables.dags.values().filter_map(|record| tables.summary(record));
        Ok(summaries.filter(wanted).take(limit as usize).collect())
    }

    async fn versions(&self, dag_id: &DagId) -> Result<Vec<VersionRecord>> {
        let tables = self.tables();
        let of_dag = tables.deployments.iter().filter(|((dag, _), _)| dag == dag_id);
        let mut versions: Vec<VersionRecord> = of_dag.map(|(_, record)| record.clone()).collect();
        versions.sort_by(|a, b| (b.deployed_at, &a.version).cmp(&(a.deployed_at, &b.version)));
        Ok(versions)
    }

    async fn run_page(
        &self,
        filter: &RunFilter,
        order: RunOrder,
        after: Option<(Timestamp, RunKey)>,
        limit: u32,
    ) -> Result<Vec<DagRun>> {
        let tables = self.tables();
        let search = filter.search.as_ref().map(|text| text.to_lowercase());
        let wanted = |run: &&DagRun| {
            tables.is_visible(&run.dag_id, filter.teams.as_deref())
                && filter.dag_id.as_ref().is_none_or(|dag_id| run.dag_id == *dag_id)
                && (filter.states.is_empty() || filter.states.contains(&run.state))
                && filter.run_type.is_none_or(|kind| run.run_type == kind)
                && filter.run_id.as_ref().is_none_or(|run_id| run.run_id == *run_id)
                && search.as_ref().is_none_or(|text| run.run_id.to_lowercase().contains(text))
                && filter.from.is_none_or(|from| run.logical_date >= from)
                && filter.to.is_none_or(|to| run.logical_date <= to)
                && filter.ended_since.is_none_or(|at| run.ended_at.is_some_and(|end| end >= at))
                && after.is_none_or(|after| match order.is_latest_first() {
                    true => (order.instant(run), run.key) < after,
                    false => (order.instant(run), run.key) > after,
                })
        };
        let mut runs: Vec<DagRun> = tables.runs.values().filter(wanted).cloned().collect();
        runs.sort_by_key(|run| (order.instant(run), run.key));
        if order.is_latest_first() {
            runs.reverse();
        }
        runs.truncate(limit as usize);
        Ok(runs)
    }

    async fn latest_runs(
        &self,
        dag_id: &DagId,
        upto: Option<Timestamp>,
        limit: u32,
    ) -> Result<Vec<DagRun>> {
        let tables = self.tables();
        let wanted = |run: &&DagRun| {
            run.dag_id == *dag_id && upto.is_none_or(|upto| run.logical_date <= upto)
        };
        let mut runs: Vec<DagRun> = tables.runs.values().filter(wanted).cloned().collect();
        runs.sort_by_key(|run| std::cmp::Reverse((run.logical_date, run.key)));
        runs.truncate(limit as usize);
        Ok(runs)
    }

    async fn cells(&self, runs: &[RunKey]) -> Result<Vec<Cell>> {
        let tables = self.tables();
        let mut cells: BTreeMap<(RunKey, TaskState), Vec<&str>> = BTreeMap::new();
        for record in tables.instances_of(runs) {
            cells
                .entry((record.run, record.instance.state))
                .or_default()
                .push(record.task.as_str());
        }
        let cell =
            |((run, state), names): (_, Vec<&str>)| Cell { run, state, names: names.join(" ") };
        Ok(cells.into_iter().map(cell).collect())
    }

    async fn counts(&self, runs: &[RunKey]) -> Result<Vec<(RunKey, TaskState, u64)>> {
        let cells = self.cells(runs).await?;
        Ok(cells.into_iter().map(|c| (c.run, c.state, c.tasks().count() as u64)).collect())
    }

    async fn instance_page(
        &self,
        run: RunKey,
        state: Option<TaskState>,
        after: Option<(&TaskId, i32)>,
        limit: u32,
    ) -> Result<Vec<InstanceRecord>> {
        let tables = self.tables();
        let wanted = |record: &&InstanceRecord| {
            state.is_none_or(|state| record.instance.state == state)
                && after.is_none_or(|after| (&record.task, record.instance.map_index) > after)
        };
        let runs = [run];
        let page = tables.instances_of(&runs).filter(wanted).take(limit as usize);
        Ok(page.cloned().collect())
    }

    async fn facts(
        &self,
        run: RunKey,
        task: &TaskId,
        map_index: i32,
    ) -> Result<BTreeMap<u32, ContainerFacts>> {
        let tables = self.tables();
        let own = tables.facts.iter().filter(|(attempt, _)| {
            attempt.run == run && attempt.task == *task && attempt.map_index == map_index
        });
        Ok(own.map(|(attempt, facts)| (attempt.number, facts.clone())).collect())
    }

    async fn live_counts(
        &self,
        states: &[TaskState],
    ) -> Result<Vec<(VersionId, TaskId, TaskState, u64)>> {
        let tables = self.tables();
        let mut counts: BTreeMap<(VersionId, TaskId, TaskState), u64> = BTreeMap::new();
        for (run, record) in tables.live(None, states) {
            let place = (run.version.clone(), record.task.clone(), record.instance.state);
            *counts.entry(place).or_default() += 1;
        }
        Ok(counts.into_iter().map(|((v, task, state), count)| (v, task, state, count)).collect())
    }

    async fn live_instances(
        &self,
        teams: Option<&[String]>,
        states: &[TaskState],
        limit: u32,
    ) -> Result<Vec<LiveRecord>> {
        let tables = self.tables();
        let mut found: Vec<_> = tables.live(teams, states).collect();
        found.sort_by_key(|(run, record)| {
            let instance = &record.instance;
            instance.started_at.or(instance.queued_at).unwrap_or(run.queued_at)
        });
        let live = found.into_iter().take(limit as usize).map(|(run, record)| LiveRecord {
            dag_id: run.dag_id.clone(),
            run_id: run.run_id.clone(),
            record: record.clone(),
        });
        Ok(live.collect())
    }
}
