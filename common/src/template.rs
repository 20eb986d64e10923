//! Templates: Jinja with Airflow's variables.
//!
//! A task's command, environment and working directory are templates. They are rendered on the worker
//! just before launch, and checked when the Dag is deployed: a name that cannot be known is refused
//! before anything runs, and what is undefined when rendering is an error, never an empty text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use chrono_tz::Tz;
use minijinja::value::{Object, ObjectRepr, Rest, Serde, Value};
use minijinja::{Environment, Error, ErrorKind, State, UndefinedBehavior};

use crate::asset::AssetEvent;
use crate::dag::Dag;
use crate::id::{AttemptKey, TaskId};
use crate::outcome::Outputs;
use crate::run::{DagRun, RunType};
use crate::time::Timestamp;

/// The names that every template may use, besides `params`, `outputs` and `var`.
const NAMES: &[&str] = &[
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
];

/// Values of `var.value`, by name.
pub type Variables = BTreeMap<String, String>;

/// What a template of one attempt can name.
pub struct Facts<'a> {
    pub dag: &'a Dag,
    pub run: &'a DagRun,
    pub attempt: &'a AttemptKey,
    pub outputs: &'a BTreeMap<TaskId, Outputs>,
    pub variables: &'a Arc<Variables>,
    /// The elements that a mapped instance has, by name.
    pub map: Option<&'a BTreeMap<String, serde_json::Value>>,
}

/// Renders the templates of one attempt.
pub struct Renderer {
    environment: Environment<'static>,
    context: Value,
}

impl Renderer {
    pub fn new(facts: &Facts<'_>) -> Self {
        Self { environment: environment(), context: context(facts) }
    }

    /// The error's text says what is undefined or malformed, and in which template.
    pub fn render(&self, template: &str) -> Result<String, String> {
        if !is_template(template) {
            return Ok(template.to_owned());
        }
        self.environment
            .render_str(template, &self.context)
            .map_err(|error| format!("{template:?}: {}", words(&error)))
    }
}

/// Whether rendering can change the text.
pub fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

/// Whether any of the texts asks for the outputs of other tasks.
pub fn wants_outputs<'a>(mut texts: impl Iterator<Item = &'a str>) -> bool {
    texts.any(|text| is_template(text) && text.contains("outputs"))
}

/// What is known of a Dag when it is deployed.
pub struct Known<'a> {
    pub params: &'a BTreeSet<&'a str>,
    /// The tasks whose outputs this task can see: those above it.
    pub above: &'a BTreeSet<&'a str>,
    /// The names that the task is expanded over.
    pub map: Option<&'a BTreeSet<&'a str>>,
}

/// Checks a template without rendering it. The error says what is wrong and what would be right.
pub fn check(template: &str, known: &Known<'_>) -> Result<(), String> {
    if !is_template(template) {
        return Ok(());
    }
    let environment = environment();
    let parsed = environment.template_from_str(template).map_err(|error| words(&error))?;
    let mut names: Vec<String> = parsed.undeclared_variables(true).into_iter().collect();
    names.sort();
    for name in names {
        check_name(&name, known)?;
    }
    Ok(())
}

fn check_name(path: &str, known: &Known<'_>) -> Result<(), String> {
    let mut parts = path.split('.');
    let root = parts.next().unwrap_or_default();
    let next = parts.next();
    match (root, next) {
        ("params", Some(param)) if !known.params.contains(param) => Err(format!(
            "the Dag has no param {param:?}; it has {}",
            list(known.params.iter().copied())
        )),
        ("outputs", Some(task)) if !known.above.contains(task) => Err(format!(
            "{task:?} is not above this task, so its outputs cannot be used here; above it are {}",
            list(known.above.iter().copied())
        )),
        ("map", name) => check_map(name, known.map),
        ("params" | "outputs", _) => Ok(()),
        ("var", None | Some("value")) => Ok(()),
        ("var", Some(other)) => Err(format!("`var.{other}` is undefined; write `var.value.NAME`")),
        (name, _) if NAMES.contains(&name) || is_function(name) => Ok(()),
        (name, _) => Err(format!(
            "the variable {name:?} is undefined; there are params, outputs, var, {}",
            NAMES.join(", ")
        )),
    }
}

fn check_map(name: Option<&str>, map: Option<&BTreeSet<&str>>) -> Result<(), String> {
    match (map, name) {
        (None, _) => Err("`map` is undefined: the task is not expanded over anything".to_owned()),
        (Some(names), Some(name)) if !names.contains(name) => Err(format!(
            "the task is not expanded over {name:?}; it is over {}",
            list(names.iter().copied())
        )),
        (Some(_), _) => Ok(()),
    }
}

