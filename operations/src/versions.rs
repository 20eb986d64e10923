//! Versions of Dags that were read before. They never change, and most questions are about a few of them.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;
use towpath_common::dag::Dag;
use towpath_common::id::VersionId;
use towpath_common::plan::Plan;

use crate::{Operations, Refusal, Result};

/// Of all versions together; a task takes about a kilobyte.
const TASKS_MAX: usize = 100_000;

/// A Dag, and its graph.
#[derive(Debug, Clone)]
pub struct Version(Arc<Plan>);

impl Version {
    pub fn plan(&self) -> &Plan {
        &self.0
    }
}

impl Deref for Version {
    type Target = Dag;

    fn deref(&self) -> &Dag {
        &self.0.dag
    }
}

pub struct Versions(Mutex<Known>);

struct Known {
    versions: LruCache<VersionId, Version>,
    tasks: usize,
}

impl Default for Versions {
    fn default() -> Self {
        Self(Mutex::new(Known { versions: LruCache::unbounded(), tasks: 0 }))
    }
}

impl Versions {
    fn get(&self, id: &VersionId) -> Option<Version> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.versions.get(id).cloned()
    }

    /// What was not asked for the longest gives way.
    fn put(&self, id: VersionId, version: &Version) {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = &mut *guard;
        known.tasks += version.tasks.len();
        if let Some(same) = known.versions.put(id, version.clone()) {
            known.tasks -= same.tasks.len();
        }
        while known.tasks > TASKS_MAX && known.versions.len() > 1 {
            let Some((_, oldest)) = known.versions.pop_lru() else { break };
            known.tasks -= oldest.tasks.len();
        }
    }
}

impl Operations {
    pub(crate) async fn version_if_any(&self, id: &VersionId) -> Result<Option<Version>> {
        if let Some(known) = self.services.versions.get(id) {
            return Ok(Some(known));
        }
        let Some(dag) = self.store().dag_version(id).await? else { return Ok(None) };
        let plan = Plan::new(dag).map_err(|missing| Refusal::Broken(missing.to_string()))?;
        let version = Version(Arc::new(plan));
        self.services.versions.put(id.clone(), &version);
        Ok(Some(version))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(name: &str, tasks: usize) -> Version {
        let tasks: String = (0..tasks).map(|n| format!("  t{n}: {{empty: true}}\n")).collect();
        let text = format!("dag: {name}\ntasks:\n{tasks}");
        let dag = towpath_dagfile::read("d.yaml", text.as_bytes()).expect("a Dag");
        Version(Arc::new(Plan::new(dag).expect("a plan")))
    }

    #[test]
    fn what_was_not_asked_for_gives_way() {
        let versions = Versions::default();
        let half = TASKS_MAX / 2;
        let all = ["a", "b", "c"].map(|name| version(name, half));
        let put = |version: &Version| versions.put(version.version(), version);
        put(&all[0]);
        put(&all[1]);
        // Twice is once.
        put(&all[1]);
        assert!(versions.get(&all[0].version()).is_some());
        put(&all[2]);
        let kept = all.each_ref().map(|version| versions.get(&version.version()).is_some());
        assert_eq!(kept, [true, false, true]);
        let huge = version("huge", TASKS_MAX + 1);
        put(&huge);
        assert!(versions.get(&huge.version()).is_some(), "one alone is kept");
    }
}
