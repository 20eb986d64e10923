//! Asking for a run: its date, its params, its name.

use anyhow::Context;
use serde_json::{Map, Value};
use towpath_common::dag::Dag;
use towpath_common::params;
use towpath_common::time::{Clock, SystemClock, Timestamp};
use towpath_operations::answer::TriggerRequest;
use towpath_operations::instant;

use crate::args::{RunInput, TriggerOptions};

pub fn request(options: &TriggerOptions, dag: &Dag) -> anyhow::Result<TriggerRequest> {
    // Here the date is checked under the name that it has on the command line.
    logical_date(&options.input, dag)?;
    Ok(TriggerRequest {
        logical_date: options.input.date.clone(),
        params: given_params(&options.input.params, dag)?,
        run_id: options.run_id.clone(),
    })
}

pub fn logical_date(input: &RunInput, dag: &Dag) -> anyhow::Result<Timestamp> {
    match &input.date {
        None => Ok(SystemClock.now()),
        Some(text) => Ok(instant("--date", text, dag)?),
    }
}

/// The given params over the defaults, each checked against its schema.
pub fn params(input: &RunInput, dag: &Dag) -> anyhow::Result<Map<String, Value>> {
    Ok(params::resolve(dag, &given_params(&input.params, dag)?)?)
}

/// Params as they are given on the command line.
pub fn given_params(texts: &[String], dag: &Dag) -> anyhow::Result<Map<String, Value>> {
    let given = texts.iter().map(|text| {
        let (name, value) =
            text.split_once('=').with_context(|| format!("--param {text:?} is not KEY=VALUE"))?;
        Ok((name.to_owned(), params::from_text(dag, name, value)))
    });
    given.collect()
}
