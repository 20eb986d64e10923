//! Whether the limits hold, looked at after each commit that lets something begin.

use std::collections::BTreeMap;

use towpath_backends::store::MemoryStore;
use towpath_common::id::{DagId, RunKey};
use towpath_common::port::Commit;
use towpath_common::run::{DagRun, InstanceRecord};
use towpath_common::state::{RunState, TaskState};

use crate::shape::{BACKFILL_WIDTH, MAPPED_OUT, Nature, POOL_SLOTS};

/// What is wrong, in sentences.
pub fn look(
    store: &MemoryStore,
    natures: &BTreeMap<DagId, Nature>,
    commit: &Commit,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let queued = |record: &&InstanceRecord| record.instance.state == TaskState::Queued;
    let begun: Vec<&InstanceRecord> = commit.instances.iter().filter(queued).collect();
    let starts = commit.runs.iter().chain(&commit.new_runs);
    let started: Vec<&DagRun> = starts.filter(|run| run.state == RunState::Running).collect();
    if begun.is_empty() && started.is_empty() {
        return wrong;
    }
    let runs: BTreeMap<RunKey, DagRun> =
        store.every_run().into_iter().map(|run| (run.key, run)).collect();
    instances(store, &runs, natures, &begun, &mut wrong);
    for run in started {
        let together = |other: &&DagRun| {
            (&other.dag_id, other.backfill, other.state)
                == (&run.dag_id, run.backfill, RunState::Running)
        };
        let live = runs.values().filter(together).count();
        let own = natures.get(&run.dag_id).map_or(usize::MAX, |nature| nature.active_runs);
        let most = if run.backfill.is_some() { BACKFILL_WIDTH } else { own };
        if live > most {
            wrong.push(format!("{live} runs of {} are live, of {most}", run.dag_id));
        }
    }
    wrong
}

fn instances(
    store: &MemoryStore,
    runs: &BTreeMap<RunKey, DagRun>,
    natures: &BTreeMap<DagId, Nature>,
    begun: &[&InstanceRecord],
    wrong: &mut Vec<String>,
) {
    let mut out = store.every_instance();
    out.retain(|one| matches!(one.instance.state, TaskState::Queued | TaskState::Running));
    let dag_of = |record: &InstanceRecord| runs.get(&record.run).map(|run| &run.dag_id);
    let is_pooled = |record: &InstanceRecord| record.task.as_str().starts_with('p');
    for record in begun {
        let dag = dag_of(record);
        let of_dag = out.iter().filter(|other| dag_of(other) == dag).count();
        let most = dag.and_then(|dag| natures.get(dag)).map_or(usize::MAX, |n| n.active_tasks);
        if of_dag > most {
            wrong.push(format!("{of_dag} instances of {dag:?} are out, of {most}"));
        }
        let pooled = out.iter().filter(|other| is_pooled(other)).count();
        if is_pooled(record) && pooled > POOL_SLOTS as usize {
            wrong.push(format!("{pooled} slots are taken, of {POOL_SLOTS}"));
        }
        let same = |other: &&InstanceRecord| (other.run, &other.task) == (record.run, &record.task);
        let mapped = out.iter().filter(same).count();
        if record.task.as_str().starts_with('m') && mapped > MAPPED_OUT {
            wrong.push(format!("{mapped} instances of {} are out, of {MAPPED_OUT}", record.task));
        }
    }
}
