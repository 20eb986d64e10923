//! Runs every attempt in a container of its own, made from the task's image through the Docker API.
//!
//! The stream of the container's output and the wait for its end are opened before it is started, so
//! that no byte and no exit code is missed. Its name and labels say which attempt it is.

mod body;
mod cause;
mod facts;
mod mounts;
mod output;
mod traces;
mod unstarted;

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use bollard::errors::Error;
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, CreateImageOptionsBuilder,
    DownloadFromContainerOptionsBuilder, KillContainerOptionsBuilder,
    RemoveContainerOptionsBuilder, UploadToContainerOptionsBuilder, WaitContainerOptionsBuilder,
};
use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use towpath_common::dag::{Container, PullPolicy};
use towpath_common::id::AttemptKey;
use towpath_common::outcome::{ContainerFacts, Failure, FailureClass};
use towpath_common::policy::ContainerPolicy;
use towpath_common::port::Unavailable;

use self::cause::Cause;
use self::facts::Usage;
use self::output::{Origin, Output, logged, pump};
use self::unstarted::Unstarted;
use super::{AttemptSpec, Ended, Execution, Executor, LaunchError};
use crate::log::AttemptLog;

const SERVICE: &str = "Docker";
const REMOVED: &str = "its container was removed from outside";
/// Where a task finds the file for its outputs.
const OUTPUT_PATH: &str = "/towpath/output";
/// How long a daemon that fails may still be there before it has ended.
const STILL_THERE_AFTER: Duration = Duration::from_secs(2);
/// How long a daemon may fail to hand out a file before the file is to blame.
const FILE_PATIENCE: Duration = Duration::from_secs(30);
/// Between looks at a daemon that is away or a container that has not ended.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// How long the next of the output of a container that has ended is waited for.
const OUTPUT_AFTER_EXIT: Duration = Duration::from_secs(10);

/// What is the same for every container of a worker.
#[derive(Debug, Clone)]
pub struct DockerConfig {
    /// The installation's name; containers of others are left alone.
    pub installation: String,
    /// The network of tasks that name none.
    pub network: String,
    /// The memory of tasks that name no limit, in bytes.
    pub memory: u64,
    /// What tasks may have of this machine.
    pub policy: ContainerPolicy,
    /// Where the worker keeps, for its next life, what it launches.
    pub launches_dir: PathBuf,
}

pub struct DockerExecutor {
    docker: Docker,
    config: DockerConfig,
    unstarted: Unstarted,
}

impl DockerExecutor {
    /// Uses `DOCKER_HOST`, or the local socket. Nothing is connected yet.
    pub fn new(config: DockerConfig) -> Result<Self, Unavailable> {
        let docker = Docker::connect_with_defaults();
        let docker = docker.map_err(|error| Unavailable::new(SERVICE, error))?;
        let unstarted = Unstarted::new(config.launches_dir.clone());
        Ok(Self { docker, config, unstarted })
    }

    fn name_of(&self, attempt: &AttemptKey) -> String {
        body::container_name(&self.config.installation, attempt)
    }

    async fn pull(&self, image: &str) -> Result<(), LaunchError> {
        let (name, tag) = split_tag(image);
        let options = CreateImageOptionsBuilder::default().from_image(name).tag(tag).build();
        let mut progress = self.docker.create_image(Some(options), None, None);
        while let Some(step) = progress.next().await {
            // The registry's own words, from whichever place Docker has put them in.
            let refused = |why: String| {
                Failure::new(FailureClass::ImagePull, format!("{image} cannot be pulled: {why}"))
            };
            let info = match step {
                Ok(info) => info,
                Err(Error::DockerResponseServerError { message, .. }) => {
                    return Err(refused(message).into());
                }
                Err(Error::DockerStreamError { error }) => return Err(refused(error).into()),
                Err(error) => return Err(away(&error).into()),
            };
            if let Some(message) = info.error_detail.and_then(|detail| detail.message) {
                return Err(refused(message).into());
            }
        }
        Ok(())
    }

    async fn has_image(&self, image: &str) -> Result<bool, LaunchError> {
        match self.docker.inspect_image(image).await {
            Ok(_) => Ok(true),
            Err(error) if is_missing(&error) => Ok(false),
            Err(error) => Err(launch_error(&error)),
        }
    }

    /// False if there is such a container: an earlier try has made it.
    async fn create(&self, name: &str, spec: &AttemptSpec) -> Result<bool, LaunchError> {
        // Whatever is answered, it may be there.
        self.unstarted.making(name);
        let options = CreateContainerOptionsBuilder::default().name(name).build();
        let container = body::container(spec, &self.config);
        match self.docker.create_container(Some(options), container).await {
            Ok(_) => Ok(true),
            Err(Error::DockerResponseServerError { status_code: 409, .. }) => Ok(false),
            Err(error) => Err(launch_error(&error)),
        }
    }

