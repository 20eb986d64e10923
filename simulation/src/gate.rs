//! What stands between a process and all that is not itself: moments that pass, services that are away, answers
//! that are lost, and its own death. A dead process is one whose calls never return.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until};
use towpath_common::time::{Clock, Timestamp};

use crate::chance::Chance;

/// 2026-01-01, in microseconds.
const BEGINNING: i64 = 1_767_225_600_000_000;
const MOMENT: Duration = Duration::from_millis(4);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    Store,
    Queue,
    Bus,
    Docker,
}

/// How often what goes wrong, and for how long.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// A process dies in a call.
    pub crash: f64,
    /// A call was carried out, and its answer is lost.
    pub lost_answer: f64,
    /// A message or an announcement does not arrive.
    pub lost_message: f64,
    /// It arrives twice.
    pub doubled_message: f64,
    /// It arrives after others that were sent later.
    pub late_message: f64,
    pub late_max: Duration,
    /// Services are away.
    pub outage_max: Duration,
    /// A process is stopped, and goes on.
    pub pause_max: Duration,
    /// A dead process is away.
    pub rest_max: Duration,
    /// Whether somebody removes containers.
    pub removals: bool,
    /// A process is told to end while it waits for an answer, and begins again.
    pub restart: f64,
}

/// What happened, in order.
#[derive(Debug, Default)]
pub struct Trace {
    hasher: DefaultHasher,
    pub calls: u64,
    pub crashes: u64,
    lines: Option<Vec<String>>,
}

/// Shared by all processes.
pub struct Weather {
    pub chance: Chance,
    began: Instant,
    faults: Mutex<Faults>,
    away: Mutex<BTreeMap<Service, Instant>>,
    stopped: Mutex<BTreeMap<String, Instant>>,
    /// Of the processes that live.
    ends: Mutex<BTreeMap<String, watch::Sender<bool>>>,
    trace: Mutex<Trace>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Weather {
    pub fn new(seed: u64, faults: Faults, keeps_lines: bool) -> Self {
        let trace = Trace { lines: keeps_lines.then(Vec::new), ..Trace::default() };
        Self {
            chance: Chance::new(seed),
            began: Instant::now(),
            faults: Mutex::new(faults),
            away: Mutex::default(),
            stopped: Mutex::default(),
            ends: Mutex::default(),
            trace: Mutex::new(trace),
        }
    }

    pub fn faults(&self) -> Faults {
        *locked(&self.faults)
    }

    /// Nothing goes wrong from now on.
    pub fn clear_up(&self) {
        *locked(&self.faults) = Faults::default();
        locked(&self.away).clear();
        locked(&self.stopped).clear();
    }

    pub fn take_away(&self, service: Service, time: Duration) {
        locked(&self.away).insert(service, Instant::now() + time);
    }

    fn is_away(&self, service: Service) -> bool {
        locked(&self.away).get(&service).is_some_and(|until| *until > Instant::now())
    }

    /// As with SIGSTOP and, after that time, SIGCONT.
    pub fn stop(&self, process: &str, time: Duration) {
        self.note(|| format!("{process} is stopped for {:.1} s", time.as_secs_f64()));
        locked(&self.stopped).insert(process.to_owned(), Instant::now() + time);
    }

    fn stopped_until(&self, process: &str) -> Option<Instant> {
        locked(&self.stopped).get(process).copied().filter(|until| *until > Instant::now())
    }

    /// What tells this life of the process to end.
    pub fn told_to_end(&self, process: &str) -> watch::Receiver<bool> {
        let (end, told) = watch::channel(false);
        locked(&self.ends).insert(process.to_owned(), end);
        told
    }

    /// As with SIGTERM.
    pub fn end(&self, process: &str) {
        self.note(|| format!("{process} is told to end"));
        if let Some(end) = locked(&self.ends).get(process) {
            end.send_replace(true);
        }
    }

    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    pub fn note(&self, line: impl FnOnce() -> String) {
        let mut trace = locked(&self.trace);
        let text = format!("{:>10.3} {}", self.elapsed().as_secs_f64(), line());
        text.hash(&mut trace.hasher);
        trace.calls += 1;
        if let Some(lines) = &mut trace.lines {
            lines.push(text);
        }
    }

    /// The hash of the trace, how many calls and crashes there were, and the lines that were kept.
    pub fn told(&self) -> (u64, u64, u64, Vec<String>) {
        let mut trace = locked(&self.trace);
        let lines = trace.lines.take().unwrap_or_default();
        (trace.hasher.finish(), trace.calls, trace.crashes, lines)
    }
}

/// The time as one machine has it.
pub struct SkewedClock {
    weather: Arc<Weather>,
    skew: i64,
}

impl SkewedClock {
    pub fn new(weather: &Arc<Weather>, skew: i64) -> Self {
        Self { weather: Arc::clone(weather), skew }
    }
}

impl Clock for SkewedClock {
    fn now(&self) -> Timestamp {
        let elapsed = i64::try_from(self.weather.elapsed().as_micros()).unwrap_or(i64::MAX);
        Timestamp::from_micros(BEGINNING + elapsed + self.skew)
    }
}

/// One life of one process.
pub struct Gate {
    pub process: String,
    pub weather: Arc<Weather>,
    dead: AtomicBool,
    died: Notify,
}

impl Gate {
    pub fn new(process: &str, weather: &Arc<Weather>) -> Arc<Self> {
        let (process, weather) = (process.to_owned(), Arc::clone(weather));
        Arc::new(Self { process, weather, dead: AtomicBool::new(false), died: Notify::new() })
    }

    pub fn die(&self) {
        if !self.dead.swap(true, Ordering::Relaxed) {
            locked(&self.weather.trace).crashes += 1;
            self.weather.note(|| format!("{} dies", self.process));
            self.died.notify_waiters();
        }
    }

    /// Resolves when the process has died.
    pub async fn death(&self) {
        let died = self.died.notified();
        if !self.dead.load(Ordering::Relaxed) {
            died.await;
        }
    }

    /// The dead do nothing more, and the stopped nothing yet.
    async fn live(&self) {
        if self.dead.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        while let Some(until) = self.weather.stopped_until(&self.process) {
            sleep_until(until).await;
        }
    }

    /// A moment that not every process outlives.
    async fn moment(&self) {
        sleep(self.weather.chance.between(Duration::ZERO, MOMENT)).await;
        self.live().await;
        if self.weather.chance.happens(self.weather.faults().crash) {
            self.die();
            self.live().await;
        }
        let restart = self.weather.faults().restart;
        if restart > 0.0 && self.weather.chance.happens(restart) {
            self.weather.end(&self.process);
        }
    }

    /// On the way to a service. The error says that it did not arrive.
    pub async fn pass(&self, service: Service, what: &str) -> Result<(), String> {
        self.live().await;
        self.moment().await;
        self.weather.note(|| format!("{} {what}", self.process));
        if self.weather.is_away(service) {
            return Err(format!("{service:?} is away"));
        }
        Ok(())
    }

    /// On the way back. The error says that nobody knows whether it was done.
    pub async fn answered(&self, service: Service) -> Result<(), String> {
        self.moment().await;
        let lost = self.weather.chance.happens(self.weather.faults().lost_answer);
        if lost || self.weather.is_away(service) {
            return Err(format!("{service:?} does not answer"));
        }
        Ok(())
    }
}
