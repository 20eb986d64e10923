//! From DAG files to deployed Dags.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use towpath_common::command::{Command, InboxItem};
use towpath_common::dag::Dag;
use towpath_common::id::{DagId, Ids, RandomIds};
use towpath_common::message::{Announcement, Topic};
use towpath_common::port::{Bus, Deployed, Store};
use towpath_common::time::{Clock, SystemClock};

use crate::args::Connection;
use crate::settings::WAIT_VERB;

/// A Dag with the folder that its file is in.
pub struct ReadDag {
    pub dag: Dag,
    pub source_dir: Option<PathBuf>,
}

/// Reads and checks them all; nothing is deployed if one is wrong. A folder stands for the DAG files in
/// it.
pub fn read_all(files: &[PathBuf]) -> anyhow::Result<Vec<ReadDag>> {
    let mut read = Vec::new();
    let mut wrong = Vec::new();
    let mut all = Vec::new();
    for path in files {
        if !path.is_dir() {
            all.push(path.clone());
            continue;
        }
        let found = dag_files(path)?;
        if found.is_empty() {
            bail!("the folder {} holds no .yaml file", path.display());
        }
        all.extend(found);
    }
    for file in &all {
        match read_file(file)? {
            Ok(dag) => read.push(dag),
            Err(diagnostics) => wrong.push(diagnostics.to_string()),
        }
    }
    if wrong.is_empty() { Ok(read) } else { Err(Refused(wrong.join("\n")).into()) }
}

/// The `.yaml` and `.yml` files of a folder, by name.
pub fn dag_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder)
        .with_context(|| format!("the folder {} cannot be read", folder.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|kind| kind == "yaml" || kind == "yml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The diagnostics, one a line.
#[derive(Debug, thiserror::Error)]
#[error("not a valid DAG file\n{0}")]
struct Refused(String);

fn read_file(file: &Path) -> anyhow::Result<Result<ReadDag, towpath_dagfile::Diagnostics>> {
    let name = file.display().to_string();
    let bytes = std::fs::read(file).with_context(|| format!("{name} cannot be read"))?;
    let source_dir =
        std::path::absolute(file).ok().and_then(|path| path.parent().map(Path::to_owned));
    Ok(towpath_dagfile::read(&name, &bytes).map(|dag| ReadDag { dag, source_dir }))
}

pub struct Deployer {
    pub store: Arc<dyn Store>,
    pub bus: Arc<dyn Bus>,
}

/// Who asks, as far as the machine knows.
pub fn somebody() -> String {
    std::env::var("USER").unwrap_or_else(|_| "somebody".to_owned())
}

impl Deployer {
    pub async fn connect(connection: &Connection) -> anyhow::Result<Self> {
        let store = connection.store(WAIT_VERB).await?;
        Ok(Self { store, bus: connection.bus_if_any().await? })
    }

    /// The content of a deployed Dag's version.
    pub async fn deployed(&self, dag_id: &DagId) -> anyhow::Result<Dag> {
        let record = self.store.dag(dag_id).await?;
        let record = record.with_context(|| {
            format!("there is no Dag {dag_id}; deploy it with towpath dag apply FILE")
        })?;
        let dag = self.store.dag_version(&record.version).await?;
        dag.with_context(|| format!("the version {} is gone", record.version))
    }

    pub async fn deploy(&self, read: &ReadDag, paused: bool) -> anyhow::Result<Deployed> {
        let source_dir = read.source_dir.as_ref().map(|dir| dir.display().to_string());
        let now = SystemClock.now();
        let deployed = self.store.put_dag(&read.dag, source_dir.as_deref(), paused, now).await?;
        self.ask(Command::DagChanged { dag_id: read.dag.dag_id.clone() }).await?;
        Ok(deployed)
    }

    /// Puts a command into the inbox and rings for it.
    pub async fn ask(&self, command: Command) -> anyhow::Result<()> {
        let item = InboxItem::command(RandomIds.uuid(), command);
        self.store.ask(&item, SystemClock.now()).await?;
        if let Err(error) = self.bus.announce(Topic::Scheduler, &Announcement::CommandWaiting).await
        {
            tracing::info!(%error, "the scheduler will find the command by itself");
        }
        Ok(())
    }
}
