//! One look at what is waited for.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::Semaphore;
use towpath_common::command::{Command, InboxItem};
use towpath_common::connection::Connection;
use towpath_common::dag::Target;
use towpath_common::id::{DagId, RunKey, TaskId};
use towpath_common::message::{Announcement, Topic};
use towpath_common::outcome::Outputs;
use towpath_common::params;
use towpath_common::run::{DagRun, DataInterval};
use towpath_common::state::{RunState, TaskState};
use towpath_common::time::Timestamp;
use towpath_rendering::{Masker, RenderError, Subject, Vault, VaultError};

use super::Waiting;
use super::http::HttpClient;
use super::s3::Buckets;
use super::sql::Databases;
use crate::Services;
use crate::core::past::done_of_records;

/// How many looks are under way at once, whoever waits.
const LOOKS_MAX: usize = 64;

/// What was seen.
pub enum Sight {
    Found(Outputs),
    /// And why not, for people.
    NotYet(String),
    /// It comes at this instant.
    At(Timestamp),
    /// It cannot come any more, or cannot be looked for.
    Never(String),
}

fn found() -> Sight {
    Sight::Found(Outputs::new())
}

pub struct Looker {
    services: Services,
    http: HttpClient,
    databases: Databases,
    buckets: Buckets,
    looks: Semaphore,
}

impl Looker {
    pub fn new(services: Services) -> Self {
        Self {
            services,
            http: HttpClient::default(),
            databases: Databases::default(),
            buckets: Buckets::default(),
            looks: Semaphore::new(LOOKS_MAX),
        }
    }

    pub fn now(&self) -> Timestamp {
        self.services.clock.now()
    }

    /// The target with its templates rendered, and what nobody may see of it.
    pub async fn render(
        &self,
        waiting: &Waiting,
        target: &Target,
    ) -> Result<(Target, Arc<Masker>), RenderError> {
        let Waiting { attempt, run, plan, .. } = waiting;
        let templates = target.templates().into_iter().map(str::to_owned).collect();
        let subject = Subject { plan, run, attempt: Some(attempt), exception: None };
        let rendered = self.services.rendering.render(subject, templates).await?;
        Ok((target.with_texts(rendered.texts), rendered.masker))
    }

    pub async fn look(&self, waiting: &Waiting, target: &Target) -> Sight {
        let Ok(_turn) = self.looks.acquire().await else {
            return Sight::NotYet("nobody looks".to_owned());
        };
        match target {
            Target::Time { at } => {
                match chrono::DateTime::parse_from_rfc3339(&at.trim().replace(' ', "T")) {
                    Ok(at) => Sight::At(at.into()),
                    Err(_) => Sight::Never(format!(
                        "{at:?} is not an instant; write one like 2013-01-31T06:00:00Z"
                    )),
                }
            }
            Target::Delta { after } => Sight::At(waiting.run.data_interval.end.plus(*after)),
            Target::File { pattern } => look_for_file(pattern.clone()).await,
            Target::Http { url, headers, contains } => {
                self.http.look(url, headers, contains.as_deref()).await
            }
            Target::Sql { connection, query } => match self.connection(connection).await {
                Ok(found) => hidden(&found, self.databases.look(connection, &found, query).await),
                Err(sight) => sight,
            },
            Target::S3(target) => match self.connection(&target.connection).await {
                Ok(found) => {
                    let name = &target.connection;
                    hidden(&found, self.buckets.look(name, &found, target, self.now()).await)
                }
                Err(sight) => sight,
            },
            Target::Asset { name } => self.asset(name, waiting.run.logical_date).await,
            Target::ExternalTask { dag_id, task_id, earlier, fail_when_failed } => {
                let date = waiting.run.logical_date.minus(*earlier);
                let looked = self.external(dag_id, task_id.as_ref(), date, *fail_when_failed).await;
                looked.unwrap_or_else(|error| Sight::NotYet(error.to_string()))
            }
            Target::TriggeredRun { dag_id, params, wait } => {
                let looked = self.triggered(waiting, dag_id, params, *wait).await;
                looked.unwrap_or_else(|error| Sight::NotYet(error.to_string()))
            }
        }
    }

    /// The connection, or what is to be seen without it.
    async fn connection(&self, name: &str) -> Result<Connection, Sight> {
        match self.services.rendering.vault.connection(name).await {
            Ok(Some(connection)) => Ok(connection),
            Ok(None) => Err(Sight::Never(format!(
                "there is no connection {name:?}; make it with `towpath connection set`, or set {} to its URI",
                Vault::environment_name(name)
            ))),
            Err(VaultError::Store(error)) => Err(Sight::NotYet(error.to_string())),
            Err(error) => Err(Sight::Never(error.to_string())),
        }
    }

    async fn asset(&self, name: &str, from: Timestamp) -> Sight {
        match self.services.store.asset_events(Some(name), None, 1).await {
            Err(error) => Sight::NotYet(error.to_string()),
            Ok(events) => match events.first() {
                Some(event) if event.at >= from => Sight::Found(Outputs::from_iter([
                    ("sequence".to_owned(), Value::from(event.sequence)),
                    ("at".to_owned(), Value::from(event.at.to_string())),
                ])),
                _ => Sight::NotYet(format!("the asset {name} has no event since {from}")),
            },
        }
    }

