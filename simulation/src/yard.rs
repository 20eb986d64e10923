//! Machines that run containers, as a Docker daemon would: what runs there outlives the worker that started it.
//! Beside them a witness, who knows what really ran.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use towpath_common::dag::Container as Wanted;
use towpath_common::id::AttemptKey;
use towpath_common::outcome::Failure;
use towpath_common::port::Unavailable;
use towpath_worker::AttemptLog;
use towpath_worker::executor::{AttemptSpec, Ended, Execution, Executor, LaunchError};

use crate::gate::{Gate, Service};

/// The task that takes a day.
pub const LONG_TASK: &str = "day";
pub const A_DAY: Duration = Duration::from_secs(24 * 3600);

/// What the witness saw of one container.
#[derive(Debug, Clone)]
pub struct Seen {
    pub attempt: AttemptKey,
    pub began: Instant,
    /// How it ended; none: it was removed while it ran.
    pub code: Option<i64>,
    pub ended: Option<Instant>,
}

struct Container {
    host: String,
    ends_at: Instant,
    code: i64,
    /// Its place in what the witness saw.
    seen: usize,
}

#[derive(Default)]
struct Machines {
    containers: BTreeMap<AttemptKey, Container>,
    seen: Vec<Seen>,
}

pub struct Yard {
    seed: u64,
    machines: Mutex<Machines>,
    changed: Notify,
}

impl Yard {
    pub fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self { seed, machines: Mutex::default(), changed: Notify::new() })
    }

    fn machines(&self) -> MutexGuard<'_, Machines> {
        self.machines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long an attempt takes and how it ends: by its name, however often it is asked.
    fn script(&self, attempt: &AttemptKey) -> (Duration, i64) {
        let mut hasher = DefaultHasher::new();
        (self.seed, attempt.task.as_str(), attempt.map_index, attempt.number).hash(&mut hasher);
        let drawn = hasher.finish();
        if attempt.task.as_str() == LONG_TASK {
            return (A_DAY, 0);
        }
        let millis = match drawn % 20 {
            0 => 40_000 + drawn / 20 % 60_000,
            1..=4 => 3_000 + drawn / 20 % 9_000,
            _ => drawn / 20 % 1_500,
        };
        let code = i64::from(drawn >> 40 & 0xff < 26);
        (Duration::from_millis(millis), code)
    }

    fn start(&self, gate: &Gate, attempt: &AttemptKey) {
        let mut machines = self.machines();
        if machines.containers.get(attempt).is_some_and(|one| one.host == gate.process) {
            return;
        }
        let (takes, code) = self.script(attempt);
        let place = machines.seen.len();
        let began = Instant::now();
        machines.seen.push(Seen { attempt: attempt.clone(), began, code: None, ended: None });
        let (host, ends_at) = (gate.process.clone(), began + takes);
        machines.containers.insert(attempt.clone(), Container { host, ends_at, code, seen: place });
    }

    /// The error says when it will have ended.
    fn ended(&self, gate: &Gate, attempt: &AttemptKey) -> Result<Ended, Instant> {
        let mut machines = self.machines();
        let Machines { containers, seen } = &mut *machines;
        let Some(container) = containers.get(attempt).filter(|one| one.host == gate.process) else {
            return Ok(Ended::Vanished("it was removed from outside".to_owned()));
        };
        if container.ends_at > Instant::now() {
            return Err(container.ends_at);
        }
        let seen = &mut seen[container.seen];
        (seen.code, seen.ended) = (Some(container.code), Some(container.ends_at));
        Ok(Ended::Exited { code: container.code, oom: false })
    }

    fn stop(&self, attempt: &AttemptKey) {
        let mut machines = self.machines();
        if let Some(container) = machines.containers.get_mut(attempt)
            && container.ends_at > Instant::now()
        {
            (container.ends_at, container.code) = (Instant::now(), 143);
        }
        drop(machines);
        self.changed.notify_waiters();
    }

    fn remove(&self, attempt: &AttemptKey, host: &str) {
        let mut machines = self.machines();
        if machines.containers.get(attempt).is_some_and(|one| one.host == host) {
            machines.containers.remove(attempt);
        }
        drop(machines);
        self.changed.notify_waiters();
    }

    /// Somebody removes any container, as with `docker rm -f`.
    pub fn remove_any(&self, draw: usize) {
        let mut machines = self.machines();
        let names: Vec<AttemptKey> = machines.containers.keys().cloned().collect();
        if let Some(attempt) = names.get(draw % names.len().max(1)) {
            machines.containers.remove(attempt);
        }
        drop(machines);
        self.changed.notify_waiters();
    }

    pub fn left(&self) -> Vec<AttemptKey> {
        self.machines().containers.keys().cloned().collect()
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.machines().seen.clone()
    }

    fn on(&self, host: &str) -> Vec<AttemptKey> {
        let machines = self.machines();
        let own = machines.containers.iter().filter(|(_, container)| container.host == host);
        own.map(|(attempt, _)| attempt.clone()).collect()
    }
}

