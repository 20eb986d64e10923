//! A Dag version made ready to be walked: tasks by number, edges both ways, and what else follows from
//! the graph alone. All runs of a version share one plan.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use crate::dag::{Dag, Fixture, Past, Task, WeightRule};
use crate::id::{TaskId, VersionId};

/// Of a task with more tasks than this above or below it, so many are weighed.
const WEIGHED_MAX: usize = 10_000;

/// The number of a task in its plan: its place in `Dag::tasks`.
pub type TaskIndex = u32;

#[derive(Debug)]
pub struct Plan {
    pub version: VersionId,
    pub dag: Dag,
    by_id: BTreeMap<TaskId, TaskIndex>,
    downstream: Adjacency,
    upstream: Adjacency,
    /// The numbers of all tasks; each is the slice of its one instance while it is not expanded.
    numbers: Vec<TaskIndex>,
    /// The setups that a task waits for although they are not directly above it.
    setups: BTreeMap<TaskIndex, Vec<TaskIndex>>,
    /// And the tasks that wait so for a setup.
    set_up: BTreeMap<TaskIndex, Vec<TaskIndex>>,
    /// The outputs of a task that others are expanded over.
    map_keys: BTreeMap<TaskIndex, BTreeSet<String>>,
    /// The tasks that are expanded over an output of a task.
    expanded_over: BTreeMap<TaskIndex, Vec<TaskIndex>>,
    /// The leaves that decide how a run ends.
    deciding: Vec<TaskIndex>,
    /// Worked out when they are first asked for.
    weights: Vec<OnceLock<i32>>,
}

/// Edges in compressed rows: those of task `i` are `edges[offsets[i]..offsets[i + 1]]`.
#[derive(Debug)]
struct Adjacency {
    offsets: Vec<u32>,
    edges: Vec<TaskIndex>,
}

impl Adjacency {
    fn new(count: usize, pairs: impl Iterator<Item = (TaskIndex, TaskIndex)> + Clone) -> Self {
        let mut offsets = vec![0u32; count + 1];
        for (from, _) in pairs.clone() {
            offsets[from as usize + 1] += 1;
        }
        for i in 0..count {
            offsets[i + 1] += offsets[i];
        }
        let mut next = offsets.clone();
        let mut edges = vec![0; offsets[count] as usize];
        for (from, to) in pairs {
            let place = &mut next[from as usize];
            edges[*place as usize] = to;
            *place += 1;
        }
        Self { offsets, edges }
    }

    fn of(&self, task: TaskIndex) -> &[TaskIndex] {
        let row = self.offsets[task as usize] as usize..self.offsets[task as usize + 1] as usize;
        &self.edges[row]
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("task {task} depends on {missing}, which is not in the Dag")]
pub struct MissingTask {
    pub task: TaskId,
    pub missing: TaskId,
}

impl Plan {
    pub fn new(dag: Dag) -> Result<Self, MissingTask> {
        let by_id: BTreeMap<TaskId, TaskIndex> =
            (0..).zip(&dag.tasks).map(|(i, t)| (t.id.clone(), i)).collect();
        let mut pairs = Vec::new();
        for (index, task) in (0..).zip(&dag.tasks) {
            for upstream in &task.depends_on {
                let from = *by_id.get(upstream).ok_or_else(|| MissingTask {
                    task: task.id.clone(),
                    missing: upstream.clone(),
                })?;
                pairs.push((from, index));
            }
        }
        let count = dag.tasks.len();
        let mut plan = Self {
            version: dag.version(),
            downstream: Adjacency::new(count, pairs.iter().copied()),
            upstream: Adjacency::new(count, pairs.iter().map(|(from, to)| (*to, *from))),
            numbers: (0..).take(count).collect(),
            by_id,
            dag,
            setups: BTreeMap::new(),
            set_up: BTreeMap::new(),
            map_keys: BTreeMap::new(),
            expanded_over: BTreeMap::new(),
            deciding: Vec::new(),
            weights: vec![OnceLock::new(); count],
        };
        plan.find_setups();
        plan.find_map_sources()?;
        plan.deciding = plan.find_deciding();
        Ok(plan)
    }