    async fn launch_as(
        &self,
        name: &str,
        spec: &AttemptSpec,
        log: AttemptLog,
    ) -> Result<DockerExecution, LaunchError> {
        if !self.create(name, spec).await? {
            return self.take_up(name, log).await;
        }
        self.place_output_file(name).await?;
        let attach =
            AttachContainerOptionsBuilder::default().stdout(true).stderr(true).stream(true).build();
        let attached = self.docker.attach_container(name, Some(attach)).await;
        let stream = attached.map_err(|error| launch_error(&error))?.output.boxed();
        let output = Output { stream, origin: Origin::Attached };
        let execution = DockerExecution::new(&self.docker, name, output, log);
        self.start(name).await?;
        Ok(execution)
    }

    async fn place_output_file(&self, name: &str) -> Result<(), LaunchError> {
        let options = UploadToContainerOptionsBuilder::default().path("/").build();
        let file = bollard::body_full(body::output_file().into());
        let placed = self.docker.upload_to_container(name, Some(options), file).await;
        placed.map_err(|error| launch_error(&error))
    }

    async fn start(&self, name: &str) -> Result<(), LaunchError> {
        self.unstarted.asked(name).map_err(|error| Unavailable::new("the worker's disk", error))?;
        let Err(error) = self.docker.start_container(name, None).await else { return Ok(()) };
        if let Error::DockerResponseServerError { status_code: 500.., message } = &error {
            // It is what the container asks for, or that the daemon ends; who is still there means the former.
            tokio::time::sleep(STILL_THERE_AFTER).await;
            if let Ok(State::Created) = inspect(&self.docker, name).await {
                return Err(Failure::new(FailureClass::Launch, message.clone()).into());
            }
        }
        Err(launch_error(&error))
    }

    /// Goes on with a container that was made before: by an earlier worker, or by a try whose answer was lost.
    async fn take_up(&self, name: &str, log: AttemptLog) -> Result<DockerExecution, LaunchError> {
        match inspect(&self.docker, name).await {
            Ok(State::Created) if self.unstarted.has(name) => {
                self.place_output_file(name).await?;
                self.start(name).await?;
            }
            Ok(State::Created) => {
                let why = "its container was made, and whether it was started cannot be told";
                return Err(Failure::new(FailureClass::WorkerLost, why).into());
            }
            Ok(State::Running | State::Ended { .. }) => {}
            Err(error) if is_missing(&error) => {
                return Err(Failure::new(FailureClass::WorkerLost, REMOVED).into());
            }
            Err(error) => return Err(away(&error).into()),
        }
        // What was logged before may be incomplete; Docker has it all.
        log.restart().await;
        Ok(DockerExecution::new(&self.docker, name, logged(&self.docker, name, true), log))
    }
}

#[async_trait]
impl Executor for DockerExecutor {
    async fn check(&self) -> Result<(), Unavailable> {
        self.docker.ping().await.map(drop).map_err(|error| Unavailable::new(SERVICE, words(&error)))
    }

    async fn prepare(&self, team: Option<&str>, container: &Container) -> Result<(), LaunchError> {
        let refused = |why| Failure::new(FailureClass::Launch, why);
        self.config.policy.check(team, container).map_err(refused)?;
        if !container.mounts.is_empty() {
            let mut as_found = container.clone();
            for mount in &mut as_found.mounts {
                *mount = mounts::resolved(mount).await?;
            }
            self.config.policy.check(team, &as_found).map_err(refused)?;
        }
        for mount in &container.mounts {
            mounts::are_safe(&self.docker, mount).await?;
        }
        let image = container.image.as_deref().ok_or_else(|| {
            Failure::new(FailureClass::Launch, "the task names no image; give it one, or a default")
        })?;
        let pull = match container.pull_policy {
            PullPolicy::Always => true,
            PullPolicy::Missing => !self.has_image(image).await?,
            PullPolicy::Never if self.has_image(image).await? => false,
            PullPolicy::Never => {
                let why = format!("{image} is not here and its pull_policy is never");
                return Err(Failure::new(FailureClass::ImagePull, why).into());
            }
        };
        if pull { self.pull(image).await } else { Ok(()) }
    }

    async fn launch(
        &self,
        spec: &AttemptSpec,
        log: AttemptLog,
    ) -> Result<Box<dyn Execution>, LaunchError> {
        let name = self.name_of(&spec.attempt);
        let launched = self.launch_as(&name, spec, log).await;
        match &launched {
            Ok(_) => self.unstarted.forget(&name),
            Err(LaunchError::Refused(_)) => self.remove(&spec.attempt).await,
            Err(LaunchError::Away(_)) => {}
        }
        launched.map(|execution| Box::new(execution) as Box<dyn Execution>)
    }

