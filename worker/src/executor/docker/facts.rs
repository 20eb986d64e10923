//! What is known of a container when it has ended: from which image, how it ended, and what it used.

use std::sync::{Arc, Mutex, PoisonError};

use bollard::Docker;
use bollard::models::ContainerStatsResponse;
use bollard::query_parameters::StatsOptionsBuilder;
use futures_util::StreamExt;
use tokio::task::JoinHandle;
use towpath_common::outcome::ContainerFacts;

/// The most that was seen. Docker says it once a second, and nothing of a container that has ended.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen {
    memory_peak: Option<u64>,
    cpu_nanos: Option<u64>,
}

impl Seen {
    fn add(&mut self, stats: &ContainerStatsResponse) {
        let memory = stats.memory_stats.as_ref();
        // The kernel's own peak, where it keeps one for containers.
        let peak = memory.and_then(|memory| memory.max_usage.max(memory.usage));
        self.memory_peak = self.memory_peak.max(peak);
        let usage = stats.cpu_stats.as_ref().and_then(|cpu| cpu.cpu_usage.as_ref());
        self.cpu_nanos = self.cpu_nanos.max(usage.and_then(|usage| usage.total_usage));
    }
}

/// What a container uses, as long as it runs.
pub struct Usage {
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

impl Usage {
    pub fn watch(docker: &Docker, name: &str) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let task = tokio::spawn({
            let (docker, name, seen) = (docker.clone(), name.to_owned(), Arc::clone(&seen));
            async move {
                let options = StatsOptionsBuilder::default().stream(true).build();
                let mut stats = Box::pin(docker.stats(&name, Some(options)));
                while let Some(Ok(stats)) = stats.next().await {
                    seen.lock().unwrap_or_else(PoisonError::into_inner).add(&stats);
                }
            }
        });
        Self { seen, task }
    }

    pub fn seen(&self) -> Seen {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Usage {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// None if the container is gone, or the daemon away.
pub async fn of(docker: &Docker, name: &str, seen: Seen) -> Option<ContainerFacts> {
    let container = docker.inspect_container(name, None).await.ok()?;
    let image_id = container.image.unwrap_or_default();
    let image = docker.inspect_image(&image_id).await.ok();
    let digest = image.and_then(|image| image.repo_digests?.into_iter().next());
    let state = container.state.unwrap_or_default();
    let limit = container.host_config.and_then(|host| host.memory).filter(|limit| *limit > 0);
    Some(ContainerFacts {
        container: name.to_owned(),
        image: container.config.and_then(|config| config.image).unwrap_or_default(),
        image_id,
        image_digest: digest,
        exit_code: state.exit_code,
        oom_killed: state.oom_killed.unwrap_or(false),
        memory_peak_bytes: seen.memory_peak,
        memory_limit_bytes: limit.and_then(|limit| u64::try_from(limit).ok()),
        cpu_seconds: seen.cpu_nanos.map(|nanos| nanos as f64 / 1e9),
    })
}
