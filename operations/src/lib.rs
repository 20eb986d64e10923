//! What people can ask of Towpath, whichever way they come: the command line and the API call the same.
//!
//! **Authority.** Every operation checks what its [`Actor`] may do, in the team that it touches. A Dag that
//! its actor may not see is not there for them.
//!
//! **Invariant.** What changes anything is in the audit log before it is done. States are changed by the
//! scheduler alone: an operation puts a command into the inbox and rings.

pub mod answer;
mod assets;
mod backfills;
mod change;
mod dags;
mod dates;
mod deploy;
mod fleet;
mod grid;
mod logs;
mod plan;
mod pools;
mod refusal;
mod runs;
mod schedule;
mod tasks;
mod trigger;
mod users;
mod vault;
mod versions;
mod welcome;

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;
use towpath_common::command::{Command, InboxItem};
use towpath_common::id::{DagId, Ids, RunKey};
use towpath_common::message::{Announcement, Topic};
use towpath_common::policy::ContainerPolicy;
use towpath_common::port::{Bus, Store};
use towpath_common::run::DagRun;
use towpath_common::time::{Clock, Timestamp};
use towpath_common::user::{AuditEntry, Role, Roles};
use towpath_rendering::Rendering;
use uuid::Uuid;

pub use towpath_dagfile::FILE_MAX;

pub use dates::{first_moment, instant, until};
pub use deploy::Authored;
pub use logs::{LinesAsked, LogFile, LogTail};
pub use refusal::{Refusal, Result};
pub use runs::RunQuery;
pub use schedule::{coming, schedule_words};
pub use tasks::InstanceName;
pub use users::{Identity, SESSION_LIFE, hash_of};
pub use versions::{Version, Versions};
pub use welcome::{Vouched, Welcome};

/// How many items a page has if nobody says, and at most.
pub const PAGE: u32 = 50;
pub const PAGE_MAX: u32 = 1000;

/// Who asks.
#[derive(Debug, Clone)]
pub struct Actor {
    pub name: String,
    pub roles: Roles,
    /// When what they came with ends, if it was a token; what they make with it lives no longer.
    pub until: Option<Timestamp>,
}

impl Actor {
    /// Whoever reaches the database may do everything.
    pub fn local(name: impl Into<String>) -> Self {
        Self { name: name.into(), roles: Roles::everywhere(Role::Admin), until: None }
    }
}

/// What operations work with.
#[derive(Clone)]
pub struct Services {
    pub store: Arc<dyn Store>,
    pub bus: Arc<dyn Bus>,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn Ids>,
    /// For templates, and to seal variables and connections.
    pub rendering: Rendering,
    pub log_dir: PathBuf,
    pub versions: Arc<Versions>,
    /// What the workers let containers have, as far as it is known here.
    pub policy: Arc<ContainerPolicy>,
}

/// The operations as one actor may use them.
#[derive(Clone)]
pub struct Operations {
    pub services: Services,
    pub actor: Actor,
}

/// What a change concerns and does, for the audit log.
pub(crate) struct Deed<'a> {
    pub action: &'static str,
    /// The Dag that it concerns, with its team.
    pub dag: Option<(&'a DagId, Option<&'a str>)>,
    pub subject: String,
    pub before: Value,
    pub after: Value,
}

impl Operations {
    pub fn new(services: Services, actor: Actor) -> Self {
        Self { services, actor }
    }

    fn store(&self) -> &dyn Store {
        self.services.store.as_ref()
    }

    fn now(&self) -> Timestamp {
        self.services.clock.now()
    }

    fn uuid(&self) -> Uuid {
        self.services.ids.uuid()
    }

    /// Refuses what the actor may not do in the team.
    fn require(&self, role: Role, team: Option<&str>) -> Result<()> {
        if self.actor.roles.may(role, team) {
            return Ok(());
        }
        let place = team.map_or("all teams".to_owned(), |team| format!("the team {team}"));
        let own = match self.actor.roles.in_team(team) {
            Some(own) => format!("{} is {own} there", self.actor.name),
            None => format!("{} has none there", self.actor.name),
        };
        Err(Refusal::Forbidden(format!("this needs the role {role} in {place}; {own}")))
    }

    /// Refuses whoever has no role anywhere.
    pub fn require_any(&self) -> Result<()> {
        match self.actor.roles.highest() {
            Some(_) => Ok(()),
            None => Err(Refusal::Forbidden(format!("{} has no role in any team", self.actor.name))),
        }
    }

    fn visible_teams(&self) -> Option<Vec<String>> {
        self.actor.roles.visible()
    }

    async fn note(&self, deed: Deed<'_>) -> Result<()> {
        let Deed { action, dag, subject, before, after } = deed;
        let entry = AuditEntry {
            id: self.uuid(),
            at: self.now(),
            who: self.actor.name.clone(),
            action: action.to_owned(),
            team: dag.and_then(|(_, team)| team).map(str::to_owned),
            dag_id: dag.map(|(dag_id, _)| dag_id.clone()),
            subject,
            before,
            after,
        };
        Ok(self.store().audit(&entry).await?)
    }

    /// Puts a command into the inbox and rings for it.
    async fn ask(&self, command: Command) -> Result<()> {
        self.ask_once(self.uuid(), command).await
    }

    /// The same command is taken once, however often it comes.
    async fn ask_once(&self, id: Uuid, command: Command) -> Result<()> {
        self.store().ask(&InboxItem::command(id, command), self.now()).await?;
        let rung = self.services.bus.announce(Topic::Scheduler, &Announcement::CommandWaiting);
        if let Err(error) = rung.await {
            tracing::warn!(%error, "the scheduler will find the command by itself");
        }
        Ok(())
    }

    /// The content of a deployed Dag's version, if the actor may see it.
    pub async fn deployed(&self, dag_id: &DagId) -> Result<Version> {
        let gone = || {
            Refusal::NotFound(format!(
                "there is no Dag {dag_id}; deploy it with towpath dag apply FILE"
            ))
        };
        let record = self.store().dag(dag_id).await?.ok_or_else(gone)?;
        let dag = self.version_if_any(&record.version).await?;
        let dag = dag
            .ok_or_else(|| Refusal::NotFound(format!("the version {} is gone", record.version)))?;
        if self.actor.roles.may(Role::Viewer, dag.team.as_deref()) { Ok(dag) } else { Err(gone()) }
    }

    /// Whether the Dag is there for the actor. That the store cannot say is an error, and no answer.
    async fn sees(&self, dag_id: &DagId) -> Result<bool> {
        match self.deployed(dag_id).await {
            Ok(_) => Ok(true),
            Err(Refusal::NotFound(_)) => Ok(false),
            Err(refusal) => Err(refusal),
        }
    }

    /// The team of a Dag that the actor may see.
    async fn team(&self, dag_id: &DagId) -> Result<Option<String>> {
        Ok(self.deployed(dag_id).await?.team.clone())
    }

    /// A run that the actor may see.
    pub async fn run_of(&self, key: RunKey) -> Result<DagRun> {
        let gone = || {
            Refusal::NotFound(format!(
                "there is no run {key}; towpath run list shows those that there are"
            ))
        };
        let run = self.store().run(key).await?.ok_or_else(gone)?;
        if self.sees(&run.dag_id).await? { Ok(run) } else { Err(gone()) }
    }

    /// A run in which the actor may do this, with its team.
    async fn run_for(&self, role: Role, key: RunKey) -> Result<(DagRun, Option<String>)> {
        let run = self.run_of(key).await?;
        let team = self.team(&run.dag_id).await?;
        self.require(role, team.as_deref())?;
        Ok((run, team))
    }
}
