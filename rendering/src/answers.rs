//! What templates ask for while they are rendered, answered from the store and the vault. What was secret is
//! remembered.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;
use towpath_common::connection::Connection;
use towpath_common::port::{Store, StoreError, XCom};
use towpath_common::run::DagRun;
use towpath_common::template::{Lookup, Pull};

use crate::vault::{Vault, VaultError};

/// Answers for one instance. Rendering does not wait, so it is done on a thread that may: see
/// [`crate::Rendering`].
#[derive(Debug)]
pub struct Answers {
    pub store: StoreHandle,
    pub vault: Arc<Vault>,
    pub run: DagRun,
    pub runtime: Handle,
    pub revealed: Mutex<Vec<String>>,
    /// The store was away: the rendering is to be done again.
    pub away: Mutex<Option<StoreError>>,
}

/// The store, of which there is nothing to show.
#[derive(Clone)]
pub struct StoreHandle(pub Arc<dyn Store>);

impl std::fmt::Debug for StoreHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the store")
    }
}

impl Answers {
    fn reveal(&self, secrets: impl IntoIterator<Item = String>) {
        self.revealed.lock().unwrap_or_else(PoisonError::into_inner).extend(secrets);
    }

    fn of_store<T>(&self, answer: Result<T, StoreError>) -> Result<T, String> {
        answer.map_err(|error| {
            let words = error.to_string();
            *self.away.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            words
        })
    }

    fn of_vault<T>(&self, answer: Result<T, VaultError>) -> Result<T, String> {
        match answer {
            Err(VaultError::Store(error)) => self.of_store(Err(error)),
            answer => answer.map_err(|error| error.to_string()),
        }
    }

    async fn pulled(&self, pull: &Pull) -> Result<Vec<XCom>, StoreError> {
        let store = self.store.0.as_ref();
        let dag_id = pull.dag_id.as_ref().unwrap_or(&self.run.dag_id);
        let run = match &pull.run_id {
            Some(run_id) => store.find_runs(Some(dag_id), run_id).await?.pop(),
            None if *dag_id == self.run.dag_id => Some(self.run.clone()),
            None => {
                let date = self.run.logical_date;
                store.runs_between(dag_id, date, date).await?.pop()
            }
        };
        let of_run = match &run {
            Some(run) => store.outputs(run.key, &pull.tasks).await?,
            None => Vec::new(),
        };
        if !pull.include_prior_dates {
            return Ok(of_run);
        }
        let mut found = Vec::new();
        for task in &pull.tasks {
            let of_task: Vec<XCom> = of_run.iter().filter(|x| x.task == *task).cloned().collect();
            if of_task.is_empty() {
                let earlier = store.run_with_outputs(dag_id, task, self.run.logical_date).await?;
                if let Some(run) = earlier {
                    found.extend(store.outputs(run, std::slice::from_ref(task)).await?);
                }
            }
            found.extend(of_task);
        }
        Ok(found)
    }
}

impl Lookup for Answers {
    fn variable(&self, name: &str) -> Result<Option<String>, String> {
        let found = self.of_vault(self.runtime.block_on(self.vault.variable(name)))?;
        Ok(found.map(|opened| {
            self.reveal(opened.secret.then(|| opened.text.clone()));
            opened.text
        }))
    }

    fn connection(&self, name: &str) -> Result<Option<Connection>, String> {
        let found = self.of_vault(self.runtime.block_on(self.vault.connection(name)))?;
        if let Some(connection) = &found {
            self.reveal(connection.secrets());
        }
        Ok(found)
    }

    fn pull(&self, pull: &Pull) -> Result<Vec<XCom>, String> {
        self.of_store(self.runtime.block_on(self.pulled(pull)))
    }

    fn previous_success(&self) -> Result<Option<DagRun>, String> {
        let (store, run) = (self.store.0.as_ref(), &self.run);
        let found = store.previous_success(&run.dag_id, run.logical_date);
        self.of_store(self.runtime.block_on(found))
    }
}