/// The daemon of one machine, as its worker reaches it.
pub struct SimulatedDocker {
    pub yard: Arc<Yard>,
    pub gate: Arc<Gate>,
}

impl SimulatedDocker {
    fn execution(&self, attempt: &AttemptKey) -> Box<dyn Execution> {
        let (yard, gate) = (Arc::clone(&self.yard), Arc::clone(&self.gate));
        Box::new(Running { yard, gate, attempt: attempt.clone() })
    }
}

fn away(why: String) -> Unavailable {
    Unavailable::new("Docker", why)
}

#[async_trait]
impl Executor for SimulatedDocker {
    async fn check(&self) -> Result<(), Unavailable> {
        self.gate.pass(Service::Docker, "check").await.map_err(away)
    }

    async fn prepare(&self, _team: Option<&str>, _container: &Wanted) -> Result<(), LaunchError> {
        Ok(self.gate.pass(Service::Docker, "prepare").await.map_err(away)?)
    }

    async fn launch(
        &self,
        spec: &AttemptSpec,
        _log: AttemptLog,
    ) -> Result<Box<dyn Execution>, LaunchError> {
        self.gate.pass(Service::Docker, "launch").await.map_err(away)?;
        self.yard.start(&self.gate, &spec.attempt);
        self.gate.answered(Service::Docker).await.map_err(away)?;
        Ok(self.execution(&spec.attempt))
    }

    async fn traces(&self) -> Result<Vec<AttemptKey>, Unavailable> {
        self.gate.pass(Service::Docker, "traces").await.map_err(away)?;
        Ok(self.yard.on(&self.gate.process))
    }

    async fn attach(
        &self,
        attempt: &AttemptKey,
        _log: AttemptLog,
    ) -> Result<Box<dyn Execution>, LaunchError> {
        self.gate.pass(Service::Docker, "attach").await.map_err(away)?;
        Ok(self.execution(attempt))
    }

    async fn remove(&self, attempt: &AttemptKey) {
        if self.gate.pass(Service::Docker, "remove").await.is_ok() {
            self.yard.remove(attempt, &self.gate.process);
        }
    }

    fn survives_worker(&self) -> bool {
        true
    }
}

struct Running {
    yard: Arc<Yard>,
    gate: Arc<Gate>,
    attempt: AttemptKey,
}

#[async_trait]
impl Execution for Running {
    async fn wait(&mut self) -> Ended {
        loop {
            let changed = self.yard.changed.notified();
            match self.yard.ended(&self.gate, &self.attempt) {
                Ok(ended) => {
                    // A daemon that is away says nothing yet.
                    if self.gate.pass(Service::Docker, "wait").await.is_ok() {
                        return ended;
                    }
                }
                Err(ends_at) => tokio::select! {
                    biased;
                    () = sleep_until(ends_at) => {}
                    () = changed => {}
                },
            }
        }
    }

    async fn stop(&mut self, _grace: Duration) {
        if self.gate.pass(Service::Docker, "stop").await.is_ok() {
            self.yard.stop(&self.attempt);
        }
    }

    async fn output(&mut self, _limit: u64) -> Result<Vec<u8>, Failure> {
        let (takes, _) = self.yard.script(&self.attempt);
        let items: Vec<u64> = (0..takes.as_secs() % 4).collect();
        Ok(format!("{{\"items\": {items:?}}}").into_bytes())
    }

    async fn remove(self: Box<Self>) {
        if self.gate.pass(Service::Docker, "remove").await.is_ok() {
            self.yard.remove(&self.attempt, &self.gate.process);
        }
    }
}
