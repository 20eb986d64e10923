//! What the names in a template stand for.

use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::value::{Object, Serde, Value};

use super::Facts;
use super::date::{DATE_FORMATS, DateTimeValue};
use super::lookup::{ByName, Kind, Lookup, refused};
use super::macros::Macros;
use super::pull::InstanceValue;
use crate::asset::AssetEvent;
use crate::id::AttemptKey;
use crate::outcome::Failure;
use crate::run::{DagRun, RunType};
use crate::time::Timestamp;

/// The names that every template may use, besides `params`, `outputs`, `var`, `conn` and `macros`.
pub const NAMES: &[&str] = &[
    "ds",
    "ds_nodash",
    "ts",
    "ts_nodash",
    "ts_nodash_with_tz",
    "logical_date",
    "data_interval_start",
    "data_interval_end",
    "run_id",
    "dag_run",
    "dag",
    "task",
    "ti",
    "task_instance",
    "task_instance_key_str",
    "triggering_asset_events",
    "start_date",
    "inlets",
    "outlets",
    "test_mode",
    "map_index_template",
    "exception",
];

/// Of them those that only an instance has.
pub const OF_INSTANCES: &[&str] = &[
    "task",
    "ti",
    "task_instance",
    "task_instance_key_str",
    "inlets",
    "outlets",
    "map_index_template",
    "exception",
    "map",
];

/// The names that are looked up when they are asked for.
pub const LAZY: &[&str] = &[
    "prev_data_interval_start_success",
    "prev_data_interval_end_success",
    "prev_start_date_success",
    "prev_end_date_success",
];

/// What is undefined in a run that assets have triggered, besides the texts of its date.
const DATED: &[&str] = &["logical_date", "data_interval_start", "data_interval_end"];

pub fn of(facts: &Facts<'_>) -> Value {
    let lookup = Arc::clone(&facts.lookup);
    Value::from_object(Names { known: known(facts), lookup })
}

/// All names of a template.
#[derive(Debug)]
struct Names {
    known: BTreeMap<&'static str, Value>,
    lookup: Arc<dyn Lookup>,
}

impl Object for Names {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let name = key.as_str()?;
        if LAZY.contains(&name) {
            return Some(match self.lookup.previous_success() {
                Ok(run) => of_previous(name, run.as_ref()),
                Err(why) => Value::from(refused(why)),
            });
        }
        self.known.get(name).cloned()
    }
}

/// As in Airflow none, and not undefined, if no run has succeeded before.
fn of_previous(name: &str, run: Option<&DagRun>) -> Value {
    let at = run.and_then(|run| match name {
        "prev_data_interval_start_success" => Some(run.data_interval.start),
        "prev_data_interval_end_success" => Some(run.data_interval.end),
        "prev_start_date_success" => run.started_at,
        _ => run.ended_at,
    });
    at.map_or_else(|| Value::from(()), date)
}

fn date(at: Timestamp) -> Value {
    Value::from_object(DateTimeValue::utc(at))
}

