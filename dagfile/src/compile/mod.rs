//! From the authored form to the canonical one: every value checked, defaults merged, tasks sorted.

mod container;
mod mapping;
mod notify;
mod schedule;
mod task;
mod templates;
mod wait;

pub(crate) use container::capability;

use std::collections::BTreeMap;

use chrono_tz::Tz;
use serde_json::Value;
use serde_saphyr::{Location, Spanned};
use towpath_common::Word;
use towpath_common::dag::{Dag, MAX_ACTIVE_RUNS, Param, Schedule};
use towpath_common::id::{DagId, NameError};
use towpath_common::params;

use crate::authored::{AuthoredDag, Scalar};
use crate::diagnostic::Diagnostic;
use crate::graph;
use crate::layout::{LaidTask, lay_out};
use crate::suggest::hint;

pub fn compile(authored: &AuthoredDag) -> Result<Dag, Vec<Diagnostic>> {
    let mut wrong = Wrong::default();
    let dag_id = wrong.take("a Dag's name", &authored.dag, DagId::new);
    let schedule = schedule::schedule(authored.schedule.as_ref(), &mut wrong);
    let timezone = schedule.as_ref().map_or(Tz::UTC, |schedule| schedule.timezone);
    let mut date = |date: &Option<Spanned<Scalar>>| {
        date.as_ref()
            .and_then(|date| wrong.check(date, |text| schedule::instant(&text.0, timezone)))
    };
    let (start_date, end_date) = (date(&authored.start_date), date(&authored.end_date));
    let max_active_runs = wrong.count("max_active_runs", authored.max_active_runs.as_ref(), 1);
    let per_dag =
        wrong.count("max_active_tasks_per_dag", authored.max_active_tasks_per_dag.as_ref(), 1);
    let per_run =
        wrong.count("max_active_tasks_per_run", authored.max_active_tasks_per_run.as_ref(), 1);
    let failed_runs = wrong.count(
        "max_consecutive_failed_dag_runs",
        authored.max_consecutive_failed_dag_runs.as_ref(),
        1,
    );
    let dagrun_timeout = task::duration(authored.dagrun_timeout.as_ref(), &mut wrong);
    let params = params(authored, &mut wrong);
    let notify = notify::of_dag(authored, &mut wrong);
    let deadlines = notify::deadlines(&authored.deadlines, &mut wrong);
    let laid = laid_out(authored, &mut wrong);
    let mut tasks = Vec::new();
    for task in &laid {
        tasks.extend(task::compile(task, authored, &mut wrong));
    }
    refuse_own_assets(schedule.as_ref(), &laid, &mut wrong);
    let (Some(dag_id), Some(schedule), []) = (dag_id, schedule, wrong.list.as_slice()) else {
        return Err(wrong.list);
    };
    let dag = Dag {
        description: authored.description.clone(),
        team: authored.team.clone(),
        tags: authored.tags.clone(),
        schedule,
        start_date,
        end_date,
        catchup: authored.catchup,
        max_active_runs: max_active_runs.unwrap_or(MAX_ACTIVE_RUNS),
        fail_fast: authored.fail_fast,
        max_active_tasks_per_dag: per_dag,
        max_active_tasks_per_run: per_run,
        max_consecutive_failed_dag_runs: failed_runs,
        dagrun_timeout,
        params,
        notify,
        deadlines,
        ..Dag::new(dag_id, tasks)
    };
    templates::check(authored, &laid, &dag)?;
    Ok(dag)
}

