//! One look into the feed of changes, for all who watch here.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::broadcast;
use towpath_common::change::{Changes, News, Place};
use towpath_common::id::{DagId, RunKey};
use towpath_common::state::{RunState, TaskState};
use towpath_operations::answer::Worker;
use towpath_operations::{Actor, Operations, Services};
use utoipa::ToSchema;
use uuid::Uuid;

/// Watchers that fall behind by so many look again.
const BACKLOG: usize = 1024;
/// Changes that are kept for watchers who come back.
const KEPT_MAX: usize = 1000;
/// How often watchers are told to look for themselves while the bus is away, and workers are looked at.
const POLL: Duration = Duration::from_secs(2);
/// How long a Dag's team is taken for known.
const TEAMS_KEPT: Duration = Duration::from_secs(10);

/// What watchers hear.
#[derive(Debug, Clone)]
pub enum Heard {
    Changes(Arc<Entry>),
    /// Where a watcher begins.
    Begin(Option<Place>),
    /// Some changes were missed: look at everything again. Go on from here.
    Reset(Option<Place>),
    Workers(Arc<Vec<Worker>>),
}

/// Changes with their place; `text` is all of them, written once for all who may see all.
#[derive(Debug)]
pub struct Entry {
    pub place: Place,
    pub seen: Seen,
    pub text: String,
}

