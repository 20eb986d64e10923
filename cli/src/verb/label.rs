//! What people call the instances of a mapped task: its `map_index_template`, rendered for each.

use std::collections::BTreeMap;
use std::sync::Arc;

use towpath_common::id::{AttemptKey, UNMAPPED};
use towpath_common::plan::Plan;
use towpath_common::port::{Store, StoreError};
use towpath_common::run::DagRun;
use towpath_common::template::{Facts, NothingToLookUp, Renderer};
use towpath_common::{dag::Task, view};

/// By map index. An instance whose template asks for more than its elements has none.
pub async fn labels(
    store: &dyn Store,
    run: &DagRun,
    plan: &Plan,
    task: &Task,
    map_indexes: impl Iterator<Item = i32>,
) -> Result<BTreeMap<i32, String>, StoreError> {
    let template = task.expand.as_ref().and_then(|expand| expand.map_index_template.as_ref());
    let Some(template) = template else { return Ok(BTreeMap::new()) };
    let xcoms = store.outputs(run.key, &view::sources(plan, task)).await?;
    let lists = view::outputs(plan, task, UNMAPPED, xcoms);
    let label = |map_index: i32| {
        let map = view::elements(run, task, map_index, &lists).ok()?;
        let attempt = AttemptKey { run: run.key, task: task.id.clone(), map_index, number: 1 };
        let renderer = Renderer::new(&Facts {
            dag: &plan.dag,
            task: Some(task),
            run,
            attempt: Some(&attempt),
            outputs: &lists,
            map: map.as_ref(),
            exception: None,
            lookup: Arc::new(NothingToLookUp),
        });
        renderer.render(template).ok()
    };
    Ok(map_indexes.filter_map(|map_index| Some((map_index, label(map_index)?))).collect())
}