    /// A setup that is above but not directly above a task counts if it has no teardown, or if one of
    /// its teardowns is below the task.
    fn find_setups(&mut self) {
        let setups = self.numbers.iter().copied().filter(|task| self.is_setup(*task));
        let mut found = Vec::new();
        for setup in setups {
            let direct = self.downstream(setup);
            let teardowns: Vec<TaskIndex> =
                direct.iter().copied().filter(|task| self.is_teardown(*task)).collect();
            let torn_down: BTreeSet<TaskIndex> = teardowns
                .iter()
                .flat_map(|teardown| self.reach(*teardown, Self::upstream))
                .collect();
            let below = self.reach(setup, Self::downstream).into_iter();
            found.extend(
                below
                    .filter(|task| !direct.contains(task) && !self.is_teardown(*task))
                    .filter(|task| teardowns.is_empty() || torn_down.contains(task))
                    .map(|task| (setup, task)),
            );
        }
        for (setup, task) in found {
            self.setups.entry(task).or_default().push(setup);
            self.set_up.entry(setup).or_default().push(task);
        }
    }

    fn find_map_sources(&mut self) -> Result<(), MissingTask> {
        for (index, task) in (0..).zip(&self.dag.tasks) {
            for (source, key) in task.expand.iter().flat_map(|expand| expand.tasks()) {
                let from = *self.by_id.get(source).ok_or_else(|| MissingTask {
                    task: task.id.clone(),
                    missing: source.clone(),
                })?;
                self.map_keys.entry(from).or_default().insert(key.to_owned());
                self.expanded_over.entry(from).or_default().push(index);
            }
        }
        Ok(())
    }

    /// A teardown whose failure is not to fail the run decides nothing, and a task that has only such
    /// teardowns below it is a leaf. If there is nothing but teardowns, the plain leaves decide.
    fn find_deciding(&self) -> Vec<TaskIndex> {
        let quiet = |task: TaskIndex| {
            let fixture = self.task(task).fixture;
            fixture == Some(Fixture::Teardown { on_failure_fail_dagrun: false })
        };
        let deciding = self.numbers.iter().copied().filter(|task| {
            !quiet(*task) && self.downstream(*task).iter().all(|below| quiet(*below))
        });
        let deciding: Vec<TaskIndex> = deciding.collect();
        if deciding.is_empty() {
            return self.numbers.iter().copied().filter(|task| self.is_leaf(*task)).collect();
        }
        deciding
    }

    /// The task's own weight and, by its rule, those of all above or below it; Airflow's sum, which counts
    /// each task once.
    fn find_weight(&self, task: TaskIndex) -> i32 {
        let claims = &self.task(task).claims;
        let next = match claims.weight_rule {
            WeightRule::Absolute => return claims.priority_weight,
            WeightRule::Downstream => Self::downstream,
            WeightRule::Upstream => Self::upstream,
        };
        let mut seen = BTreeSet::from([task]);
        let mut open = vec![task];
        let mut sum = 0i64;
        while let Some(here) = open.pop() {
            sum += i64::from(self.task(here).claims.priority_weight);
            let fresh = next(self, here).iter().filter(|_| seen.len() < WEIGHED_MAX);
            let fresh: Vec<TaskIndex> = fresh.copied().collect();
            open.extend(fresh.into_iter().filter(|there| seen.insert(*there)));
        }
        i32::try_from(sum).unwrap_or(if sum > 0 { i32::MAX } else { i32::MIN })
    }

    /// All that can be come to from a task, without the task, in the order of the numbers.
    fn reach<'a>(
        &'a self,
        from: TaskIndex,
        next: impl Fn(&'a Self, TaskIndex) -> &'a [TaskIndex],
    ) -> Vec<TaskIndex> {
        let mut seen = vec![false; self.len()];
        let mut open = vec![from];
        while let Some(here) = open.pop() {
            for there in next(self, here) {
                if !std::mem::replace(&mut seen[*there as usize], true) {
                    open.push(*there);
                }
            }
        }
        self.numbers.iter().copied().filter(|task| seen[*task as usize]).collect()
    }

