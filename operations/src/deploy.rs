//! Deploying, pausing, and what is deployed.

use std::path::Path;

use serde_json::json;
use towpath_common::command::Command;
use towpath_common::dag::Dag;
use towpath_common::id::DagId;
use towpath_common::port::{DagRecord, Deployed as Stored, Deployment};
use towpath_common::user::Role;

use crate::answer::{DagPatch, DeployRequest, Deployed};
use crate::{Deed, Operations, Refusal, Result, Version};

/// A Dag with the file that it was read from.
pub struct Authored {
    pub dag: Dag,
    pub source: String,
    pub source_dir: Option<String>,
}

pub(crate) fn read(source: &str) -> Result<Dag> {
    towpath_dagfile::read("the DAG file", source.as_bytes())
        .map_err(|wrong| Refusal::Invalid(format!("not a valid DAG file\n{wrong}")))
}

impl Operations {
    /// From the text of a DAG file.
    pub async fn deploy_text(&self, request: &DeployRequest) -> Result<Deployed> {
        let authored = Authored {
            dag: read(&request.source)?,
            source: request.source.clone(),
            source_dir: request.source_dir.clone(),
        };
        self.deploy(&authored, request.paused).await
    }

    pub async fn deploy(&self, authored: &Authored, paused: bool) -> Result<Deployed> {
        let Authored { dag, source, source_dir } = authored;
        let known = self.replaced_by(dag).await?.map(|(record, _)| record);
        self.permit(dag)?;
        let version = dag.version();
        if let Some(dir) = source_dir.as_ref().filter(|dir| !Path::new(dir).is_absolute()) {
            return Err(Refusal::Invalid(format!("the folder {dir:?} is not an absolute path")));
        }
        let is_moved = |known: &DagRecord| source_dir.is_some() && known.source_dir != *source_dir;
        if known.as_ref().is_none_or(|known| known.version != version || is_moved(known)) {
            self.note(Deed {
                action: "dag.deploy",
                dag: Some((&dag.dag_id, dag.team.as_deref())),
                subject: format!("dag/{}", dag.dag_id),
                before: known.as_ref().map_or(
                    json!(null),
                    |known| json!({ "version": known.version, "source_dir": known.source_dir }),
                ),
                after: json!({ "version": version, "source_dir": source_dir }),
            })
            .await?;
        }
        let deployment = Deployment {
            dag,
            source: Some(source),
            source_dir: source_dir.as_deref(),
            paused_at_creation: paused,
        };
        let stored = self.store().put_dag(&deployment, self.now()).await?;
        self.ask(Command::DagChanged { dag_id: dag.dag_id.clone() }).await?;
        Ok(Deployed {
            dag_id: dag.dag_id.to_string(),
            version: version.to_string(),
            new: stored == Stored::NewVersion,
        })
    }

    /// Refuses what no worker would run.
    pub(crate) fn permit(&self, dag: &Dag) -> Result<()> {
        let policy = &self.services.policy;
        dag.tasks.iter().try_for_each(|task| {
            let refused = |why| Refusal::Invalid(format!("the task {}: {why}", task.id));
            policy.check(dag.team.as_deref(), &task.container).map_err(refused)
        })
    }

    /// What is deployed under the Dag's name, for somebody who may deploy this one in its place.
    pub(crate) async fn replaced_by(
        &self,
        dag: &Dag,
    ) -> Result<Option<(DagRecord, Option<Version>)>> {
        let known = self.store().dag(&dag.dag_id).await?;
        let before = match &known {
            Some(record) => self.version_if_any(&record.version).await?,
            None => None,
        };
        if known.is_some() {
            // Who takes a Dag from one team to another needs to be an author in both.
            let team = before.as_ref().and_then(|before| before.team.as_deref());
            self.require(Role::Author, team)?;
        }
        self.require(Role::Author, dag.team.as_deref())?;
        Ok(known.map(|record| (record, before)))
    }

    pub async fn patch_dag(&self, dag_id: &DagId, patch: &DagPatch) -> Result<()> {
        let team = self.team(dag_id).await?;
        self.require(Role::Operator, team.as_deref())?;
        let before = self.store().dag(dag_id).await?.is_some_and(|record| record.paused);
        self.note(Deed {
            action: if patch.paused { "dag.pause" } else { "dag.unpause" },
            dag: Some((dag_id, team.as_deref())),
            subject: format!("dag/{dag_id}"),
            before: json!({ "paused": before }),
            after: json!({ "paused": patch.paused }),
        })
        .await?;
        self.ask(Command::PauseDag { dag_id: dag_id.clone(), paused: patch.paused }).await
    }
}
