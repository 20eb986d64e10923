//! What an instance sees of its run when its templates are rendered.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::dag::{MapSource, NotExpandable, Task, element, length};
use crate::id::{TaskId, UNMAPPED};
use crate::outcome::Outputs;
use crate::plan::Plan;
use crate::port::XCom;
use crate::run::DagRun;

/// The outputs of other tasks, by task.
pub type Seen = BTreeMap<TaskId, Outputs>;

/// The elements that a mapped instance has, by name.
pub type Elements = BTreeMap<String, Value>;

/// Whether the list that the task is expanded over is an output of another.
pub fn is_expanded_over_outputs(task: &Task) -> bool {
    task.expand.iter().any(|expand| expand.tasks().next().is_some())
}

/// The tasks whose outputs a task can see.
pub fn sources(plan: &Plan, task: &Task) -> Vec<TaskId> {
    let Some(own) = plan.index_of(task.id.as_str()) else { return Vec::new() };
    plan.above(own).iter().map(|task| plan.task(*task).id.clone()).collect()
}

/// What the tasks above have passed on, as an instance with this map index sees it: of its own group the
/// neighbour's, of another mapped task the list of all.
pub fn outputs(plan: &Plan, task: &Task, map_index: i32, xcoms: Vec<XCom>) -> Seen {
    let Some(own) = plan.index_of(task.id.as_str()) else { return Seen::new() };
    let above = plan.above(own);
    let mut seen: Seen =
        above.iter().map(|task| (plan.task(*task).id.clone(), Outputs::new())).collect();
    let neighbours: BTreeSet<&TaskId> = above
        .iter()
        .filter(|other| plan.same_group(own, **other))
        .map(|other| &plan.task(*other).id)
        .collect();
    for XCom { task, map_index: of, outputs: given, .. } in xcoms {
        if of == UNMAPPED || (of == map_index && neighbours.contains(&task)) {
            seen.insert(task, given);
        } else if !neighbours.contains(&task) {
            gather(seen.entry(task).or_default(), given);
        }
    }
    seen
}

/// The outputs of a mapped task, as lists in the order of the map index.
fn gather(lists: &mut Outputs, given: Outputs) {
    for (key, value) in given {
        match lists.entry(key).or_insert_with(|| Value::Array(Vec::new())) {
            Value::Array(list) => list.push(value),
            other => *other = Value::Array(vec![value]),
        }
    }
}

/// The elements that a mapped instance has, by name; none for one that is not mapped. `seen` is what
/// [`outputs`] gives.
pub fn elements(
    run: &DagRun,
    task: &Task,
    map_index: i32,
    seen: &Seen,
) -> Result<Option<Elements>, NotExpandable> {
    let (Some(expand), Ok(place)) = (&task.expand, u64::try_from(map_index)) else {
        return Ok(None);
    };
    let mut lists = Vec::with_capacity(expand.over.len());
    for (name, source) in &expand.over {
        let list = match source {
            MapSource::Literal(list) => Some(list),
            MapSource::Param(param) => run.params.get(param),
            MapSource::Output { task, key } => seen.get(task).and_then(|outputs| outputs.get(key)),
        };
        let list = list.unwrap_or(&Value::Null);
        lists.push((name, list, length(name, list)?));
    }
    let counts: Vec<u64> = lists.iter().map(|(.., count)| *count).collect();
    let places = expand.places(&counts, place);
    let elements = lists.iter().zip(places).map(|((name, list, _), place)| {
        let missing = || NotExpandable { what: format!("{name}[{place}]"), found: "missing" };
        Ok(((*name).clone(), element(list, place).ok_or_else(missing)?))
    });
    elements.collect::<Result<_, _>>().map(Some)
}
