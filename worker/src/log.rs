//! What an attempt prints, in a file of its own, written while it runs.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use regex::Regex;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use towpath_common::dag::RetryRule;
use towpath_common::id::{AttemptKey, DagId, UNMAPPED};
use towpath_common::time::Timestamp;
use towpath_rendering::{MaskedStream, Masker};

use crate::disk::on_disk;

/// Airflow's layout, under the log folder.
pub fn log_path(log_dir: &Path, dag_id: &DagId, run_id: &str, attempt: &AttemptKey) -> PathBuf {
    let mut path = run_log_dir(log_dir, dag_id, run_id);
    path.push(format!("task_id={}", attempt.task));
    if attempt.map_index != UNMAPPED {
        path.push(format!("map_index={}", attempt.map_index));
    }
    path.push(format!("attempt={}.log", attempt.number));
    path
}

/// Where the logs of a run are.
pub fn run_log_dir(log_dir: &Path, dag_id: &DagId, run_id: &str) -> PathBuf {
    log_dir.join(format!("dag_id={dag_id}")).join(format!("run_id={run_id}"))
}

/// How long a full disk is waited for, and how long between two looks.
const ROOM_PATIENCE: Duration = Duration::from_secs(600);
const ROOM_PAUSE: Duration = Duration::from_millis(500);

/// How much of a log's end retry rules look at, in bytes.
const END_MAX: u64 = 64 * 1024;

/// Clones write to the same file. It is made when the first byte comes, so that an attempt that prints
/// nothing costs nothing.
#[derive(Debug, Clone)]
pub struct AttemptLog {
    path: Arc<Path>,
    file: Arc<Mutex<Option<Place>>>,
    /// When the disk was found to be full, until something is written again.
    full_since: Arc<std::sync::Mutex<Option<Instant>>>,
    /// How often something was.
    written: Arc<AtomicU64>,
    masker: Arc<Masker>,
}

#[derive(Debug)]
struct Place {
    file: File,
    /// All that is written for good.
    length: u64,
}

impl Place {
    fn open(path: &Path) -> std::io::Result<Self> {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let file = File::options().create(true).append(true).open(path)?;
        let length = file.metadata()?.len();
        Ok(Self { file, length })
    }

    /// All of it, or nothing that stays.
    fn append(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        if let Err(error) = self.file.write_all(bytes) {
            self.file.set_len(self.length)?;
            return Err(error);
        }
        self.length += bytes.len() as u64;
        Ok(())
    }
}

/// One of the streams that a command prints, on its way into the log.
pub struct LogStream {
    log: AttemptLog,
    masked: MaskedStream,
}

impl LogStream {
    pub async fn write(&mut self, bytes: &[u8]) {
        let masked = self.masked.push(bytes);
        self.log.write(&masked).await;
    }

    /// No more comes.
    pub async fn finish(&mut self) {
        let masked = self.masked.finish();
        self.log.write(&masked).await;
    }
}

impl AttemptLog {
    pub fn new(path: PathBuf) -> Self {
        Self {
            path: path.into(),
            file: Arc::default(),
            full_since: Arc::default(),
            written: Arc::default(),
            masker: Arc::default(),
        }
    }

    /// Waits for the end of somebody who copies into it; longer while the disk is full, and while it grows if that is
    /// `bounded`, as what a container has printed is. Whether it came to that end.
    pub async fn is_filled_by(
        &self,
        copying: &mut JoinHandle<()>,
        patience: Duration,
        bounded: bool,
    ) -> bool {
        loop {
            let before = self.written.load(Ordering::Relaxed);
            if timeout(patience, &mut *copying).await.is_ok() {
                return true;
            }
            let grows = bounded && self.written.load(Ordering::Relaxed) != before;
            if !grows && !self.waits_for_room() {
                return false;
            }
        }
    }

    /// The same log, which shows nothing that the masker knows.
    pub fn masked(&self, masker: &Arc<Masker>) -> Self {
        Self { masker: Arc::clone(masker), ..self.clone() }
    }

    /// For one stream of bytes: of two that are mixed neither could be masked.
    pub fn stream(&self) -> LogStream {
        LogStream { log: self.clone(), masked: self.masker.stream() }
    }

    /// A full disk is waited for, and so the task waits when its pipe is full. A log that cannot be written otherwise
    /// does not hold up its task; it is said where the worker logs.
    async fn write(&self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        // Held until all is written, so that what comes later stands below.
        let mut place = Arc::clone(&self.file).lock_owned().await;
        let bytes: Arc<[u8]> = bytes.into();
        loop {
            let (path, bytes) = (Arc::clone(&self.path), Arc::clone(&bytes));
            let written;
            (place, written) = on_disk(move || {
                let written = append(&mut place, &path, &bytes);
                (place, written)
            })
            .await;
            let Err(error) = written else { break };
            let is_full = matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
            if is_full && self.full_since().is_none() {
                tracing::warn!(path = %self.path.display(), %error, "the log waits for room");
                self.full_since().replace(Instant::now());
            }
            if !is_full || !self.waits_for_room() {
                tracing::error!(path = %self.path.display(), %error, "the log cannot be written");
                self.full_since().take_if(|_| !is_full);
                return;
            }
            sleep(ROOM_PAUSE).await;
        }
        self.full_since().take();
        self.written.fetch_add(1, Ordering::Relaxed);
    }

    fn full_since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.full_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Not for each write anew, but since the disk was found to be full.
    fn waits_for_room(&self) -> bool {
        self.full_since().is_some_and(|since| since.elapsed() <= ROOM_PATIENCE)
    }

    /// A line of Towpath's own, told apart from the task's.
    pub async fn note(&self, at: Timestamp, text: &str) {
        self.write(format!("[towpath {at}] {text}\n").as_bytes()).await;
    }

    /// The numbers of the rules whose pattern the end of the log matches.
    pub async fn matches(&self, rules: &[RetryRule]) -> Vec<u32> {
        if rules.iter().all(|rule| rule.log.is_none()) {
            return Vec::new();
        }
        let path = Arc::clone(&self.path);
        let end = on_disk(move || end_of(&path)).await.unwrap_or_default();
        let matches = |rule: &RetryRule| {
            let pattern = rule.log.as_deref().and_then(|text| Regex::new(text).ok());
            pattern.is_some_and(|pattern| pattern.is_match(&end))
        };
        (0..).zip(rules).filter(|(_, rule)| matches(rule)).map(|(number, _)| number).collect()
    }

    /// Empties the log: the whole output is about to be written again.
    pub async fn restart(&self) {
        let mut place = Arc::clone(&self.file).lock_owned().await;
        let path = Arc::clone(&self.path);
        // With the lock: whoever writes next writes into a new file, also if nobody waits for this any more.
        let removed = on_disk(move || {
            *place = None;
            std::fs::remove_file(path)
        })
        .await;
        if let Err(error) = removed
            && error.kind() != ErrorKind::NotFound
        {
            tracing::error!(path = %self.path.display(), %error, "the log cannot be restarted");
        }
    }
}

fn append(place: &mut Option<Place>, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let place = match place {
        Some(place) => place,
        None => place.insert(Place::open(path)?),
    };
    place.append(bytes)
}

fn end_of(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(END_MAX)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