/// The global functions of the template language.
fn is_function(name: &str) -> bool {
    matches!(name, "range" | "dict" | "namespace" | "debug")
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn words(error: &Error) -> String {
    match error.detail() {
        Some(detail) => format!("{} ({detail})", error.kind()),
        None => error.kind().to_string(),
    }
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    for (name, format) in DATE_FORMATS {
        environment.add_filter(*name, move |value: Value| -> Result<String, Error> {
            let date = value.downcast_object_ref::<DateTimeValue>().ok_or_else(|| {
                Error::new(ErrorKind::InvalidOperation, format!("{name} takes a date"))
            })?;
            Ok(date.format(format))
        });
    }
    environment
}

/// Airflow's texts of a date, each a variable of the logical date and a filter on any date.
const DATE_FORMATS: &[(&str, &str)] = &[
    ("ds", "%Y-%m-%d"),
    ("ds_nodash", "%Y%m%d"),
    ("ts", "%Y-%m-%dT%H:%M:%S%:z"),
    ("ts_nodash", "%Y%m%dT%H%M%S"),
    ("ts_nodash_with_tz", "%Y%m%dT%H%M%S%z"),
];

fn context(facts: &Facts<'_>) -> Value {
    let Facts { dag, run, attempt, outputs, variables, map } = facts;
    let logical_date = DateTimeValue::utc(run.logical_date);
    let mut names: BTreeMap<&str, Value> = DATE_FORMATS
        .iter()
        .map(|(name, format)| (*name, Value::from(logical_date.format(format))))
        .collect();
    let date = |at: Timestamp| Value::from_object(DateTimeValue::utc(at));
    let instance = Value::from_pairs([
        ("task_id", Value::from(attempt.task.as_str())),
        ("dag_id", Value::from(dag.dag_id.as_str())),
        ("run_id", Value::from(run.run_id.as_str())),
        ("map_index", Value::from(attempt.map_index)),
        ("try_number", Value::from(attempt.number)),
    ]);
    names.extend([
        ("logical_date", date(run.logical_date)),
        ("data_interval_start", date(run.data_interval.start)),
        ("data_interval_end", date(run.data_interval.end)),
        ("run_id", Value::from(run.run_id.as_str())),
        (
            "dag_run",
            Value::from_pairs([
                ("run_id", Value::from(run.run_id.as_str())),
                ("dag_id", Value::from(dag.dag_id.as_str())),
                ("run_type", Value::from(run.run_type.as_str())),
                ("logical_date", date(run.logical_date)),
                ("data_interval_start", date(run.data_interval.start)),
                ("data_interval_end", date(run.data_interval.end)),
                ("conf", Value::from(Serde(&run.params))),
            ]),
        ),
        ("dag", Value::from_pairs([("dag_id", Value::from(dag.dag_id.as_str()))])),
        ("task", Value::from_pairs([("task_id", Value::from(attempt.task.as_str()))])),
        ("ti", instance.clone()),
        ("task_instance", instance),
        (
            "task_instance_key_str",
            Value::from(format!(
                "{}__{}__{}",
                dag.dag_id,
                attempt.task,
                logical_date.format("%Y%m%d")
            )),
        ),
        ("params", Value::from(Serde(&run.params))),
        ("outputs", Value::from(Serde(outputs))),
        (
            "var",
            Value::from_pairs([(
                "value",
                Value::from_object(VariableValues(Arc::clone(variables))),
            )]),
        ),
    ]);
    names.extend(map.map(|map| ("map", Value::from(Serde(map)))));
    if run.run_type == RunType::AssetTriggered {
        // Such a run stands for no date.
        let dated = |name: &str| DATE_FORMATS.iter().any(|(date, _)| *date == name);
        names.retain(|name, _| !dated(name) && !DATED.contains(name));
    }
    names.insert("triggering_asset_events", Value::from(Serde(by_asset(run))));
    Value::from_pairs(names)
}

/// What is undefined in a run that assets have triggered, besides the texts of its date.
const DATED: &[&str] = &["logical_date", "data_interval_start", "data_interval_end"];

/// The events that a run consumes, by asset.
fn by_asset(run: &DagRun) -> BTreeMap<&str, Vec<&AssetEvent>> {
    let mut events: BTreeMap<&str, Vec<&AssetEvent>> = BTreeMap::new();
    for event in &run.asset_events {
        events.entry(&event.asset).or_default().push(event);
    }
    events
}

/// A date in a zone, with the methods that people know from Airflow's dates.
#[derive(Debug)]
struct DateTimeValue {
    at: Timestamp,
    zone: Tz,
}

impl DateTimeValue {
    fn utc(at: Timestamp) -> Self {
        Self { at, zone: Tz::UTC }
    }

    fn format(&self, format: &str) -> String {
        self.at.to_utc().with_timezone(&self.zone).format(format).to_string()
    }
}

impl Object for DateTimeValue {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.format("%Y-%m-%d %H:%M:%S%:z"))
    }

    fn call_method(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        let text = |args: &[Value]| -> Result<String, Error> {
            let (text,): (String,) = minijinja::value::from_args(args)?;
            Ok(text)
        };
        match method {
            "strftime" => strftime(self, &text(args)?),
            "isoformat" => Ok(Value::from(self.format("%Y-%m-%dT%H:%M:%S%:z"))),
            "in_timezone" | "in_tz" => {
                let name = text(args)?;
                let zone = name.parse().map_err(|_| {
                    Error::new(ErrorKind::InvalidOperation, format!("{name:?} is not a timezone"))
                })?;
                Ok(Value::from_object(Self { at: self.at, zone }))
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}

/// `format` comes from the template: chrono reports a bad one only while it prints.
fn strftime(date: &DateTimeValue, format: &str) -> Result<Value, Error> {
    use std::fmt::Write as _;
    let mut text = String::new();
    write!(text, "{}", date.at.to_utc().with_timezone(&date.zone).format(format)).map_err(
        |_| Error::new(ErrorKind::InvalidOperation, format!("{format:?} is not a strftime format")),
    )?;
    Ok(Value::from(text))
}

/// `var.value`: a name, or `get(name, default)`.
#[derive(Debug)]
struct VariableValues(Arc<Variables>);

impl Object for VariableValues {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.0.get(key.as_str()?).map(|value| Value::from(value.as_str()))
    }

    fn call_method(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        if method != "get" {
            return Err(Error::from(ErrorKind::UnknownMethod));
        }
        let (name, default): (String, Rest<Value>) = minijinja::value::from_args(args)?;
        let default = default.first().cloned().unwrap_or_else(|| Value::from(()));
        Ok(self.0.get(&name).map_or(default, |value| Value::from(value.as_str())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{DagId, RunKey};
    use crate::plan::Plan;
    use crate::run::DataInterval;

    fn render(template: &str) -> Result<String, String> {
        let dag = Dag::new(DagId::new("flights").expect("a name"), Vec::new());
        let at = Timestamp::from_micros(1_514_764_800_000_000);
        let plan = Plan::new(dag).expect("a graph");
        let interval = DataInterval { start: at, end: at };
        let run = DagRun {
            params: serde_json::from_str(r#"{"carrier": "UA"}"#).expect("JSON"),
            ..DagRun::new(RunKey(uuid::Uuid::nil()), &plan, RunType::Manual, interval, at)
        };
        let task = TaskId::new("load").expect("a name");
        let attempt = AttemptKey { run: run.key, task: task.clone(), map_index: -1, number: 1 };
        let outputs =
            BTreeMap::from([(task, serde_json::from_str(r#"{"rows": 3}"#).expect("JSON"))]);
        let variables = Arc::new(Variables::from([("a".into(), "b".into())]));
        Renderer::new(&Facts {
            dag: &plan.dag,
            run: &run,
            attempt: &attempt,
            outputs: &outputs,
            variables: &variables,
            map: None,
        })
        .render(template)
    }

    #[test]
    fn airflows_variables_have_airflows_values() {
        let check = |template: &str, expected: &str| {
            assert_eq!(render(template).as_deref(), Ok(expected), "{template}");
        };
        check("{{ ds }} {{ ds_nodash }}", "2018-01-01 20180101");
        check("{{ ts }}", "2018-01-01T00:00:00+00:00");
        check("{{ ts_nodash }} {{ ts_nodash_with_tz }}", "20180101T000000 20180101T000000+0000");
        check("{{ logical_date }}", "2018-01-01 00:00:00+00:00");
        check("{{ data_interval_end | ds_nodash }}", "20180101");
        check("{{ logical_date.in_timezone('Asia/Seoul').strftime('%H') }}", "09");
        check("{{ run_id }}", "manual__2018-01-01T00:00:00+00:00");
        check("{{ params.carrier }}/{{ outputs.load.rows + 1 }}", "UA/4");
        check("{{ var.value.a }}{{ var.value.get('x', 'y') }}", "by");
        check("no template, {braces}", "no template, {braces}");
    }

    #[test]
    fn what_is_undefined_is_an_error() {
        for template in ["{{ nothing }}", "{{ params.nothing }}", "{{ var.value.nothing }}"] {
            let error = render(template).expect_err(template);
            assert!(error.contains("undefined"), "{error}");
        }
        assert!(render("{{ logical_date.strftime('%Q!') }}").is_err());
    }

    #[test]
    fn a_template_is_checked_before_anything_runs() {
        let (params, above) = (BTreeSet::from(["carrier"]), BTreeSet::from(["extract"]));
        let known = Known { params: &params, above: &above, map: None };
        for fine in [
            "{{ ds }}",
            "{{ params.carrier }}",
            "{{ outputs.extract.rows }}",
            "{% for i in range(3) %}{{ i }}{% endfor %}",
            "{{ var.value.get('x', 1) }}",
        ] {
            assert_eq!(check(fine, &known), Ok(()), "{fine}");
        }
        let refuse = |template: &str, expected: &str| {
            let error = check(template, &known).expect_err(template);
            assert!(error.contains(expected), "{template}: {error}");
        };
        refuse("{{ dz }}", "\"dz\" is undefined");
        refuse("{{ params.carier }}", "it has carrier");
        refuse("{{ outputs.load.rows }}", "not above this task");
        refuse("{{ ds", "syntax error");
    }
}