fn known(facts: &Facts<'_>) -> BTreeMap<&'static str, Value> {
    let Facts { dag, run, attempt, outputs, lookup, .. } = facts;
    let logical_date = DateTimeValue::utc(run.logical_date);
    let mut names: BTreeMap<&str, Value> = DATE_FORMATS
        .iter()
        .map(|(name, format)| (*name, Value::from(logical_date.format(format))))
        .collect();
    let by_name = |kind| Value::from_object(ByName { kind, lookup: Arc::clone(lookup) });
    names.extend([
        ("logical_date", date(run.logical_date)),
        ("data_interval_start", date(run.data_interval.start)),
        ("data_interval_end", date(run.data_interval.end)),
        ("start_date", run.started_at.map_or_else(|| Value::from(()), date)),
        ("run_id", Value::from(run.run_id.as_str())),
        ("dag_run", dag_run(run)),
        (
            "dag",
            Value::from_pairs([
                ("dag_id", Value::from(dag.dag_id.as_str())),
                ("description", Value::from(dag.description.as_str())),
            ]),
        ),
        ("params", Value::from(Serde(&run.params))),
        ("outputs", Value::from(Serde(outputs))),
        ("var", Value::from_pairs([("value", by_name(Kind::Text)), ("json", by_name(Kind::Json))])),
        ("conn", by_name(Kind::Connection)),
        ("macros", Value::from_object(Macros)),
        ("test_mode", Value::from(false)),
    ]);
    names.extend(attempt.iter().flat_map(|attempt| of_instance(facts, attempt)));
    if run.run_type == RunType::AssetTriggered {
        // Such a run stands for no date.
        let dated = |name: &str| DATE_FORMATS.iter().any(|(date, _)| *date == name);
        names.retain(|name, _| !dated(name) && !DATED.contains(name));
    }
    names.insert("triggering_asset_events", Value::from(Serde(by_asset(run))));
    names
}

/// What an instance has and a whole run has not.
fn of_instance(facts: &Facts<'_>, attempt: &AttemptKey) -> Vec<(&'static str, Value)> {
    let Facts { dag, task, run, map, exception, .. } = facts;
    let instance = Value::from_object(instance(facts, attempt));
    let assets = |assets: Option<&Vec<String>>| Value::from(assets.cloned().unwrap_or_default());
    let date = DateTimeValue::utc(run.logical_date).format("%Y%m%d");
    let expand = task.and_then(|task| task.expand.as_ref());
    let template = expand.and_then(|expand| expand.map_index_template.as_deref());
    let mut names = vec![
        ("task", Value::from_pairs([("task_id", Value::from(attempt.task.as_str()))])),
        ("ti", instance.clone()),
        ("task_instance", instance),
        ("task_instance_key_str", Value::from(format!("{}__{}__{date}", dag.dag_id, attempt.task))),
        ("inlets", assets(task.map(|task| &task.inlets))),
        ("outlets", assets(task.map(|task| &task.outlets))),
        ("map_index_template", Value::from(template)),
        ("exception", Value::from(exception.map(Failure::to_string))),
    ];
    names.extend(map.map(|map| ("map", Value::from(Serde(map)))));
    names
}

fn instance(facts: &Facts<'_>, attempt: &AttemptKey) -> InstanceValue {
    let Facts { dag, task, run, lookup, .. } = facts;
    let tries = task.map(|task| task.retry.retries);
    let facts = BTreeMap::from([
        ("task_id", Value::from(attempt.task.as_str())),
        ("dag_id", Value::from(dag.dag_id.as_str())),
        ("run_id", Value::from(run.run_id.as_str())),
        ("map_index", Value::from(attempt.map_index)),
        ("try_number", Value::from(attempt.number)),
        ("max_tries", Value::from(tries)),
    ]);
    InstanceValue { facts, task: attempt.task.clone(), lookup: Arc::clone(lookup) }
}

fn dag_run(run: &DagRun) -> Value {
    Value::from_pairs([
        ("run_id", Value::from(run.run_id.as_str())),
        ("dag_id", Value::from(run.dag_id.as_str())),
        ("run_type", Value::from(run.run_type.as_str())),
        ("state", Value::from(run.state.as_str())),
        ("logical_date", date(run.logical_date)),
        ("data_interval_start", date(run.data_interval.start)),
        ("data_interval_end", date(run.data_interval.end)),
        ("queued_at", date(run.queued_at)),
        ("start_date", run.started_at.map_or_else(|| Value::from(()), date)),
        ("end_date", run.ended_at.map_or_else(|| Value::from(()), date)),
        ("conf", Value::from(Serde(&run.params))),
    ])
}

/// The events that a run consumes, by asset.
fn by_asset(run: &DagRun) -> BTreeMap<&str, Vec<&AssetEvent>> {
    let mut events: BTreeMap<&str, Vec<&AssetEvent>> = BTreeMap::new();
    for event in &run.asset_events {
        events.entry(&event.asset).or_default().push(event);
    }
    events
}