    async fn traces(&self) -> Result<Vec<AttemptKey>, Unavailable> {
        traces::list(&self.docker, &self.config.installation).await
    }

    async fn sealed(&self, attempt: &AttemptKey) -> Result<Option<String>, Unavailable> {
        traces::sealed(&self.docker, &self.name_of(attempt)).await
    }

    async fn attach(
        &self,
        attempt: &AttemptKey,
        log: AttemptLog,
    ) -> Result<Box<dyn Execution>, LaunchError> {
        let name = self.name_of(attempt);
        let execution = self.take_up(&name, log).await?;
        self.unstarted.forget(&name);
        Ok(Box::new(execution))
    }

    async fn remove(&self, attempt: &AttemptKey) {
        let name = self.name_of(attempt);
        self.unstarted.forget(&name);
        remove(&self.docker, &name).await;
    }

    fn survives_worker(&self) -> bool {
        true
    }
}

struct DockerExecution {
    docker: Docker,
    name: String,
    pump: Option<JoinHandle<()>>,
    /// Resolves when Docker says that the container has ended; asked for before the start.
    exit: Option<JoinHandle<()>>,
    ended: Option<Ended>,
    /// By this worker.
    stopped: bool,
    log: AttemptLog,
    usage: Usage,
}

impl DockerExecution {
    fn new(docker: &Docker, name: &str, output: Output, log: AttemptLog) -> Self {
        let exit = tokio::spawn({
            let (docker, name) = (docker.clone(), name.to_owned());
            async move {
                let options = WaitContainerOptionsBuilder::default().condition("next-exit").build();
                // Whatever is said, the state is looked at afterwards.
                let _ = docker.wait_container(&name, Some(options)).next().await;
            }
        });
        let pump = tokio::spawn(pump(docker.clone(), name.to_owned(), output, log.clone()));
        Self {
            docker: docker.clone(),
            name: name.to_owned(),
            pump: Some(pump),
            exit: Some(exit),
            ended: None,
            stopped: false,
            log,
            usage: Usage::watch(docker, name),
        }
    }

    /// Waits until the container has ended, however often the daemon goes away in between.
    async fn exited(&mut self) -> Ended {
        loop {
            match inspect(&self.docker, &self.name).await {
                Ok(State::Ended { code, oom, at }) => {
                    let ended = Ended::Exited { code, oom };
                    if self.stopped || oom || code == 0 {
                        return ended;
                    }
                    match cause::of(&self.docker, &self.name, code, at).await {
                        Ok(Cause::Own) => return ended,
                        Ok(Cause::Outside(why)) => return Ended::Vanished(why.to_owned()),
                        // A daemon that goes away now has something to do with it.
                        Err(_) => tokio::time::sleep(RETRY_PAUSE).await,
                    }
                }
                Ok(State::Created | State::Running) => match &mut self.exit {
                    Some(exit) => {
                        let _ = tokio::time::timeout(Duration::from_secs(30), exit).await.map(drop);
                        if self.exit.as_ref().is_some_and(JoinHandle::is_finished) {
                            self.exit = None;
                        }
                    }
                    None => tokio::time::sleep(RETRY_PAUSE).await,
                },
                Err(error) if is_missing(&error) => {
                    return Ended::Vanished(REMOVED.to_owned());
                }
                Err(error) => {
                    tracing::warn!(container = %self.name, error = words(&error), "looking again");
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
            }
        }
    }
}

#[async_trait]
impl Execution for DockerExecution {
    async fn wait(&mut self) -> Ended {
        if let Some(ended) = &self.ended {
            return ended.clone();
        }
        let ended = self.exited().await;
        if let Some(pump) = &mut self.pump
            && !self.log.is_filled_by(pump, OUTPUT_AFTER_EXIT, true).await
        {
            pump.abort();
            tracing::warn!(container = %self.name, "the rest of its output did not come");
        }
        self.pump = None;
        self.ended = Some(ended.clone());
        ended
    }

    async fn stop(&mut self, grace: Duration) {
        self.stopped = true;
        kill(&self.docker, &self.name, "SIGTERM").await;
        if tokio::time::timeout(grace, self.exited()).await.is_err() {
            kill(&self.docker, &self.name, "SIGKILL").await;
        }
    }

