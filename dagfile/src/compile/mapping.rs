//! Over what tasks are expanded, checked.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use serde_saphyr::{Location, Spanned};
use towpath_common::dag::{Combine, Expand, MapSource, length};
use towpath_common::id::TaskId;

use super::Wrong;
use crate::authored::{AuthoredDag, AuthoredExpand};
use crate::layout::LaidTask;
use crate::suggest::hint;

const FORMS: &str = "write a list, {param: NAME}, {output: TASK.KEY} or {values: …}";

/// A task comes after the tasks over whose outputs it is expanded.
pub fn add_edges(laid: &mut [LaidTask<'_>], wrong: &mut Wrong) {
    if laid.iter().all(|task| expansion_of(task).is_none()) {
        return;
    }
    let names: BTreeSet<String> = laid.iter().map(|task| task.name.clone()).collect();
    for task in laid {
        let Some((_, expand)) = expansion_of(task) else { continue };
        for value in expand.value.over.values() {
            let Some(output) = value.value.get("output").and_then(Value::as_str) else { continue };
            match split(output) {
                Ok((source, _)) if names.contains(source) => {
                    task.above.insert(source.to_owned());
                }
                Ok((source, _)) => {
                    let hint = hint(source, names.iter().map(String::as_str));
                    let message = format!("{source:?} is not a task{hint}");
                    wrong.add(value.referenced, message);
                }
                // Told when the expansion is read.
                Err(_) => {}
            }
        }
    }
}

/// The task's own expansion, or that of the group around it.
fn expansion_of<'a>(laid: &LaidTask<'a>) -> Option<(Option<String>, &'a Spanned<AuthoredExpand>)> {
    let group = || laid.mapped_group.as_ref().map(|(group, expand)| (Some(group.clone()), *expand));
    laid.task.value.expand.as_ref().map(|expand| (None, expand)).or_else(group)
}

pub fn expand(laid: &LaidTask<'_>, dag: &AuthoredDag, wrong: &mut Wrong) -> Option<Expand> {
    let (group, authored) = expansion_of(laid)?;
    if let (Some(own), Some((around, _))) = (&laid.task.value.expand, &laid.mapped_group) {
        let message = format!(
            "task {:?} is expanded and so is group {around:?}; expand one of them",
            laid.name
        );
        wrong.add(own.referenced, message);
    }
    let AuthoredExpand { over, combine, map_index_template, .. } = &authored.value;
    if over.is_empty() {
        wrong.add(authored.referenced, "there is nothing to expand over");
    }
    let mut sources = BTreeMap::new();
    for (name, value) in over {
        sources.extend(source(name, value, dag, wrong).map(|source| (name.clone(), source)));
    }
    let combine = wrong.word("a way to combine lists", combine.as_ref());
    Some(Expand {
        combine: combine.unwrap_or(Combine::Product),
        over: sources,
        group,
        map_index_template: map_index_template.as_ref().map(|text| text.value.clone()),
    })
}

fn source(
    name: &str,
    value: &Spanned<Value>,
    dag: &AuthoredDag,
    wrong: &mut Wrong,
) -> Option<MapSource> {
    let at: Location = value.referenced;
    let read = match &value.value {
        list @ Value::Array(_) => Ok(MapSource::Literal(list.clone())),
        Value::Object(map) if map.len() == 1 => match map.iter().next() {
            Some((key, Value::String(param))) if key == "param" => named_param(param, dag),
            Some((key, Value::String(output))) if key == "output" => {
                split(output).and_then(|(task, key)| {
                    let task = TaskId::new(task)
                        .map_err(|why| format!("{task:?} is not a task: {why}"))?;
                    Ok(MapSource::Output { task, key: key.to_owned() })
                })
            }
            Some((key, values)) if key == "values" => length("values", values)
                .map(|_| MapSource::Literal(values.clone()))
                .map_err(|why| why.to_string()),
            _ => Err(format!("{} cannot be expanded over; {FORMS}", value.value)),
        },
        other => Err(format!("{other} cannot be expanded over; {FORMS}")),
    };
    read.map_err(|why| wrong.add(at, format!("expand.over.{name}: {why}"))).ok()
}

fn named_param(name: &str, dag: &AuthoredDag) -> Result<MapSource, String> {
    if !dag.params.contains_key(name) {
        let hint = hint(name, dag.params.keys().map(String::as_str));
        return Err(format!("the Dag has no param {name:?}{hint}"));
    }
    Ok(MapSource::Param(name.to_owned()))
}

fn split(output: &str) -> Result<(&str, &str), String> {
    output
        .rsplit_once('.')
        .ok_or_else(|| format!("{output:?} does not name an output; write TASK.KEY"))
}
