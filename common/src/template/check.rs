//! Checking a template when its Dag is deployed, before anything is known of a run.

use std::collections::BTreeSet;

use super::context::{LAZY, NAMES, OF_INSTANCES};
use super::macros::MACROS;
use super::{environment, is_template, words};

/// What is known of a Dag when it is deployed.
pub struct Known<'a> {
    pub params: &'a BTreeSet<&'a str>,
    /// The tasks whose outputs this task can see: those above it.
    pub above: &'a BTreeSet<&'a str>,
    /// The names that the task is expanded over.
    pub map: Option<&'a BTreeSet<&'a str>>,
    /// It is about a run and not about one of its tasks.
    pub of_run: bool,
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
        (name, _) if known.of_run && OF_INSTANCES.contains(&name) => {
            Err(format!("`{name}` is undefined: this is told of the whole run, not of a task"))
        }
        ("map", name) => check_map(name, known.map),
        ("var", None | Some("value" | "json")) => Ok(()),
        ("var", Some(other)) => {
            Err(format!("`var.{other}` is undefined; write `var.value.NAME` or `var.json.NAME`"))
        }
        ("macros", Some(name)) if !MACROS.contains(&name) => {
            Err(format!("`macros.{name}` is undefined; there are {}", MACROS.join(", ")))
        }
        ("params" | "outputs" | "conn" | "macros", _) => Ok(()),
        (name, _) if NAMES.contains(&name) || LAZY.contains(&name) || is_function(name) => Ok(()),
        (name, _) => Err(format!(
            "the variable {name:?} is undefined; there are params, outputs, var, conn, macros, {}, {}",
            NAMES.join(", "),
            LAZY.join(", ")
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

/// The connections that a template names, as far as it can be told before it is rendered.
pub fn connections(template: &str) -> BTreeSet<String> {
    if !is_template(template) {
        return BTreeSet::new();
    }
    let environment = environment();
    let parsed = environment.template_from_str(template).ok();
    let names = parsed.map(|parsed| parsed.undeclared_variables(true)).unwrap_or_default();
    let named = names.iter().filter_map(|path| path.strip_prefix("conn.")?.split('.').next());
    named.filter(|name| *name != "get").map(str::to_owned).collect()
}