    async fn external(
        &self,
        dag_id: &DagId,
        task_id: Option<&TaskId>,
        date: Timestamp,
        fail_when_failed: bool,
    ) -> Result<Sight, towpath_common::port::StoreError> {
        let store = &self.services.store;
        if store.dag(dag_id).await?.is_none() {
            return Ok(Sight::Never(format!("there is no Dag {dag_id}")));
        }
        let Some(run) = store.runs_between(dag_id, date, date).await?.pop() else {
            return Ok(Sight::NotYet(format!("{dag_id} has no run of {date}")));
        };
        let (done, state) = match task_id {
            None => (run.state == RunState::Success, run.state.to_string()),
            Some(task_id) => match self.task_state(&run, task_id).await? {
                Some(state) => state,
                None => {
                    return Ok(Sight::Never(format!("{dag_id} has no task {task_id}")));
                }
            },
        };
        let failed = run.state == RunState::Failed || state == TaskState::Failed.as_str();
        Ok(if done {
            found()
        } else if fail_when_failed && failed {
            Sight::Never(format!("{dag_id} of {date} is {state}"))
        } else {
            Sight::NotYet(format!("{dag_id} of {date} is {state}"))
        })
    }

    /// Whether all instances of the task are done, and in what state one is that is not.
    async fn task_state(
        &self,
        run: &DagRun,
        task_id: &TaskId,
    ) -> Result<Option<(bool, String)>, towpath_common::port::StoreError> {
        let store = &self.services.store;
        let Some(dag) = store.dag_version(&run.version).await? else { return Ok(None) };
        let records = store.instances(run.key).await?;
        let Some(done) = done_of_records(&dag, &records).get(task_id).copied() else {
            return Ok(None);
        };
        let states = records.iter().filter(|record| record.task == *task_id);
        let state = states
            .map(|record| record.instance.state)
            .max_by_key(|state| *state == TaskState::Failed);
        Ok(Some((done, state.unwrap_or(TaskState::None).to_string())))
    }

    /// Starts the run once, by a name that only this instance gives, and looks how it goes.
    async fn triggered(
        &self,
        waiting: &Waiting,
        dag_id: &DagId,
        given: &std::collections::BTreeMap<String, String>,
        wait: bool,
    ) -> Result<Sight, towpath_common::port::StoreError> {
        let store = &self.services.store;
        let run_id = format!("manual__by_{}", waiting.attempt);
        if let Some(run) = store.find_runs(Some(dag_id), &run_id).await?.pop() {
            return Ok(match run.state {
                _ if !wait => found(),
                RunState::Success => found(),
                RunState::Failed => Sight::Never(format!("the run {run_id} of {dag_id} failed")),
                state => Sight::NotYet(format!("the run {run_id} of {dag_id} is {state}")),
            });
        }
        let Some(record) = store.dag(dag_id).await? else {
            return Ok(Sight::Never(format!("there is no Dag {dag_id}")));
        };
        let Some(dag) = store.dag_version(&record.version).await? else {
            return Ok(Sight::Never(format!("the version of {dag_id} is gone")));
        };
        let given: serde_json::Map<String, Value> = given
            .iter()
            .map(|(name, text)| (name.clone(), params::from_text(&dag, name, text)))
            .collect();
        let params = match params::resolve(&dag, &given) {
            Ok(params) => params,
            Err(why) => return Ok(Sight::Never(why.to_string())),
        };
        let logical_date = self.now();
        let command = Command::TriggerRun {
            dag_id: dag_id.clone(),
            run: RunKey(self.services.ids.uuid()),
            run_id: run_id.clone(),
            logical_date,
            data_interval: DataInterval { start: logical_date, end: logical_date },
            params,
        };
        let item = InboxItem::command(self.services.ids.uuid(), command);
        store.ask(&item, logical_date).await?;
        // If nobody hears it, the inbox is looked into all the same.
        let _ = self.services.bus.announce(Topic::Scheduler, &Announcement::CommandWaiting).await;
        Ok(if wait {
            Sight::NotYet(format!("the run {run_id} has just been asked for"))
        } else {
            found()
        })
    }
}

/// Without what servers and drivers repeat of the connection's secrets.
fn hidden(connection: &Connection, sight: Sight) -> Sight {
    let secrets = connection.secrets();
    let masker = || Masker::new(secrets.iter().map(String::as_str));
    match sight {
        Sight::NotYet(why) => Sight::NotYet(masker().text(&why)),
        Sight::Never(why) => Sight::Never(masker().text(&why)),
        sight => sight,
    }
}

async fn look_for_file(pattern: String) -> Sight {
    let looked = tokio::task::spawn_blocking(move || match glob::glob(&pattern) {
        Err(error) => Sight::Never(format!("{pattern:?} is not a pattern: {error}")),
        Ok(mut paths) => match paths.find_map(Result::ok) {
            Some(path) => {
                let path = Value::from(path.display().to_string());
                Sight::Found(Outputs::from_iter([("path".to_owned(), path)]))
            }
            None => Sight::NotYet(format!("no file matches {pattern:?}")),
        },
    });
    looked.await.unwrap_or_else(|error| Sight::NotYet(error.to_string()))
}