    pub fn len(&self) -> usize {
        self.dag.tasks.len()
    }

    pub fn is_empty(&self) -> bool {
        self.dag.tasks.is_empty()
    }

    pub fn task(&self, task: TaskIndex) -> &Task {
        &self.dag.tasks[task as usize]
    }

    pub fn index_of(&self, task: &str) -> Option<TaskIndex> {
        self.by_id.get(task).copied()
    }

    pub fn downstream(&self, task: TaskIndex) -> &[TaskIndex] {
        self.downstream.of(task)
    }

    pub fn upstream(&self, task: TaskIndex) -> &[TaskIndex] {
        self.upstream.of(task)
    }

    /// All tasks above this one, near and far, in the order of their numbers.
    pub fn above(&self, task: TaskIndex) -> Vec<TaskIndex> {
        self.reach(task, Self::upstream)
    }

    /// All tasks below this one, near and far.
    pub fn below(&self, task: TaskIndex) -> Vec<TaskIndex> {
        self.reach(task, Self::downstream)
    }

    /// These tasks and, if asked for, all above and all below them.
    pub fn around(
        &self,
        tasks: impl Iterator<Item = TaskIndex>,
        upstream: bool,
        downstream: bool,
    ) -> BTreeSet<TaskIndex> {
        let mut around = BTreeSet::new();
        for task in tasks {
            around.insert(task);
            if upstream {
                around.extend(self.above(task));
            }
            if downstream {
                around.extend(self.below(task));
            }
        }
        around
    }

    pub fn is_setup(&self, task: TaskIndex) -> bool {
        Fixture::is_setup(self.task(task).fixture)
    }

    pub fn is_teardown(&self, task: TaskIndex) -> bool {
        Fixture::is_teardown(self.task(task).fixture)
    }

    /// The setups that a task waits for although they are not directly above it.
    pub fn indirect_setups(&self, task: TaskIndex) -> &[TaskIndex] {
        self.setups.get(&task).map_or(&[], Vec::as_slice)
    }

    /// The tasks that look at a task's end: those directly below, those that need what it sets up, and
    /// those that are expanded over its outputs.
    pub fn onlookers(&self, task: TaskIndex) -> impl Iterator<Item = TaskIndex> {
        let far = self.set_up.get(&task).into_iter().chain(self.expanded_over.get(&task));
        self.downstream(task).iter().copied().chain(far.flatten().copied())
    }

    /// The outputs of a task that others are expanded over.
    pub fn map_keys(&self, task: TaskIndex) -> Option<&BTreeSet<String>> {
        self.map_keys.get(&task)
    }

    /// The tasks that others are expanded over.
    pub fn map_sources(&self) -> Vec<TaskId> {
        self.map_keys.keys().map(|task| self.task(*task).id.clone()).collect()
    }

    /// Whether two tasks are in the same mapped group: each instance sees the other's of its own index.
    pub fn same_group(&self, one: TaskIndex, other: TaskIndex) -> bool {
        self.map_group(one).is_some_and(|group| self.map_group(other) == Some(group))
    }

    pub fn map_group(&self, task: TaskIndex) -> Option<&str> {
        self.task(task).expand.as_ref()?.group.as_deref()
    }

    /// Whether any task waits for the Dag's previous run.
    pub fn looks_back(&self) -> bool {
        self.dag.tasks.iter().any(|task| task.past != Past::None)
    }

    /// What goes first when not all can go: the greater weight.
    pub fn weight(&self, task: TaskIndex) -> i32 {
        *self.weights[task as usize].get_or_init(|| self.find_weight(task))
    }

    /// The leaves that decide how a run ends.
    pub fn deciding(&self) -> &[TaskIndex] {
        &self.deciding
    }

    /// The task's number as the one index of its instances.
    pub fn own_index(&self, task: TaskIndex) -> &[TaskIndex] {
        std::slice::from_ref(&self.numbers[task as usize])
    }

    pub fn is_leaf(&self, task: TaskIndex) -> bool {
        self.downstream(task).is_empty()
    }
}
