//! Deploying, pausing, and what is deployed.

use serde_json::json;
use towpath_common::command::Command;
use towpath_common::dag::Dag;
use towpath_common::id::DagId;
use towpath_common::port::{Deployed as Stored, Deployment};
use towpath_common::user::Role;

use crate::answer::{DagPatch, DeployRequest, Deployed};
use crate::{Deed, Operations, Refusal, Result};

/// A Dag with the file that it was read from.
pub struct Authored {
    pub dag: Dag,
    pub source: Option<String>,
    pub source_dir: Option<String>,
}

impl Operations {
    /// From the text of a DAG file.
    pub async fn deploy_text(&self, request: &DeployRequest) -> Result<Deployed> {
        let name = "the DAG file";
        let dag = towpath_dagfile::read(name, request.source.as_bytes())
            .map_err(|wrong| Refusal::Invalid(format!("not a valid DAG file\n{wrong}")))?;
        let authored = Authored { dag, source: Some(request.source.clone()), source_dir: None };
        self.deploy(&authored, request.paused).await
    }

    pub async fn deploy(&self, authored: &Authored, paused: bool) -> Result<Deployed> {
        let Authored { dag, source, source_dir } = authored;
        let known = self.store().dag(&dag.dag_id).await?;
        if let Some(record) = &known {
            // Who takes a Dag from one team to another needs to be an author in both.
            let before = self.store().dag_version(&record.version).await?;
            self.require(Role::Author, before.and_then(|before| before.team).as_deref())?;
        }
        self.require(Role::Author, dag.team.as_deref())?;
        let version = dag.version();
        if known.as_ref().is_none_or(|known| known.version != version) {
            self.note(Deed {
                action: "dag.deploy",
                team: dag.team.as_deref(),
                subject: format!("dag/{}", dag.dag_id),
                before: json!({ "version": known.as_ref().map(|known| &known.version) }),
                after: json!({ "version": version }),
            })
            .await?;
        }
        let deployment = Deployment {
            dag,
            source: source.as_deref(),
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

    pub async fn patch_dag(&self, dag_id: &DagId, patch: &DagPatch) -> Result<()> {
        let team = self.team(dag_id).await?;
        self.require(Role::Operator, team.as_deref())?;
        let before = self.store().dag(dag_id).await?.is_some_and(|record| record.paused);
        self.note(Deed {
            action: if patch.paused { "dag.pause" } else { "dag.unpause" },
            team: team.as_deref(),
            subject: format!("dag/{dag_id}"),
            before: json!({ "paused": before }),
            after: json!({ "paused": patch.paused }),
        })
        .await?;
        self.ask(Command::PauseDag { dag_id: dag_id.clone(), paused: patch.paused }).await
    }
}
