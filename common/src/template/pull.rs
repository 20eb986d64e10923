//! `ti.xcom_pull`: what other instances have passed on.

use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::value::{Kwargs, Object, Rest, Serde, Value};
use minijinja::{Error, ErrorKind, State};

use super::lookup::{Lookup, refused};
use crate::id::{DagId, TaskId, UNMAPPED};
use crate::port::XCom;

/// Airflow's key for what a task returns.
const RETURN_VALUE: &str = "return_value";

/// Whose outputs are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    pub tasks: Vec<TaskId>,
    /// None: this Dag.
    pub dag_id: Option<DagId>,
    /// None: this run, or with another Dag its run of the same logical date.
    pub run_id: Option<String>,
    /// If this run has none, those of the latest earlier run that has.
    pub include_prior_dates: bool,
}

/// `ti`: what is known of the instance.
#[derive(Debug)]
pub struct InstanceValue {
    pub facts: BTreeMap<&'static str, Value>,
    pub task: TaskId,
    pub lookup: Arc<dyn Lookup>,
}

impl Object for InstanceValue {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.facts.get(key.as_str()?).cloned()
    }

    fn call_method(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        if method != "xcom_pull" {
            return Err(Error::from(ErrorKind::UnknownMethod));
        }
        let (positional, named): (Rest<Value>, Kwargs) = minijinja::value::from_args(args)?;
        let at = |place: usize, name: &str| -> Result<Option<Value>, Error> {
            Ok(named.get::<Option<Value>>(name)?.or_else(|| positional.get(place).cloned()))
        };
        let task_ids = at(0, "task_ids")?.filter(|tasks| !tasks.is_none());
        let text = |value: Option<Value>| -> Result<Option<String>, Error> {
            value.filter(|value| !value.is_none()).map(|value| one_text(&value)).transpose()
        };
        let dag_id = text(at(1, "dag_id")?)?;
        let key = text(at(2, "key")?)?;
        let pull = Pull {
            tasks: match &task_ids {
                None => vec![self.task.clone()],
                Some(tasks) => names(tasks)?,
            },
            dag_id: dag_id.map(|dag| named_by("dag_id", &dag)).transpose()?,
            run_id: named.get("run_id")?,
            include_prior_dates: match at(3, "include_prior_dates")? {
                Some(value) => value.is_true(),
                None => false,
            },
        };
        let map_indexes: Option<Value> = named.get("map_indexes")?;
        let default: Option<Value> = named.get("default")?;
        named.assert_all_used()?;
        let xcoms = self.lookup.pull(&pull).map_err(refused)?;
        let map_indexes = map_indexes.filter(|value| !value.is_none());
        let of_task = |task: &TaskId| {
            let found = chosen(&xcoms, task, key.as_deref(), map_indexes.as_ref())?;
            Ok::<_, Error>(found.or_else(|| default.clone()).unwrap_or_else(|| Value::from(())))
        };
        match task_ids {
            Some(tasks) if tasks.as_str().is_none() => {
                let values: Vec<Value> =
                    pull.tasks.iter().map(of_task).collect::<Result<_, _>>()?;
                Ok(Value::from(values))
            }
            _ => of_task(&pull.tasks[0]),
        }
    }
}

fn one_text(value: &Value) -> Result<String, Error> {
    let text = value.as_str().ok_or_else(|| refused(format!("{value} is not a text")))?;
    Ok(text.to_owned())
}

fn named_by<T: std::str::FromStr>(what: &str, name: &str) -> Result<T, Error>
where
    T::Err: std::fmt::Display,
{
    name.parse().map_err(|why| refused(format!("{what} {name:?}: {why}")))
}

fn names(tasks: &Value) -> Result<Vec<TaskId>, Error> {
    if let Some(name) = tasks.as_str() {
        return Ok(vec![named_by("task_ids", name)?]);
    }
    tasks.try_iter()?.map(|task| named_by("task_ids", &one_text(&task)?)).collect()
}

/// The value of a task: that of one instance, or the list of those of several.
fn chosen(
    xcoms: &[XCom],
    task: &TaskId,
    key: Option<&str>,
    map_indexes: Option<&Value>,
) -> Result<Option<Value>, Error> {
    let mut found: Vec<&XCom> = xcoms.iter().filter(|xcom| xcom.task == *task).collect();
    found.sort_by_key(|xcom| xcom.map_index);
    let of = |map_index: i32| {
        found.iter().find(|xcom| xcom.map_index == map_index).and_then(|xcom| value(xcom, key))
    };
    let index = |value: &Value| {
        i32::try_from(value.clone()).map_err(|_| refused(format!("{value} is not a map index")))
    };
    if let Some(asked) = map_indexes {
        if asked.is_integer() {
            return Ok(of(index(asked)?));
        }
        let indexes = asked.try_iter()?.map(|one| index(&one)).collect::<Result<Vec<_>, _>>()?;
        return Ok(Some(indexes.into_iter().filter_map(of).collect()));
    }
    if found.iter().all(|xcom| xcom.map_index == UNMAPPED) {
        return Ok(of(UNMAPPED));
    }
    Ok(Some(found.iter().filter_map(|xcom| value(xcom, key)).collect()))
}

/// Without a key what the task has returned; a task that has named all its outputs returns them all.
fn value(xcom: &XCom, key: Option<&str>) -> Option<Value> {
    let named = xcom.outputs.get(key.unwrap_or(RETURN_VALUE));
    match (named, key) {
        (Some(value), _) => Some(Value::from(Serde(value))),
        (None, None | Some(RETURN_VALUE)) => Some(Value::from(Serde(&xcom.outputs))),
        (None, Some(_)) => None,
    }
}
