//! Asking for a run: its date, its params, its name.

use serde_json::json;
use sha2::{Digest, Sha256};
use towpath_common::command::Command;
use towpath_common::dag::Dag;
use towpath_common::id::{DagId, RunKey};
use towpath_common::params;
use towpath_common::run::RunType;
use towpath_common::time::Timestamp;
use towpath_common::user::Role;
use towpath_scheduler::core::timetable::Timetable;
use uuid::Uuid;

use crate::answer::{TriggerRequest, Triggered};
use crate::{Deed, Operations, Refusal, Result, instant};

impl Operations {
    /// Asking again with the same key is asking once.
    pub async fn trigger(
        &self,
        dag_id: &DagId,
        request: &TriggerRequest,
        idempotency_key: Option<&str>,
    ) -> Result<Triggered> {
        let dag = self.deployed(dag_id).await?;
        self.require(Role::Operator, dag.team.as_deref())?;
        let logical_date = match &request.logical_date {
            None => self.now(),
            Some(text) => instant("logical_date", text, &dag)?,
        };
        let params = params::resolve(&dag, &request.params).map_err(Refusal::invalid)?;
        let run_id = match (&request.run_id, idempotency_key) {
            (Some(_), Some(_)) => {
                let words = "give either a run id or an idempotency key";
                return Err(Refusal::Invalid(words.to_owned()));
            }
            (Some(name), None) => {
                checked(name)?;
                if !self.store().find_runs(Some(dag_id), name).await?.is_empty() {
                    return Err(Refusal::Conflict(format!("{dag_id} already has a run {name}")));
                }
                name.clone()
            }
            (None, Some(key)) => {
                let name = format!("manual__key_{key}");
                checked(&name)?;
                if let Some(run) = self.store().find_runs(Some(dag_id), &name).await?.first() {
                    return Ok(triggered(dag_id, run.key, name));
                }
                name
            }
            (None, None) => self.free_name(&dag, logical_date).await?,
        };
        let key = key_of(dag_id, &run_id);
        let timetable = Timetable::new(&dag.schedule).map_err(Refusal::invalid)?;
        self.note(Deed {
            action: "run.trigger",
            dag: Some((dag_id, dag.team.as_deref())),
            subject: format!("run/{key}"),
            before: json!(null),
            after: json!({ "dag_id": dag_id, "run_id": run_id, "params": params }),
        })
        .await?;
        let command = Command::TriggerRun {
            dag_id: dag_id.clone(),
            run: RunKey(key),
            run_id: run_id.clone(),
            logical_date,
            data_interval: timetable.manual_interval(logical_date),
            params,
        };
        self.ask_once(key, command).await?;
        Ok(triggered(dag_id, RunKey(key), run_id))
    }

    /// Airflow's name for a manual run, with a number where there are several for one date.
    async fn free_name(&self, dag: &Dag, at: Timestamp) -> Result<String> {
        let name = RunType::Manual.run_id(at);
        let mut candidate = name.clone();
        for number in 2.. {
            if self.store().find_runs(Some(&dag.dag_id), &candidate).await?.is_empty() {
                break;
            }
            candidate = format!("{name}__{number}");
        }
        Ok(candidate)
    }
}

fn triggered(dag_id: &DagId, run: RunKey, run_id: String) -> Triggered {
    Triggered { run_key: run.0, dag_id: dag_id.to_string(), run_id }
}

/// Whoever asks for a run of the same name asks for the same run, even at the same time.
fn key_of(dag_id: &DagId, run_id: &str) -> Uuid {
    let hash = Sha256::digest(format!("{dag_id}\n{run_id}").as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    Uuid::from_bytes(bytes)
}

fn checked(name: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.:+~".contains(c);
    if name.is_empty() || name.len() > 200 || name.starts_with('.') || !name.chars().all(allowed) {
        return Err(Refusal::Invalid(format!(
            "{name:?} cannot be a run's id; use up to 200 letters, digits and _ - . : + ~"
        )));
    }
    Ok(())
}