/// A Dag that makes what it waits for would start itself for ever.
fn refuse_own_assets(schedule: Option<&Schedule>, laid: &[LaidTask<'_>], wrong: &mut Wrong) {
    let Some(condition) = schedule.and_then(|schedule| schedule.assets.as_ref()) else { return };
    let awaited = condition.assets();
    for outlet in laid.iter().flat_map(|task| &task.task.value.outlets) {
        if awaited.contains(outlet.value.as_str()) {
            let message = format!(
                "the Dag is started by the asset {:?} and this task makes it: it would start itself for ever",
                outlet.value
            );
            wrong.add(outlet.referenced, message);
        }
    }
}

/// The tasks with their names and edges. Nothing is there if names are missing or edges go round.
fn laid_out<'a>(authored: &'a AuthoredDag, wrong: &mut Wrong) -> Vec<LaidTask<'a>> {
    let mut laid = match lay_out(authored) {
        Ok(laid) => laid,
        Err(list) => {
            wrong.list.extend(list);
            return Vec::new();
        }
    };
    if laid.is_empty() {
        let message = "there are no tasks; a Dag has at least one";
        match &authored.tasks {
            Some(tasks) => wrong.add(tasks.referenced, message),
            None => wrong.list.push(Diagnostic::of_file("the key \"tasks\" is missing")),
        }
    }
    mapping::add_edges(&mut laid, wrong);
    wrong.list.extend(graph::cycles(&laid));
    laid
}

/// What is wrong so far.
#[derive(Default)]
pub(crate) struct Wrong {
    pub list: Vec<Diagnostic>,
}

impl Wrong {
    pub fn add(&mut self, at: Location, message: impl Into<String>) {
        self.list.push(Diagnostic::at(at, message));
    }

    /// The value, or a diagnostic where it stands.
    pub fn check<T, U>(
        &mut self,
        value: &Spanned<T>,
        read: impl FnOnce(&T) -> Result<U, String>,
    ) -> Option<U> {
        read(&value.value).map_err(|message| self.add(value.referenced, message)).ok()
    }

    pub fn take<T>(
        &mut self,
        what: &str,
        name: &Spanned<String>,
        read: impl FnOnce(&str) -> Result<T, NameError>,
    ) -> Option<T> {
        self.check(name, |text| read(text).map_err(|why| not_a_name(text, what, &why)))
    }

    /// A whole number that is at least so much, if it is given.
    pub fn count(&mut self, what: &str, number: Option<&Spanned<i64>>, least: u32) -> Option<u32> {
        self.check(number?, |number| at_least(*number, least, what))
    }

    /// One of the words of a kind, if it is given; the error names them.
    pub fn word<W: Word>(&mut self, what: &str, word: Option<&Spanned<String>>) -> Option<W> {
        self.check(word?, |text| {
            let hint = || hint(text, W::WORDS.iter().copied());
            text.parse().map_err(|_| format!("{text:?} is not {what}{}", hint()))
        })
    }
}

pub(crate) fn not_a_name(text: &str, what: &str, why: &NameError) -> String {
    format!("{text:?} cannot be {what}: {why}")
}

pub(crate) fn at_least(value: i64, least: u32, what: &str) -> Result<u32, String> {
    match u32::try_from(value) {
        Ok(value) if value >= least => Ok(value),
        _ => Err(format!("{what} is {value}; it must be {least} or more")),
    }
}

/// A JSON Schema each, with a default and a description beside it.
fn params(authored: &AuthoredDag, wrong: &mut Wrong) -> BTreeMap<String, Param> {
    let mut params = BTreeMap::new();
    for (name, param) in &authored.params {
        let read = wrong.check(param, |value| read_param(name, value));
        params.extend(read.map(|param| (name.clone(), param)));
    }
    params
}

fn read_param(name: &str, value: &Value) -> Result<Param, String> {
    let Value::Object(entries) = value else {
        return Err(format!(
            "the param {name:?} is {value}; write a JSON Schema such as {{type: string, default: all}}"
        ));
    };
    let mut schema = entries.clone();
    let default = schema.remove("default");
    let description = match schema.remove("description") {
        None => String::new(),
        Some(Value::String(text)) => text,
        Some(other) => return Err(format!("the description of {name:?} is {other}; write a text")),
    };
    let schema = Value::Object(schema);
    params::check_schema(&schema).map_err(|why| format!("the param {name:?}: {why}"))?;
    let param = Param { schema, default, description };
    if let Some(default) = &param.default {
        params::check(name, &param, default)
            .map_err(|why| format!("the default of {name:?}: {why}"))?;
    }
    Ok(param)
}