/// Changes as the API says them.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct Seen {
    pub runs: Vec<SeenRun>,
    pub instances: Vec<SeenInstance>,
    /// Runs of which too much has changed to say it one by one: look at them again.
    pub crowded: Vec<SeenCrowd>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SeenRun {
    pub run_key: Uuid,
    pub dag_id: String,
    pub run_id: String,
    pub state: RunState,
    #[serde(skip)]
    pub team: Option<String>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SeenInstance {
    pub run_key: Uuid,
    pub dag_id: String,
    pub task_id: String,
    pub map_index: i32,
    pub state: TaskState,
    pub attempt: u32,
    #[serde(skip)]
    pub team: Option<String>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SeenCrowd {
    pub run_key: Uuid,
    pub dag_id: String,
    #[serde(skip)]
    pub team: Option<String>,
}

pub struct Hub {
    sender: broadcast::Sender<Heard>,
    kept: Mutex<Kept>,
}

/// The latest changes, and how far the feed was read.
#[derive(Default)]
struct Kept {
    entries: VecDeque<Arc<Entry>>,
    at: Option<Place>,
}

impl Hub {
    /// Reads no feed: whoever listens hears nothing.
    pub fn quiet() -> Arc<Self> {
        Arc::new(Self { sender: broadcast::channel(BACKLOG).0, kept: Mutex::default() })
    }

    pub fn start(services: &Services) -> Arc<Self> {
        let hub = Self::quiet();
        tokio::spawn(follow(Arc::downgrade(&hub), services.clone()));
        tokio::spawn(watch_workers(Arc::downgrade(&hub), services.clone()));
        hub
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where one begins or what has come since a place, if that is kept; and what comes.
    pub fn listen(&self, after: Option<&Place>) -> (Vec<Heard>, broadcast::Receiver<Heard>) {
        let kept = self.kept();
        // Under the lock, so that nothing is heard twice or not at all.
        let receiver = self.sender.subscribe();
        let Some(after) = after else { return (vec![Heard::Begin(kept.at.clone())], receiver) };
        let is_end = kept.at.as_ref() == Some(after);
        let reaches = kept.entries.front().is_some_and(|oldest| oldest.place <= *after);
        let missed = match is_end || reaches {
            true => {
                let missed = kept.entries.iter().filter(|entry| entry.place > *after);
                missed.cloned().map(Heard::Changes).collect()
            }
            false => vec![Heard::Reset(kept.at.clone())],
        };
        (missed, receiver)
    }

    fn put(&self, entry: Entry) {
        let entry = Arc::new(entry);
        let mut kept = self.kept();
        kept.at = Some(entry.place.clone());
        kept.entries.push_back(Arc::clone(&entry));
        if kept.entries.len() > KEPT_MAX {
            kept.entries.pop_front();
        }
        let _ = self.sender.send(Heard::Changes(entry));
    }

    /// The feed is read from here on.
    fn begin(&self, at: Place) {
        self.kept().at = Some(at);
    }

    fn reset(&self, at: Option<Place>) {
        let mut kept = self.kept();
        *kept = Kept { entries: VecDeque::new(), at: at.clone() };
        let _ = self.sender.send(Heard::Reset(at));
    }
}

/// Reads the feed until the hub is gone.
async fn follow(hub: Weak<Hub>, services: Services) {
    let mut teams = Teams::default();
    let mut place: Option<Place> = None;
    while let Some(hub) = hub.upgrade() {
        let at = match &place {
            Some(at) => Ok(at.clone()),
            None => services.bus.feed_end().await.inspect(|at| hub.begin(at.clone())),
        };
        let news = match &at {
            Ok(at) => services.bus.news(at).await,
            Err(error) => Err(error.clone()),
        };
        match (news, at) {
            (Ok(News::Changes(entries)), Ok(at)) => {
                place = Some(entries.last().map_or(at, |(last, _)| last.clone()));
                for (at, changes) in entries {
                    let seen = teams.seen(&services, changes).await;
                    let text = serde_json::to_string(&seen).unwrap_or_default();
                    hub.put(Entry { place: at, seen, text });
                }
            }
            (Ok(News::Gap(end)), _) => {
                hub.reset(Some(end.clone()));
                place = Some(end);
            }
            (Err(error), _) | (_, Err(error)) => {
                tracing::debug!(%error, "watchers look for themselves");
                hub.reset(None);
                tokio::time::sleep(POLL).await;
            }
        }
    }
}

/// Says how the fleet stands whenever it has changed.
async fn watch_workers(hub: Weak<Hub>, services: Services) {
    let operations = Operations::new(services, Actor::local("api"));
    let mut last: Vec<Worker> = Vec::new();
    loop {
        tokio::time::sleep(POLL).await;
        let Some(hub) = hub.upgrade() else { return };
        if hub.sender.receiver_count() == 0 {
            continue;
        }
        let Ok(fleet) = operations.fleet().await else { continue };
        let facts = |w: &Worker| (w.worker.clone(), w.running, w.slots, w.alive, w.draining);
        let same = fleet.workers.iter().map(facts).eq(last.iter().map(facts));
        if !same {
            let _ = hub.sender.send(Heard::Workers(Arc::new(fleet.workers.clone())));
            last = fleet.workers;
        }
    }
}

/// Whose Dags are whose.
#[derive(Default)]
struct Teams {
    known: HashMap<DagId, (Option<String>, tokio::time::Instant)>,
}

impl Teams {
    async fn seen(&mut self, services: &Services, changes: Changes) -> Seen {
        let mut seen = Seen::default();
        for run in changes.runs {
            let team = self.of(services, &run.dag_id).await;
            seen.runs.push(SeenRun {
                run_key: run.run.0,
                dag_id: run.dag_id.to_string(),
                run_id: run.run_id,
                state: run.state,
                team,
            });
        }
        for change in changes.instances {
            let team = self.of(services, &change.dag_id).await;
            seen.instances.push(SeenInstance {
                run_key: change.run.0,
                dag_id: change.dag_id.to_string(),
                task_id: change.task.to_string(),
                map_index: change.map_index,
                state: change.state,
                attempt: change.attempt,
                team,
            });
        }
        for (dag_id, RunKey(run_key)) in changes.crowded {
            let team = self.of(services, &dag_id).await;
            seen.crowded.push(SeenCrowd { run_key, dag_id: dag_id.to_string(), team });
        }
        seen
    }

    async fn of(&mut self, services: &Services, dag_id: &DagId) -> Option<String> {
        let now = tokio::time::Instant::now();
        if let Some((team, at)) = self.known.get(dag_id)
            && now.duration_since(*at) < TEAMS_KEPT
        {
            return team.clone();
        }
        let actor = Actor::local("api");
        let dag = Operations::new(services.clone(), actor).deployed(dag_id).await;
        // Of a Dag that cannot be read nobody hears who does not see all.
        let team = dag.ok().and_then(|dag| dag.team.clone());
        self.known.insert(dag_id.clone(), (team.clone(), now));
        team
    }
}