    async fn output(&mut self, limit: u64) -> Result<Vec<u8>, Failure> {
        let until = Instant::now() + FILE_PATIENCE;
        loop {
            match self.archive(limit).await {
                Ok(archive) => {
                    let wrong = |why| Failure::new(FailureClass::Output, why);
                    return body::first_file(&archive, limit).map_err(wrong);
                }
                Err(Error::DockerResponseServerError { status_code: 404, .. }) => {
                    // The file, or the container.
                    match inspect(&self.docker, &self.name).await {
                        Ok(_) => return Ok(Vec::new()),
                        Err(error) if is_missing(&error) => {
                            return Err(Failure::new(FailureClass::WorkerLost, REMOVED));
                        }
                        Err(_) => {}
                    }
                }
                Err(Error::DockerResponseServerError { message, .. }) if Instant::now() > until => {
                    return Err(Failure::new(FailureClass::Output, message));
                }
                Err(error) => {
                    tracing::warn!(container = %self.name, error = words(&error), "looking again");
                }
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    async fn facts(&mut self) -> Option<ContainerFacts> {
        facts::of(&self.docker, &self.name, self.usage.seen()).await
    }

    async fn remove(self: Box<Self>) {
        remove(&self.docker, &self.name).await;
    }
}

impl DockerExecution {
    /// The output file as Docker packs it, or the beginning of one that is too long.
    async fn archive(&self, limit: u64) -> Result<Vec<u8>, Error> {
        let options = DownloadFromContainerOptionsBuilder::default().path(OUTPUT_PATH).build();
        let mut pieces = self.docker.download_from_container(&self.name, Some(options));
        let mut archive = Vec::new();
        // The file, a tar header, and padding.
        let archive_max = usize::try_from(limit).unwrap_or(usize::MAX).saturating_add(8 * 1024);
        while let Some(piece) = pieces.next().await {
            archive.extend_from_slice(&piece?);
            if archive.len() > archive_max {
                break;
            }
        }
        Ok(archive)
    }
}

impl Drop for DockerExecution {
    fn drop(&mut self) {
        for task in [self.pump.take(), self.exit.take()].into_iter().flatten() {
            task.abort();
        }
    }
}

enum State {
    Created,
    Running,
    /// By the daemon's clock.
    Ended {
        code: i64,
        oom: bool,
        at: Option<DateTime<Utc>>,
    },
}

async fn inspect(docker: &Docker, name: &str) -> Result<State, Error> {
    use bollard::models::ContainerStateStatusEnum as Status;
    let state = docker.inspect_container(name, None).await?.state.unwrap_or_default();
    let code = state.exit_code.unwrap_or(-1);
    Ok(match state.status {
        Some(Status::CREATED) => State::Created,
        Some(Status::EXITED | Status::DEAD | Status::REMOVING) => {
            let at = state.finished_at.and_then(|at| at.parse().ok());
            State::Ended { code, oom: state.oom_killed.unwrap_or(false), at }
        }
        _ => State::Running,
    })
}

/// However often the daemon goes away in between.
async fn kill(docker: &Docker, name: &str, signal: &str) {
    loop {
        let options = KillContainerOptionsBuilder::default().signal(signal).build();
        match docker.kill_container(name, Some(options)).await {
            Ok(()) => return,
            // A container that has ended cannot be killed, and need not be.
            Err(Error::DockerResponseServerError { status_code: ..500, .. }) => return,
            Err(error) => {
                tracing::warn!(container = name, error = words(&error), "{signal} again");
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }
}

async fn remove(docker: &Docker, name: &str) {
    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    match docker.remove_container(name, Some(options)).await {
        Ok(()) => {}
        // Gone, or being removed by somebody else.
        Err(Error::DockerResponseServerError { status_code: 404 | 409, .. }) => {}
        Err(error) => tracing::warn!(container = name, error = words(&error), "left to the reaper"),
    }
}

fn is_missing(error: &Error) -> bool {
    matches!(error, Error::DockerResponseServerError { status_code: 404, .. })
}

/// The daemon's own words, without the client's around them.
fn words(error: &Error) -> String {
    match error {
        Error::DockerResponseServerError { message, .. } => message.clone(),
        Error::DockerStreamError { error } => error.clone(),
        error => error.to_string(),
    }
}

/// The daemon has refused, or could not be reached.
fn launch_error(error: &Error) -> LaunchError {
    match error {
        // A daemon that is told to stop fails at what it has begun.
        Error::DockerResponseServerError { status_code: 500.., .. } => away(error).into(),
        Error::DockerResponseServerError { .. } => {
            Failure::new(FailureClass::Launch, words(error)).into()
        }
        error => away(error).into(),
    }
}

fn away(error: &Error) -> Unavailable {
    Unavailable::new(SERVICE, words(error))
}

/// A name with its tag or digest; `latest` if it has neither.
fn split_tag(image: &str) -> (&str, &str) {
    if let Some((name, digest)) = image.split_once('@') {
        return (name, digest);
    }
    match image.rsplit_once(':') {
        // A colon before a slash belongs to the registry's port.
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (image, "latest"),
    }
}
