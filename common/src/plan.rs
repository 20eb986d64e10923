//! A Dag version made ready to be walked: tasks by number, edges both ways. All runs of a version
//! share one plan.

use std::collections::BTreeMap;

use crate::dag::{Dag, Task};
use crate::id::{TaskId, VersionId};

/// The number of a task in its plan: its place in `Dag::tasks`.
pub type TaskIndex = u32;

#[derive(Debug)]
pub struct Plan {
    pub version: VersionId,
    pub dag: Dag,
    by_id: BTreeMap<TaskId, TaskIndex>,
    downstream: Adjacency,
    upstream: Adjacency,
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
        Ok(Self {
            version: dag.version(),
            downstream: Adjacency::new(count, pairs.iter().copied()),
            upstream: Adjacency::new(count, pairs.iter().map(|(from, to)| (*to, *from))),
            by_id,
            dag,
        })
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
    pub fn above(&self, task: &TaskId) -> Vec<TaskId> {
        let mut seen = vec![false; self.len()];
        let mut open: Vec<TaskIndex> = self.index_of(task.as_str()).into_iter().collect();
        while let Some(here) = open.pop() {
            for upstream in self.upstream(here) {
                if !std::mem::replace(&mut seen[*upstream as usize], true) {
                    open.push(*upstream);
                }
            }
        }
        let above = self.dag.tasks.iter().zip(seen).filter(|(_, seen)| *seen);
        above.map(|(task, _)| task.id.clone()).collect()
    }

    pub fn is_leaf(&self, task: TaskIndex) -> bool {
        self.downstream(task).is_empty()
    }
}
